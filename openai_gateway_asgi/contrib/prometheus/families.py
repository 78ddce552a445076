"""The metrics, their series, and the few values of their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 600)
OVERHEAD = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
"""Buckets, in seconds."""

M = TypeVar("M", bound=MetricWrapperBase)


class Series(dict[tuple[str, ...], M]):
    """Those of one metric by the values of their labels, in order: the client looks them up three times as slowly."""

    def __init__(self, metric: M) -> None:
        self._metric = metric

    def __missing__(self, labels: tuple[str, ...]) -> M:
        one = self[labels] = self._metric.labels(*labels)
        return one


class Families:
    """The metrics. Times are in seconds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Series[Counter]:
            return Series(Counter(f"openai_gateway_{name}", text, labels, registry=registry))

        def histogram(name: str, text: str, *labels: str, buckets: Sequence[float] = SECONDS) -> Series[Histogram]:
            return Series(Histogram(f"openai_gateway_{name}", text, labels, buckets=buckets, registry=registry))

        def gauge(name: str, text: str, *labels: str, mode: Literal["livesum", "livemax"]) -> Series[Gauge]:
            full = f"openai_gateway_{name}"
            return Series(Gauge(full, text, labels, registry=registry, multiprocess_mode=mode))

        self.calls = counter(
            "calls", "Calls that are over, by how they ended.", "operation", "model", "upstream", "outcome"
        )
        self.call_seconds = histogram("call_seconds", "From the arrival of a call to its end.", "operation", "model")
        self.first_byte_seconds = histogram(
            "first_byte_seconds", "From the arrival of a call to the first byte of its answer.", "operation", "model"
        )
        self.overhead_seconds = histogram(
            "overhead_seconds", "Of a call, what passed outside its attempts.", "operation", buckets=OVERHEAD
        )
        self.refusals = counter("refusals", "Calls that were answered with a 4xx, by reason.", "reason")
        self.limit_refusals = counter(
            "limit_refusals", "Calls that a limit of the gateway's own refused.", "limit", "model"
        )
        self.limit_store_failures = counter(
            "limit_store_failures", "Operations of the store of limits that failed.", "operation"
        )
        self.attempts = counter("attempts", "Requests to upstreams, by what came of them.", "upstream", "result")
        self.tokens = counter(
            "tokens",
            "Tokens used; cached and cache_write are among input, reasoning is among output.",
            "model",
            "upstream",
            "kind",
        )
        self.cost = counter("cost_usd", "What calls cost, in USD.", "model", "upstream")
        self.unpriced = counter("unpriced_calls", "Calls that used something of unknown price.", "model", "upstream")
        self.in_flight = gauge("calls_in_flight", "Requests that are under way.", "upstream", mode="livesum")
        self.breaker_open = gauge(
            "breaker_open",
            "Models of an upstream whose breaker is not closed; of several workers, in the one with the most.",
            "upstream",
            mode="livemax",
        )
