"""The ``retry-after`` of an answer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST = 24 * 3600.0
"""Seconds for which an upstream may ask to be left alone at most; a longer time counts as this one."""


def retry_after(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    """Seconds, of ``retry-after-ms`` (OpenAI, Azure) or ``retry-after`` (RFC 9110, 10.2.3: seconds or a date)."""
    found = {name: value for name, value in headers if name in (b"retry-after", b"retry-after-ms")}
    milliseconds = _number(found.get(b"retry-after-ms"))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000)
    value = found.get(b"retry-after")
    seconds = _number(value)
    if seconds is None and value is not None:
        seconds = _until(value)
    return None if seconds is None else _bounded(seconds)


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST)


def _number(value: bytes | None) -> float | None:
    try:
        number = float(value or b"")
    except ValueError:
        return None
    return number if number == number else None


def _until(value: bytes) -> float | None:
    try:
        date = parsedate_to_datetime(value.decode("latin-1"))
    except (ValueError, OverflowError):  # of numbers that no clock has
        return None
    return (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
