"""An explanation says what a call then does: over generated requests, for the same gateway in the same state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi import Explanation, Model, Upstream, UsageRecord, User
from openai_gateway_asgi.observe.body_changes import changes
from openai_gateway_asgi.testing import FakeUpstream, error_answer
from tests.reliability.gateways import USERS, make_gateway, named
from tests.support.asgi import ask

OURS = {"host", "accept-encoding", "content-length", "x-gateway-hops"}
"""What the transport adds."""

upstream = FakeUpstream()
upstream.host("rests.test").answer("/chat/completions", error_answer(429, "Slow down", headers=[("retry-after", "60")]))
records: list[UsageRecord] = []


def not_secret(user: User, model: Model) -> bool:
    return "secret" not in model.id


def files_only(user: User, group: str) -> bool:
    return group == "files"


UPSTREAMS: list[Upstream] = [
    named("rests", models=["gpt-4"], priority=-1),
    named("a", models=["gpt-4", "secret"], priority=1),
    named("b", models=["gpt-4", "gpt-5"], prefix_id="b"),
    named("c", models=["gpt-4", "o3", "gpt-5"], headers={"x-fixed": "v"}, query={"k": "v"}),
    named("d", models=["gpt-5"], auth_type="session"),
    named("e", models=["spare"], provider="openai"),
    replace(named("off", models=["gone"]), enabled=False),
]
gateway = make_gateway(
    UPSTREAMS,
    allowed=not_secret,
    fallbacks={"gpt-5": ["spare", "secret"], "o3": ["gpt-4"]},
    records=records,
    transport=upstream.transport(),
    authorize_group=files_only,
    settings={"json_limit": 2_000, "record": "all", "forward_user_info": True},
)

models = st.sampled_from(["gpt-4", "gpt-5", "b.gpt-5", "o3", "spare", "secret", "gone", "nobody's", "", None, 7])
fields = st.fixed_dictionaries(
    {},
    optional={
        "max_tokens": st.integers(1, 9),
        "stream": st.booleans(),
        "temperature": st.just(0.5),
        "previous_response_id": st.just("resp_1"),
        "file_id": st.just("file-1"),
        "models": st.just(["gpt-4", "secret"]),
        "user": st.just("x" * 3_000),
        "tools": st.just([{"type": "file_search", "vector_store_ids": ["vs_1"]}]),
        "messages": st.just([{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello?"}]),
    },
)
CALLS = [("POST", path) for path in ("/v1/chat/completions", "/chat/completions?x=y", "/v1/responses", "/v1/embeddings",
         "/openai/deployments/gpt-4/chat/completions?api-version=2024-10-21")]  # fmt: skip
READS = [("GET", path) for path in ("/v1/files", "/v1/files/file-1", "/v1/models", "/v1/models/gpt-4", "/v1/models/secret",
         "/v1/models/nobody", "/v1/config", "/v1/batches", "/v1/responses/resp_1", "/v1/limits")]  # fmt: skip
ODD = [("DELETE", "/v1/files/file-1"), ("HEAD", "/v1/models"), ("PUT", "/v1/chat/completions"), ("POST", "/v1/nothing")]
asked_for = st.sampled_from(CALLS * 4 + READS + ODD)
headers = st.fixed_dictionaries(
    {"content-type": st.sampled_from(["application/json"] * 5 + ["text/plain"])},
    optional={
        "cookie": st.just("session=1"),
        "sec-fetch-site": st.sampled_from(["cross-site", "same-origin"]),
        "x-gateway-upstream": st.sampled_from(["a", "c", "nobody"]),
        "openai-beta": st.just("assistants=v2"),
        "x-forwarded-for": st.just("1.2.3.4"),
    },
)
bodies = st.tuples(models, fields).map(lambda found: json.dumps({"model": found[0], **found[1]}).encode())


@settings(max_examples=600, derandomize=True, deadline=None, database=None)
@given(st.sampled_from(["ann", "root"]), asked_for, headers, st.one_of(*[bodies] * 6, st.just(b""), st.just(b"{")))
async def test_an_explanation_says_what_the_call_then_does(
    who: str, asked: tuple[str, str], given: Mapping[str, str], body: bytes
) -> None:
    method, path = asked
    await let_rest(who)
    upstream.requests.clear()
    records.clear()
    sent = {"authorization": f"Bearer {who}", **given}
    if body:
        sent["content-length"] = str(len(body))
    told = await gateway.explain(USERS[who], method, path, sent, body)
    assert upstream.requests == []
    assert records == []
    answer = await ask(gateway, method, path, headers=sent, body=body)
    gateway._parts.memory.forget([each.name for each in UPSTREAMS if each.name != "rests"])
    match told.outcome:
        case "refused":
            assert upstream.requests == []
            assert answer.status == told.status
            if method != "HEAD":
                assert answer.json()["error"]["code"] == told.code
                assert answer.json()["error"]["message"] == told.message
            assert [each.reason for each in records] in ([], [told.reason])
        case "answered":
            assert upstream.requests == []
            assert answer.status == (told.status or 200)
        case _:
            assert_sent(told, body)


async def let_rest(who: str) -> None:
    """One of the upstreams has said that it is to be left alone for a minute, to each user."""
    asked = {"model": "gpt-4", "messages": []}
    told = await gateway.explain(USERS[who], "POST", "/v1/chat/completions", body=json.dumps(asked).encode())
    if told.candidates[0].asked:
        await ask(gateway, "POST", "/v1/chat/completions", headers={"authorization": f"Bearer {who}"}, json=asked)


def assert_sent(told: Explanation, body: bytes) -> None:
    asked = [each for each in told.candidates if each.asked]
    request = upstream.requests[0]
    first = asked[0]
    assert request.host == f"{first.upstream}.test"
    assert first.url.partition("?")[0] == f"http://{request.host}{request.path}"
    shown = {each.name for each in first.headers}
    assert shown == {name.decode().lower() for name, _ in request.headers} - OURS
    if body and request.body:
        assert first.body == changes(body, request.body)
    for record in records:
        assert record.model == told.model
        tried = [each.upstream for each in record.tries]
        assert tried[:1] == [first.upstream]


async def test_the_one_that_rests_is_skipped_by_both() -> None:
    for who in ("ann", "root"):
        await let_rest(who)
        body = b'{"model": "gpt-4", "messages": []}'
        told = await gateway.explain(USERS[who], "POST", "/v1/chat/completions", body=body)
        assert [(each.upstream, each.asked) for each in told.candidates] == [("rests", False), ("c", True), ("a", True)]


async def test_those_that_are_generated_end_in_every_way() -> None:
    outcomes: dict[str, Any] = {}
    for who, method, path, body in [
        ("ann", "POST", "/v1/chat/completions", b'{"model": "o3", "messages": []}'),
        ("ann", "POST", "/v1/chat/completions", b'{"model": "secret", "messages": []}'),
        ("ann", "GET", "/v1/models", b""),
        ("root", "GET", "/v1/config", b""),
    ]:
        told = await gateway.explain(USERS[who], method, path, body=body)
        outcomes[told.outcome] = told.status
    assert outcomes == {"sent": None, "refused": 404, "answered": None}
