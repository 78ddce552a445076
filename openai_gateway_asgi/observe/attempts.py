"""What is noted of a request to an upstream: when it starts, and when it is over."""

from __future__ import annotations

import asyncio
from functools import partial
from time import monotonic

import msgspec

from ..causes import Cause, Failure, one_line
from ..errors import ClientDisconnected, GatewayError
from ..exchange import Exchange
from ..host.observers import AttemptFacts
from ..host.records import AttemptRecord

LONGEST_NUMBER = 32
"""Characters."""


def begin_attempt(exchange: Exchange, number: int) -> None:
    """The ``number``th of its call is about to be sent."""
    exchange.attempts = number
    exchange.attempt_began = monotonic()
    exchange.answered = exchange.upstream_status = exchange.upstream_request_id = None
    if exchange.watch is not None:
        exchange.attempt_headers = exchange.watch.attempt_started(partial(_facts, exchange))


def end_attempt(exchange: Exchange, error: BaseException | None) -> AttemptRecord | None:
    """The attempt at hand is over; None where there was none, as when no place came free for it."""
    if exchange.attempt_began is None:
        return None
    record = _record(exchange, exchange.attempt_began, error)
    exchange.attempt_began = None
    exchange.tries += (record,)
    if exchange.watch is not None:
        exchange.watch.attempt_ended(record)
    return record


def _facts(exchange: Exchange) -> AttemptFacts:
    upstream, served = exchange.upstream, exchange.served
    return AttemptFacts(
        number=exchange.attempts,
        upstream=upstream.name,
        provider=upstream.provider,
        base_url=upstream.base_url,
        model=exchange.upstream_model or None,
        public_model=served.id if served is not None else None,
        streamed=exchange.streams,
        number_at=partial(_number_at, exchange),
    )


def _number_at(exchange: Exchange, key: str) -> int | float | bool | None:
    raw = exchange.payload.raw(key)
    return None if raw is None else plain_number(bytes(raw))


def plain_number(written: bytes) -> int | float | bool | None:
    """What JSON says, where that is a number, or true or false."""
    if len(written) > LONGEST_NUMBER:
        return None
    value = msgspec.json.decode(written)
    return value if isinstance(value, int | float) else None


def _record(exchange: Exchange, began: float, error: BaseException | None) -> AttemptRecord:
    cause = _cause(exchange, error)
    return AttemptRecord(
        number=exchange.attempts,
        upstream=exchange.upstream.name,
        model=exchange.upstream_model or None,
        status=cause.status if cause is not None and cause.status is not None else exchange.upstream_status,
        failure=error.failure if isinstance(error, GatewayError) else _failed_in_band(exchange),
        cause=cause,
        began=began - exchange.arrived,
        answered=None if exchange.answered is None else exchange.answered - exchange.arrived,
        ended=monotonic() - exchange.arrived,
        upstream_request_id=exchange.upstream_request_id,
    )


def _failed_in_band(exchange: Exchange) -> Failure | None:
    return Failure.SERVER_ERROR if exchange.failed_in_band else None


def _cause(exchange: Exchange, error: BaseException | None) -> Cause | None:
    if error is None:
        return Cause("in_band") if exchange.failed_in_band else None
    if isinstance(error, GatewayError):
        return error.cause or Cause(error.code or error.type, message=one_line(error.message))
    if isinstance(error, ClientDisconnected | asyncio.CancelledError):
        return Cause("abandoned")
    return Cause("internal", error=type(error).__name__)
