"""An upstream's answer on its way to the client: nothing is sent before it is known to be one.

That instant is *commit*: for a stream its first whole event, for anything else its first bytes. Before it a failure is
an exception that another attempt may mend; after it the answer can only be finished or visibly broken.
"""

from __future__ import annotations

import re
from time import monotonic
from urllib.parse import quote

import httpx

from ..bodies.payload import NOTHING
from ..causes import Cause
from ..config import Settings, Timeouts
from ..errors import (
    ClientDisconnected,
    GatewayError,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from ..exchange import Exchange
from ..http.asgi import NamedHeaders, RawHeaders, Send
from ..http.cancellation import Deadline
from ..http.headers import EVENT_STREAM, challenges, media_type, named_headers, response_headers
from ..http.sse import EventSplitter, last_events, only_comments
from ..upstream.inflate import inflater
from ..upstream.request_body import NO_BODY
from ..upstream.response_reads import Reads, too_late, upstream_failure
from .completeness import Ending, ending
from .redaction import Secrets, events_without_secrets, without_secrets
from .refusal import AS_CALLER, redirected, refusal, refused_inside
from .upstream_errors import Said, error_in_events, error_in_json

REALTIME_CALL = "create-realtime-call"
_CALL_ID = re.compile(rb"[A-Za-z0-9_-]+")

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
STREAM_HEADERS: RawHeaders = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


def gone_silent() -> UpstreamTimeout:
    silent = UpstreamTimeout("The upstream fell silent in the middle of its answer.")
    return silent.because(Cause("timeout", message="fell silent in the middle of its answer"))


def client_stalled() -> ClientDisconnected:
    return ClientDisconnected("the client takes no more bytes")


class Relay:
    """One attempt's answer. Its clocks, which all move ``deadline``, run from here: before the request is sent."""

    __slots__ = (
        "_answer_by",
        "_begun",
        "_over_at",
        "_silent_at",
        "deadline",
        "exchange",
        "send",
        "settings",
        "timeouts",
    )

    def __init__(
        self, exchange: Exchange, send: Send, deadline: Deadline, settings: Settings, timeouts: Timeouts
    ) -> None:
        self.exchange = exchange
        self.send = send
        self.deadline = deadline
        self.settings = settings
        self.timeouts = timeouts
        now = monotonic()
        self._begun = False
        self._answer_by = now + timeouts.answer
        self._silent_at = now + timeouts.first_event if exchange.streams else self._answer_by
        self._over_at = float("inf") if timeouts.total is None else exchange.arrived + timeouts.total
        self._watch_silence()

    def wait_anew(self) -> None:
        """The upstream has taken a piece of the body, so that its time to answer begins again."""
        if not self._begun:
            now = monotonic()
            self._answer_by = now + self.timeouts.answer
            self._silent_at = now + self.timeouts.first_event if self.exchange.streams else self._answer_by
            self._watch_silence()

    async def answer(self, response: httpx.Response) -> None:
        """Relays a success; raises ``UpstreamRefused`` and its kin for everything else that came before commit."""
        status = response.status_code
        headers = [(name.lower(), value) for name, value in response.headers.raw]
        named = named_headers(headers)
        kind = media_type(named.get(b"content-type", b""))
        self.exchange.answered, self.exchange.upstream_status = monotonic(), status
        self.exchange.upstream_request_id = _text(named.get(b"x-request-id"))
        coding = _text(named.get(b"content-encoding")) if kind == EVENT_STREAM and status < 400 else None
        reads = Reads(response, inflater(coding) if coding else None)
        start = response_headers(headers, named)
        try:
            if status >= 600:
                raise UpstreamError("The upstream answered with a status that there is not.")
            if status >= 400:
                if status in (401, 403) and self.exchange.upstream.auth_type == AS_CALLER:
                    start += challenges(headers)
                head = self.exchange.method == "HEAD"
                raise await refusal(status, start, reads, self.exchange.upstream, head=head)
            if 300 <= status < 400 and status != 304:
                raise redirected(status, named)
            if self.exchange.streams and kind == b"text/html":
                raise UpstreamError("The upstream answered with a page instead of a stream.")
            if kind == EVENT_STREAM and self.exchange.method != "HEAD":
                await self._events(status, start, reads)
            else:
                await self._bytes(status, start, named, reads)
        except UpstreamError as refused:
            if refused.cause is None:
                raise
            raise without_secrets(refused, self._secrets()) from None
        finally:
            if reads.under_way:
                await reads.settle()

    async def _bytes(self, status: int, start: RawHeaders, named: NamedHeaders, reads: Reads) -> None:
        exchange = self.exchange
        length = _length(named)
        if length is not None:
            start.append((b"content-length", b"%d" % length))
        if status == 201:
            start += _location(named, exchange)
        chunk = await reads.next()
        if exchange.model and status == 200 and chunk is None and exchange.method != "HEAD":
            raise UpstreamUnavailable("The upstream's answer was empty.")
        if exchange.model and chunk is not None and status == 200:
            self._refuse(error_in_json(chunk))
        self._begun = True
        if exchange.model:  # what is stored may be long, and is watched for silence only
            self._over_at = min(self._over_at, self._answer_by)
        self._await_client()  # it may not have taken the answer before on its connection
        await self.send({"type": "http.response.start", "status": status, "headers": start})
        sent = 0
        while chunk is not None:
            sent += len(chunk)
            complete = sent == length
            exchange.keep(chunk, part=True)
            self._await_client()
            await self.send({"type": "http.response.body", "body": chunk, "more_body": not complete})
            if complete:
                return
            self._await_more()
            chunk = await reads.next()
        if length is not None and sent != length and exchange.method != "HEAD" and status not in (204, 304):
            raise UpstreamUnavailable("The upstream's answer was cut short.")
        self._await_client()  # servers take the last piece when the client has taken the one before it
        await self.send({"type": "http.response.body", "body": b""})

    async def _events(self, status: int, start: RawHeaders, reads: Reads) -> None:
        splitter = EventSplitter(self.settings.hold_limit)
        first = await self._first_event(reads, splitter)
        self.exchange.sse = True
        # Nobody else will be asked. A stream may be long, and the body large.
        self.exchange.upstream_body, self.exchange.payload = NO_BODY, NOTHING
        start = [pair for pair in start if pair[0] not in (b"cache-control", b"content-encoding")]
        self._await_client()
        await self.send({"type": "http.response.start", "status": status, "headers": start + STREAM_HEADERS})
        await self._send_events(first, splitter)
        if self.settings.keepalive_comments is None:
            await self._pass_on(reads, splitter)
        else:
            await self._pass_on_kept_alive(self.settings.keepalive_comments, reads, splitter)
        await self._end(splitter)

    async def _pass_on(self, reads: Reads, splitter: EventSplitter) -> None:
        """What each read gave, in one piece. This is where streams spend their time."""
        pull, feed, send = reads.pulling(), splitter.feed, self.send
        while True:
            try:
                chunk = await pull()
            except StopAsyncIteration:
                return
            except (GatewayError, ClientDisconnected):
                raise
            except Exception as error:
                raise upstream_failure(error) from error
            if whole := feed(chunk):
                if b"error" in whole:
                    whole = events_without_secrets(whole, self._secrets())
                self._note_events(whole, splitter)
                self._await_client()
                await send({"type": "http.response.body", "body": whole, "more_body": True})
                self._await_more()

    async def _pass_on_kept_alive(self, every: float, reads: Reads, splitter: EventSplitter) -> None:
        """The same, with a comment whenever the upstream has said nothing for so many seconds."""
        while (chunk := await reads.next_before(monotonic() + every)) is not None:
            if whole := splitter.feed(chunk):
                await self._send_events(whole, splitter)
            elif not chunk and splitter.at_boundary:
                self._await_client()
                await self.send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})
                self._watch_silence()

    async def _end(self, splitter: EventSplitter) -> None:
        """The end of the events: proper only if they have said so themselves."""
        exchange = self.exchange
        rest = splitter.rest()
        pieces = [splitter.long, *exchange.tail, rest] if rest else [splitter.long, *exchange.tail]
        how = ending(exchange.match.endpoint.operation, last_events(pieces))
        if how is Ending.CUT or not splitter.at_boundary:
            raise UpstreamUnavailable("The upstream's answer was cut short.")
        if rest:
            await self._send_events(rest, splitter)
        self._await_client()
        if how is Ending.WITHOUT_DONE:
            done = DONE if not rest else b"\n\n" + DONE
            await self.send({"type": "http.response.body", "body": done, "more_body": True})
        await self.send({"type": "http.response.body", "body": b""})
        if how is Ending.ERROR:
            exchange.failed_in_band = True

    async def _first_event(self, reads: Reads, splitter: EventSplitter) -> bytes:
        """Everything up to the first read that holds a whole event; comments alone only after ``comment_hold``.

        More than ``hold_limit`` bytes of comments go out at once.
        """
        keeping = self.settings.keepalive_comments
        until = monotonic() + (self.settings.comment_hold if keeping is None else keeping)
        held = b""
        while True:
            chunk = await (reads.next_before(until) if held or keeping else reads.next())
            if chunk is None:
                self._refuse(error_in_events(splitter.rest()))
                raise UpstreamUnavailable("The upstream ended its answer before the first event.")
            held += splitter.feed(chunk)
            if held and (not only_comments(held) or not splitter.at_boundary):
                self._refuse(error_in_events(held))
                return held
            if len(held) > self.settings.hold_limit:
                return held
            if monotonic() >= until and (held or keeping):
                return held or KEEP_ALIVE

    def _refuse(self, said: Said | None) -> None:
        if said is not None:
            raise refused_inside(said, self.exchange.upstream)

    async def _send_events(self, events: bytes, splitter: EventSplitter) -> None:
        if b"error" in events:
            events = events_without_secrets(events, self._secrets())
        self._note_events(events, splitter)
        self._await_client()
        await self.send({"type": "http.response.body", "body": events, "more_body": True})
        self._await_more()

    def _note_events(self, events: bytes, splitter: EventSplitter) -> None:
        exchange = self.exchange
        comments = only_comments(events)
        if exchange.at_boundary and splitter.at_boundary:  # as nearly always
            if not comments:  # which may go on long after the last event
                exchange.tail.append(events)
                self._begun = True
            return
        exchange.keep(events, part=not exchange.at_boundary)
        exchange.at_boundary = splitter.at_boundary
        self._begun = self._begun or not comments

    def _secrets(self) -> Secrets:
        return Secrets.sent(self.exchange.upstream, self.exchange.upstream_headers)

    def _await_client(self) -> None:
        if self.exchange.shared:
            self.deadline.move(self._over_at, too_late)
        else:
            self.deadline.move(monotonic() + self.settings.send_timeout, client_stalled)

    def _await_more(self) -> None:
        """Comments are no events: until the first one its own clock goes on."""
        if self._begun:
            self._silent_at = silent_at = monotonic() + self.timeouts.idle
            if silent_at < self._over_at:
                self.deadline.move(silent_at, gone_silent)
                return
        self._watch_silence()

    def _watch_silence(self) -> None:
        if self._silent_at < self._over_at:
            self.deadline.move(self._silent_at, gone_silent if self._begun else too_late)
        else:
            self.deadline.move(self._over_at, too_late)


def _location(named: NamedHeaders, exchange: Exchange) -> RawHeaders:
    """Where a new realtime call is to be found: below the path by which the client made it, never at the upstream."""
    id = named.get(b"location", b"").partition(b"?")[0].rpartition(b"/")[2]
    if exchange.match.endpoint.operation != REALTIME_CALL or not _CALL_ID.fullmatch(id):
        return []
    return [(b"location", quote(exchange.request().scope["path"]).encode() + b"/" + id)]


def _length(named: NamedHeaders) -> int | None:
    value = named.get(b"content-length")
    return int(value) if value is not None and value.isdigit() else None


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
