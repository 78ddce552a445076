"""The walk takes what is JSON and refuses what is none, within its bounds, and is at no place longer than the others."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi.bodies import scanner
from openai_gateway_asgi.bodies.findings import Findings
from openai_gateway_asgi.bodies.scanner import DEPTH, MOST_NODES, Scanner
from openai_gateway_asgi.bodies.zones import NO_NAMES, zone_of
from openai_gateway_asgi.errors import InvalidRequest
from openai_gateway_asgi.http.pacing import at_once
from tests.bodies.reading import CHAT
from tests.support.cost import a_loop, spent

ZONES = [NO_NAMES, zone_of(CHAT), zone_of("createResponse")]
MIB = 1024 * 1024


def end_of(data: bytes, zone: Any = NO_NAMES) -> int:
    return at_once(Scanner(data, Findings()).walk(0, zone))


def is_json(data: bytes) -> bool:
    try:
        json.loads(data, parse_constant=_refused)
    except (ValueError, RecursionError):
        return False
    return True


def _refused(name: str) -> None:
    raise ValueError(name)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
holders = st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=5), values, max_size=4)


@given(holders, st.booleans(), st.sampled_from([None, 0, 2]), st.sampled_from(ZONES))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_json_is_walked_to_its_end(value: Any, ascii: bool, indent: int | None, zone: Any) -> None:
    data = json.dumps(value, ensure_ascii=ascii, indent=indent).encode("utf-8", "surrogatepass")
    assert end_of(data, zone) == len(data)
    assert end_of(data + b" ,", zone) == len(data)


tokens = st.lists(
    st.sampled_from(
        [b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"1", b"-", b"0", b".5", b"e1", b" ", b"\n", b"true", b"nul",
         b'"a"', b'"a":', b"x" * 70, b'"' + b"y" * 70 + b'"', b"\x00", b"\xff", b"/", b"'", b"\\u00", b"\\\""]
    ),
    max_size=10,
)  # fmt: skip


def without_texts(data: bytes) -> bytes:
    """What stands outside of texts, and something short in their place."""
    return re.sub(rb'"(?:[^"\\]|\\.)*"', b'""', data, flags=re.DOTALL)


@given(tokens, st.sampled_from([b"[%b]", b"{%b}", b'{"a":%b}', b'[1,%b,"b"]']), st.sampled_from(ZONES))
@settings(max_examples=1500, deadline=None, derandomize=True)
def test_what_is_no_json_is_refused_but_for_what_stands_in_texts(pieces: list[bytes], around: bytes, zone: Any) -> None:
    data = around % b"".join(pieces)
    try:
        taken = end_of(data, zone) == len(data)
    except InvalidRequest:
        taken = False
    if taken:
        assert is_json(without_texts(data)), data
    else:
        assert not is_json(data), data


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 399, 400, 401, 1000, 100_000])
@pytest.mark.parametrize("element", [b"1", b'"a"', b"1.5e-3", b"null", b'"%b"' % (b"x" * 65), b"[]", b"{}"])
def test_lists_of_any_length(size: int, element: bytes) -> None:
    data = b"[" + b",".join([element] * size) + b"]"
    assert end_of(data) == len(data)
    for damaged in (data[:-1] + b",]", data[:-1] + b" 2 3]", data[:-1] + b"}"):
        with pytest.raises(InvalidRequest):
            end_of(damaged)


@pytest.mark.parametrize(
    "text",
    [
        b"x" * 200_000,
        b'\\"' * 100_000,
        b"\\\\" * 100_000,
        b"\\u0041" * 50_000,
        (b"x" * 100 + b'\\"') * 3_000,
        b"\\" * 65 + b'"' + b"z" * 80 + b"\\\\",
        "ж".encode() * 100_000,
    ],
)
def test_texts_of_any_length_end_at_their_quote(text: bytes) -> None:
    for data in (b'["%b",1]' % text, b'{"a":"%b","b":1}' % text, b'{"%b":1}' % text):
        assert end_of(data) == len(data)
        with pytest.raises(InvalidRequest):
            end_of(data[:-3])


def deep(levels: int, data: bytes = b"") -> bytes:
    return b"[" * levels + data + b"]" * levels


def test_depth_is_bounded() -> None:
    """The body around a field's value is one level."""
    assert end_of(deep(DEPTH - 1)) == 2 * (DEPTH - 1)
    with pytest.raises(InvalidRequest, match="200 levels"):
        end_of(deep(DEPTH))


@pytest.mark.parametrize("element", [b"[]", b"{}", b'{"a":1}'])
def test_keys_objects_and_lists_are_counted(element: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted exactly, and looked at in slices."""
    monkeypatch.setattr(scanner, "MOST_NODES", 20_000)
    each = 2 if b"a" in element else 1
    assert end_of(b"[" + b",".join([element] * (19_999 // each)) + b"]") > 0
    with pytest.raises(InvalidRequest, match="20000"):
        end_of(b"[" + b",".join([element] * (25_000 // each)) + b"]")


def test_a_million_are_taken_and_no_more() -> None:
    assert MOST_NODES == 1_000_000
    data = b"[" + b",".join([b"[]"] * 999_000) + b"]"
    assert end_of(data) == len(data)
    with pytest.raises(InvalidRequest, match="1000000"):
        end_of(data[:-1] + b",[]" * 10_000 + b"]")


def test_numbers_and_texts_are_no_nodes() -> None:
    for element in (b"1", b'"a"', b"true", b"null"):
        data = b"[" + b",".join([element] * (MOST_NODES + 10_000)) + b"]"
        assert end_of(data) == len(data)


def slices(steps: Generator[None, None, Any]) -> list[float]:
    """Seconds of this thread between the turns for others."""
    found, began = [], time.thread_time()
    try:
        while True:
            next(steps)
            now = time.thread_time()
            found.append(now - began)
            began = now
    except (StopIteration, InvalidRequest):
        return [*found, time.thread_time() - began]


@pytest.mark.parametrize(
    "data",
    [
        b"[" + b",".join([b"{}"] * 200_000) + b"]",
        b"[" + b",".join([b'{"a":1}'] * 200_000) + b"]",
        b"[" + b",".join([b'{"A b":1}'] * 100_000) + b"]",
        b"[" + b",".join([b'{"file_id":"x"}'] * 100_000) + b"]",
        b"[" + b",".join([b"1"] * 2_000_000) + b"]",
        b'["' + b'\\"' * 2_000_000 + b'"]',
        b'["' + (b"x" * 70 + b'\\"') * 100_000 + b'"]',
        b'["' + b"\\" * 4_000_000 + b'"]',
    ],
    ids=lambda data: repr(data[:20]),
)
def test_there_are_turns_for_others(data: bytes) -> None:
    """Many, so that none takes long; how long is measured where nothing else runs."""
    a_loop_takes = spent(a_loop)
    taken = slices(Scanner(data, Findings(), "messages").walk(0, zone_of(CHAT)))
    assert len(taken) >= 4
    assert sorted(taken)[len(taken) // 2] < 10 * a_loop_takes
