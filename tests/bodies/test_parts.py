"""How much there is to take to pieces in a value, and what is refused for it."""

from __future__ import annotations

import json

import msgspec
import pytest

from openai_gateway_asgi.bodies.parts import (
    LITTLE,
    MOST_ESCAPES,
    MOST_PARTS,
    MOST_TEXTS,
    MOST_VALUES,
    refuse_many_parts,
)
from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.errors import PayloadTooLarge
from tests.support.cost import assert_costs

MIB = 1024 * 1024
CODE = 'if (x) { y[0] = "a\\\\"; }\n' * 60_000


def refused(data: bytes) -> bool:
    try:
        refuse_many_parts("messages", msgspec.Raw(data))
    except PayloadTooLarge:
        return True
    return False


def listed(element: bytes, count: int) -> bytes:
    return b"[" + b",".join([element] * count) + b"]"


@pytest.mark.parametrize(
    ("data", "many"),
    [
        pytest.param(listed(b'{"role":"user","content":"hello there"}', MOST_PARTS - 1), False, id="as many as may be"),
        pytest.param(listed(b'{"role":"user","content":"hello there"}', MOST_PARTS), True, id="one more"),
        pytest.param(listed(b"{}" + b" " * 20, MOST_PARTS), True, id="of empty ones"),
        pytest.param(listed(b"[1]" + b" " * 20, MOST_PARTS), True, id="of lists"),
        pytest.param(json.dumps([{"content": CODE}]).encode(), False, id="code in a text"),
        pytest.param(json.dumps([{"content": CODE}] * 2 + [{}] * MOST_PARTS).encode(), True, id="code beside many"),
        pytest.param(json.dumps([{"arguments": json.dumps({str(n): n for n in range(250_000)})}]).encode(), False, id="JSON in a text"),
        pytest.param(json.dumps([dict.fromkeys(map(str, range(2 * MOST_TEXTS + 1)), 0)]).encode(), True, id="keys"),
        pytest.param(listed(b"1", MOST_VALUES), False, id="as many numbers as may be"),
        pytest.param(listed(b"1", 4 * MOST_VALUES), True, id="numbers"),  # a million: they took a filter 0.2 s
        pytest.param(listed(b'"a"', 2 * MOST_VALUES), True, id="texts in a list"),
        pytest.param(json.dumps([{"content": "1,2," * MOST_VALUES}]).encode(), False, id="commas in a text"),
        pytest.param(b"[" * LITTLE, False, id="little"),
    ],
)  # fmt: skip
def test_what_is_in_texts_does_not_count(data: bytes, many: bool) -> None:
    assert refused(data) is many


def test_a_field_of_many_parts_is_not_decoded_for_anybody() -> None:
    payload = Payload.parse(b'{"messages":%b,"stream":true}' % listed(b'{"role":"user","content":"x"}', MOST_PARTS))
    with pytest.raises(PayloadTooLarge, match=r"`\$\.messages`"):
        payload.read("messages", list[dict[str, str]])
    assert payload.read("stream", bool) is True


@pytest.mark.parametrize("part", [b"{}", b'\\"', b"\\\\", b'"a",', b'"a":{', b'\\"a\\":', b",", b'","'])
def test_to_count_them_takes_no_longer_than_to_read_some_mebibytes(part: bytes) -> None:
    data = b"[" + part * (8 * MIB // len(part)) + b"]" + b"{" * MOST_PARTS
    assert_costs(lambda: refused(data), at_most=50)


def test_a_field_of_many_escapes_is_not_decoded_for_anybody() -> None:
    few, many = (
        b'{"messages":["' + b"\\n" * MOST_ESCAPES + b'"]}',
        b'{"messages":["' + b"\\n" * (MOST_ESCAPES + 1) + b'"]}',
    )
    assert Payload.parse(few).read("messages", list[str]) == ["\n" * MOST_ESCAPES]
    with pytest.raises(PayloadTooLarge, match=r"`\$\.messages` .* backslashes"):
        Payload.parse(many).read("messages", list[str])
    assert Payload.parse(many).raw("messages") is not None
