from __future__ import annotations

import asyncio

import pytest

from openai_gateway_asgi.host.notices import EVERY, LONGEST, MOST_KINDS, Notices, shown
from tests.support.clock import Clock

LOGGER = "openai_gateway_asgi"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def notices(clock: Clock) -> Notices:
    return Notices(clock=clock)


def test_the_first_of_a_kind_is_told_at_once_with_what_was_seen(
    notices: Notices, caplog: pytest.LogCaptureFixture
) -> None:
    notices.warn("cross_site_request", "Do this.", seen="an origin")

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "cross_site_request: Do this. Seen: an origin.")
    ]


def test_those_of_the_next_minute_are_told_as_a_number_with_the_last(
    notices: Notices, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1_000):
        notices.warn("cross_site_request", "Do this.", seen=f"origin {number}")
    assert len(caplog.records) == 1

    clock.now = EVERY
    notices.warn("cross_site_request", "Do this.", seen="origin again")

    assert caplog.messages[1:] == [
        "cross_site_request: 999 more since the last such line. The last: origin 999.",
        "cross_site_request: Do this. Seen: origin again.",
    ]


def test_kinds_do_not_wait_for_one_another_and_one_tells_of_what_another_held(
    notices: Notices, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    notices.warn("a", "A.")
    notices.warn("a", "A.")
    notices.warn("b", "B.")
    clock.now = EVERY + 1
    notices.warn("c", "C.")

    assert caplog.messages == ["a: A.", "b: B.", "a: 1 more since the last such line.", "c: C."]


def test_what_is_remembered_is_bounded(notices: Notices) -> None:
    for number in range(MOST_KINDS * 3):
        notices.warn(f"kind {number}", "Text.")

    assert len(notices._kinds) == MOST_KINDS


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"https://a.example", "https://a.example"),
        (b"a\r\nb: forged", "a\\r\\nb: forged"),
        ("snow \u2028 man", "snow \\u2028 man"),
        (b"x" * 10_000, "x" * LONGEST + "..."),
    ],
)
def test_what_a_client_sent_is_shown_in_one_short_line(value: bytes | str, expected: str) -> None:
    assert shown(value) == expected


async def test_a_flood_that_has_ended_is_told_by_itself(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openai_gateway_asgi.host.notices.EVERY", 0.02)
    notices = Notices()
    for number in range(5):
        notices.warn("kind", "Do this.", seen=str(number))
    async with asyncio.timeout(5):
        while len(caplog.records) < 2:
            await asyncio.sleep(0.005)
    assert caplog.records[-1].getMessage() == "kind: 4 more since the last such line. The last: 4."


def test_what_must_be_the_same_tells_floods_apart(notices: Notices, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        for name in ("a", "b"):
            notices.warn("kind", f"{name} {number}", same=name, extra={"which": name})
    assert [record.getMessage() for record in caplog.records] == ["kind: a 0", "kind: b 0"]
    notices.flush()
    told = caplog.records[2:]
    assert [record.getMessage() for record in told] == [
        f"kind: 2 more since the last such line. The last: {name} 2." for name in ("a", "b")
    ]
    assert [(record.name, record.more) for record in told] == [(LOGGER, 2), (LOGGER, 2)]  # type: ignore[attr-defined]
