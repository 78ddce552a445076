"""One record per model call, however it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import suppress
from time import monotonic

from msgspec import structs

from ..api.endpoints import Kind
from ..errors import ClientDisconnected, GatewayError, UpstreamError
from ..exchange import Exchange
from ..host.hooks import Hook
from ..host.observers import trace_id_of
from ..host.records import Outcome, UsageRecord, Used, used_in_all
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..http.background import Background
from ..http.cancellation import ClientWatch
from ..limits.desk import Desk
from ..models import Model
from ..observe.attempts import Attempts
from ..observe.observers import Observers

RecordHook = Hook[[UsageRecord], None]
MODEL_CALLS = (Kind.JSON_MODEL, Kind.MULTIPART_MODEL)
OBSERVED = (*MODEL_CALLS, Kind.STORED)

logger = logging.getLogger("openai_gateway_asgi")


class RecordUsage:
    """Gives the host's ``record_usage`` one record, and those who look on what they are promised, for each call.

    Of calls on stored objects the host gets records where ``of_all`` is set: it may count them.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        record_usage: RecordHook | None,
        of_all: bool,
        observers: Observers,
        background: Background,
        desk: Desk | None,
        attempts: Attempts,
    ) -> None:
        self.app = app
        self._hook = record_usage
        self._hooked = OBSERVED if of_all else MODEL_CALLS
        self._observers = observers
        self._background = background
        self._desk = desk
        self._attempts = attempts

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        kind = exchange.match.endpoint.kind
        if kind in OBSERVED:
            exchange.watch = self._observers.watch(exchange)
            hook = self._hook if kind in self._hooked else None
            counted = hook is not None or self._desk is not None
            if counted or exchange.watch is not None or self._observers.wants_records:
                exchange.recorded = True
                return self._recorded(hook, scope, receive, send)
        return self.app(scope, receive, send)

    async def _recorded(self, hook: RecordHook | None, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        failure: BaseException | None = None
        try:
            await self.app(scope, receive, send)
        except BaseException as error:
            failure = error
            raise
        finally:
            used = used_in_all(exchange.tries)
            if used.usage is None and exchange.attempts > len(exchange.tries):
                used = self._attempts.goes_on(exchange)
            record = _record_of(exchange, failure, used)
            failure = None  # it knows this frame: a cycle, which would keep the body until the next collection
            if exchange.finishing is not None:
                if exchange.reservation is not None and self._desk is not None:
                    self._desk.leave(exchange.reservation)
                _ = self._background.start(self._recorded_later(hook, exchange, exchange.finishing, record))
            else:
                self._settle(exchange, record)
                if hook is not None:
                    if hook.is_async:
                        await self._tell_whatever_comes(hook, record, exchange, receive)
                    else:
                        _tell(hook, record)

    def _settle(self, exchange: Exchange, record: UsageRecord) -> None:
        reservation = exchange.reservation
        if reservation is not None and self._desk is not None:
            if record.usage is None and exchange.delivered and reservation.plan.counts_usage:
                reservation.told = self._attempts.told(exchange)
            self._desk.settle(reservation, record)
        self._observers.finished(exchange, record)

    async def _recorded_later(
        self, hook: RecordHook | None, exchange: Exchange, finishing: asyncio.Task[None], record: UsageRecord
    ) -> None:
        """The client has left, and the answer is read on for its usage; a gateway that closes does not wait for it."""
        with suppress(asyncio.CancelledError):
            await asyncio.wait((finishing,))
        self._attempts.finished(exchange)
        used = used_in_all(exchange.tries)
        record = structs.replace(
            record, usage=used.usage, usage_raw=used.raw, cost=used.cost, cost_source=used.cost_source,
            tries=exchange.tries,
        )  # fmt: skip
        self._settle(exchange, record)
        if hook is not None:
            if hook.is_async:
                await _told(hook, record)
            else:
                _tell(hook, record)

    async def _tell_whatever_comes(
        self, hook: RecordHook, record: UsageRecord, exchange: Exchange, receive: Receive
    ) -> None:
        """The record is kept even when the request is being cancelled, or nobody waits for its answer any more."""
        task = self._background.start(_told(hook, record))
        if exchange.finished:
            await asyncio.shield(task)
            return
        with suppress(ClientDisconnected), ClientWatch(receive, exchange.clock, over=lambda: False):
            await asyncio.shield(task)


def _tell(hook: RecordHook, record: UsageRecord) -> None:
    try:
        hook.now(record)
    except GatewayError:
        _note_failure(record)


async def _told(hook: RecordHook, record: UsageRecord) -> None:
    try:
        await hook(record)
    except GatewayError:
        _note_failure(record)


def _note_failure(record: UsageRecord) -> None:
    """The client has its answer; what the hook failed with is in the log already."""
    logger.error("record_usage failed for request %s", record.request_id)


def _record_of(exchange: Exchange, failure: BaseException | None, used: Used) -> UsageRecord:
    now = monotonic()
    asked = exchange.attempts > 0  # else the last one that was thought of is nobody's
    upstream = exchange.upstream if asked else None
    translation = exchange.translation if asked else None
    served = exchange.served if asked else None
    error = failure if isinstance(failure, GatewayError) else None
    status = error.status if error is not None and exchange.status is None else exchange.status
    went_well = failure is None and not exchange.failed_in_band
    preset = _preset(exchange, asked=asked)
    return UsageRecord(
        request_id=exchange.request_id,
        upstream_request_id=exchange.upstream_request_id,
        operation=exchange.match.endpoint.operation,
        user=exchange.user,
        model=exchange.asked or getattr(exchange, "model", None) or None,
        upstream=upstream.name if upstream else None,
        upstream_model=(exchange.upstream_model or None) if asked else None,
        status=status,
        outcome=Outcome.COMPLETED if went_well else _outcome(exchange, failure),
        error=None if error is None else error.code,
        attempts=exchange.attempts,
        streamed=exchange.sse,
        first_byte=None if exchange.first_byte is None else exchange.first_byte - exchange.arrived,
        total=now - exchange.arrived,
        usage=used.usage,
        usage_raw=used.raw,
        cost=used.cost,
        cost_source=used.cost_source,
        tries=exchange.tries,
        served_model=None if served is None else served.id,
        model_label=_label(served or getattr(exchange, "resolved", None)),
        commit=exchange.commit,
        reason=None if went_well else _reason(exchange, failure),
        limit=None if error is None else error.limit,
        within=None if exchange.outer is None else exchange.outer.request_id,
        preset=preset,
        upstream_operation=None if translation is None else translation.match.endpoint.operation,
        dropped=() if translation is None else translation.dropped,
        unnamed=exchange.passed_unchanged and preset is not None,
        trace_id=exchange.watch.call.trace_id if exchange.watch else trace_id_of(exchange.named),
    )


def _preset(exchange: Exchange, *, asked: bool) -> str | None:
    """Of the upstream that was asked last, which may be a fallback's; else of what the client asked for."""
    if asked:
        return None if exchange.via is None else exchange.via.preset
    resolved = getattr(exchange, "resolved", None)
    return resolved.id if resolved is not None and resolved.is_preset else None


def _label(model: Model | None) -> str | None:
    return None if model is None else model.label or model.id


def _reason(exchange: Exchange, failure: BaseException | None) -> str:
    """Of a call that did not end well: that of the refusal, else the kind of what failed last, else how it was left."""
    if isinstance(failure, UpstreamError):
        return failure.failure.name.lower()
    if isinstance(failure, GatewayError):
        return failure.reason or failure.code or failure.type
    return _outcome(exchange, failure).value


def _outcome(exchange: Exchange, failure: BaseException | None) -> Outcome:
    """Of a call that did not end well."""
    if exchange.failed_in_band:
        return Outcome.UPSTREAM_FAILED
    if isinstance(failure, ClientDisconnected):
        return Outcome.CLIENT_GONE_BEFORE_FIRST_BYTE if exchange.first_byte is None else Outcome.CLIENT_GONE
    if isinstance(failure, asyncio.CancelledError):
        return Outcome.CANCELLED
    if isinstance(failure, GatewayError) and failure.status < 500:
        return Outcome.REJECTED
    if isinstance(failure, UpstreamError):
        return Outcome.UPSTREAM_FAILED
    return Outcome.FAILED
