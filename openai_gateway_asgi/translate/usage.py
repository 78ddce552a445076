"""Usage in the words of the other API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .shapes import count_of, object_of


def chat_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """A Responses ``usage`` as chat's."""
    read = count_of(_either(usage, "input_tokens", "prompt_tokens"))
    written = count_of(_either(usage, "output_tokens", "completion_tokens"))
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": count_of(usage.get("total_tokens")) or read + written,
        "prompt_tokens_details": object_of(_either(usage, "input_tokens_details", "prompt_tokens_details")),
        "completion_tokens_details": object_of(_either(usage, "output_tokens_details", "completion_tokens_details")),
    }


def _either(usage: Mapping[str, Any], name: str, other: str) -> Any:
    """Some servers count in the words of the other API."""
    value = usage.get(name)
    return usage.get(other) if value is None else value


def responses_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """A chat ``usage`` as that of Responses. Strict readers require both details, so that what is unknown is 0."""
    read = count_of(_either(usage, "prompt_tokens", "input_tokens"))
    written = count_of(_either(usage, "completion_tokens", "output_tokens"))
    of_read = object_of(_either(usage, "prompt_tokens_details", "input_tokens_details"))
    of_written = object_of(_either(usage, "completion_tokens_details", "output_tokens_details"))
    return {
        "input_tokens": read,
        "input_tokens_details": {
            "cached_tokens": count_of(of_read.get("cached_tokens")),
            "cache_write_tokens": count_of(of_read.get("cache_write_tokens")),
        },
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": count_of(of_written.get("reasoning_tokens"))},
        "total_tokens": count_of(usage.get("total_tokens")) or read + written,
    }
