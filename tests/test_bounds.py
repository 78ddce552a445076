"""The page on bounds says what is there: every number that bounds something, with what it bounds."""

from __future__ import annotations

import pytest

from docs import bounds

CONSTANTS = {name: said for name, _, said in bounds.constants()}


def test_the_page_is_what_the_code_says() -> None:
    assert bounds.PAGE.read_text() == bounds.page(), "write it anew: python -m docs.bounds"


@pytest.mark.parametrize("name", sorted(CONSTANTS.keys() - bounds.NOT_BOUNDS))
def test_every_number_says_what_it_bounds(name: str) -> None:
    assert CONSTANTS[name], "say it in a line below the number; if it bounds nothing, in docs/bounds.py"


def test_what_bounds_nothing_is_there() -> None:
    assert bounds.NOT_BOUNDS.keys() <= CONSTANTS.keys()


def test_every_room_has_its_title() -> None:
    rooms = {name.partition(".")[0] for name in CONSTANTS}
    assert {room for room in rooms if (bounds.PACKAGE / room).is_dir()} <= bounds.ROOMS.keys()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("MOST = 3\n'''Of them.'''", [("m.MOST", 3, "Of them.")]),
        ("_MOST: Final = 2 * KIB  # bytes of it", [("m._MOST", 2048, "Bytes of it.")]),
        ("ONE = 0.5\nTWO = 2 * ONE\n'''Seconds\nof it.'''", [("m.ONE", 0.5, ""), ("m.TWO", 1.0, "Seconds of it.")]),
        ("NAME = 'x'\nlower = 3\nMOST = len('x')\nYES = True\nclass A:\n    MOST = 3", []),
    ],
)
def test_numbers_are_found_wherever_they_stand(source: str, found: list[tuple[str, float, str]]) -> None:
    assert list(bounds._constants("m", source)) == found


@pytest.mark.parametrize(
    ("value", "said", "shown"),
    [
        (65536, "Bytes of it.", "64 KiB"),
        (60000, "Bytes of it.", "60,000 bytes"),
        (1024**3, "The longest, in bytes.", "1 GiB"),
        (0.25, "How long it may take.", "0.25 s"),
        (5, "Seconds.", "5 s"),
        (100_000, "Models, of a few bytes each.", "100,000"),
        (None, "Seconds.", "none"),
    ],
)
def test_a_bound_is_shown_in_its_unit(value: float | None, said: str, shown: str) -> None:
    assert bounds._shown(value, said) == shown
