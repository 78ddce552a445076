"""A payload with long texts means what one means that was read character by character; it only costs less."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi.bodies.long_texts import LONG, LongTexts
from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.errors import InvalidRequest
from openai_gateway_asgi.http.pacing import at_once
from tests.bodies.reading import RESPONSE, named

IMAGE = "iVBORw0KGgo" * LONG
"""Longer than what is never missed."""

plainly = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

long_texts = st.builds(
    lambda start, size, end: start + "x" * size + end,
    st.text(max_size=5),
    st.integers(LONG // 2, 3 * LONG),
    st.text(max_size=5),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | long_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | long_texts, inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(st.text(max_size=3) | long_texts, values, max_size=4)


def cut(body: bytes) -> bytes:
    return b"".join(at_once(LongTexts().cut([body])))


def in_pieces(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def same_as_plainly(payload: Payload, body: bytes) -> None:
    assert payload.encode() == msgspec.json.encode(plainly(body))
    assert {name: bytes(raw) for name, raw in payload.fields.items()} == {
        name: bytes(raw) for name, raw in plainly(body).items()
    }


def parsed(body: bytes) -> Payload:
    payload = Payload.parse(body)
    same_as_plainly(payload, body)
    for size in (LONG, LONG + 1, 2 * LONG, 3 * LONG - 1):
        same_as_plainly(Payload.parse(*in_pieces(body, size)), body)
    return payload


def refused(body: bytes) -> None:
    for size in (len(body), LONG, 2 * LONG):
        with pytest.raises(InvalidRequest):
            Payload.parse(*in_pieces(body, size))


def vision(text: str = IMAGE) -> bytes:
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}}
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": [url]}], "n": 1}).encode()


def test_what_is_looked_through_is_short() -> None:
    payload = parsed(vision())
    assert sum(len(bytes(raw)) for raw in payload.outline.values()) < 500
    assert payload.read("model", str) == "m"


def test_what_is_read_and_sent_is_whole() -> None:
    payload = parsed(vision())
    messages: Any = payload.read("messages", list[Any])
    assert messages[0]["content"][0]["image_url"]["url"].endswith(IMAGE)
    assert json.loads(payload.edited({"model": "other"}).encode())["messages"] == messages


def test_no_text_is_copied_on_its_way() -> None:
    body = vision()
    views = [piece for piece in parsed(body).pieces() if isinstance(piece, memoryview)]
    assert [view.obj is body for view in views] == [True]


def test_a_field_that_is_written_anew_may_hold_what_was_cut_out() -> None:
    payload = parsed(vision())
    moved = payload.edited({"input": payload.outline["messages"]}, without=("messages",))
    assert json.loads(moved.encode())["input"] == json.loads(vision())["messages"]


@pytest.mark.parametrize("short", [0, 1, LONG - 1])
def test_short_texts_stay(short: int) -> None:
    body = json.dumps({"a": "x" * short, "b": ["y" * short] * 5}).encode()
    assert cut(body) == body


@pytest.mark.parametrize("mark", ["\\n", "\\u0000", '\\"', "\\\\", "\0", "\n", "\r", "\t"])
@pytest.mark.parametrize("place", [0, 1, LONG, -1])
def test_a_text_with_an_escape_or_a_line_break_is_read_to_its_end(mark: str, place: int) -> None:
    text = IMAGE[:place] + mark + IMAGE[place:]
    body = b'{"a": "' + text.encode() + b'"}'
    if "\\" in mark:
        parsed(body)
    else:
        refused(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": ' + b"1" * 3 * LONG + b', "b": "x"}',
        b'{"a": 1,' + b" " * 3 * LONG + b'"b": "x"}',
        b'{"a": [' + b"1," * 2 * LONG + b'"x"]}',
    ],
)
def test_what_is_long_outside_of_texts_is_read(body: bytes) -> None:
    assert cut(body) != body
    assert parsed(body).outline.keys() == plainly(body).keys()


@pytest.mark.parametrize("junk", [b"x", b"]", b"//", b"/*", b"NaN ", b"#", b"~", b"\xc2\xa0"])
def test_junk_between_texts_is_refused(junk: bytes) -> None:
    refused(b'{"model": "a", ' + junk * 3 * LONG + b' "model": "b"}')


@pytest.mark.parametrize("damage", [b'"', b"\xff", b"\xed\xa0\x80"])
@pytest.mark.parametrize("place", [0, 2, LONG, 2 * LONG])
def test_damage_inside_a_long_text_is_seen(damage: bytes, place: int) -> None:
    text = IMAGE.encode()
    refused(b'{"a": "' + text[:place] + damage + text[place:] + b'"}')


@pytest.mark.parametrize("name", ["model" + " " * 3 * LONG, "Model" + "\0" * 3 * LONG, "x" * 3 * LONG])
def test_a_long_name_is_looked_at_whole(name: str) -> None:
    body = json.dumps({name: "a", "model": "b"}).encode()
    assert list(parsed(body).outline) == [name, "model"]


def test_what_a_body_names_is_told_by_its_own_names() -> None:
    """Nothing short stands there for a long one, which nobody has written."""
    name = "x" * 3 * LONG
    body = json.dumps({"input": [{name: {"file_id": "f"}}]}).encode()
    assert named(body, RESPONSE)["objects"] == {"files": f"input[0].{name[:64]}....file_id"}


@given(objects, st.booleans())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_object_is_what_it_is_read_plainly(value: dict[str, Any], ascii: bool) -> None:
    parsed(json.dumps(value, ensure_ascii=ascii).encode("utf-8", "replace"))


@given(st.lists(st.sampled_from([b'"', b"\\", b"{", b"}", b":", b",", b"[", b"1", b" ", b"x" * 2 * LONG]), max_size=12))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_nothing_is_taken_that_is_refused_when_read_plainly(pieces: list[bytes]) -> None:
    body = b'{"a":' + b"".join(pieces) + b"}"
    try:
        plainly(body)
    except msgspec.DecodeError:
        refused(body)
    else:
        parsed(body)


def test_pieces_of_a_text_are_sent_as_they_came() -> None:
    pieces = in_pieces(vision(), 2 * LONG)
    payload = Payload.parse(*pieces)
    views = [piece for piece in payload.pieces() if isinstance(piece, memoryview)]
    assert [view.obj is piece for view, piece in zip(views, pieces, strict=True)] == [True] * len(pieces)
    assert [len(view) for view in views[1:-1]] == [2 * LONG] * (len(pieces) - 2)
    assert sum(len(bytes(raw)) for raw in payload.outline.values()) < 1_000


@given(objects, st.lists(st.integers(0, 400_000), max_size=5), st.booleans())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_it_does_not_matter_where_a_body_is_cut_into_pieces(
    value: dict[str, Any], cuts: list[int], ascii: bool
) -> None:
    body = json.dumps(value, ensure_ascii=ascii).encode("utf-8", "replace")
    ends = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(ends)]
    same_as_plainly(Payload.parse(*pieces), body)


@pytest.mark.parametrize("before", [b"\\", b"\\u00", b"\xc3"])
def test_a_piece_that_ends_amid_a_character_is_read_with_the_next(before: bytes) -> None:
    rest = {b"\\": b"n", b"\\u00": b"41", b"\xc3": b"\xa9"}[before]
    head = b'{"model": "m", "a": "' + b"x" * 3 * LONG + before
    for end in (rest, b"zz"):
        tail = end + b"y" * 3 * LONG
        body = head + tail + b'"}'
        try:
            body.decode()
            plainly(body)
        except (UnicodeDecodeError, msgspec.DecodeError):
            with pytest.raises(InvalidRequest):
                Payload.parse(head, tail, b'"}')
        else:
            same_as_plainly(Payload.parse(head, tail, b'"}'), body)
