"""What presets add to a call, in instructions of the interpreter; ``bench/README.md`` has microseconds."""

from __future__ import annotations

import pytest

from bench import in_process
from tests.support.call_costs import EVENTS, cost_of


@pytest.mark.parametrize(("profile", "most"), [("alias", 255), ("preset", 585)])
def test_a_call_costs_little_more_where_a_preset_is_asked_for(profile: str, most: int) -> None:
    """As counted on Python 3.11: 228 and 530."""
    assert cost_of(profile) - cost_of("plain") < most


def test_a_stream_pays_for_its_name_by_the_event_and_little_for_its_beginning() -> None:
    """As counted on Python 3.11: 77 an event, which takes some 0.7 us, and 775 beside them."""
    short, long = (cost_of("alias", stream=True, user=user) for user in ("someone", "a long one"))
    plain, plain_long = (cost_of("plain", stream=True, user=user) for user in ("someone", "a long one"))
    an_event = ((long - plain_long) - (short - plain)) / EVENTS
    assert an_event < 85
    assert short - plain - an_event * len(in_process.STREAM) < 850
