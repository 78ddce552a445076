"""The same parts, however the body was cut on its way."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi.bodies.multipart import Event, Parser, Part, PartEnd
from openai_gateway_asgi.errors import InvalidRequest
from tests.bodies.multipart.forms import BOUNDARY, FILE, FILE_HEAD, MODEL, MODEL_HEAD, cut, field, form, merged, read
from tests.support.cost import assert_costs

ALMOST = b"\r\n--frontie\r\n--\r\r\n-\r\n--frontieR \r\n\r\n--fron\r\r\n--frontie"
BODY = form(MODEL, (FILE_HEAD, ALMOST), field("empty", b""), field("breaks", b"\r\n\r\n"), field("end", b"\r"))
EVENTS: list[Event] = [
    Part("model"),
    b"whisper-1",
    PartEnd(),
    Part("file", "a.mp3", "audio/mpeg"),
    ALMOST,
    PartEnd(),
    Part("empty"),
    PartEnd(),
    Part("breaks"),
    b"\r\n\r\n",
    PartEnd(),
    Part("end"),
    b"\r",
    PartEnd(),
]


def test_content_that_looks_like_a_boundary_is_content() -> None:
    assert read([BODY]) == EVENTS


@pytest.mark.parametrize("position", range(len(BODY) + 1))
def test_a_cut_at_any_place_changes_nothing(position: int) -> None:
    assert read([BODY[:position], BODY[position:]]) == EVENTS


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 13, 64])
def test_pieces_of_any_size_change_nothing(size: int) -> None:
    assert read(cut(BODY, size)) == EVENTS


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(0, len(BODY))))
def test_cuts_at_many_places_change_nothing(places: list[int]) -> None:
    edges = [0, *sorted(places), len(BODY)]

    assert read(BODY[start:end] for start, end in itertools.pairwise(edges)) == EVENTS


CONTENTS = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"--", b"front", b"frontie", b"r\r\n", b"x", b"\x00\xff"]), max_size=12
).map(b"".join)


@settings(deadline=None, derandomize=True)
@given(st.lists(CONTENTS.filter(lambda content: b"\r\n--frontier" not in b"\r\n" + content), min_size=1, max_size=4))
def test_every_content_arrives_as_it_was(contents: list[bytes]) -> None:
    body = form(*(field(f"f{number}", content) for number, content in enumerate(contents)))
    expected: list[Event] = []
    for number, content in enumerate(contents):
        expected += [Part(f"f{number}"), *([content] if content else []), PartEnd()]

    assert read([body]) == read(cut(body, 1)) == expected


@pytest.mark.parametrize("body", [b"\r\n" + form(MODEL), form(MODEL)[:-2], form(MODEL)])
def test_one_line_break_before_and_after_is_allowed(body: bytes) -> None:
    assert read([body]) == read(cut(body, 1)) == [Part("model"), b"whisper-1", PartEnd()]


@pytest.mark.parametrize("boundary", [b"a", b"-", b"--", b"-" * 70, b"a b", b"'()+_,-./:=?"])
def test_any_boundary_of_the_rfc_works(boundary: bytes) -> None:
    assert len(read(cut(form(MODEL, FILE, boundary=boundary), 3), boundary)) == 6


@pytest.mark.parametrize("length", range(len(form(MODEL, FILE)) - 2))
def test_a_body_that_ends_early_is_refused(length: int) -> None:
    parser = Parser(BOUNDARY)
    parser.feed(form(MODEL, FILE)[:length])

    with pytest.raises(InvalidRequest, match="ends before its closing boundary"):
        parser.close()


def test_a_piece_of_nothing_but_content_is_not_copied() -> None:
    parser = Parser(BOUNDARY)
    parser.feed(form(FILE)[: -len(b"\r\n--frontier--\r\n")])
    piece = bytes(65536)

    (event,) = parser.feed(piece)

    assert event is piece


@pytest.mark.parametrize(
    "piece",
    [b"\r\n--frontie" * 6000, b"\r" * 65536, b"\r\n--" * 16384, bytes(65535) + b"\r", b"-" * 65536],
    ids=["almost boundaries", "returns", "dashes", "return at the end", "no line"],
)
def test_hostile_content_takes_linear_time(piece: bytes) -> None:
    def fed(times: int) -> None:
        parser = Parser(BOUNDARY)
        parser.feed(form(FILE)[: -len(b"\r\n--frontier--\r\n")])
        for _ in range(times):
            parser.feed(piece)

    assert_costs(lambda: fed(400), at_most=10, times=lambda: fed(100))
    assert_costs(lambda: fed(100), at_most=400)


def test_headers_that_drip_in_take_linear_time() -> None:
    def dripped(length: int) -> None:
        parser = Parser(BOUNDARY)
        body = form(*[(MODEL_HEAD + b"\r\nX-Pad: " + b"p" * length, b"")] * 10)
        assert len(merged(event for piece in cut(body, 1) for event in parser.feed(piece))) == 20

    assert_costs(lambda: dripped(8000), at_most=10, times=lambda: dripped(2000))
    assert_costs(lambda: dripped(8000), at_most=800)
