"""A stream of events on its way to the client: held until something is told, then passed on as it comes.

Before something is told a failure is an exception that another attempt may mend; after it the answer can only be
finished or visibly broken. It is over as soon as it has said so, whatever its connection does then.
"""

from __future__ import annotations

from functools import partial
from time import monotonic

from ..errors import ClientDisconnected, GatewayError, UpstreamError, UpstreamUnavailable
from ..http.cancellation import Deadline
from ..http.pacing import in_turns
from ..http.sse import (
    EventSplitter,
    error_event,
    events_in,
    last_boundary,
    last_events,
    only_comments,
)
from ..http.stages import IN_ONE_GO as STAGED
from ..http.stages import in_pieces, joined, next_number, sign_of, too_long
from ..upstream.response_reads import upstream_failure
from .answer_clocks import SLOW
from .at_hand import Answer
from .client_stream import ClientStream
from .endings import CHAT, Course, State, choices_asked, decoded, is_done
from .endings import DONE as MARK
from .error_shapes import HALF
from .for_clients import events_for_client
from .one_read import look_at
from .refusal import detail_of, refused_inside
from .told import any_tells, goes_on, tells
from .untranslatable import check_of
from .upstream_errors import error_in_events

DONE = b"data: [DONE]\n\n"
HELD = 1024 * 1024
"""Bytes of start-up events that are held; codex's ``response.created`` repeats its instructions and tools twice."""
WHOLE = 8 * HELD
"""Bytes of a stream that are held until it is whole; what is longer goes on as usual."""
LAST_WORDS = 3.0
"""Seconds that the usage and ``[DONE]`` are waited for when all choices have finished."""
MORE_WORDS = 30.0
"""The same of a stream that has gone on behind that: some say with every event that it was the last, and think between
them (Gemini behind one-api, new-api or gcli2api); agents finish a choice in each of their rounds."""

_COLON = b":"[0]


class Events:
    """One attempt's stream."""

    def __init__(self, answer: Answer, *, whole: bool = False) -> None:
        """``whole``: all of it is held until it is whole."""
        self._exchange = exchange = answer.exchange
        self._send = answer.send
        self._clocks = answer.clocks
        self._settings = settings = answer.settings
        self._reads = answer.reads
        self._operation = exchange.upstream_match.endpoint.operation
        self._course = Course(self._operation, choices_asked(self._operation, exchange.attempt_payload))
        self._whole = whole
        self._most = WHOLE if whole else HELD
        self._wholly = bool(exchange.stages) and not all(stage.lets_pass() for stage in exchange.stages)
        """Whether each event has to be changed, however long it is."""
        self._longest = settings.event_limit if self._wholly else settings.hold_limit
        """Bytes of an event that is held until it is whole, once the answer is passed on."""
        self._splitter = EventSplitter(
            self._longest if self._wholly else self._most if whole or exchange.may_switch else self._longest
        )
        self._client = ClientStream(exchange, answer.send, answer.clocks, answer.start)
        self._told = False
        """Whether something came that tells."""
        self._open = False
        """Whether it is passed on as it comes."""
        self._writes = False
        self._comments = 0
        self._long = b""

    async def relay(self) -> None:
        """All of it, up to its end or the exception that ended it."""
        exchange = self._exchange
        if not exchange.head_sent:
            self._clocks.remind(exchange.answered_since + self._settings.comment_hold, self._client.show)
        try:
            over = await self._begin()
            if not over and self._course.state is State.OPEN:
                over = await self._pass_on()
            if not over:
                await self._hear_out()
        finally:
            if exchange.left:
                exchange.rest = self._splitter.rest()
            if not self._client.begun:
                exchange.unsent = exchange.unsent or self._client.unsent
                if self._whole:
                    exchange.held += monotonic() - (exchange.answered or 0.0)
            await self._client.aclose()

    # Each of these two goes one step further, and returns whether it has ended the answer.

    async def _begin(self) -> bool:
        """Up to the read that tells something; of a stream that is held, up to its end."""
        while not self._open and self._course.state is State.OPEN:
            chunk = await self._reads.next()
            if chunk is None:
                return await self._end()
            if (events := self._splitter.feed(chunk)) and await self._consider(events):
                return True
        return False

    async def _pass_on(self) -> bool:
        """What each read gave, in one piece. This is where streams spend their time."""
        exchange, clocks, splitter, course = self._exchange, self._clocks, self._splitter, self._course
        pull, feed, notable, usual = self._reads.pulling(), splitter.feed, course.notable, course.usual
        keep, send, begun = exchange.tail.append, self._send, self._client.begun
        change, sign = joined(exchange.stages), sign_of(exchange.stages)
        while True:
            try:
                chunk = await pull()
            except StopAsyncIteration:
                return await self._end()
            except (GatewayError, ClientDisconnected):
                raise
            except Exception as error:
                if await self._is_over(broken=True):
                    return True
                raise upstream_failure(error) from error
            if not (events := feed(chunk)):
                continue
            usually = events.endswith(usual) and events.rfind(b"error") < 0 and exchange.at_boundary
            if not usually and (notable(events) or not self._is_plain(events)):
                if await self._consider(events):
                    return True
                if course.state is not State.OPEN:
                    return False
                continue
            clocks.sent_at = now = monotonic()
            if now >= clocks.look_at and any_tells(self._operation, events):
                clocks.told(now)
            keep(events)
            exchange.delivered += len(events)
            if change is not None:
                if events.rfind(sign) >= 0:
                    if len(events) <= STAGED:
                        passed = change(events)
                    else:
                        passed = in_pieces(exchange.stages, events, exchange.clock.slices, check_of(exchange))
                    events = passed if isinstance(passed, bytes) else await passed
                    if not events:
                        clocks.sent_at = 0.0
                        continue
                if not begun:
                    if not self._client.begun:
                        await self._client.begin()
                    begun = True
            await send({"type": "http.response.body", "body": events, "more_body": True})
            if (then := monotonic()) - now > SLOW:
                clocks.resume(then)
            clocks.sent_at = 0.0

    def _is_plain(self, events: bytes) -> bool:
        """Whether they are whole, and no comments."""
        return events[0] != _COLON and self._splitter.at_boundary and self._exchange.at_boundary

    async def _hear_out(self) -> None:
        """All choices have finished: what may still come is waited for a little; comments do not prolong it."""
        self._clocks.whole()
        patience = LAST_WORDS
        until = monotonic() + patience
        while (chunk := await self._last_word(until)) is not None:
            if events := self._splitter.feed(chunk):
                if await self._consider(events):
                    return
                if any_tells(self._operation, events):
                    patience = MORE_WORDS if goes_on(events) else patience
                    until = monotonic() + patience
        await self._end()

    async def _last_word(self, until: float) -> bytes | None:
        try:
            with Deadline(self._exchange.clock) as late:
                late.move(until, TimeoutError)
                return await self._reads.next()  # nothing is read behind it, so it may be cancelled
        except (TimeoutError, UpstreamError):
            return None  # a broken framing breaks nothing that is whole

    async def _consider(self, events: bytes) -> bool:
        """One read, with a look at its events; whether it has ended the answer."""
        course, splitter = self._course, self._splitter
        if self._wholly and not splitter.at_boundary:
            raise too_long(self._settings.event_limit, "an event")
        whole = events if splitter.at_boundary else events[: last_boundary(events)]
        asks = monotonic() >= self._clocks.look_at
        look = look_at(
            course,
            self._operation,
            whole,
            long=None if self._exchange.at_boundary else self._long,
            asks=asks,
            goes_on=asks and self._whole,
        )
        telling, writes, end = await in_turns(look, self._exchange.clock.slices)
        self._writes = self._writes or writes
        self._long = splitter.long
        if not splitter.at_boundary:
            self._told = True
            self._open_up()
        elif telling:
            self._tell()
        elif not self._told:
            self._clocks.shown()
        if course.is_doubtful:
            before = last_boundary(whole[: whole.rfind(MARK, 0, end)])
            course.doubt((*self._exchange.tail, self._client.unsent, whole[:before]))
            end = end if course.state is State.WHOLE else before
        if course.state is State.FAILED:
            return await self._fail(whole[:end])
        if course.state is State.WHOLE:
            await self._end_with(events if events.find(b"error", end) < 0 else whole[:end])  # it was over before
            return True
        if self._open or not await self._hold(events):
            await self._client.pass_on(self._clean(events), at_boundary=splitter.at_boundary)
        return False

    def _tell(self) -> None:
        """Something of the answer came."""
        self._told = True
        if not self._whole:
            self._open_up()
        elif self._writes:
            self._clocks.written()
        else:
            self._clocks.shown()

    def _open_up(self) -> None:
        """From now on what comes is passed on."""
        now = monotonic()
        self._clocks.told(now)
        if not self._open:
            self._open, self._whole = True, False
            self._exchange.first_byte, self._exchange.commit = now, "told"
            self._splitter.limit = self._longest

    async def _hold(self, events: bytes) -> bool:
        """Whether events that are not told yet are kept back, which they are then."""
        client, exchange = self._client, self._exchange
        if not (self._whole or exchange.may_switch) and (client.begun or not only_comments(events)):
            return False
        if client.held + len(events) > self._most:
            if self._whole:
                self._open_up()
            return False
        await client.hold(events)
        if only_comments(events):
            self._comments += len(events)
            if self._comments > self._settings.hold_limit:
                client.show()
                await client.shown()
        return True

    async def _end(self) -> bool:
        if not await self._is_over(broken=False):
            raise UpstreamUnavailable("The upstream's answer was cut short.")
        return True

    async def _is_over(self, *, broken: bool) -> bool:
        """The connection gives nothing more: whether what has come is a whole answer, which then is ended as one.

        ``broken``: whether it ended out of order, which breaks nothing that has said that it is whole.
        """
        course, rest, understood = self._course, self._splitter.rest(), True
        if not (self._splitter.at_boundary and self._exchange.at_boundary):
            return False
        for event in events_in(rest):
            value = decoded(event.data)
            if course.take(event, value) is State.FAILED:
                return await self._fail(b"" if is_done(event) else rest)
            understood = value is not None or is_done(event)
            if understood and tells(self._operation, event, value):
                self._tell()
        if course.is_doubtful:
            course.doubt((*self._exchange.tail, self._client.unsent))
            if course.state is State.FAILED:
                return await self._fail(b"")
        if not self._told and (said := error_in_events(self._client.unsent + rest)) is not None:
            raise refused_inside(said, self._exchange.upstream)
        if course.state is State.OPEN and course.look_back(last_events(self._exchange.tail)) is State.FAILED:
            return await self._fail(rest if understood else b"")
        over = course.state is not State.OPEN or (course.may_end and not broken)
        if over and self._told:
            await self._end_with(rest if understood else b"")
            return True
        return False

    async def _end_with(self, events: bytes) -> None:
        if not self._told:
            raise UpstreamUnavailable("The upstream ended its answer before it had said anything.")
        if not self._open:
            self._exchange.first_byte, self._exchange.commit = monotonic(), "whole"
        if self._course.state is State.FINISHED and self._operation in CHAT:
            events = events + b"\n\n" + DONE if events else DONE
        await self._client.pass_on(self._clean(events), at_boundary=True, more=False)

    async def _fail(self, events: bytes) -> bool:
        """The last of ``events`` says that the upstream has failed; behind what was told already it is passed on."""
        exchange, client = self._exchange, self._client
        if not self._open and not client.begun:
            exchange.unsent = client.unsent + events
            raise self._error()
        exchange.failed_in_band = True
        await client.fail(self._clean(events), None if self._course.shown else partial(self._told_error, events))
        return True

    def _told_error(self, events: bytes) -> bytes:
        """Behind ``events``, in which official clients see none."""
        number = next_number(self._exchange.stages, (*self._exchange.tail, events))
        return self._clean(error_event(detail_of(self._error()), number))

    def _error(self) -> UpstreamError:
        said = self._course.said
        if said is not None:
            return refused_inside(said, self._exchange.upstream)
        return UpstreamError(HALF)

    def _clean(self, events: bytes) -> bytes:
        return events_for_client(events, self._exchange, failed=self._course.state is State.FAILED)
