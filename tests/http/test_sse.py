from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_gateway_asgi.errors import UpstreamTimeout
from openai_gateway_asgi.http.sse import (
    EventSplitter,
    error_event,
    first_data,
    last_boundary,
    last_events,
    only_comments,
)

LIMIT = 16


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", 0),
        (b"data: a", 0),
        (b"data: a\n", 0),
        (b"data: a\n\n", 9),
        (b"data: a\r\n\r\n", 11),
        (b"data: a\r\n\r", 0),
        (b"data: a\r\r", 9),
        (b"data: a\n\r\n", 10),
        (b"a\n\nb\n\nc", 6),
        (b"a\n\nb\r\n\r\nc", 8),
    ],
)
def test_an_event_ends_at_a_blank_line(data: bytes, end: int) -> None:
    assert last_boundary(data) == end


def test_what_follows_the_last_whole_event_is_held() -> None:
    splitter = EventSplitter(LIMIT)
    assert splitter.feed(b"a\n\nb") == b"a\n\n"
    assert splitter.feed(b"c") == b""
    assert splitter.feed(b"\n\nd") == b"bc\n\n"
    assert splitter.at_boundary
    assert splitter.rest() == b"d"
    assert splitter.rest() == b""


def test_a_long_event_streams_through_until_it_ends() -> None:
    splitter = EventSplitter(LIMIT)
    assert splitter.feed(b"a\n\n" + b"x" * LIMIT) == b"a\n\n"
    assert splitter.at_boundary
    assert splitter.feed(b"y") == b"x" * LIMIT + b"y"
    assert not splitter.at_boundary
    assert splitter.feed(b"z\r\n") == b"z\r\n"
    assert splitter.feed(b"\r\nnext") == b"\r\n"
    assert splitter.at_boundary
    assert splitter.rest() == b"next"


@given(st.lists(st.text("\r\nd:", max_size=12).map(str.encode)), st.integers(1, 12))
def test_however_it_is_fed_nothing_is_lost_and_a_boundary_is_one(reads: list[bytes], limit: int) -> None:
    splitter = EventSplitter(limit)
    sent = b""
    fed = b""
    for read in reads:
        fed += read
        sent += splitter.feed(read)
        assert fed.startswith(sent)
        if splitter.at_boundary:
            assert sent == b"" or sent.endswith((b"\n\n", b"\n\r\n", b"\r\r"))
        else:
            assert sent == fed
    assert sent + splitter.rest() == fed


@given(st.binary(max_size=60), st.integers(1, 8))
def test_what_is_held_is_bounded(data: bytes, limit: int) -> None:
    splitter = EventSplitter(limit)
    for at in range(len(data)):
        splitter.feed(data[at : at + 1])
        assert len(splitter._held) <= limit


@pytest.mark.parametrize(
    ("data", "comments"),
    [
        (b": a\n\n", True),
        (b": a\r\n\r\n:b\n\n", True),
        (b"\n\n", True),
        (b": a\n\ndata: 1\n\n", False),
        (b"event: ping\n\n", False),
        (b"data\n\n", False),
    ],
)
def test_comments_are_told_from_events(data: bytes, comments: bool) -> None:
    assert only_comments(data) is comments


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", b""),
        (b": c\n\ndata: 1\n\ndata: 2\n\n", b"1"),
        (b"event: x\r\ndata:1\r\ndata:  2\r\n\r\n", b"1\n 2"),
        (b"event: x\n\n", b""),
    ],
)
def test_the_data_of_the_first_event_that_has_any(data: bytes, expected: bytes) -> None:
    assert first_data(data) == expected


def test_an_error_event_speaks_to_both_kinds_of_clients() -> None:
    event = error_event(UpstreamTimeout("Too\nlate."), 7)
    name, data, *rest = event.split(b"\n")
    assert (name, rest) == (b"event: error", [b"", b""])
    detail = {"message": "Too\nlate.", "type": "upstream_error", "param": None, "code": "upstream_timeout"}
    flat = {"code": "upstream_timeout", "message": "Too\nlate.", "param": None}
    assert json.loads(data.removeprefix(b"data: ")) == {"type": "error", "sequence_number": 7, **flat, "error": detail}


@pytest.mark.parametrize("size", [10, 4_095, 4_096, 4_097, 50_000])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_the_first_data_of_a_long_read_is_whole(size: int, end: bytes) -> None:
    first = b"x" * size
    assert first_data(b"data: " + first + end + b"data: y" + end + b"z" * 9_000) == first


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_the_last_events_are_told_from_those_before_them(end: bytes) -> None:
    events = [b"data: %d" % number + end for number in range(30)]
    for pieces in (events, [b"".join(events)], [b"".join(events[:20]), *events[20:]]):
        assert last_events(pieces, 3).endswith(b"".join(events[-3:]))
    assert last_events([b"".join(events)], 3) == b"".join(events[-3:])
    assert last_events([b"".join(events) + b"data: cut"], 3) == b"".join(events[-3:]) + b"data: cut"
    assert last_events([b"".join(events), b"data: cut"], 3) == b"".join(events[-3:]) + b"data: cut"
    assert last_events(events[:3], 3) == b"".join(events[:3])
    assert last_events([]) == b""


def test_comments_after_the_last_event_do_not_count_as_events() -> None:
    final = b"data: final\n\n"
    assert last_events([b"data: x\n\n" * 9 + final + b": ping\n\n" * 50], 1) == final + b": ping\n\n" * 50
