"""A Responses stream that is mended on its way."""

from __future__ import annotations

from ..http.stages import EventsOnly, too_long
from .repair import Repair
from .wire import comments_apart, named_event, values_in

_OF_ITEM = b'"response.output_item.'


class Repaired(EventsOnly):
    """A stage of one attempt (``http/stages.py``)."""

    def __init__(self, *, limit: int) -> None:
        """``limit``: bytes that are kept of what was said."""
        self._limit = limit
        self._repair = Repair()

    def events(self, events: bytes) -> bytes:
        comments, events = comments_apart(events)
        told = [comments]
        if events.find(_OF_ITEM) >= 0:
            self._repair.kept += len(events)  # for the final event repeats items as they came
        for value in values_in(events):
            told += [named_event(event) for event in self._repair.feed(value)]
        if self._repair.kept > self._limit:
            raise too_long(self._limit, "an answer")
        return b"".join(told)

    def next_number(self) -> int:
        return self._repair.next_number
