"""What is noted of requests to upstreams: when each starts and is over, and how each upstream was seen last."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from time import monotonic

import msgspec

from ..answers.upstream_errors import error_in_events
from ..causes import Cause, Failure, one_line
from ..config import Settings, Upstream
from ..errors import ClientDisconnected, GatewayError, UpstreamError
from ..exchange import Exchange
from ..host.notices import Notices
from ..host.observers import AttemptFacts
from ..host.records import AttemptRecord, Used
from ..http.sse import last_events
from ..upstream.failures import classify
from ..upstream.words import Words, in_words, kept
from .attempt_log import log_attempt
from .counting import NOTHING, Counted, Counting

LONGEST_NUMBER = 32
"""Characters of a header that is taken for a number."""


@dataclass(frozen=True, slots=True)
class LastFailure:
    """Of an upstream; ``at`` in seconds of ``time.monotonic``."""

    at: float
    model: str | None
    failure: Failure
    words: Words


@dataclass(slots=True)
class Seen:
    """How an upstream was seen; ``succeeded`` in seconds of ``time.monotonic``."""

    in_flight: int = 0
    failed: LastFailure | None = None
    succeeded: float | None = None


class Attempts:
    """Notes for the record, for those who look on, for the log and for the health, in one place."""

    def __init__(self, settings: Settings, notices: Notices, counting: Counting) -> None:
        self._counting = counting
        self._all_messages = settings.log_upstream_messages
        self._notices = notices
        self._seen: dict[str, Seen] = {}

    def begin(self, exchange: Exchange) -> None:
        """Another one of its call is about to be sent."""
        if exchange.attempts:
            exchange.begin_attempt()
        exchange.attempts += 1
        exchange.attempt_began = monotonic()
        exchange.answered = exchange.upstream_status = exchange.upstream_request_id = None
        name = exchange.upstream.name
        seen = self._seen.get(name) or self._seen.setdefault(name, Seen())
        seen.in_flight += 1
        if exchange.watch is not None:
            exchange.attempt_headers = exchange.watch.attempt_started(_facts(exchange))

    def end(self, exchange: Exchange, error: BaseException | None = None) -> AttemptRecord | None:
        """The attempt at hand is over, where there was one: a place may not have come free for it. Its record, where
        there is one."""
        began = exchange.attempt_began
        if began is None:
            return None
        now, seen = monotonic(), self._seen[exchange.upstream.name]
        exchange.attempt_began = None
        exchange.upstream_seconds += now - began
        seen.in_flight -= 1
        went_well = error is None and not exchange.failed_in_band
        if went_well:
            seen.succeeded = now
            if not exchange.recorded:
                return None
        counted = self._counting.count(exchange, error) if exchange.recorded else NOTHING
        exchange.unsent = b""
        if went_well:
            record = _record(exchange, began, now, counted)
        else:
            record = _record(exchange, began, now, counted, _failure(exchange, error), self._cause(exchange, error))
        exchange.tries += (record,)
        if record.failure is not None and record.cause is not None:
            self._tell(exchange, seen, record, record.failure, record.cause)
        if exchange.watch is not None and exchange.finishing is None:
            exchange.watch.attempt_ended(record)
        return record

    def goes_on(self, exchange: Exchange) -> Used:
        """Of a call that an attempt of its outlives, because others listen: what it has used so far, as far as that
        can be known. They have asked for nothing."""
        usage, raw, cost = self._counting.count(exchange, asyncio.CancelledError())
        return Used(usage, raw, None if cost is None else cost.usd, None if cost is None else cost.source)

    def told(self, exchange: Exchange) -> Used:
        """About what the stream used that the last attempt told, where its upstream does not count."""
        usage, raw, cost = self._counting.told(exchange)
        return Used(usage, raw, None if cost is None else cost.usd, None if cost is None else cost.source)

    def finished(self, exchange: Exchange) -> None:
        """The answer of the last attempt was read to its end after its client had left: its usage may be known now."""
        usage, raw, cost = self._counting.count(exchange, None)
        *before, last = exchange.tries
        if usage is not None or cost is not None:
            last = msgspec.structs.replace(
                last,
                usage=usage,
                usage_raw=raw,
                cost=None if cost is None else cost.usd,
                cost_source=None if cost is None else cost.source,
            )
        exchange.tries = (*before, last)
        if exchange.watch is not None:
            exchange.watch.attempt_ended(last)

    def seen(self, upstream: str) -> Seen:
        """How the upstream of this name was seen, for whoever only looks."""
        return self._seen.get(upstream) or Seen()

    def keep_only(self, upstreams: Iterable[Upstream]) -> None:
        """Forgets upstreams that a new configuration has no longer; the last of their calls may still be under way."""
        names = {upstream.name for upstream in upstreams}
        for name in [name for name, seen in self._seen.items() if name not in names and not seen.in_flight]:
            del self._seen[name]

    def _tell(self, exchange: Exchange, seen: Seen, record: AttemptRecord, failure: Failure, cause: Cause) -> None:
        words = in_words(cause, exchange.upstream, exchange.upstream_match.path)
        seen.failed = LastFailure(monotonic(), record.model, failure, words)
        log_attempt(self._notices, exchange.request_id, record, words)

    def _cause(self, exchange: Exchange, error: BaseException | None) -> Cause | None:
        cause = _cause(exchange, error)
        return cause if cause is None else kept(cause, all_messages=self._all_messages)


def _facts(exchange: Exchange) -> AttemptFacts:
    upstream, served = exchange.upstream, exchange.served
    return AttemptFacts(
        number=exchange.attempts,
        upstream=upstream.name,
        provider=upstream.provider,
        base_url="" if upstream.is_inside else upstream.base_url,
        model=exchange.upstream_model or None,
        public_model=served.id if served is not None else None,
        model_label=(served.label or served.id) if served is not None else None,
        streamed=exchange.streams,
        number_at=partial(_number_at, exchange),
    )


def _number_at(exchange: Exchange, key: str) -> int | float | bool | None:
    payload = exchange.payload
    raw = payload.raw(key) if payload.size(key) <= LONGEST_NUMBER else None
    return None if raw is None else plain_number(bytes(raw))


def plain_number(written: bytes) -> int | float | bool | None:
    """What JSON says, where that is a number, or true or false."""
    if len(written) > LONGEST_NUMBER:
        return None
    value = msgspec.json.decode(written)
    return value if isinstance(value, int | float) else None


def _record(
    exchange: Exchange,
    began: float,
    ended: float,
    counted: Counted,
    failure: Failure | None = None,
    cause: Cause | None = None,
) -> AttemptRecord:
    usage, raw, cost = counted
    return AttemptRecord(
        number=exchange.attempts,
        upstream=exchange.upstream.name,
        model=exchange.upstream_model or None,
        status=cause.status if cause is not None and cause.status is not None else exchange.upstream_status,
        failure=failure,
        cause=cause,
        began=began - exchange.arrived,
        answered=None if exchange.answered is None else exchange.answered - exchange.arrived,
        ended=ended - exchange.arrived,
        upstream_request_id=exchange.upstream_request_id,
        usage=usage,
        usage_raw=raw,
        cost=None if cost is None else cost.usd,
        cost_source=None if cost is None else cost.source,
    )


def _failure(exchange: Exchange, error: BaseException | None) -> Failure | None:
    if isinstance(error, GatewayError):
        return None if _is_ours(error) else classify(error)
    return Failure.SERVER_ERROR if error is None and exchange.failed_in_band else None


def _cause(exchange: Exchange, error: BaseException | None) -> Cause | None:
    if error is None:
        return _in_band(exchange) if exchange.failed_in_band else None
    if isinstance(error, GatewayError):
        if _is_ours(error):
            return Cause("internal", error=type(error).__name__, code=error.code, message=one_line(error.message))
        return error.cause or Cause(error.code or error.type, message=one_line(error.message))
    if isinstance(error, ClientDisconnected | asyncio.CancelledError):
        return Cause("abandoned")
    return Cause("internal", error=type(error).__name__)


def _is_ours(error: GatewayError) -> bool:
    """Whether it was the gateway, or a callable of the host's as a filter, that ended the attempt: the upstream has
    done nothing wrong."""
    return error.failure is Failure.CALLER and not isinstance(error, UpstreamError)


def _in_band(exchange: Exchange) -> Cause:
    """What the last events say, from which secrets have been cut already."""
    said = error_in_events(last_events(exchange.tail))
    if said is None:
        return Cause("in_band")
    return Cause(
        "in_band", status=said.status, type=said.type, param=said.param, code=said.code, message=one_line(said.message)
    )
