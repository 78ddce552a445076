from __future__ import annotations

import pytest

from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.config.upstream import Upstream
from openai_gateway_asgi.errors import InvalidRequest
from openai_gateway_asgi.rewrites.tool_messages import flat_tool_content

from .upstreams import PLAIN

FLAT = Upstream("http://a/v1", flatten_tool_content=True)
IMAGE = b'{"type":"image_url","image_url":{"url":"data:x"}}'


def body(*messages: bytes) -> bytes:
    return b'{"messages":[%b]}' % b",".join(messages)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(
            b'{"role":"tool","content":[{"type":"text","text":"a"},%b,{"type":"text","text":"b"}],"tool_call_id":"c"}'
            % IMAGE,
            rb'{"role":"tool","content":"a\nb","tool_call_id":"c"}',
            id="case-80",
        ),
        pytest.param(
            b'{"role":"tool","content":[{"type":"input_text","text":"a"}]}',
            b'{"role":"tool","content":"a"}',
            id="input-text",
        ),
        pytest.param(b'{"role":"tool","content":[%b]}' % IMAGE, b'{"role":"tool","content":""}', id="no-text"),
        pytest.param(b'{"role":"tool","content":[{"type":"text","text":null},null]}', None, id="a-part-that-is-none"),
        pytest.param(b'{"role":"tool","content": "plain"}', b'{"role":"tool","content": "plain"}', id="already-text"),
        pytest.param(b'{"role":"tool","content": null}', b'{"role":"tool","content": null}', id="null"),
        pytest.param(b'{"role": "tool"}', b'{"role": "tool"}', id="no-content"),
        pytest.param(
            b'{"role":"user","content": [%b]}' % IMAGE, b'{"role":"user","content": [%b]}' % IMAGE, id="other-roles"
        ),
        pytest.param(b"null", b"null", id="null-message"),
    ],
)
def test_a_tool_message_becomes_text_where_the_upstream_asks_for_it(message: bytes, expected: bytes | None) -> None:
    other = b'{"role": "user", "content": 1e2}'
    payload = Payload.parse(body(other, message))
    if expected is None:
        with pytest.raises(InvalidRequest, match=r"\$\.messages\[1\]\.content\[1\]"):
            flat_tool_content(payload, FLAT, "m")
    else:
        assert flat_tool_content(payload, FLAT, "m").encode() == body(other, expected)


def test_case_80_tool_messages_are_forwarded_as_sent_by_default() -> None:
    payload = Payload.parse(body(b'{"role":"tool","content":[%b]}' % IMAGE))
    assert flat_tool_content(payload, PLAIN, "m") is payload


def test_a_body_without_messages_is_the_same_body() -> None:
    payload = Payload.parse(b'{"a":1}')
    assert flat_tool_content(payload, FLAT, "m") is payload
