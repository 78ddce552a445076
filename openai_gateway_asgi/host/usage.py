"""What a call used, in one form for every API and provider.

``normal_usage`` reads the mapping that an upstream sent. A count that it does not name is None, which is unknown and
never 0. ``input`` holds what was read from a cache, and ``output`` what was reasoned, as OpenAI counts; providers that
count them apart are added up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

LARGEST = 2**53
"""What is larger is no count: JSON's numbers are not exact beyond it (RFC 8259, section 6)."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens, and what is counted otherwise. None is unknown."""

    input: int | None = None
    """Tokens of the request, those read from a cache among them."""
    output: int | None = None
    """Tokens of the answer, reasoning among them."""
    cached: int | None = None
    """Input tokens that were read from the provider's cache."""
    cache_write: int | None = None
    """Input tokens that were written to it."""
    reasoning: int | None = None
    """Output tokens that nobody sees."""
    audio_input: int | None = None
    audio_output: int | None = None
    image_input: int | None = None
    image_output: int | None = None
    seconds: float | None = None
    """Of audio that was transcribed or translated."""
    characters: int | None = None
    """Of text that was spoken."""
    images: int | None = None
    """That were made, where the upstream counts no tokens for them."""
    estimated: bool = False
    """Whether the gateway counted, because the upstream told nothing, or its client left before it could."""

    @property
    def tokens(self) -> int | None:
        """Input and output together; None where neither is known."""
        if self.input is None and self.output is None:
            return None
        return (self.input or 0) + (self.output or 0)

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return any(getattr(self, name) is not None for name in COUNTS)


COUNTS = tuple(name for name in Usage.__struct_fields__ if name != "estimated")

# In the words of OpenAI's schemas (CompletionUsage, ResponseUsage, ImagesUsage, TranscriptTextUsageTokens, Realtime),
# vLLM, Groq, DeepSeek, Ollama, llama.cpp, Gemini, Cohere; the first one that is there counts.
_PATHS: dict[str, tuple[str, ...]] = {
    "input": (
        "prompt_tokens",
        "input_tokens",
        "promptTokenCount",
        "prompt_eval_count",
        "tokens_evaluated",
        "prompt_n",
        "tokens.input_tokens",
        "billed_units.input_tokens",
    ),
    "output": (
        "completion_tokens",
        "output_tokens",
        "candidatesTokenCount",
        "eval_count",
        "tokens_predicted",
        "predicted_n",
        "tokens.output_tokens",
        "billed_units.output_tokens",
    ),
    "cached": (
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "input_token_details.cached_tokens",
        "prompt_cache_hit_tokens",
        "cache_read_input_tokens",
        "cachedContentTokenCount",
        "cached_tokens",
        "cache_n",
    ),
    "cache_write": (
        "prompt_tokens_details.cache_write_tokens",
        "input_tokens_details.cache_write_tokens",
        "cache_creation_input_tokens",
    ),
    "reasoning": (
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
        "output_token_details.reasoning_tokens",
        "thoughtsTokenCount",
        "reasoning_tokens",
    ),
    "audio_input": (
        "prompt_tokens_details.audio_tokens",
        "input_tokens_details.audio_tokens",
        "input_token_details.audio_tokens",
    ),
    "audio_output": (
        "completion_tokens_details.audio_tokens",
        "output_tokens_details.audio_tokens",
        "output_token_details.audio_tokens",
    ),
    "image_input": (
        "prompt_tokens_details.image_tokens",
        "input_tokens_details.image_tokens",
        "input_token_details.image_tokens",
    ),
    "image_output": (
        "completion_tokens_details.image_tokens",
        "output_tokens_details.image_tokens",
        "output_token_details.image_tokens",
    ),
}
_READ = {name: tuple(tuple(path.split(".")) for path in paths) for name, paths in _PATHS.items()}
# Anthropic's API, and what passes its usage on, counts what it cached beside the input and not in it.
_BESIDE_INPUT = ("cache_read_input_tokens", "cache_creation_input_tokens")
# Gemini counts thoughts beside the candidates.
_BESIDE_OUTPUT = ("thoughtsTokenCount",)
_NAMES = frozenset(path[0] for paths in _READ.values() for path in paths) | {
    "total_tokens",
    "totalTokenCount",
    "seconds",
}


def counts_something(raw: Mapping[str, Any]) -> bool:
    """Whether a mapping is the usage of some provider."""
    return not _NAMES.isdisjoint(raw)


def normal_usage(raw: Mapping[str, Any] | None) -> Usage | None:
    """The one form of what an upstream sent; None where it sent nothing that is known here."""
    if not raw:
        return None
    usual = _usual_usage(raw)
    return _any_usage(raw) if usual is None else usual


_USUAL = frozenset(
    """prompt_tokens completion_tokens input_tokens output_tokens total_tokens prompt_tokens_details
    completion_tokens_details input_tokens_details output_tokens_details""".split()
)
_DETAILS = frozenset(
    """cached_tokens cache_write_tokens audio_tokens image_tokens reasoning_tokens text_tokens
    accepted_prediction_tokens rejected_prediction_tokens""".split()
)


def _usual_usage(raw: Mapping[str, Any]) -> Usage | None:
    """What nearly every answer has, in one look: OpenAI's own fields, as whole numbers. None for anything else."""
    if not raw.keys() <= _USUAL:
        return None
    chat = "prompt_tokens" in raw
    read = raw.get("prompt_tokens_details" if chat else "input_tokens_details") or _NOTHING
    written = raw.get("completion_tokens_details" if chat else "output_tokens_details") or _NOTHING
    input = raw.get("prompt_tokens" if chat else "input_tokens")
    output = raw.get("completion_tokens" if chat else "output_tokens")
    if type(input) is not int or type(output) is not int or input < 0 or output < 0:
        return None
    total = input + output
    if total > LARGEST or raw.get("total_tokens") != total:
        return None
    if read is _NOTHING and written is _NOTHING:
        return Usage(input=input, output=output)
    if type(read) is not dict or type(written) is not dict or not (read.keys() | written.keys()) <= _DETAILS:
        return None
    for count in (*read.values(), *written.values()):
        if type(count) is not int or count < 0 or count > total:
            return None
    return Usage(
        input=input,
        output=output,
        cached=read.get("cached_tokens"),
        cache_write=read.get("cache_write_tokens"),
        reasoning=written.get("reasoning_tokens"),
        audio_input=read.get("audio_tokens"),
        audio_output=written.get("audio_tokens"),
        image_input=read.get("image_tokens"),
        image_output=written.get("image_tokens"),
    )


_NOTHING: dict[str, Any] = {}


def _any_usage(raw: Mapping[str, Any]) -> Usage | None:
    found: dict[str, Any] = {name: _first(raw, paths) for name, paths in _READ.items()}
    if found["input"] is not None and "prompt_tokens" not in raw:
        found["input"] += sum(_count(raw.get(name)) or 0 for name in _BESIDE_INPUT)
    if found["output"] is not None and "completion_tokens" not in raw:
        found["output"] += sum(_count(raw.get(name)) or 0 for name in _BESIDE_OUTPUT)
    _complete_from_total(raw, found)
    if raw.get("type") == "duration":
        found["seconds"] = _seconds(raw.get("seconds"))
    usage = Usage(**found)
    return usage or None


def _complete_from_total(raw: Mapping[str, Any], found: dict[str, Any]) -> None:
    """Embeddings of some providers name the total alone; vLLM's count of an answer may be the total less the prompt."""
    total = _count(raw.get("total_tokens")) if "total_tokens" in raw else _count(raw.get("totalTokenCount"))
    if total is None:
        return
    if found["input"] is None and found["output"] is None:
        found["input"] = total
    elif found["output"] is None and found["input"] is not None and total > found["input"]:
        found["output"] = total - found["input"]
    elif found["input"] is None and found["output"] is not None and total > found["output"]:
        found["input"] = total - found["output"]
    elif found["input"] is not None and found["output"] is not None:
        # xAI counts what was reasoned beside the answer, and so does Gemini, which names it in the total alone.
        beside = total - found["input"] - found["output"]
        if beside > 0 and found["reasoning"] in (None, beside):
            found["output"] += beside


def _first(raw: Mapping[str, Any], paths: tuple[tuple[str, ...], ...]) -> int | None:
    return next((count for count in _counts(raw, paths) if count is not None), None)


def _counts(raw: Mapping[str, Any], paths: tuple[tuple[str, ...], ...]) -> Iterator[int | None]:
    for path in paths:
        value: Any = raw
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        yield _count(value)


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= LARGEST and value == value // 1 else None


def reported_cost(raw: Mapping[str, Any]) -> Decimal | None:
    """What an upstream says that the call cost, in USD, as OpenRouter does; None for what is no amount."""
    told = raw.get("cost")
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    cost = Decimal(str(told))
    return cost if cost.is_finite() and cost >= 0 else None


def _seconds(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LARGEST
    return float(value) if known else None


def added(one: Usage | None, other: Usage | None) -> Usage | None:
    """What two attempts of one call used together; what is unknown of both stays unknown."""
    if one is None or other is None:
        return one or other
    sums = {name: _sum(getattr(one, name), getattr(other, name)) for name in COUNTS}
    return Usage(**sums, estimated=one.estimated or other.estimated)


def _sum(one: Any, other: Any) -> Any:
    return other if one is None else one if other is None else one + other
