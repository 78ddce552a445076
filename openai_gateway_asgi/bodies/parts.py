"""How much there is to take to pieces in a field of a request: that is what decoding it costs, not its bytes."""

from __future__ import annotations

import json
import re

import msgspec

from ..errors import PayloadTooLarge

LITTLE = 32 * 1024
"""Bytes of a value up to which nothing is counted: more parts than may be are not in it."""
LARGE = 256 * 1024
"""Bytes of a value from which on others have a turn before it is read, or read again."""
MOST_PARTS = 12_000
"""Objects and lists of a value that is decoded, or translated: with more other calls would wait for more than 50 ms."""
MOST_TEXTS = 200_000
"""Keys and texts of such a value."""
MOST_VALUES = 250_000
"""Commas between its values, be they texts or numbers."""
MOST_ESCAPES = 1_500_000
"""Backslashes in its texts, where these are decoded as well."""
LONGEST_FIRST = 1024 * 1024
"""Bytes of the first element of a long list that is read by itself."""

_MARKS = b'{[",'
_OTHERS = bytes(set(range(256)) - set(_MARKS))
_TEXT = re.compile(rb'"[^"]*+"')
_raw_decode = json.JSONDecoder(strict=False).raw_decode


def refuse_many_parts(name: str, raw: msgspec.Raw) -> None:
    """Raises ``PayloadTooLarge`` for a value that would take too long to decode. Braces in texts do not count."""
    if len(memoryview(raw)) > LITTLE and _has_many(bytes(raw)):
        raise PayloadTooLarge(
            f"`$.{name}` has more than {MOST_PARTS} objects and lists, {MOST_TEXTS} texts or {MOST_VALUES} values, "
            "which the gateway takes to pieces for this call.",
            param=name,
        )


def refuse_many_escapes(name: str, raw: msgspec.Raw) -> None:
    """The same for its texts. Where these keep their bytes, as in a translation, escapes cost little."""
    if len(memoryview(raw)) > LITTLE and bytes(raw).count(b"\\") > MOST_ESCAPES:
        raise PayloadTooLarge(
            f"`$.{name}` has more than {MOST_ESCAPES} backslashes, which is more than the gateway decodes for "
            "this call.",
            param=name,
        )


def _has_many(data: bytes) -> bool:
    few = data.count(b"{") + data.count(b"[") <= MOST_PARTS and _keys(data) <= MOST_TEXTS
    if few and data.count(b",") <= MOST_VALUES:
        return False  # nearly all, and without a look at what is in texts
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")  # what is left of quotes begins or ends a text
    marks = data.translate(None, _OTHERS)
    if marks.count(b'"') > 2 * MOST_TEXTS:
        return True
    # Texts without brackets; to take out two quotes beside each other changes nothing about all others.
    outside = _TEXT.sub(b"", marks.replace(b'""', b""))
    values = outside.count(b",")
    return values > MOST_VALUES or len(outside) - values > MOST_PARTS


def _keys(data: bytes) -> int:
    """At most so many. To look for one character alone costs a tenth where texts are full of quotes."""
    colons = data.count(b":")
    return colons if colons <= MOST_TEXTS else data.count(b'":')


def first_element(name: str, data: memoryview) -> tuple[int, int] | None:
    """Where the first element of a list begins and ends; None where it has none. What is behind it is not looked at.

    ``data`` is good JSON. Raises ``PayloadTooLarge`` for an element longer than ``LONGEST_FIRST``.
    """
    # One character for each byte: nothing but the structure matters, which is ASCII.
    text = bytes(data[: LONGEST_FIRST + 1]).decode("latin-1")
    begin = len(text) - len(text[1:].lstrip(" \t\r\n"))
    if text[begin : begin + 1] == "]":
        return None
    try:
        _, end = _raw_decode(text, begin)
    except (ValueError, RecursionError) as error:
        raise PayloadTooLarge(
            f"`$.{name}[0]` is larger than the {LONGEST_FIRST} bytes that the gateway reads of it for this call.",
            param=f"{name}[0]",
        ) from error
    return begin, end
