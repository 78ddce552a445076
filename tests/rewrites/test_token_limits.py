from __future__ import annotations

import pytest

from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.config.upstream import Upstream
from openai_gateway_asgi.errors import InvalidRequest
from openai_gateway_asgi.rewrites.token_limits import token_limit

from .upstreams import AZURE, AZURE_OLD, AZURE_V1, OPENAI, PLAIN

OLD = b'{"max_tokens":5}'
NEW = b'{"max_completion_tokens":7}'
BOTH = b'{"max_tokens":5,"max_completion_tokens":9}'
LOOKALIKE = Upstream("http://x/api.openai.com/v1")


@pytest.mark.parametrize(
    ("upstream", "model", "body", "expected"),
    [
        pytest.param(PLAIN, "m1", NEW, b'{"max_tokens":7}', id="case-59-new"),
        pytest.param(
            PLAIN, "m1", b'{"max_tokens":3,"max_completion_tokens":7}', b'{"max_tokens":7}', id="case-59-both"
        ),
        pytest.param(
            PLAIN, "m1", b'{"max_tokens":7,"max_completion_tokens":3}', b'{"max_tokens":7}', id="case-59-old-larger"
        ),
        pytest.param(PLAIN, "m1", OLD, OLD, id="old-fits"),
        pytest.param(LOOKALIKE, "m1", NEW, b'{"max_tokens":7}', id="a-host-in-a-path-is-no-host"),
        pytest.param(PLAIN, "o3", OLD, b'{"max_completion_tokens":5}', id="case-60"),
        pytest.param(OPENAI, "o3", OLD, b'{"max_completion_tokens":5}', id="case-60-openai"),
        pytest.param(AZURE, "o3", OLD, b'{"max_completion_tokens":5}', id="case-102"),
        pytest.param(PLAIN, "us.openai.gpt-6-sol", OLD, b'{"max_completion_tokens":5}', id="case-62"),
        pytest.param(PLAIN, "gpt-oss", OLD, OLD, id="case-63"),
        pytest.param(PLAIN, "gpt-50", OLD, OLD, id="case-64-false-positive"),
        pytest.param(PLAIN, "openai/o3", OLD, b'{"max_completion_tokens":5}', id="case-64"),
        pytest.param(PLAIN, "o3", BOTH, b'{"max_completion_tokens":9}', id="case-65"),
        pytest.param(
            PLAIN,
            "o3",
            b'{"max_tokens":9,"max_completion_tokens":5}',
            b'{"max_completion_tokens":9}',
            id="case-65-old-larger",
        ),
        pytest.param(PLAIN, "o3", NEW, NEW, id="new-fits"),
        pytest.param(OPENAI, "gpt-4o", OLD, OLD, id="openai-takes-old"),
        pytest.param(OPENAI, "gpt-4o", NEW, NEW, id="openai-takes-new"),
        pytest.param(OPENAI, "gpt-4o", BOTH, b'{"max_completion_tokens":9}', id="openai-takes-one"),
        pytest.param(
            OPENAI,
            "gpt-4o",
            b'{"max_tokens":9,"max_completion_tokens":5}',
            b'{"max_completion_tokens":9}',
            id="openai-old-larger",
        ),
        pytest.param(AZURE, "my-deployment", NEW, NEW, id="azure-takes-new"),
        pytest.param(AZURE_V1, "my-deployment", NEW, NEW, id="case-103-azure-v1-takes-new"),
        pytest.param(AZURE_OLD, "my-deployment", NEW, b'{"max_tokens":7}', id="old-azure-takes-old"),
        pytest.param(PLAIN, "m1", b'{"max_completion_tokens":1e2}', b'{"max_tokens":1e2}', id="the-spelling-stays"),
        pytest.param(
            PLAIN,
            "m1",
            b'{"max_tokens":2,"max_completion_tokens":10000000000000000000000}',
            b'{"max_tokens":10000000000000000000000}',
            id="a-large-one",
        ),
        pytest.param(
            PLAIN, "m1", b'{"max_tokens":null,"max_completion_tokens":3}', b'{"max_tokens":3}', id="null-is-no-limit"
        ),
        pytest.param(
            PLAIN,
            "o3",
            b'{"max_tokens":4,"max_completion_tokens":null}',
            b'{"max_completion_tokens":4}',
            id="null-is-no-limit-new",
        ),
        pytest.param(
            PLAIN, "m1", b'{"max_tokens":null,"max_completion_tokens":null}', b'{"max_tokens":null}', id="two-nulls"
        ),
        pytest.param(PLAIN, "o3", b'{"max_tokens":"5"}', b'{"max_completion_tokens":"5"}', id="one-is-not-read"),
        pytest.param(PLAIN, "o3", b'{"max_output_tokens":5}', b'{"max_output_tokens":5}', id="other-names"),
    ],
)
def test_the_upstream_gets_the_limit_under_the_name_it_takes(
    upstream: Upstream, model: str, body: bytes, expected: bytes
) -> None:
    assert token_limit(Payload.parse(body), upstream, model).encode() == expected


@pytest.mark.parametrize("wrong", [b'"5"', b"true", b"[]", b"1e999"])
def test_limits_that_cannot_be_compared_are_refused_by_name(wrong: bytes) -> None:
    payload = Payload.parse(b'{"max_tokens":%b,"max_completion_tokens":9}' % wrong)
    with pytest.raises(InvalidRequest) as refusal:
        token_limit(payload, PLAIN, "m1")
    assert refusal.value.param == "max_tokens"
