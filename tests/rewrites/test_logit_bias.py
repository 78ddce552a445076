from __future__ import annotations

import pytest

from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.errors import InvalidRequest
from openai_gateway_asgi.rewrites.logit_bias import logit_bias

from .upstreams import PLAIN


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b'"50256:-200, 11:5"', b'{"50256":-100,"11":5}', id="case-67"),
        pytest.param(
            b'"1:100,2:-100,3:101,4:+7,5:0,6:-0"', b'{"1":100,"2":-100,"3":100,"4":7,"5":0,"6":0}', id="clamped"
        ),
        pytest.param(b'" 1 : 2 "', b'{"1":2}', id="spaces"),
        pytest.param(b'"1:2,1:3"', b'{"1":3}', id="the-last-counts"),
        pytest.param(b'"1:007"', b'{"1":7}', id="leading-zeros"),
        pytest.param(b'"1:' + b"9" * 5000 + b'"', b'{"1":100}', id="many-digits"),
        pytest.param(b'"1:-' + b"0" * 5000 + b'12"', b'{"1":-12}', id="many-zeros"),
        pytest.param(rb'"1\u003a2"', b'{"1":2}', id="escaped"),
        pytest.param(b'{"1": 300}', b'{"1": 300}', id="case-68-object"),
        pytest.param(b'""', b'""', id="empty"),
        pytest.param(b"null", b"null", id="null"),
        pytest.param(b"[1]", b"[1]", id="a-list-is-the-upstream's-to-refuse"),
    ],
)
def test_a_string_becomes_an_object(value: bytes, expected: bytes) -> None:
    payload = Payload.parse(b'{"a":1,"logit_bias":%b,"b":2}' % value)
    assert logit_bias(payload, PLAIN, "m").encode() == b'{"a":1,"logit_bias":%b,"b":2}' % expected


@pytest.mark.parametrize(
    "text", ["x", "1", "1:", ":1", "1:2,", "1:x", "x:1", "1:1.5", "1:2:3", "1_0:2", "1:- 2", "٣:1", " "]
)
def test_case_69_any_other_string_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        logit_bias(Payload.parse(b'{"logit_bias":"%b"}' % text.encode()), PLAIN, "m")
    assert refusal.value.param == "logit_bias"
    assert "`$.logit_bias`" in refusal.value.message


def test_a_body_without_it_is_the_same_body() -> None:
    payload = Payload.parse(b'{"a":1}')
    assert logit_bias(payload, PLAIN, "m") is payload


def test_a_text_of_any_length_is_not_taken_apart() -> None:
    for text in (b"1:1," * 20_000 + b"1:1", b"x" * 3_000_000, b"1:1, " * 2_000_000):
        with pytest.raises(InvalidRequest) as caught:
            logit_bias(Payload.parse(b'{"logit_bias":"%b"}' % text), PLAIN, "m")
        assert caught.value.param == "logit_bias"
    assert logit_bias(Payload.parse(b'{"logit_bias":"%b1:1"}' % (b"1:1," * 9_000)), PLAIN, "m").outline
