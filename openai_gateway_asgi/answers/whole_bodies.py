"""An answer that is no stream of events, on its way to the client."""

from __future__ import annotations

import re
from time import monotonic
from urllib.parse import quote

from ..errors import UpstreamUnavailable
from ..exchange import Exchange
from ..http.asgi import NamedHeaders, RawHeaders, Send
from ..upstream.response_reads import Reads
from .answer_clocks import Clocks
from .refusal import refused_inside
from .upstream_errors import error_in_json

REALTIME_CALL = "create-realtime-call"
_CALL_ID = re.compile(rb"[A-Za-z0-9_-]+")


class WholeBody:
    """Nothing is sent before its first bytes; from then on it can only be finished, or visibly broken."""

    def __init__(self, exchange: Exchange, send: Send, clocks: Clocks, start: RawHeaders, reads: Reads) -> None:
        """``start`` are those headers of the upstream that its client may see."""
        self._exchange = exchange
        self._send = send
        self._clocks = clocks
        self._start = start
        self._reads = reads

    async def relay(self, status: int, named: NamedHeaders) -> None:
        exchange, clocks = self._exchange, self._clocks
        length = _length(named)
        if length is not None:
            self._start.append((b"content-length", b"%d" % length))
        if status == 201:
            self._start += _location(named, exchange)
        chunk = await self._reads.next()
        if exchange.model and status == 200 and chunk is None and exchange.method != "HEAD":
            raise UpstreamUnavailable("The upstream's answer was empty.")
        if exchange.model and chunk is not None and status == 200 and (said := error_in_json(chunk)) is not None:
            raise refused_inside(said, exchange.upstream)
        exchange.told = True
        clocks.told(monotonic())
        if exchange.model:  # what is stored may be long, and is watched for silence only
            clocks.bound()
        clocks.sent_at = monotonic()  # the client may not have taken the answer before on its connection
        await self._send({"type": "http.response.start", "status": status, "headers": self._start})
        sent = 0
        while chunk is not None:
            sent += len(chunk)
            complete = sent == length
            exchange.keep(chunk, part=True)
            await self._give(chunk, more=not complete)
            if complete:
                return
            chunk = await self._reads.next()
        if length is not None and sent != length and exchange.method != "HEAD" and status not in (204, 304):
            raise UpstreamUnavailable("The upstream's answer was cut short.")
        await self._give(b"", more=False)  # servers take the last piece when the client has taken the one before it

    async def _give(self, piece: bytes, *, more: bool) -> None:
        self._clocks.sent_at = monotonic()
        await self._send({"type": "http.response.body", "body": piece, "more_body": more})
        self._clocks.told(monotonic())
        self._clocks.sent_at = 0.0


def _location(named: NamedHeaders, exchange: Exchange) -> RawHeaders:
    """Where a new realtime call is to be found: below the path by which the client made it, never at the upstream."""
    id = named.get(b"location", b"").partition(b"?")[0].rpartition(b"/")[2]
    if exchange.match.endpoint.operation != REALTIME_CALL or not _CALL_ID.fullmatch(id):
        return []
    return [(b"location", quote(exchange.request().scope["path"]).encode() + b"/" + id)]


def _length(named: NamedHeaders) -> int | None:
    value = named.get(b"content-length")
    return int(value) if value is not None and value.isdigit() else None
