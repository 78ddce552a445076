"""JSON as upstreams and handlers write it: halves of letters, which are cut anywhere, and integers of any size."""

from __future__ import annotations

import json
import secrets
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
    """``Raw`` values in it keep their bytes. Raises ``TypeError`` or ``ValueError`` for what JSON cannot say."""
    try:
        return _encode(value)
    except (OverflowError, UnicodeEncodeError):
        return _leniently(value)


def _leniently(value: Any) -> bytes:
    """As ``as_json``, by the library that knows no ``Raw``: a mark, which nobody can guess, holds the place of each."""
    mark, kept = secrets.token_hex(), list[bytes]()

    def held(value: Any) -> str:
        if not isinstance(value, msgspec.Raw):
            raise TypeError(f"JSON cannot say a {type(value).__name__}")
        kept.append(bytes(value))
        return mark

    first, *others = json.dumps(value, separators=(",", ":"), default=held).encode().split(f'"{mark}"'.encode())
    return b"".join([first, *(part for pair in zip(kept, others, strict=True) for part in pair)])
