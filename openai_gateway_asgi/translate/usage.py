"""Usage in the words of the other API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def chat_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """A Responses ``usage`` as chat's."""
    return {
        "prompt_tokens": usage.get("input_tokens", 0),
        "completion_tokens": usage.get("output_tokens", 0),
        "total_tokens": usage.get("total_tokens", 0),
        "prompt_tokens_details": dict(_object(usage.get("input_tokens_details"))),
        "completion_tokens_details": dict(_object(usage.get("output_tokens_details"))),
    }


def responses_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """A chat ``usage`` as that of Responses. Strict readers require both details, so that what is unknown is 0."""
    read = _object(usage.get("prompt_tokens_details"))
    written = _object(usage.get("completion_tokens_details"))
    input, output = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    return {
        "input_tokens": input,
        "input_tokens_details": {
            "cached_tokens": read.get("cached_tokens") or 0,
            "cache_write_tokens": read.get("cache_write_tokens") or 0,
        },
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": written.get("reasoning_tokens") or 0},
        "total_tokens": usage.get("total_tokens") or input + output,
    }


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
