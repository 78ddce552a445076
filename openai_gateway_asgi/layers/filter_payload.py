"""The host's filters, before a call is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ..api.endpoints import Endpoint, Kind
from ..bodies.nested_fields import refuse_stand_ins
from ..bodies.parts import LARGE
from ..exchange import Exchange
from ..extensions.changed_body import take_changes
from ..extensions.filter import Hooked
from ..extensions.filter_call import Draft, FilterCall
from ..extensions.filter_stage import Applied
from ..extensions.hops import hops
from ..extensions.texts import ASKED
from ..http.asgi import ASGIApp, Receive, Scope, Send

MODEL_CALLS = frozenset({Kind.JSON_MODEL, Kind.MULTIPART_MODEL})


def _concerns_filters(endpoint: Endpoint) -> bool:
    """Calls of models, and what stores texts for models to read."""
    return endpoint.kind in MODEL_CALLS or endpoint.operation in ASKED


class FilterPayload:
    """Asks the filters that concern the call; each is asked once.

    Another model than the client's is resolved, checked and limited as the client's was, and may concern filters that
    the first one did not: they are asked as well.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        filters: Sequence[Hooked],
        again: Callable[[ASGIApp], ASGIApp],
        decode_limit: int,
    ) -> None:
        """``again`` puts those layers around an app that resolve, check and limit a call."""
        self.app = app
        self._filters = tuple(enumerate(filters))
        self._again = again(self)
        self._decode_limit = decode_limit

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if not _concerns_filters(exchange.match.endpoint):
            return self.app(scope, receive, send)
        operation, ids = exchange.match.endpoint.operation, hops(exchange)
        new = [
            (index, each)
            for index, each in self._filters
            if each.filter.concerns(ids) and each.filter.covers(operation)
        ]
        if exchange.filters:
            asked = {each.place for each in exchange.filters}
            new = [pair for pair in new if pair[0] not in asked]
        if not new:
            return self.app(scope, receive, send)
        return self._filtered(new, scope, receive, send)

    async def _filtered(self, new: Sequence[tuple[int, Hooked]], scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        is_json = exchange.upload is None and exchange.opaque is None and not exchange.bodiless
        if is_json:
            refuse_stand_ins(exchange.payload, ASKED.get(exchange.match.endpoint.operation, ()))
        draft = Draft(exchange.payload if is_json else None)
        is_long = is_json and exchange.payload.length > LARGE
        if is_long:
            await exchange.clock.slices.wait()
        for index, hooks in new:
            call = FilterCall(exchange.user, exchange.match.endpoint.operation, exchange.model, exchange.scope, draft)
            exchange.filters = tuple(sorted([*exchange.filters, Applied(index, hooks, call)]))
            if hooks.before is not None:
                await hooks.before(call)
                if is_long:
                    await exchange.clock.slices.wait()  # others, before it is read once more
        changed, draft.payload = draft.payload, None
        names_others = False
        if changed is not None and changed.outline != exchange.payload.outline:
            names_others = await take_changes(exchange, changed, self._decode_limit)
        await (self._again if names_others else self.app)(scope, receive, send)
