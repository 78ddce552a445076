"""Generated paths and headers: whatever comes, the upstream gets what the gateway means or nothing, and no 500 is seen.

What is done to bodies is in ``test_bodies``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import chain
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi import Model, User
from openai_gateway_asgi.testing import FakeRequest, FakeUpstream
from tests.reliability.gateways import ANN, CHAT, chat, make_gateway, named
from tests.support.asgi import ask, make_scope


def generated(examples: int) -> Any:
    return settings(max_examples=examples, derandomize=True, deadline=None, database=None)


def only_gpt(user: User, model: Model) -> bool:
    return model.id == "gpt"


upstream = FakeUpstream()
gateway = make_gateway([named("a", models=["gpt", "secret"])], allowed=only_gpt, transport=upstream.transport())


async def sent_for(path: bytes, headers: list[tuple[bytes, bytes]]) -> FakeRequest | None:
    """What one request made the upstream get; its answer is never a 500."""
    upstream.requests.clear()
    scope = make_scope("POST", headers=[])
    scope.update(raw_path=path.partition(b"?")[0], query_string=path.partition(b"?")[2])
    more = {"raw_path": scope["raw_path"], "query": scope["query_string"]}
    answer = await ask(
        Placed(unquote_to_bytes(scope["raw_path"]).decode("utf-8", "replace")),
        "POST", "/", json=chat(), headers=[*headers, *_json()], **more,
    )  # fmt: skip
    assert answer.status < 500, answer.body
    if answer.status >= 400:
        assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
        assert upstream.requests == []
        return None
    (request,) = upstream.requests
    return request


class Placed:
    """The gateway, asked for a path that no URL of the tests' own would write."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await gateway({**scope, "path": self._path}, receive, send)


def _json() -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"application/json"), *((name.encode(), value.encode()) for name, value in ANN.items())]


# Paths

DECODERS: tuple[Callable[[str], str], ...] = (
    lambda path: path,
    lambda path: unquote(path),
    lambda path: unquote(unquote(path)).replace("\\", "/").partition(";")[0],
)
"""What upstreams make of a path before they route it."""

pieces = st.sampled_from(
    [b"/", b"v1", b"chat", b"completions", b"..", b".", b"%2e", b"%2F", b"%5c", b"\\", b";", b"#", b"%00", b"%25", b"%252f",
     b"?", b"//", b"%", b"%zz", b"%c0%af", b"%C3%A9", b" ", b"%20", b"files", b"models", b"engines", b"deployments",
     b"openai", b"secret", b"gpt", b"@", b":", b"http:", b"evil.test", b"&", b"=", b"model=secret", b"%6d", b"\xe9"]
)  # fmt: skip
whole_paths = st.lists(pieces, max_size=12).map(lambda found: b"/" + b"".join(found))
near_paths = st.tuples(st.integers(0, len(CHAT)), pieces, pieces).map(
    lambda at: CHAT[: at[0]].encode() + at[1] + CHAT[at[0] :].encode() + at[2]
)
spellings = st.tuples(
    st.sets(st.integers(0, len(CHAT) - 1), max_size=4),
    st.sampled_from([b"", b"", b"/", b"?x=y", b"?x=%2e%2e/..", b"?model=gpt", b"?a=%zz", b"?a=b#c", b"?\xe9"]),
).map(
    lambda found: (
        bytes(chain.from_iterable(spelt(at in found[0], byte) for at, byte in enumerate(CHAT.encode()))) + found[1]
    )
)
"""The path itself, with some of its letters escaped, and a query."""
paths = whole_paths | near_paths | spellings | st.binary(max_size=30).map(lambda data: b"/" + data)


def spelt(escaped: bool, byte: int) -> bytes:
    return b"%%%02X" % byte if escaped else bytes([byte])


async def judge_path(path: bytes) -> None:
    request = await sent_for(path, [])
    if request is not None:
        (read,) = {decode(request.path) for decode in DECODERS}
        assert "secret" not in read
        assert models_in(request.query.decode("latin-1")) <= {"gpt"}


def models_in(query: str) -> set[str]:
    """What the most lenient reader would take for a model."""
    pairs = (pair.partition("=") for pair in re.split("[?&;]", query))
    return {
        unquote(unquote(value)) for name, _, value in pairs if unquote(unquote(name)).strip(" \0").casefold() == "model"
    }


@generated(500)
@given(paths)
async def test_a_path_that_arrives_is_read_alike_by_all(path: bytes) -> None:
    await judge_path(path)


@pytest.mark.soak
@generated(10_000)
@given(paths)
async def test_ten_thousand_paths(path: bytes) -> None:
    await judge_path(path)


async def test_the_paths_that_are_generated_reach_the_upstream_at_all() -> None:
    assert await sent_for(CHAT.encode(), []) is not None
    assert await sent_for(b"/chat/completions?x=y", []) is not None
    assert await sent_for(b"/v1/%63hat/completions", []) is not None


# Headers

MAY_ARRIVE = re.compile(
    "host|accept-encoding|accept|content-type|user-agent|openai-beta|idempotency-key|x-client-request-id|x-stainless-.*"
    "|traceparent|tracestate|range|if-.*|authorization|x-gateway-hops|content-length"
)

names = st.sampled_from(
    [b"authorization", b"api-key", b"x-api-key", b"cookie", b"host", b"connection", b"te", b"trailer", b"upgrade",
     b"transfer-encoding", b"content-length", b"content-type", b"content-encoding", b"expect", b"range", b"idempotency-key",
     b"x-stainless-lang", b"x-stainless-", b"openai-organization", b"x-openwebui-user-id", b"x_openwebui_user_id",
     b"x-forwarded-for", b"forwarded", b"via", b"x-gateway-hops", b"x-request-id", b"traceparent", b"accept-encoding", b"x"]
)  # fmt: skip
values = st.sampled_from(
    [b"evil", b"", b"chunked", b"0", b"1, 2", b"close, authorization, content-type", b"Bearer evil", b"session=evil",
     b"gzip", b"\xff\xfe", b"a\tb", b"bytes=0-1", b"x" * 5000, b"application/json", b"text/plain"]
)  # fmt: skip


def without_controls(value: bytes) -> bytes:
    """As servers hand them over; those that pass more are in ``test_recovery``."""
    return bytes(byte for byte in value if byte >= 0x20 and byte != 0x7F)


header_lists = st.lists(st.tuples(names, values | st.binary(max_size=8).map(without_controls)), max_size=6)


async def judge_headers(headers: list[tuple[bytes, bytes]]) -> None:
    request = await sent_for(CHAT.encode(), headers)
    if request is None:
        return
    found = [name.decode().lower() for name, _ in request.headers]
    assert all(MAY_ARRIVE.fullmatch(name) for name in found), found
    assert request.header("authorization") == "Bearer sk-a"
    assert request.header("content-type") == "application/json"
    assert request.header("host") == "a.test"
    assert request.header("content-length") == str(len(request.body))


@generated(500)
@given(header_lists)
async def test_headers_that_arrive_are_those_that_may(headers: list[tuple[bytes, bytes]]) -> None:
    await judge_headers(headers)


@pytest.mark.soak
@generated(10_000)
@given(header_lists)
async def test_ten_thousand_lists_of_headers(headers: list[tuple[bytes, bytes]]) -> None:
    await judge_headers(headers)
