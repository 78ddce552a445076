"""The usage of streams whose clients did not ask for it: asked for, and taken out again."""

from __future__ import annotations

from collections.abc import Awaitable

from ..answers.endings import CHAT
from ..answers.usage_asked import UsageTakenOut
from ..errors import UpstreamRefused
from ..exchange import Exchange
from ..host.notices import Notices
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..rewrites.stream_usage import ASKED, FIELD, Asking, asking, may_be_asked
from ..upstream.usage_refusals import UsageRefusals

ZEROS = frozenset({"createCompletion"})
"""Operations whose events have a usage of zeros at some upstreams (Ollama) that are asked for it."""
REFUSED = (400, 422)
"""Statuses by which an upstream says that it does not know a field."""


class AskUsage:
    """Per attempt. An upstream that refuses to be asked is asked once more as its client wrote it, which is no attempt
    and no failure of its own; of each upstream and model that is remembered for a while.

    A stream that is translated belongs to the translation, which needs the usage itself.
    """

    def __init__(self, app: ASGIApp, *, refusals: UsageRefusals, notices: Notices) -> None:
        self.app = app
        self._refusals = refusals
        self._notices = notices

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        wanted = self._wanted(exchange) if exchange.streams else None
        if wanted is None:
            return self.app(scope, receive, send)
        return self._asked(wanted, exchange, scope, receive, send)

    def _wanted(self, exchange: Exchange) -> Asking | None:
        """How the stream is asked for its usage, None where it is not."""
        upstream, translated = exchange.upstream, exchange.upstream_match is not exchange.match
        if translated or exchange.match.endpoint.operation not in CHAT or not may_be_asked(upstream):
            return None
        if self._refusals.has(upstream, exchange.upstream_model):
            return None
        return asking(exchange.attempt_payload)

    async def _asked(self, wanted: Asking, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        exchange.unasked, stages = exchange.attempt_payload, exchange.stages
        zeros = exchange.match.endpoint.operation in ZEROS
        exchange.attempt_payload = wanted.payload
        exchange.stages = (*stages, UsageTakenOut(everywhere=wanted.everywhere, zeros=zeros))
        del wanted  # the exchange lets go of the body when the stream has begun
        try:
            await self.app(scope, receive, send)
            return
        except UpstreamRefused as refused:
            if exchange.told or not _names_the_field(refused):
                raise
        exchange.attempt_payload, exchange.stages = exchange.unasked, stages
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
