"""Traces and metrics for OpenTelemetry: ``instrument(gateway)``. Needs the extra ``otel``, the API alone.

One span per call, and a CLIENT span below it for each attempt at an upstream, in the words of the semantic conventions
for generative AI, v0.1.0. No prompts, no answers, no users. Without an SDK calls are not looked at.
"""

from __future__ import annotations

from weakref import WeakSet

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from ... import __version__
from ...errors import ConfigError
from ...gateway import Gateway
from ...http.headers import AllowList
from ...observe import CallFacts, CallObserver
from .calls import OneCall
from .measures import Measures

__all__ = ["instrument"]

NAME = "openai_gateway_asgi"
LOOKS = 1.0
"""Seconds between looks at whether the process has providers by now."""
_instrumented: WeakSet[Gateway] = WeakSet()


def instrument(
    gateway: Gateway, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
) -> None:
    """Traces and measures the gateway's calls from now on.

    The providers are the process's own where none is given; those may be set later. Raises ``ConfigError`` for a
    gateway that is instrumented already.
    """
    if gateway in _instrumented:
        raise ConfigError("gateway", "is instrumented already; call instrument() once")
    sends = bool(AllowList(gateway.settings.forwarded_headers).select([(b"traceparent", b"")], {}))
    gateway.observe(_Instrumented(tracer_provider, meter_provider, sends=sends))
    _instrumented.add(gateway)


class _Instrumented:
    def __init__(
        self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None, *, sends: bool
    ) -> None:
        self._given = tracer_provider, meter_provider
        self._tracer = trace.get_tracer(NAME, __version__, tracer_provider)
        self._measures = Measures(metrics.get_meter(NAME, __version__, meter_provider))
        self._sends = sends
        self._traced = self._measured = False
        self._look_at = float("-inf")

    def call_started(self, call: CallFacts) -> CallObserver | None:
        if call.arrived >= self._look_at:
            self._look(call.arrived)
        traced, measured = self._traced, self._measured
        if not traced and not measured:
            return None
        return OneCall(
            call,
            self._tracer if traced else None,
            self._measures if measured else None,
            sends=self._sends,
        )

    def limit_store_failed(self, operation: str) -> None:
        self._measures.limit_store_failed(operation)

    def _look(self, now: float) -> None:
        """Whether anybody takes spans and metrics: to ask for the process's providers costs microseconds."""
        tracer_provider, meter_provider = self._given
        self._traced = _is_real(tracer_provider or trace.get_tracer_provider())
        self._measured = _is_real(meter_provider or metrics.get_meter_provider())
        self._look_at = now + LOOKS


def _is_real(provider: TracerProvider | MeterProvider) -> bool:
    """Those of the API alone do nothing, or wait for another to be set."""
    return not type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))
