"""Which model an id means, and who serves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from ..api.conversations import CHAT
from ..api.default_models import DefaultModel
from ..config.apis import SPOKEN
from ..errors import InvalidRequest
from ..exchange import Exchange
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..models import Catalogue, Route
from ..presets.resolution import drawn
from ..upstream.model_lists import ModelLists


class ResolveModel:
    """The public id to a ``Model`` and the upstreams that serve it; what nobody serves is ``model_not_found``.

    A request that names no model means the operation's default, unless a stored object brings one.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        lists: ModelLists,
        defaults: Mapping[str, DefaultModel],
        draw: Callable[[Route], Route] = drawn,
    ) -> None:
        """``draw`` puts the models behind a preset in the order of one call."""
        self.app = app
        self._draw = draw
        self._lists = lists
        self._defaults = defaults

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if not exchange.model and exchange.match.endpoint.model_at:
            self._take_default(exchange)
        if exchange.unnamed:
            self._take_implied(exchange)
        if exchange.model or exchange.others or exchange.implied:
            catalogue = self._lists.at_hand(exchange.config, exchange.caller, _named(exchange))
            if catalogue is None:
                return self._wait(scope, receive, send)
            self._resolve(exchange, catalogue)
        else:
            _take_none(exchange)
        return self.app(scope, receive, send)

    def _take_default(self, exchange: Exchange) -> None:
        endpoint = exchange.match.endpoint
        exchange.model_at = ()
        if not endpoint.model_required or _is_brought(exchange):
            return
        exchange.default = default = self._defaults.get(exchange.default_of or endpoint.operation)
        if default is None:
            raise exchange.lacking_model()
        exchange.model = default.model

    def _take_implied(self, exchange: Exchange) -> None:
        for key in exchange.unnamed:
            default = self._defaults.get(key)
            if default is None:
                raise InvalidRequest(f"Name the model of the tool `{key}`.", param="tools", code="missing_field")
            exchange.implied += (default.model,)

    async def _wait(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        self._resolve(exchange, await self._lists.for_call(exchange.config, exchange.caller, _named(exchange)))
        await self.app(scope, receive, send)

    def _resolve(self, exchange: Exchange, catalogue: Catalogue) -> None:
        exchange.catalogue = catalogue
        if not exchange.model:
            _take_none(exchange)
            return
        route = catalogue.find(exchange.model)
        if route is None:
            raise exchange.missing_model()
        exchange.resolved = route.model
        exchange.candidates, exchange.bases = route.candidates, None
        if route.bases is not None:
            exchange.take_bases(route.bases if route.weights is None else self._draw(route).bases or ())
            if exchange.default is not None:
                _name_in_body(exchange)
        named = exchange.config.fallbacks and exchange.default is None  # a fallback has to be named, and the body stays
        chain = exchange.config.fallbacks.get(exchange.model, ()) if named else ()
        found = [found for id in chain if (found := catalogue.find(id)) is not None] if chain else ()
        exchange.fallbacks = tuple([self._draw(each) for each in found]) if found else ()
        if exchange.implied and _never_sent(exchange):
            exchange.implied = ()


def _never_sent(exchange: Exchange) -> bool:
    """Whether no tool that implies a model leaves the gateway: a chat has none, so that it is refused or left out."""
    ways = [*exchange.candidates, *(candidate for way in exchange.ways_on for candidate in way.candidates)]
    return bool(ways) and all(each.upstream.spoken_for(each.model_id) == SPOKEN[CHAT] for each in ways)


def _name_in_body(exchange: Exchange) -> None:
    """A preset that is an operation's default: its base has to be named, for the upstream's own default is another."""
    if exchange.match.endpoint.model_at != "model":
        raise exchange.lacking_model()
    exchange.model_at = ("model",)


def _named(exchange: Exchange) -> tuple[str, ...]:
    """The models that it takes to serve the call."""
    named = exchange.others + exchange.implied
    return (exchange.model, *named) if exchange.model else named


def _take_none(exchange: Exchange) -> None:
    """Whoever keeps the stored objects serves it; models that the body names further down are still checked."""
    exchange.resolved, exchange.candidates, exchange.bases, exchange.fallbacks = None, (), None, ()


def _is_brought(exchange: Exchange) -> bool:
    """Whether a stored prompt says which model answers (the Responses API); its group must be open to the user."""
    if exchange.match.endpoint.operation != "createResponse":
        return False
    return any(reference.field == "prompt" and reference.group == "prompts" for reference in exchange.references)
