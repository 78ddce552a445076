"""An answer that is no stream of events, on its way to the client.

JSON in answer to a model call is held until it is whole, for until then somebody else may be asked. Anything else can
only be finished once its first bytes went out, or visibly broken.
"""

from __future__ import annotations

import asyncio
import re
from time import monotonic
from urllib.parse import quote

from ..config import Settings
from ..exchange import Exchange
from ..http.asgi import NamedHeaders, RawHeaders, Send
from ..http.pacing import others_after
from ..http.stages import Stage, answered, too_long
from ..upstream.inflate import inflated
from ..upstream.response_reads import Reads
from .answer_clocks import Clocks
from .endings import CHAT
from .plain_answer import plain_answer
from .refusal import refused_inside
from .untranslatable import check_of
from .upstream_errors import error_in_json
from .whole_json import cut_short, empty, is_json, judge_syntax

HELD = 1024 * 1024
"""Bytes of JSON that are held: a chat has some kilobytes, and some hundred embeddings fit as well."""

REALTIME_CALL = "create-realtime-call"
_CALL_ID = re.compile(rb"[A-Za-z0-9_-]+")
_BEGINNING = re.compile(rb"\s*+(?:\xef\xbb\xbf)?(.)", re.DOTALL)
_SOUNDS = (b"audio/", b"video/")
SPOKEN = frozenset({"createSpeech"})
"""Operations whose answers are sounds, in which there is nothing for a stage."""
SILENT = frozenset({"accept-realtime-call"})
"""Operations of models that answer nothing but their status."""
EMPTY = (204, 304)
"""Statuses of answers that have no body (RFC 9110, 6.4.1)."""


class WholeBody:
    """One attempt's."""

    __slots__ = (
        "_begun",
        "_blank",
        "_came",
        "_clocks",
        "_exchange",
        "_is_json",
        "_is_named_json",
        "_kind",
        "_length",
        "_may_be_silent",
        "_most",
        "_named",
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
        exchange: Exchange,
        send: Send,
        clocks: Clocks,
        settings: Settings,
        start: RawHeaders,
        named: NamedHeaders,
        kind: bytes,
        reads: Reads,
        *,
        most: int = HELD,
    ) -> None:
        """``start`` are those headers of the upstream that its client may see, ``named`` all of them, ``kind`` is the
        media type; of JSON ``most`` bytes are held."""
        self._exchange = exchange
        self._send = send
        self._clocks = clocks
        self._settings = settings
        self._start = start
        self._named = named
        self._reads = reads
        self._most = most
        self._length = _length(named)
        self._kind = kind
        self._is_named_json, self._is_json = is_json(kind), False
        self._pieces: list[bytes] = []
        self._came = 0
        self._blank = True
        self._opened: bytes | None = None
        """What it holds where it came compressed, for those who read it here; it is passed on as it came."""
        self._whole = self._begun = self._waits = False
        self._showing: asyncio.Task[None] | None = None

    async def relay(self, status: int) -> None:
        """All of it, up to its end or the exception that ended it."""
        exchange = self._exchange
        self._status = status
        has_body = status not in EMPTY and exchange.method != "HEAD"
        self._may_be_silent = exchange.match.endpoint.operation in SILENT
        if status in EMPTY and exchange.model and exchange.method != "HEAD" and not self._may_be_silent:
            raise empty()
        self._stages = exchange.stages if has_body else ()
        is_held = bool(self._stages) or (bool(exchange.model) and status == 200 and has_body)
        if self._length is not None and not self._stages:
            self._start.append((b"content-length", b"%d" % self._length))
        if status == 201:
            self._start += _location(self._named, exchange)
        try:
            if is_held:
                self._clocks.bounded = True  # what is stored may be long, and is watched for silence only
            chunk = await self._reads.next()
            if not is_held:
                self._take(chunk)
            elif chunk and self._is_plain(chunk):
                self._judge_json(chunk)
                await self._send_at_once(chunk)
                return
            elif await self._holds_all(chunk):
                body = b"".join(self._pieces)
                self._judge(body)
                self._pieces = [body]
                if self._stages:
                    self._pieces = [await self._changed(body)]
            if self._showing is not None:
                self._clocks.sent_at = monotonic()
                await self._showing
            await self._flush()
            while not self._whole:
                self._take(await self._reads.next())
                await self._flush()
        finally:
            if exchange.left:
                exchange.rest = b"".join(self._pieces)
            if self._waits:
                await self._forget()

    def _is_plain(self, chunk: bytes) -> bool:
        """Whether that is all of an answer in JSON, as of nearly every call of a model."""
        fits = len(chunk) == self._length and len(chunk) <= self._most
        return fits and self._is_named_json and not chunk.isspace()

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

    def _staying(self) -> tuple[Stage, ...]:
        """The stages that change an answer longer than is usually held."""
        changing = tuple([stage for stage in self._stages if not stage.lets_pass()])
        self._exchange.passed_unchanged = len(changing) < len(self._stages)
        return changing

    async def _changed(self, body: bytes) -> bytes:
        """As its stages have it; its length goes into the head, where that is not out."""
        self._exchange.keep(body, part=True)  # as it came
        if (check := check_of(self._exchange)) is not None:
            await check(body)
        await others_after(len(body))
        changed = await answered(self._stages if len(body) <= HELD else self._staying(), body)
        if not self._begun:
            self._start.append((b"content-length", b"%d" % len(changed)))
        return changed

    def _look_for_a_beginning(self) -> None:
        """White space keeps a line warm, and tells nothing yet; by what comes first JSON is known under any type."""
        begins = _BEGINNING.match(self._pieces[-1])  # before it all was white space
        if begins is not None:
            self._blank = False
            self._is_json = self._is_named_json or (begins[1] in b"{[" and not self._kind.startswith(_SOUNDS))
        elif not self._waits:
            self._waits = True
            self._clocks.remind(self._exchange.answered_since + self._settings.comment_hold, self._show)

    def _judge(self, body: bytes) -> None:
        """Whether an answer that came to its end is one."""
        if self._blank and (self._came or not self._pieces) and not self._may_be_silent:
            raise empty()
        if body:
            self._judge_json(body)

    def _judge_json(self, body: bytes) -> None:
        if (coding := self._named.get(b"content-encoding")) is not None:
            opened = inflated(body, coding, HELD)
            if not opened:
                return
            self._opened = body = opened
        if (plain := plain_answer(body)) is not None:
            self._exchange.usage_told = plain.usage
            return
        has_choices = self._exchange.upstream_match.endpoint.operation in CHAT
        if (said := error_in_json(body, has_choices=has_choices)) is not None:
            self._exchange.unsent = body
            raise refused_inside(said, self._exchange.upstream)
        if self._is_named_json:
            judge_syntax(body)

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

    async def _send_at_once(self, body: bytes) -> None:
        """The head and all of the answer."""
        exchange, clocks, send = self._exchange, self._clocks, self._send
        if self._stages:
            body = await self._changed(body)
        else:
            exchange.keep(self._opened or body, part=True)
        clocks.sent_at = monotonic()  # the client may not have taken the answer before on its connection
        exchange.told = True
        await send({"type": "http.response.start", "status": self._status, "headers": self._start})
        clocks.sent_at = monotonic()
        await send({"type": "http.response.body", "body": body, "more_body": False})
        clocks.sent_at = 0.0

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
