"""The client's side of a stream: its head, what is held back from it, and what it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from ..exchange import Exchange
from ..http.asgi import Message, RawHeaders, Send
from ..http.headers import EVENT_STREAM
from ..http.sse import last_boundary, next_event, only_comments, without_comments
from ..http.stages import in_pieces, staged
from .answer_clocks import SLOW, Clocks
from .untranslatable import check_of

MOST = 1024 * 1024
"""Bytes of the longest piece that a server is given; it copies what the client does not take at once."""

_HEADERS: RawHeaders = [
    (b"content-type", EVENT_STREAM),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_REPLACED = (b"cache-control", b"content-encoding", b"content-length", b"content-type")


def early_head(exchange: Exchange) -> Message:
    """The head of a stream of which nobody knows yet whose it will be: it says nothing of any upstream."""
    headers = [(b"x-content-type-options", b"nosniff"), *_HEADERS]
    if exchange.reservation is not None:
        exchange.reservation.tell(headers)
    return {"type": "http.response.start", "status": 200, "headers": headers}


class ClientStream:
    """What of one attempt's stream is with the client, and what is not yet."""

    __slots__ = ("_clocks", "_exchange", "_pieces", "_send", "_showing", "_start", "begun", "held")

    def __init__(self, exchange: Exchange, send: Send, clocks: Clocks, start: RawHeaders) -> None:
        """``start`` are those headers of the upstream that its client may see."""
        self.begun = False
        """Whether anything but comments was sent."""
        self.held = 0
        """Bytes that are held back."""
        self._exchange = exchange
        self._send = send
        self._clocks = clocks
        self._start = start
        self._pieces: list[bytes] = []
        self._showing: asyncio.Task[None] | None = None

    @property
    def unsent(self) -> bytes:
        """What is held back."""
        return b"".join(self._pieces)

    async def hold(self, events: bytes) -> None:
        """Keeps whole events back, but for the comments among them where the head is out already."""
        if self._exchange.head_sent:
            comments, events = without_comments(events)
            if comments:
                await self._give(comments, more=True)
        self._pieces.append(events)
        self.held += len(events)

    def show(self) -> None:
        """Sends the head and the comments that are held, beside whatever is being waited for."""
        if not self._exchange.head_sent and self._showing is None:
            self._showing = self._exchange.clock.loop.create_task(self._show())

    async def shown(self) -> None:
        """Waits until that is with the client, where it is on its way: one piece is sent after the other."""
        if self._showing is not None:
            self._clocks.sent_at = monotonic()
            await self._showing
            self._clocks.sent_at = 0.0

    async def pass_on(self, events: bytes, *, at_boundary: bool, more: bool = True) -> None:
        """Sends what was held, and ``events``; ``at_boundary`` is whether they end with a whole one.

        ``more=False`` makes them the end of the answer.
        """
        exchange = self._exchange
        if self._pieces:
            events = self.unsent + events
            self._pieces, self.held = [], 0
        if not (exchange.at_boundary and at_boundary and only_comments(events)):
            exchange.keep(events, part=not exchange.at_boundary)  # comments may go on long after the last event
        exchange.delivered += len(events)
        if exchange.stages:
            events = await self._changed(events, at_boundary=at_boundary, more=more)
            if more and not events:
                return
        if not self.begun:
            await self.begin()
        exchange.at_boundary = at_boundary
        await self._give(events, more=more)

    async def _changed(self, events: bytes, *, at_boundary: bool, more: bool) -> bytes:
        """As the stages give it; an event that is too long to be held passes as it is, where they let it."""
        start = 0 if self._exchange.at_boundary else _end_of_long(events)
        end = len(events) if at_boundary else max(start, last_boundary(events))
        exchange = self._exchange
        changed = await in_pieces(
            exchange.stages, events[start:end], exchange.clock.slices, check_of(exchange), over=not more
        )
        return changed if end - start == len(events) else b"".join((events[:start], changed, events[end:]))

    async def fail(self, events: bytes, error: Callable[[], bytes] | None) -> None:
        """Ends the answer with ``events``, the last of which is an error, and with what ``error`` makes of it behind
        them, which no stage sees."""
        exchange = self._exchange
        if self._pieces:
            events = self.unsent + events
            self._pieces, self.held = [], 0
        exchange.keep(events, part=not exchange.at_boundary)
        exchange.delivered += len(events)
        events = await staged(exchange.stages, events)
        if not self.begun:
            await self.begin()
        exchange.at_boundary = True
        await self._give(events + (b"" if error is None else error()), more=False)

    async def aclose(self) -> None:
        """What was held is forgotten."""
        self._clocks.forget()
        if self._showing is not None:
            self._showing.cancel()
            await asyncio.gather(self._showing, return_exceptions=True)
            self._showing = None

    async def begin(self) -> None:
        """Sends the head, where it is not out already: from here on nobody else is asked."""
        self.begun = True
        exchange = self._exchange
        self._clocks.forget()
        await self.shown()
        exchange.told = True
        exchange.let_go_of_body()
        if not exchange.head_sent:
            exchange.sse = True
            headers = [pair for pair in self._start if pair[0] not in _REPLACED] + _HEADERS
            self._clocks.sent_at = monotonic()  # the client may not have taken the answer before on its connection
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _show(self) -> None:
        exchange = self._exchange
        exchange.sse = exchange.early = True
        comments, events = without_comments(self.unsent)
        self._pieces, self.held = [events], len(events)
        await self._send(early_head(exchange))
        if comments:
            await self._send({"type": "http.response.body", "body": comments, "more_body": True})

    async def _give(self, events: bytes, *, more: bool) -> None:
        if self._showing is not None:
            await self.shown()
        clocks = self._clocks
        while True:
            clocks.sent_at = now = monotonic()
            piece, events = (events[:MOST], events[MOST:]) if len(events) > MOST else (events, b"")
            await self._send({"type": "http.response.body", "body": piece, "more_body": more or bool(events)})
            if (then := monotonic()) - now > SLOW:
                clocks.resume(then)
            clocks.sent_at = 0.0
            if not events:
                return


def _end_of_long(events: bytes) -> int:
    """Where the event ends that goes on in ``events``; its blank line may be all that was missing."""
    blank = len(events) - len(events.lstrip(b"\r\n"))
    if blank:
        return blank
    event = next_event(events)
    return len(events) if event is None else event.end
