"""The usage of streams whose clients did not ask for it: asked for, and taken out again."""

from __future__ import annotations

from collections.abc import Awaitable

from ..answers.endings import CHAT
from ..answers.usage_asked import UsageTakenOut
from ..bodies.payload import NOTHING
from ..errors import UpstreamRefused
from ..exchange import Exchange
from ..host.notices import Notices
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..rewrites.stream_usage import ASKED, FIELD, asking, may_be_asked, without_asking
from ..upstream.usage_refusals import UsageRefusals

ZEROS = frozenset({"createCompletion"})
"""Operations whose events have a usage of zeros at some upstreams (Ollama) that are asked for it."""
REFUSED = (400, 422)
"""Statuses by which an upstream says that it does not know a field."""


class AskUsage:
    """Per attempt. An upstream that refuses the field gets the call once more without it. That counts neither as an
    attempt nor as a failure; the refusal is remembered for a while, by upstream and model.

    A translated stream asks already, because the translation needs the usage; this layer takes the field out for
    upstreams that do not accept it.
    """

    def __init__(self, app: ASGIApp, *, refusals: UsageRefusals, notices: Notices) -> None:
        self.app = app
        self._refusals = refusals
        self._notices = notices

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if exchange.streams and exchange.upstream_match.endpoint.operation in CHAT and self._asks(exchange):
            return self._asked(exchange, scope, receive, send)
        return self.app(scope, receive, send)

    def _asks(self, exchange: Exchange) -> bool:
        """Makes the attempt ask, where it may. Gives whether it asks."""
        upstream, payload = exchange.upstream, exchange.attempt_payload
        translated = exchange.upstream_match is not exchange.match
        may = may_be_asked(upstream, translated=translated)
        may = may and not self._refusals.has(upstream, exchange.upstream_model)
        if translated:
            unasked = without_asking(payload)
            exchange.attempt_payload, exchange.unasked = (payload, unasked) if may else (unasked, NOTHING)
            return may and unasked is not payload
        wanted = asking(payload) if may else None
        if wanted is None:
            return False
        zeros = exchange.match.endpoint.operation in ZEROS
        exchange.attempt_payload, exchange.unasked = wanted.payload, payload
        exchange.stages = (*exchange.stages, UsageTakenOut(everywhere=wanted.everywhere, zeros=zeros))
        return True

    async def _asked(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        """The exchange has the body, and lets go of it when the stream has begun."""
        others = tuple([stage for stage in exchange.stages if not isinstance(stage, UsageTakenOut)])
        try:
            await self.app(scope, receive, send)
            return
        except UpstreamRefused as refused:
            if exchange.told or not _names_the_field(refused):
                raise
        exchange.attempt_payload, exchange.stages = exchange.unasked, others
        await self.app(scope, receive, send)
        self._remember(exchange)  # it was for that alone

    def _remember(self, exchange: Exchange) -> None:
        upstream = exchange.upstream
        self._refusals.add(upstream, exchange.upstream_model)
        self._notices.warn(
            "usage_not_told",
            f"upstream {upstream.name} does not take `{FIELD}`, so that the usage of its streams is unknown; write "
            'Upstream(stream_usage="never") where that is so.',
            same=upstream.name,
        )


def _names_the_field(refused: UpstreamRefused) -> bool:
    said = refused.body()
    return refused.status in REFUSED and (FIELD.encode() in said or ASKED.encode() in said)
