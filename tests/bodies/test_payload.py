from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_gateway_asgi.bodies.payload import Payload, decode_field
from openai_gateway_asgi.errors import InvalidRequest

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not valid JSON: it is empty"),
        (b" \n", "not valid JSON: it is empty"),
        (b"{", "not valid JSON"),
        (b'{"a": 1} x', "not valid JSON"),
        (b'{"a": NaN}', "not valid JSON"),
        (b"{'a': 1}", "not valid JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "not valid JSON"),
        ('{"a": 1}'.encode("utf-16"), "not valid UTF-8"),
        (b'{"a": "\xff"}', "not valid UTF-8"),
        (b"[]", "must be a JSON object"),
        (b"1", "must be a JSON object"),
        (b'"a"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a": ' + b'{"b":' * 100_000 + b"1" + b"}" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_anything_but_one_strict_object_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Payload.parse(body)
    assert said in caught.value.message
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


@pytest.mark.parametrize(
    "value", [b"12345678901234567890123", b"1.0e2", b"1E400", b'"\\u00e9\\/"', b'{"z":1, "a":[ 1 ]}', b"-0", b"null"]
)
def test_values_keep_their_bytes(value: bytes) -> None:
    assert Payload.parse(b'{"a":' + value + b', "b":1}').encode() == b'{"a":' + value + b',"b":1}'


def test_of_equal_keys_the_last_value_remains_and_only_once() -> None:
    assert Payload.parse(b'{"a":1,"b":2,"\\u0061":3}').encode() == b'{"a":3,"b":2}'


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_any_object_comes_out_as_it_went_in(data: dict[str, Any]) -> None:
    body = msgspec.json.encode({key: msgspec.Raw(_encode(value)) for key, value in data.items()})
    assert Payload.parse(body).encode() == body


def _encode(value: object) -> bytes:
    return json.dumps(value).encode()


def test_reading_gives_the_value_or_none() -> None:
    payload = Payload.parse(b'{"a": "x", "b": null, "c": [1, 2]}')
    assert payload.read("a", str) == "x"
    assert payload.read("b", str) is None
    assert payload.read("missing", str) is None
    assert payload.read("c", list[int]) == [1, 2]
    assert ("a" in payload, "missing" in payload) == (True, False)


@pytest.mark.parametrize(
    ("body", "kind", "where"),
    [
        (b'{"a": 1}', str, "a"),
        (b'{"a": "x"}', bool, "a"),
        (b'{"a": [1, "x"]}', list[int], "a[1]"),
    ],
)
def test_a_wrong_type_names_its_place(body: bytes, kind: Any, where: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Payload.parse(body).read("a", kind)
    assert caught.value.message.endswith(f"at `$.{where}`")
    assert "null" not in caught.value.message
    assert (caught.value.param, caught.value.code) == (where, "invalid_type")


def test_a_value_that_cannot_be_read_is_a_400() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_field("a", msgspec.Raw(b'"\\ud800"'), str)
    assert caught.value.param == "a"


def test_an_edit_gives_a_copy_and_keeps_the_order() -> None:
    payload = Payload.parse(b'{"a":1,"b":2,"c":3}')
    edited = payload.edited({"b": {"x": msgspec.Raw(b"1.0")}, "d": "new"}, without=("a", "missing"))
    assert edited.encode() == b'{"b":{"x":1.0},"c":3,"d":"new"}'
    assert payload.encode() == b'{"a":1,"b":2,"c":3}'
