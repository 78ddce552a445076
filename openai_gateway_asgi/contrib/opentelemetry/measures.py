"""What is measured of attempts and calls, by the conventions' names and buckets; and a few of the gateway's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from opentelemetry.metrics import Meter

from ...host.records import AttemptRecord, UsageRecord
from ...host.usage import Usage
from ...observe.few_values import FewValues
from .names import INFERENCE, Server

SECONDS = [0.01 * 2**power for power in range(14)]
TOKENS = [4**power for power in range(14)]

Attributes = Mapping[str, str | int]


class Asked(NamedTuple):
    """An attempt as it is measured: only values of the configuration are in it."""

    operation: str
    server: Server
    model: str | None
    streamed: bool

    @property
    def attributes(self) -> dict[str, str | int]:
        found: dict[str, str | int] = {
            "gen_ai.operation.name": self.operation,
            **self.server.attributes,
        }
        if self.model is not None:
            found["gen_ai.request.model"] = self.model
        return found


class Measures:
    """The instruments."""

    def __init__(self, meter: Meter) -> None:
        self._models = FewValues()
        client = "gen_ai.client"
        histogram = meter.create_histogram
        self._durations = {
            kind: histogram(
                f"{client}.{kind}.duration",
                "s",
                "From a request to an upstream to the end of its answer.",
                explicit_bucket_boundaries_advisory=SECONDS,
            )
            for kind in ("inference", "embeddings", "operation")
        }
        self._first_chunk = histogram(
            f"{client}.inference.time_to_first_chunk",
            "s",
            "From a request to an upstream to the first byte of its stream.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._per_call = {
            (kind, side): histogram(
                f"{client}.{kind}.operation.{side}_tokens",
                "{token}",
                "Tokens of one request that was answered.",
                explicit_bucket_boundaries_advisory=TOKENS,
            )
            for kind, side in (("inference", "input"), ("inference", "output"), ("embeddings", "input"))
        }
        self._tokens = {
            name: meter.create_counter(f"{client}.inference.usage.{name}", "{token}", "Tokens used.")
            for name in (
                "input_tokens",
                "output_tokens",
                "cache_read.input_tokens",
                "cache_write.input_tokens",
                "reasoning.output_tokens",
            )
        }
        self._calls = histogram(
            "openai_gateway.call.duration",
            "s",
            "From the arrival of a call to its end.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._cost = meter.create_counter("openai_gateway.cost", "USD", "What calls cost.")
        self._limits = FewValues()
        self._limit_refusals = meter.create_counter(
            "openai_gateway.limit.refusals", "{call}", "Calls that a limit of the gateway's own refused."
        )
        self._store_failures = meter.create_counter(
            "openai_gateway.limit_store.failures", "{operation}", "Operations of the store of limits that failed."
        )
        self._unpriced = meter.create_counter(
            "openai_gateway.unpriced_calls", "{call}", "Calls that used something of unknown price."
        )

    def model(self, label: str | None) -> str | None:
        return None if label is None else self._models.of(label)

    def attempt(self, asked: Asked, attempt: AttemptRecord) -> None:
        attributes, kind = asked.attributes, _kind(asked.operation)
        used = attempt.usage
        if used is not None and kind == "inference":
            for name, modality, number in _counts(used):
                self._tokens[name].add(number, {**attributes, "gen_ai.token.modality": modality})
        if used is not None and attempt.failure is None:
            for side, count in (("input", used.input), ("output", used.output)):
                if count is not None and (kind, side) in self._per_call:
                    self._per_call[kind, side].record(count, attributes)
        if attempt.cost is not None:
            self._cost.add(float(attempt.cost), attributes)
        elif used is not None:
            self._unpriced.add(1, attributes)
        if attempt.failure is not None:
            attributes["error.type"] = attempt.failure.name.lower()
        self._durations[kind].record(attempt.ended - attempt.began, attributes)

    def answered(self, asked: Asked, attempt: AttemptRecord, record: UsageRecord) -> None:
        """The call has come to this attempt."""
        if record.streamed and record.first_byte is not None and _kind(asked.operation) == "inference":
            self._first_chunk.record(max(0.0, record.first_byte - attempt.began), asked.attributes)

    def call(self, record: UsageRecord, operation: str) -> None:
        attributes = {"gen_ai.operation.name": operation, "openai_gateway.outcome": record.outcome.value}
        if (model := self.model(record.model_label)) is not None:
            attributes["gen_ai.request.model"] = model
        self._calls.record(record.total, attributes)
        if record.limit is not None:
            self._limit_refusals.add(1, {**attributes, "openai_gateway.limit": self._limits.of(record.limit)})

    def limit_store_failed(self, operation: str) -> None:
        self._store_failures.add(1, {"openai_gateway.limit_store.operation": operation})


def _kind(operation: str) -> str:
    return "inference" if operation in INFERENCE else "embeddings" if operation == "embeddings" else "operation"


def _counts(usage: Usage) -> list[tuple[str, str, int]]:
    """Each token once among the inputs, and once among the outputs."""
    return [
        *_by_modality("input_tokens", usage.input, usage.audio_input, usage.image_input),
        *_by_modality("output_tokens", usage.output, usage.audio_output, usage.image_output),
        *_by_modality("cache_read.input_tokens", usage.cached or None),
        *_by_modality("cache_write.input_tokens", usage.cache_write or None),
        *_by_modality("reasoning.output_tokens", usage.reasoning or None),
    ]


def _by_modality(
    name: str, whole: int | None, audio: int | None = None, image: int | None = None
) -> list[tuple[str, str, int]]:
    if whole is None:
        return []
    if not audio and not image:
        return [(name, "unknown", whole)]
    parts = [("audio", audio or 0), ("image", image or 0), ("text", max(0, whole - (audio or 0) - (image or 0)))]
    return [(name, modality, number) for modality, number in parts if number]
