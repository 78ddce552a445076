"""Where stored objects are kept."""

from __future__ import annotations

from collections.abc import Awaitable

from ..bodies.findings import Reference
from ..config import Upstream
from ..errors import GatewayError, InvalidRequest, NotServed
from ..exchange import Exchange
from ..host.groups import Groups
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..models import Candidate
from ..translate.fields import given
from ..upstream.apis import Apis

CHOICE = b"x-gateway-upstream"
UNSAID = frozenset({"previous_response_id", "conversation", "prompt"})
"""Fields that name what is stored, and that no chat has."""


class RouteStored:
    """Calls that touch stored objects go to the one upstream that keeps them: an id means nothing to any other.

    That is the one named ``upstream``, or the first that is enabled; administrators name another in the header
    ``x-gateway-upstream``. What a body names of stored objects must be open to the user.

    Items of a Responses call that is translated for everybody who may be asked are looked up nowhere.
    """

    def __init__(self, app: ASGIApp, *, groups: Groups, upstream: str | None, apis: Apis) -> None:
        self.app = app
        self._apis = apis
        self._groups = groups
        self._upstream = upstream

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if exchange.references or exchange.match.endpoint.group:
            return self._route(scope, receive, send)
        return self.app(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if not await self._looks_nothing_up(exchange):
            await self._check_references(exchange)
            self._keep_to_one(exchange)
        await self.app(scope, receive, send)

    async def _looks_nothing_up(self, exchange: Exchange) -> bool:
        """What is closed to the user is then withheld from the API that looks it up, should anybody turn out to have
        it. Fields that no chat has are looked up nowhere either: their translation is refused."""
        fields = [reference.field for reference in exchange.references if not reference.only_items]
        outline = exchange.payload.outline
        if exchange.match.endpoint.group or not UNSAID.issuperset(fields):
            return False
        if any(given(outline, field) is None for field in fields):
            return False  # it is written twice
        closed = [each for each in exchange.references if not await self._groups.allows(exchange.user, each.group)]
        ways = [*exchange.candidates, *(each for way in exchange.ways_on for each in way.candidates)]
        operation, payload = exchange.match.endpoint.operation, exchange.payload
        for each in ways:
            if any(field in each.upstream.drop_fields for field in fields):
                return False
            if not self._apis.only_translates(each, operation, payload, sticking=bool(closed)):
                return False
        exchange.withheld = _closed(closed[0]) if closed else None
        return bool(ways)

    async def _check_references(self, exchange: Exchange) -> None:
        for reference in exchange.references:
            if not await self._groups.allows(exchange.user, reference.group):
                raise _closed(reference)

    def _keep_to_one(self, exchange: Exchange) -> None:
        exchange.fallbacks = ()
        choice = _choice(exchange)
        if not exchange.model:
            exchange.candidates = (Candidate(self._keeper(exchange, choice), ""),)
            return
        if choice is None and exchange.bodiless:
            first = exchange.candidates[0]  # the path names a model, and so who has it
            _ = exchange.narrow(lambda candidate: candidate is first)
            return
        keeper = self._keeper(exchange, choice)
        serves = any(each.upstream.name == keeper.name for each in exchange.all_candidates)
        if not serves and (choice is not None or exchange.match.endpoint.group):
            raise InvalidRequest(
                "The upstream that keeps stored objects does not serve this model; name one of its models, or leave "
                "the stored objects out.",
                param="model",
                code="invalid_value",
            )
        if serves:
            _ = exchange.narrow(lambda candidate: candidate.upstream.name == keeper.name)

    def _keeper(self, exchange: Exchange, choice: str | None) -> Upstream:
        name = choice or self._upstream
        for upstream in exchange.config.upstreams:
            if upstream.enabled and name in (None, upstream.name):
                return upstream
        if choice is not None:
            raise InvalidRequest(
                f"`x-gateway-upstream` names no upstream that is enabled; they are {_names(exchange)}.",
                param=CHOICE.decode(),
                code="invalid_value",
            )
        raise NotServed("No upstream keeps stored objects here.")


def _closed(reference: Reference) -> GatewayError:
    return InvalidRequest(
        f"The field `{reference.field}` names a stored object, and those of the group `{reference.group}` are not open "
        "to you here; leave it out, or ask the application to open them.",
        param=reference.field,
        code="invalid_field",
    ).noted("group_closed")


def _names(exchange: Exchange) -> str:
    return ", ".join([upstream.name for upstream in exchange.config.upstreams if upstream.enabled]) or "none"


def _choice(exchange: Exchange) -> str | None:
    value = exchange.named.get(CHOICE) if exchange.user.is_admin else None
    return None if value is None else value.decode("utf-8", "replace")
