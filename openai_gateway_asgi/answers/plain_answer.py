"""What nearly every answer in JSON is: an object of the API's that tells of no failure. One look finds out."""

from __future__ import annotations

from typing import Any

import msgspec

from .error_names import GAVE_UP

LONGEST = 64 * 1024
"""Bytes; of longer ones each reader looks for what it needs."""


class _Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    error: None = None


class PlainAnswer(msgspec.Struct, gc=False):
    """Whatever could be an error has to be missing, or null: ``upstream_errors`` reads the others."""

    object: str
    type: None = None
    error: None = None
    errors: None = None
    base_resp: None = None
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(PlainAnswer).decode


def plain_answer(body: bytes) -> PlainAnswer | None:
    """The answer, where it is whole and plainly no error; None means no more than that it has to be looked into."""
    if len(body) > LONGEST:
        return None
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not answer.object or answer.object == "error":
        return None
    for choice in answer.choices or ():
        if choice.finish_reason in GAVE_UP:
            return None
    return answer
