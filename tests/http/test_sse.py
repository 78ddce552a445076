from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_gateway_asgi.errors import UpstreamTimeout
from openai_gateway_asgi.http.sse import (
    MOST_LINES,
    Event,
    EventSplitter,
    error_event,
    events_in,
    first_data,
    last_boundary,
    last_events,
    only_comments,
    without_comments,
)
from tests.support.cost import assert_costs

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
        assert sum(map(len, splitter._held)) <= limit


@given(st.lists(st.text("\r\nd:", max_size=12).map(str.encode)))
def test_what_goes_out_does_not_depend_on_where_reads_end(reads: list[bytes]) -> None:
    whole = b"".join(reads)
    splitter = EventSplitter(len(whole) + 1)
    sent = b"".join([splitter.feed(read) for read in reads])
    assert whole.startswith(sent)
    assert whole[len(sent) : last_boundary(whole)].strip(b"\r\n") == b""  # blank lines more may wait for what follows


def test_a_megabyte_byte_by_byte_is_held_in_a_time_that_grows_with_its_length_alone() -> None:
    splitter = EventSplitter(2**20)
    for _ in range(200_000):
        splitter.feed(b"x")
    assert splitter.feed(b"\n\n") == b"x" * 200_000 + b"\n\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_events_are_read_without_their_comments(end: bytes) -> None:
    first = b": c\nevent: x\ndata: 1\ndata:  2\nid: 7\n\n".replace(b"\n", end)
    second = b"\n: c\n\nerror: {}\n\n".replace(b"\n", end)
    third = b"data:3"
    assert list(events_in(first + second + third)) == [
        Event(b"x", b"1\n 2", b"", len(first)),
        Event(b"", b"", b"{}", len(first + second)),
        Event(b"", b"3", b"", len(first + second + third)),
    ]
    assert [event.data for event in events_in(b"\xef\xbb\xbfdata: 1\n\n")] == [b"1"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_of_an_event_of_very_many_lines_the_end_is_found_all_the_same(end: bytes) -> None:
    few, many = (b"data: x" + end) * MOST_LINES + end, (b"data: x" + end) * (MOST_LINES + 50) + end
    events = list(events_in(few + many + b"data: last" + end + end))
    assert [event.end for event in events[:2]] == [len(few), len(few + many)]
    assert events[0].data == b"\n".join([b"x"] * MOST_LINES)
    assert events[2].data == b"last"


def test_lines_of_data_are_joined_in_a_time_that_grows_with_their_number() -> None:
    event = b"data: xxxxxxxxx\n" * MOST_LINES + b"\n"
    assert_costs(lambda: list(events_in(event)), at_most=20)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_comments_are_parted_from_events(end: bytes) -> None:
    pieces = [b": a\n\n", b"data: 1\n: in it\n\n", b"\n\n", b": b\n: c\n\n", b"event: x\ndata: 2\n\n"]
    pieces = [piece.replace(b"\n", end) for piece in pieces]
    comments, others = without_comments(b"".join(pieces))
    assert comments == pieces[0] + pieces[2] + pieces[3]
    assert others == pieces[1] + pieces[4]
    assert without_comments(b"data: cut") == (b"", b"data: cut")


@pytest.mark.parametrize("comment", [b":\n\n", b": keep-alive\r\n\r\n", b":\n", b"\n"])
def test_a_read_full_of_comments_costs_next_to_nothing(comment: bytes) -> None:
    read = comment * (2**17 // len(comment))

    def looked_through() -> None:
        assert list(events_in(read + b"\n")) == []
        assert without_comments(read + b"\n") == (read + b"\n", b"")

    assert_costs(looked_through, at_most=8)


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
    event = error_event(UpstreamTimeout("Too\nlate.").detail(), 7)
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
