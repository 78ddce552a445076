"""Usage in the words of the other API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .shapes import count_of, object_of


def chat_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """A Responses ``usage`` as chat's."""
    return {
        "prompt_tokens": count_of(usage.get("input_tokens")),
        "completion_tokens": count_of(usage.get("output_tokens")),
        "total_tokens": count_of(usage.get("total_tokens")),
        "prompt_tokens_details": object_of(usage.get("input_tokens_details")),
        "completion_tokens_details": object_of(usage.get("output_tokens_details")),
    }


def responses_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """A chat ``usage`` as that of Responses. Strict readers require both details, so that what is unknown is 0."""
    read = object_of(usage.get("prompt_tokens_details"))
    written = object_of(usage.get("completion_tokens_details"))
    input, output = count_of(usage.get("prompt_tokens")), count_of(usage.get("completion_tokens"))
    return {
        "input_tokens": input,
        "input_tokens_details": {
            "cached_tokens": count_of(read.get("cached_tokens")),
            "cache_write_tokens": count_of(read.get("cache_write_tokens")),
        },
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": count_of(written.get("reasoning_tokens"))},
        "total_tokens": count_of(usage.get("total_tokens")) or input + output,
    }
