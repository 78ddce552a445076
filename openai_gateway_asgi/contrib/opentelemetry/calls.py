"""One call as a span, its attempts as spans below it, and both as measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import time_ns
from types import MappingProxyType
from typing import NamedTuple

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ...host.records import AttemptRecord, Outcome, UsageRecord
from ...host.usage import Usage
from ...http.asgi import NamedHeaders
from ...observe import AttemptFacts, CallFacts
from .measures import Asked, Measures
from .names import operation_of, request_numbers, server_of

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
FAILED = frozenset({Outcome.UPSTREAM_FAILED, Outcome.FAILED})
USED = {
    "gen_ai.usage.input_tokens": "input",
    "gen_ai.usage.output_tokens": "output",
}
DETAILS = {
    "gen_ai.usage.cache_read.input_tokens": "cached",
    "gen_ai.usage.cache_write.input_tokens": "cache_write",
    "gen_ai.usage.reasoning.output_tokens": "reasoning",
    "gen_ai.usage.audio.input_tokens": "audio_input",
    "gen_ai.usage.audio.output_tokens": "audio_output",
    "gen_ai.usage.image.input_tokens": "image_input",
    "gen_ai.usage.image.output_tokens": "image_output",
}

_upstream = TraceContextTextMapPropagator()


class _Headers(Getter[NamedHeaders]):
    """Reads the request's headers for whatever propagators the host has chosen."""

    def get(self, carrier: NamedHeaders, key: str) -> list[str] | None:
        value = carrier.get(key.lower().encode("latin-1", "replace"))
        return None if value is None else [value.decode("latin-1")]

    def keys(self, carrier: NamedHeaders) -> list[str]:
        return [name.decode("latin-1") for name in carrier]


_headers = _Headers()


class Ended(NamedTuple):
    """An attempt that is over, and whose span waits for what its call will have used."""

    at: int
    """In nanoseconds of the clock on the wall."""
    record: AttemptRecord


class OneCall:
    """Spans are never current: what the gateway does ends in other tasks than it began in."""

    __slots__ = ("_asked", "_call", "_ended", "_measures", "_operation", "_sends", "_span", "_tracer")

    def __init__(self, call: CallFacts, tracer: Tracer | None, measures: Measures | None, *, sends: bool) -> None:
        self._operation = operation_of(call.operation)
        self._tracer = tracer
        self._measures = measures
        self._sends = sends
        self._call: Span | None = None
        self._span: Span | None = None
        self._asked: Asked | None = None
        self._ended: Ended | None = None
        if tracer is not None:
            kind, context = _parent(call.headers)
            about = {"openai_gateway.operation": call.operation, "openai_gateway.request_id": call.request_id}
            self._call = tracer.start_span(self._operation, context, kind, about)
            own = self._call.get_span_context()
            if own.is_valid:
                call.trace_id = trace.format_trace_id(own.trace_id)

    def attempt_started(self, attempt: AttemptFacts) -> Mapping[str, str]:
        self._close()
        server = server_of(attempt.provider, attempt.base_url, attempt.upstream)
        if self._measures is not None:
            label = self._measures.model(attempt.model_label)
            self._asked = Asked(self._operation, server, label, attempt.streamed)
        if self._tracer is None or self._call is None:
            return NO_HEADERS
        about: dict[str, str | int | bool] = {
            "gen_ai.operation.name": self._operation,
            **server.attributes,
            "openai_gateway.upstream": attempt.upstream,
        }
        name = self._operation
        if attempt.model is not None:
            about["gen_ai.request.model"] = attempt.model
            name = f"{name} {attempt.model}"
        if attempt.streamed:
            about["gen_ai.request.stream"] = True
        if attempt.number > 1:
            about["http.request.resend_count"] = attempt.number - 1
        context = trace.set_span_in_context(self._call)
        self._span = span = self._tracer.start_span(name, context, SpanKind.CLIENT, about)
        if span.is_recording():
            span.set_attributes(request_numbers(attempt))
        return _sent(span) if self._sends else NO_HEADERS

    def attempt_ended(self, attempt: AttemptRecord) -> None:
        self._ended = Ended(time_ns(), attempt)
        if self._measures is not None and self._asked is not None:
            self._measures.attempt(self._asked, attempt)

    def finished(self, record: UsageRecord) -> None:
        if self._measures is not None:
            if self._asked is not None and self._ended is not None:
                self._measures.answered(self._asked, self._ended.record, record)
            self._measures.call(record, self._operation)
        if self._span is not None and self._ended is not None and self._span.is_recording():
            self._span.set_attributes(_answered(self._ended.record, record))
        self._close()
        if self._call is not None:
            if self._call.is_recording():
                _tell(self._call, self._operation, record)
            self._call.end()

    def _close(self) -> None:
        """Of the last attempt. One without an end outlives its call: others go on listening."""
        if self._span is not None:
            if self._ended is None:
                self._span.end()
            else:
                if self._span.is_recording():
                    _tell_end(self._span, self._ended.record)
                self._span.end(self._ended.at)
        self._span = self._ended = None


def _parent(headers: NamedHeaders) -> tuple[SpanKind, Context | None]:
    """The host's own span where there is one, else what the request says."""
    current = trace.get_current_span().get_span_context()
    if not current.is_valid:
        return SpanKind.SERVER, propagate.extract(headers, getter=_headers)
    return (SpanKind.SERVER if current.is_remote else SpanKind.INTERNAL), None


def _sent(span: Span) -> Mapping[str, str]:
    """The trace alone goes to the upstream, no baggage. A ``tracestate`` of the client's belongs to no other parent."""
    headers: dict[str, str] = {}
    _upstream.inject(headers, trace.set_span_in_context(span))
    return {"tracestate": "", **headers} if headers else headers


def _tell_end(span: Span, attempt: AttemptRecord) -> None:
    if attempt.usage is not None:
        span.set_attributes(_used(attempt.usage))
    if attempt.status is not None:
        span.set_attribute("http.response.status_code", attempt.status)
    if attempt.upstream_request_id is not None:
        span.set_attribute("openai_gateway.upstream_request_id", attempt.upstream_request_id)
    if attempt.failure is not None:
        span.set_attribute("error.type", attempt.failure.name.lower())
        span.set_status(StatusCode.ERROR)
    elif attempt.cause is not None:
        span.set_attribute("openai_gateway.cause", attempt.cause.what)


def _answered(attempt: AttemptRecord, record: UsageRecord) -> dict[str, str | int | float | bool]:
    about: dict[str, str | int | float | bool] = {}
    if record.streamed and record.first_byte is not None:
        about["gen_ai.response.time_to_first_chunk"] = max(0.0, record.first_byte - attempt.began)
    return about


def _used(usage: Usage) -> dict[str, int | bool]:
    about: dict[str, int | bool] = {}
    for name, count in USED.items():
        if (number := getattr(usage, count)) is not None:
            about[name] = number
    for name, count in DETAILS.items():
        if number := getattr(usage, count):
            about[name] = number
    if usage.estimated:
        about["openai_gateway.usage.estimated"] = True
    return about


def _tell(span: Span, operation: str, record: UsageRecord) -> None:
    """What became of the call. Callers make models up, so the name has what stands for them."""
    about: dict[str, str | int | float | Sequence[str]] = {
        "openai_gateway.outcome": record.outcome.value,
        "openai_gateway.attempts": record.attempts,
    }
    if record.model is not None:
        about["openai_gateway.model"] = record.model
    if record.model_label is not None:
        span.update_name(f"{operation} {record.model_label}")
    if record.served_model is not None and record.served_model != record.model:
        about["openai_gateway.served_model"] = record.served_model
    if record.upstream is not None:
        about["openai_gateway.upstream"] = record.upstream
    if record.status is not None:
        about["http.response.status_code"] = record.status
    if record.reason is not None:
        about["openai_gateway.reason"] = record.reason
    if record.limit is not None:
        about["openai_gateway.limit"] = record.limit
    if record.cost is not None:
        about["openai_gateway.cost_usd"] = float(record.cost)
    if record.outcome in FAILED:
        about["error.type"] = record.reason or "_OTHER"
        span.set_status(StatusCode.ERROR)
    span.set_attributes(about)
