from __future__ import annotations

from typing import Any

import pytest

from openai_gateway_asgi.host.read_usage import read_usage
from tests.support.cost import assert_costs

USAGE = {"prompt_tokens": 7, "details": {"cached": 0}, "total_tokens": 11}
TEXT = b'{"prompt_tokens": 7, "details": {"cached": 0}, "total_tokens": 11}'


@pytest.mark.parametrize(
    ("tail", "usage"),
    [
        (b"", None),
        (b"{}", None),
        (b'{"id": "x", "usage": ' + TEXT + b', "system_fingerprint": "f"}', USAGE),
        (b'{"usage" :\n' + TEXT + b"}", USAGE),
        (b'data: {"usage":null}\n\ndata: {"usage":' + TEXT + b"}\n\ndata: [DONE]\n\n", USAGE),
        (b'data: {"usage":' + TEXT + b'}\n\ndata: {"usage":null}\n\n', USAGE),
        (b'{"usage": {"a": 1}, "x": {"usage": ' + TEXT + b"}}", USAGE),
        (b'cut at the beginning", "usage": ' + TEXT + b"}", USAGE),
        (b'{"usage": ' + TEXT + b', "metadata": {"usage": "mine"}}', USAGE),
        (b'{"content": "\\"usage\\": {\\"prompt_tokens\\": 9}"}', None),
        (b'{"usage": null}', None),
        (b'{"usage": 7}', None),
        (b'{"usage": {"cut": ', None),
        (b'{"usage": ' + b'{"a":' * 100_000, None),
        (b'{"x": "usage"}', None),
        (b'{"usage": {"a": "\xff"}}', {"a": "\ufffd"}),
        (b'"usage"', None),
    ],
)
def test_the_last_usage_of_an_answer_is_found(tail: bytes, usage: dict[str, Any] | None) -> None:
    assert read_usage(tail) == usage


def test_a_key_that_is_everywhere_takes_no_time() -> None:
    many = b'"usage":{"prompt_tokens":7},' + b'"usage",' * 500_000
    assert_costs(lambda: read_usage(many), at_most=2)
    assert read_usage(b'"usage":{"prompt_tokens":7},' + b'"usage":null,' * 1_000) == {"prompt_tokens": 7}
