"""An answer that is no stream of events, on its way to the client.

JSON in answer to a model call is held until it is whole, for until then somebody else may be asked. Anything else can
only be finished once its first bytes went out, or visibly broken.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from time import monotonic
from urllib.parse import quote

from ..exchange import Exchange
from ..http.asgi import NamedHeaders, RawHeaders
from ..http.pacing import others_after
from ..http.stages import Stage, answered, too_long
from .at_hand import Answer
from .too_much import LIGHT
from .untranslatable import check_of
from .whole_json import HELD, cut_short, empty, is_json, judge, refuse_page, refuse_stored

REALTIME_CALL = "create-realtime-call"
_CALL_ID = re.compile(rb"[A-Za-z0-9_-]+")
_BEGINNING = re.compile(rb"\s*+(?:\xef\xbb\xbf)?(.)", re.DOTALL)
_SOUNDS = (b"audio/", b"video/")
_OBJECTS = (b'{"', b'[{"')
"""How an error begins that comes under the name of a sound."""
SPOKEN = frozenset({"createSpeech"})
"""Operations whose answers are sounds, in which there is nothing for a stage."""
SILENT = frozenset({"accept-realtime-call"})
"""Operations of models that answer nothing but their status."""
EMPTY = (204, 304)
"""Statuses of answers that have no body (RFC 9110, 6.4.1)."""


async def relay_whole(answer: Answer, *, named: NamedHeaders, kind: bytes, status: int, most: int = HELD) -> None:
    """All of an answer, up to its end or the exception that ended it.

    ``named`` are all headers of the upstream, ``kind`` is the media type; of JSON ``most`` bytes are held.
    """
    exchange, start, reads = answer.exchange, answer.start, answer.reads
    has_body = status not in EMPTY and exchange.method != "HEAD"
    if status in EMPTY and exchange.model and exchange.method != "HEAD" and not _may_be_silent(exchange):
        raise empty()
    stages = exchange.stages if has_body else ()
    length = _length(named)
    if length is not None and not stages:
        start.append((b"content-length", b"%d" % length))
    if status == 201:
        start += _location(named, exchange)
    first, is_held = None, has_body and (bool(stages) or (status == 200 and bool(exchange.model)))
    if is_held:
        answer.clocks.bounded = True  # what is stored may be long, and is watched for silence only
        first = await reads.next()
        if first and len(first) == length and length <= most and is_json(kind) and not first.isspace():
            await _relay_plain(first, answer, named, status)
            return
    elif has_body and is_json(kind) and not exchange.upstream_match.endpoint.downloads:
        first = await reads.next()
        if first and len(first) == length:
            refuse_stored(exchange, first)
    coding = named.get(b"content-encoding")
    body = WholeBody(answer, coding=coding, kind=kind, status=status, most=most, stages=stages, length=length)
    await body.relay(first, is_held=is_held)


async def _relay_plain(body: bytes, answer: Answer, named: NamedHeaders, status: int) -> None:
    """JSON that came in one read, as nearly every answer of a model does."""
    exchange, send, clocks, start = answer.exchange, answer.send, answer.clocks, answer.start
    opened = judge(exchange, body, coding=named.get(b"content-encoding"), is_named_json=True)
    if exchange.stages:
        changed = _changed(exchange, exchange.stages, body)
        body = changed if isinstance(changed, bytes) else await changed
        start.append((b"content-length", b"%d" % len(body)))
    else:
        exchange.keep(opened or body, part=True)
    clocks.sent_at = monotonic()  # the client may not have taken the answer before on its connection
    exchange.told = True
    await send({"type": "http.response.start", "status": status, "headers": start})
    clocks.sent_at = monotonic()
    await send({"type": "http.response.body", "body": body, "more_body": False})
    clocks.sent_at = 0.0


def _changed(exchange: Exchange, stages: tuple[Stage, ...], body: bytes) -> bytes | Awaitable[bytes]:
    """As the stages have it; what is small costs no coroutine unless a stage has to wait."""
    exchange.keep(body, part=True)  # as it came
    return answered(stages, body) if len(body) <= LIGHT else _changed_in_turns(exchange, stages, body)


async def _changed_in_turns(exchange: Exchange, stages: tuple[Stage, ...], body: bytes) -> bytes:
    """What is longer than is usually held only as those stages have it that must."""
    if (check := check_of(exchange)) is not None:
        await check(body)
    await others_after(len(body))
    if len(body) > HELD:
        changing = tuple([stage for stage in stages if not stage.lets_pass()])
        exchange.passed_unchanged = len(changing) < len(stages)
        stages = changing
    changed = answered(stages, body)
    return changed if isinstance(changed, bytes) else await changed


def _may_be_silent(exchange: Exchange) -> bool:
    return exchange.match.endpoint.operation in SILENT


class WholeBody:
    """One attempt's, where it is long, comes slowly, or is no JSON."""

    __slots__ = (
        "_begun",
        "_blank",
        "_came",
        "_clocks",
        "_coding",
        "_exchange",
        "_is_json",
        "_is_named_json",
        "_kind",
        "_length",
        "_most",
        "_opened",
        "_pieces",
        "_reads",
        "_send",
        "_settings",
        "_showing",
        "_stages",
        "_start",
        "_status",
        "_waits",
        "_whole",
    )

    def __init__(
        self,
        answer: Answer,
        *,
        coding: bytes | None,
        kind: bytes,
        status: int,
        most: int,
        stages: tuple[Stage, ...],
        length: int | None,
    ) -> None:
        self._exchange = answer.exchange
        self._send = answer.send
        self._clocks = answer.clocks
        self._settings = answer.settings
        self._start = answer.start
        self._reads = answer.reads
        self._coding = coding
        self._kind = kind
        self._status = status
        self._most = most
        self._stages = stages
        self._length = length
        self._is_named_json, self._is_json = is_json(kind), False
        self._pieces: list[bytes] = []
        self._came = 0
        self._blank = True
        self._opened: bytes | None = None
        """What it holds where it came compressed, for those who read it here; it is passed on as it came."""
        self._whole = self._begun = self._waits = False
        self._showing: asyncio.Task[None] | None = None

    async def relay(self, first: bytes | None, *, is_held: bool) -> None:
        """``first`` is what came already, of one that is held at least."""
        try:
            if not is_held:
                self._take(first if first is not None else await self._reads.next())
            elif await self._holds_all(first):
                body = b"".join(self._pieces)
                self._judge(body)
                self._pieces = [body]
                if self._stages:
                    waiting = _changed(self._exchange, self._stages, body)
                    self._pieces = [changed := waiting if isinstance(waiting, bytes) else await waiting]
                    if not self._begun:
                        self._start.append((b"content-length", b"%d" % len(changed)))
            if self._showing is not None:
                self._clocks.sent_at = monotonic()
                await self._showing
            await self._flush()
            while not self._whole:
                self._take(await self._reads.next())
                await self._flush()
        finally:
            if self._exchange.left:
                self._exchange.rest = b"".join(self._pieces)
            if self._waits:
                await self._forget()

    async def _holds_all(self, chunk: bytes | None) -> bool:
        """Holds what comes, from ``chunk`` on, while it is to be held; whether that was all."""
        while self._take(chunk):
            if self._blank:
                self._look_for_a_beginning()
            if (not self._is_json or self._came > self._most) and self._goes_on():
                return False
            if self._whole:
                break
            chunk = await self._reads.next()
        return True

    def _goes_on(self) -> bool:
        """Whether the answer is passed on as it comes. Raises where it is too long to be changed and must be."""
        if not (self._blank or self._is_json or self._is_for_stages()):
            return True
        if self._came <= self._most:
            return False
        lets_pass = all(stage.lets_pass() for stage in self._stages)
        if not lets_pass and self._came > self._settings.event_limit:
            raise too_long(self._settings.event_limit, "an answer")
        if lets_pass and self._stages:
            self._exchange.passed_unchanged = True
        return lets_pass

    def _is_for_stages(self) -> bool:
        """Whether they see an answer that is no JSON: texts, and whatever else may be one under another name."""
        if not self._stages or self._kind.startswith(b"text/"):
            return bool(self._stages)
        is_sound = self._exchange.match.endpoint.operation in SPOKEN
        return not is_sound and not all(stage.lets_pass() for stage in self._stages)

    def _look_for_a_beginning(self) -> None:
        """White space keeps a line warm, and tells nothing yet; by what comes first JSON is known under any type."""
        begins = _BEGINNING.match(self._pieces[-1])  # before it all was white space
        if begins is not None:
            self._blank = False
            is_sound = self._kind.startswith(_SOUNDS)
            may_be_json = self._pieces[-1].lstrip().startswith(_OBJECTS) if is_sound else begins[1] in b"{["
            self._is_json = self._is_named_json or may_be_json
            if begins[1] == b"<" and not is_sound:
                refuse_page(self._pieces[-1])
        elif not self._waits:
            self._waits = True
            self._clocks.remind(self._exchange.answered_since + self._settings.comment_hold, self._show)

    def _judge(self, body: bytes) -> None:
        """Whether an answer that came to its end is one."""
        if self._blank and (self._came or not self._pieces) and not _may_be_silent(self._exchange):
            raise empty()
        if body:
            self._opened = judge(self._exchange, body, coding=self._coding, is_named_json=self._is_named_json)

    def _show(self) -> None:
        """Sends the head and the white space that is held, beside whatever is waited for: from then on it is told."""
        self._exchange.told = True
        self._showing = self._exchange.clock.loop.create_task(self._flush())

    async def _forget(self) -> None:
        self._clocks.forget()
        if self._showing is not None:
            self._showing.cancel()
            await asyncio.gather(self._showing, return_exceptions=True)
            self._showing = None

    def _take(self, chunk: bytes | None) -> bool:
        """One piece further, or None at the end; whether there was one."""
        if chunk is None:
            self._whole = True
            if self._length not in (None, self._came) and self._exchange.method != "HEAD" and self._status not in EMPTY:
                raise cut_short()
            return False
        self._pieces.append(chunk)
        self._came += len(chunk)
        self._whole = self._came == self._length
        return True

    async def _flush(self) -> None:
        """Sends what is held."""
        clocks = self._clocks
        clocks.sent_at = monotonic()  # the client may not have taken the answer before on its connection
        if not self._begun:
            self._begun = self._exchange.told = True
            await self._send({"type": "http.response.start", "status": self._status, "headers": self._start})
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        if body and not (self._stages and self._whole) and (self._is_json or is_json(self._kind)):
            self._exchange.keep(self._opened or body, part=True)
        clocks.sent_at = monotonic()
        await self._send({"type": "http.response.body", "body": body, "more_body": not self._whole})
        if not self._whole:
            clocks.told(monotonic())
        clocks.sent_at = 0.0


def _location(named: NamedHeaders, exchange: Exchange) -> RawHeaders:
    """Where a new realtime call is to be found: below the path by which the client made it, never at the upstream."""
    id = named.get(b"location", b"").partition(b"?")[0].rpartition(b"/")[2]
    if exchange.match.endpoint.operation != REALTIME_CALL or not _CALL_ID.fullmatch(id):
        return []
    return [(b"location", quote(exchange.request().scope["path"]).encode() + b"/" + id)]


def _length(named: NamedHeaders) -> int | None:
    value = named.get(b"content-length")
    return int(value) if value is not None and value.isdigit() else None
