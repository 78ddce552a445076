"""The periods that limits count in: spans of seconds, and periods of the calendar in a time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

SPANS = {"second": 1, "minute": 60, "hour": 3600}
"""Seconds; what is limited flows back all the while."""

CALENDAR = ("day", "week", "month")
"""They begin at midnight, a week on Monday (ISO 8601), a month on its first."""


@dataclass(frozen=True, slots=True)
class Period:
    """One period of the calendar: its name, such as ``2026-11-28``, and its bounds in seconds since the epoch."""

    name: str
    begins: float
    ends: float


def period_at(now: float, per: str, zone: tzinfo) -> Period:
    """The period of the calendar in which ``now`` (seconds since the epoch) lies."""
    today = datetime.fromtimestamp(now, zone).date()
    if per == "day":
        begins, after = today, today + timedelta(days=1)
    elif per == "week":
        begins = today - timedelta(days=today.weekday())
        after = begins + timedelta(days=7)
    else:
        begins = today.replace(day=1)
        after = (begins + timedelta(days=32)).replace(day=1)
    return Period(begins.isoformat(), _midnight(begins, zone), _midnight(after, zone))


def _midnight(day: date, zone: tzinfo) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
