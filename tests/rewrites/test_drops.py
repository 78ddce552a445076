from __future__ import annotations

import pytest

from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.config.upstream import Upstream
from openai_gateway_asgi.rewrites.drops import drop_fields, drop_nulls

from .upstreams import PLAIN

BODY = b'{"model":"m","metadata":{"a":null},"user":null,"n":[null]}'


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        pytest.param(PLAIN, BODY, id="case-58-forwarded-as-sent"),
        pytest.param(
            Upstream("http://a/v1", drop_fields=("metadata", "store")),
            b'{"model":"m","user":null,"n":[null]}',
            id="case-58-by-setting",
        ),
        pytest.param(Upstream("http://a/v1", drop_fields=("store",)), BODY, id="not-in-this-body"),
    ],
)
def test_fields_are_left_out_where_the_upstream_says_so(upstream: Upstream, expected: bytes) -> None:
    assert drop_fields(Payload.parse(BODY), upstream, "m").encode() == expected


@pytest.mark.parametrize(
    ("upstream", "body", "expected"),
    [
        pytest.param(PLAIN, BODY, BODY, id="case-126-forwarded-as-sent"),
        pytest.param(
            Upstream("http://a/v1", drop_nulls=True),
            BODY,
            b'{"model":"m","metadata":{"a":null},"n":[null]}',
            id="case-126-only-top-level",
        ),
        pytest.param(
            Upstream("http://a/v1", drop_nulls=True), b'{"a":"null"}', b'{"a":"null"}', id="the-word-is-no-null"
        ),
    ],
)
def test_nulls_are_left_out_where_the_upstream_says_so(upstream: Upstream, body: bytes, expected: bytes) -> None:
    assert drop_nulls(Payload.parse(body), upstream, "m").encode() == expected
