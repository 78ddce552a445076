"""JSON as upstreams and handlers write it: halves of letters, which are cut anywhere, and integers of any size."""

from __future__ import annotations

import json
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def read_loosely(data: bytes) -> Any:
    """The value; what is no UTF-8 in it as U+FFFD. Raises ``ValueError`` for what is no JSON all the same."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(data.decode("utf-8", "replace"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def as_json(value: Any) -> bytes:
    """Raises ``TypeError`` or ``ValueError`` for what JSON cannot say."""
    try:
        return _encode(value)
    except (OverflowError, UnicodeEncodeError):
        return json.dumps(value, separators=(",", ":")).encode()
