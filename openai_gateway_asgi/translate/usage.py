"""Usage in the words of the other API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .shapes import count_of, object_of


def chat_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """A Responses ``usage`` as chat's."""
    return chat_counts(
        count_of(_either(usage, "input_tokens", "prompt_tokens")),
        count_of(_either(usage, "output_tokens", "completion_tokens")),
        count_of(usage.get("total_tokens")),
        object_of(_either(usage, "input_tokens_details", "prompt_tokens_details")),
        object_of(_either(usage, "output_tokens_details", "completion_tokens_details")),
    )


def _either(usage: Mapping[str, Any], name: str, other: str) -> Any:
    """Some servers count in the words of the other API."""
    value = usage.get(name)
    return usage.get(other) if value is None else value


def chat_counts(
    input: int, output: int, total: int, read: Mapping[str, Any], written: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": total or input + output,
        "prompt_tokens_details": read,
        "completion_tokens_details": written,
    }


def responses_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """A chat ``usage`` as that of Responses. Strict readers require both details, so that what is unknown is 0."""
    read = object_of(_either(usage, "prompt_tokens_details", "input_tokens_details"))
    written = object_of(_either(usage, "completion_tokens_details", "output_tokens_details"))
    return responses_counts(
        count_of(_either(usage, "prompt_tokens", "input_tokens")),
        count_of(_either(usage, "completion_tokens", "output_tokens")),
        count_of(usage.get("total_tokens")),
        count_of(read.get("cached_tokens")),
        count_of(read.get("cache_write_tokens")),
        count_of(written.get("reasoning_tokens")),
    )


def responses_counts(
    input: int, output: int, total: int, cached: int, cache_write: int, reasoning: int
) -> dict[str, Any]:
    return {
        "input_tokens": input,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": cache_write},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": total or input + output,
    }
