"""Calls and their attempts as they are counted."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from types import MappingProxyType
from weakref import WeakMethod

from ...gateway import Gateway
from ...host.records import AttemptRecord, Outcome, UsageRecord
from ...observe import AttemptFacts, CallFacts, CallObserver
from ...observe.few_values import FewValues
from .families import Families

REST = 20
"""Times the duration of the last look at the breakers that pass until the next one, while calls fail."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Metrics:
    """Looks on at all calls of one gateway."""

    def __init__(self, gateway: Gateway, families: Families, *, shared: bool) -> None:
        self.families = families
        self.models = FewValues()
        self.upstreams = FewValues()
        self.operations = FewValues()
        self.reasons = FewValues()
        self.limits = FewValues()
        self._health = WeakMethod(gateway.health)
        self._shared = shared
        self._look_at = float("-inf")
        self._opened: set[str] = set()

    def call_started(self, call: CallFacts) -> CallObserver:
        return _Call(self)

    def look_at_breakers(self) -> None:
        """They open and close with time too, so they are looked at before the page is made."""
        began = monotonic()
        health = self._health()
        if health is None:
            return
        found = {name: len(each.breakers) for name, each in health().upstreams.items()}
        gone = self._opened - found.keys()
        for name, number in (found | dict.fromkeys(gone, 0)).items():
            self.families.breaker_open[self.upstreams.of(name),].set(number)
        self._opened = {name for name, number in found.items() if number}
        now = monotonic()
        self._look_at = now + REST * (now - began)

    def limit_store_failed(self, operation: str) -> None:
        self.families.limit_store_failures[operation,].inc()

    def finished(self, record: UsageRecord) -> None:
        families, operation = self.families, self.operations.of(record.operation)
        model, upstream = self.models.of(record.model_label), self.upstreams.of(record.upstream)
        families.calls[operation, model, upstream, record.outcome.value].inc()
        families.call_seconds[operation, model].observe(record.total)
        if record.first_byte is not None:
            families.first_byte_seconds[operation, model].observe(record.first_byte)
        if record.tries:
            spent = sum([each.ended - each.began for each in record.tries])
            families.overhead_seconds[operation,].observe(max(0.0, record.total - spent))
        if record.outcome is Outcome.REJECTED:
            families.refusals[self.reasons.of(record.reason),].inc()
        if record.limit is not None:
            families.limit_refusals[self.limits.of(record.limit), model].inc()
        for each in record.tries:
            if each.usage is not None or each.cost is not None:
                self._count(each, model)
        if self._shared:
            self._look_if_due(record)

    def _look_if_due(self, record: UsageRecord) -> None:
        """Whoever makes the page may be another worker."""
        failing = self._opened or any(each.failure for each in record.tries)
        if failing and monotonic() >= self._look_at:
            self.look_at_breakers()

    def _count(self, attempt: AttemptRecord, model: str) -> None:
        tokens, upstream = self.families.tokens, self.upstreams.of(attempt.upstream)
        for kind in ("input", "output", "cached", "cache_write", "reasoning"):
            if number := getattr(attempt.usage, kind, None):
                tokens[model, upstream, kind].inc(number)
        if attempt.cost is None:
            self.families.unpriced[model, upstream].inc()
        else:
            self.families.cost[model, upstream].inc(float(attempt.cost))


class _Call:
    """One call: which upstream is at work for it."""

    __slots__ = ("_at", "_metrics")

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._at: str | None = None

    def attempt_started(self, attempt: AttemptFacts) -> Mapping[str, str]:
        self._at = self._metrics.upstreams.of(attempt.upstream)
        self._metrics.families.in_flight[self._at,].inc()
        return NO_HEADERS

    def attempt_ended(self, attempt: AttemptRecord) -> None:
        self._end(_result(attempt))

    def finished(self, record: UsageRecord) -> None:
        if self._at is not None:
            self._end("unknown")  # it outlives its call: others go on listening
        self._metrics.finished(record)

    def _end(self, result: str) -> None:
        if self._at is not None:
            families = self._metrics.families
            families.in_flight[self._at,].dec()
            families.attempts[self._at, result].inc()
            self._at = None


def _result(attempt: AttemptRecord) -> str:
    """The kind of its failure; ``abandoned`` and ``internal`` were nobody's at the upstream."""
    if attempt.failure is not None:
        return attempt.failure.name.lower()
    return "ok" if attempt.cause is None else attempt.cause.what
