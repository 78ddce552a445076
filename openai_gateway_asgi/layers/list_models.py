"""GET /models and GET /models/{id}."""

from __future__ import annotations

from collections.abc import Awaitable

from ..api.endpoints import Kind
from ..exchange import Exchange
from ..host.access import LISTING, Access
from ..host.descriptions import Descriptions
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..http.cancellation import ClientWatch
from ..http.whole_answers import Pieces, respond
from ..models import Route
from ..presets.resolution import likeliest
from ..upstream.model_lists import ModelLists


class ListModels:
    """The models this user may call, of all upstreams, in the upstreams' order."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        lists: ModelLists,
        access: Access,
        send_timeout: float,
        descriptions: Descriptions | None = None,
    ) -> None:
        self.app = app
        self._descriptions = descriptions
        self._lists = lists
        self._access = access
        self._send_timeout = send_timeout

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        kind = exchange.match.endpoint.kind
        if kind is not Kind.MODELS and kind is not Kind.MODEL:
            return self.app(scope, receive, send)
        return self._serve(exchange, kind, receive, send)

    async def _serve(self, exchange: Exchange, kind: Kind, receive: Receive, send: Send) -> None:
        with ClientWatch(receive, exchange.clock, over=lambda: exchange.finished):
            body = await (self._all(exchange) if kind is Kind.MODELS else self._one(exchange))
        head = exchange.method == "HEAD"
        await respond(send, 200, body, within=self._send_timeout, clock=exchange.clock, head=head)

    async def _all(self, exchange: Exchange) -> Pieces:
        catalogue = await self._lists.for_listing(exchange.config, exchange.caller)
        models = await self._access.visible(exchange.user, catalogue.models)
        if exchange.config.checks_bases:
            models = [m for m in models if not m.is_preset or await self._reaches(exchange, catalogue.find(m.id))]
        if self._descriptions is not None:
            models = await self._descriptions.of_list(exchange.user, catalogue, models)
        return catalogue.encoded(models)

    async def _one(self, exchange: Exchange) -> bytes:
        id = exchange.match.params["model"]
        catalogue = await self._lists.for_call(exchange.config, exchange.caller, (id,))
        route = catalogue.find(id)
        if route is None or not await self._access.allows(exchange.user, route.model, LISTING):
            raise catalogue.missing(id)
        if not await self._reaches(exchange, route):
            raise catalogue.missing(id)
        model = route.model
        if self._descriptions is not None:
            model = await self._descriptions.of_one(exchange.user, catalogue, model)
        return model.listing

    async def _reaches(self, exchange: Exchange, route: Route | None) -> bool:
        """Whether it is a model, or a preset with a base that is there and may be used."""
        if route is None or route.bases is None:
            return route is not None
        for way in likeliest(route).ways:
            if all([await self._access.allows(exchange.user, model, LISTING) for model in way.checks]):
                return True
        return False
