from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.config import Timeouts, Upstream
from openai_gateway_asgi.errors import InvalidRequest
from openai_gateway_asgi.models import Candidate
from openai_gateway_asgi.speech.shared_request import SAME_SOUND, shared_headers, speech_key

URL = "https://a/v1"
BODY = b'{"model":"m","input":"x"}'


def key(body: bytes = BODY, model: str = "tts", upstream: dict[str, Any] = {}, **options: Any) -> str | None:
    candidate = Candidate(Upstream(**{"base_url": URL, **upstream}), model)
    return speech_key(Payload.parse(body), [candidate], **options)


def test_the_key_is_a_sha256_under_our_name() -> None:
    prefix, _, digest = str(key()).partition(":")
    assert prefix == "speech"
    assert len(bytes.fromhex(digest)) == 32


def test_the_spelling_of_a_body_does_not_change_its_key() -> None:
    assert key(b'{"model":"m","input":"x","speed":1.50}') == key(b'{ "speed":1.5, "input":"\\u0078", "model":"other" }')


@pytest.mark.parametrize(
    "other",
    [
        {"body": b'{"model":"m","input":"y"}'},
        {"body": b'{"model":"m","input":"x","voice":null}'},
        {"model": "tts-hd"},
        {"scope": "user"},
        {"query": b"voice=2"},
        {"headers": [(b"accept", b"audio/wav")]},
        {"headers": [(b"x-tenant", b"a")]},
    ],
)
def test_whatever_decides_the_sound_is_in_the_key(other: dict[str, Any]) -> None:
    assert key(**other) != key()


FIELDS: dict[str, Any] = {
    "base_url": "https://b/v1",
    "api_key": "k",
    "name": "n",
    "enabled": False,
    "model_ids": ["m"],
    "prefix_id": "p",
    "tags": ["t"],
    "connection_type": "local",
    "auth_type": "none",
    "headers": {"x-deployment": "b"},
    "query": {"deployment": "b"},
    "provider": "azure",
    "api": "chat",
    "api_version": "2025-01-01",
    "commit": "whole",
    "timeouts": Timeouts(idle=1),
    "weight": 1,
    "priority": 1,
    "proxy": "http://proxy:1",
    "verify_tls": False,
    "keepalive": 1,
    "rewrites": "off",
    "max_concurrency": 1,
    "reasoning_models": ["m"],
    "developer_role": False,
    "route_fields": ["-azure"],
    "drop_fields": ["voice"],
    "drop_nulls": True,
    "stream_usage": "never",
    "reports_cost": True,
    "on_leave": "finish",
    "drop_hosted_tools": True,
    "images_in_tools": True,
    "repair_responses": True,
    "flatten_tool_content": True,
    "forward_cookies": ["a"],
    "token_scope": "https://x.example/.default",
    "identity": "jwt",
    "identity_key": "of-32-characters-that-nobody-knows",
    "identity_header": "X-Who",
    "stamp": {"user": "{user.id}"},
    "list_per_user": True,
}
TOGETHER = ("identity", "identity_key")
"""Neither is taken without the other."""


@pytest.mark.parametrize("field", [spec.name for spec in fields(Upstream)])
def test_what_an_upstream_could_answer_to_is_in_the_key(field: str) -> None:
    same = field in SAME_SOUND - {"query"}
    changed = TOGETHER if field in TOGETHER else (field,)
    assert (key(upstream={name: FIELDS[name] for name in changed}) == key()) is same


def test_a_credential_among_the_headers_may_change() -> None:
    assert len({key(upstream={"headers": {"Authorization": value}}) for value in ("a", "b")}) == 1


def test_the_order_in_which_upstreams_are_asked_counts() -> None:
    a, b = (Candidate(Upstream(url), "m") for url in ("http://a", "http://b"))
    keys = {speech_key(Payload.parse(BODY), candidates) for candidates in ([a], [b], [a, b], [b, a], [a, a])}
    assert len(keys) == 5


@pytest.mark.parametrize("voice", [b'{"id":"a","id":"b"}', b'{"id":"b","id":"b"}', b'[{"x":{"id":"a","id":"a"}}]'])
def test_a_name_that_stands_twice_cannot_be_compared(voice: bytes) -> None:
    """Some read the first of the values, others the last: an upstream may speak either."""
    assert key(b'{"model":"m","voice":' + voice + b"}") is None


def test_a_body_that_cannot_be_read_is_a_400() -> None:
    with pytest.raises(InvalidRequest):
        key(b'{"model":"m","input":' + b"9" * 5000 + b"}")


@pytest.mark.parametrize(
    "name",
    [
        b"range",
        b"if-range",
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"user-agent",
        b"idempotency-key",
        b"x-client-request-id",
        b"x-stainless-lang",
        b"traceparent",
        b"content-type",
    ],
)
def test_what_is_about_one_callers_call_stays_behind(name: bytes) -> None:
    assert shared_headers([(name, b"x"), (b"accept", b"*/*"), (b"openai-beta", b"y")]) == [
        (b"accept", b"*/*"),
        (b"openai-beta", b"y"),
    ]
