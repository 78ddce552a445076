"""Clients send items of earlier answers back with their ids: where a call is translated, nothing is looked up by them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openai_gateway_asgi import MemoryStore, Settings, Upstream
from openai_gateway_asgi.testing import Answer, error_answer, json_answer
from openai_gateway_asgi.testing.answers import Says, chat
from openai_gateway_asgi.upstream import apis
from openai_gateway_asgi.upstream.apis import Apis
from tests.cases.gateways import EAGER, USERS, World, error_of, upstream_a, upstream_b, world
from tests.support.asgi import Response

CHAT, RESPONSES = "/chat/completions", "/responses"
USER = {"x-test-user": "u1"}
"""Neither an administrator, nor anybody to whom stored responses are open."""
HI = {"role": "user", "content": "hi"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}
ASK = {"model": "m1", "input": [HI, THOUGHT, {"role": "assistant", "content": "a"}, HI]}
NO_ROUTE = json_answer({"detail": "Not Found"}, 404)
CLOSED = (400, "invalid_field", "input[1]")


def falling_back(*upstreams: Upstream) -> MemoryStore:
    return MemoryStore(upstreams, fallbacks={"m1": ["m2"]})


async def post(w: World, body: dict[str, Any] = ASK) -> Response:
    return await w.post(RESPONSES, body, headers=USER)


def refusal(answer: Response) -> tuple[int, str, str]:
    error = error_of(answer)
    return answer.status, error["code"], error["param"]


def paths(w: World) -> list[str]:
    return [request.path.removeprefix("/v1") for request in w.upstream.requests]


async def test_what_an_answer_said_may_be_sent_back() -> None:
    async with world(upstream_a(api="chat")) as w:
        w.upstream.answer(CHAT, lambda request: chat(request.fields(), Says(reasoning="hm")))
        first = await post(w, {"model": "m1", "input": [HI]})
        assert (await post(w, {"model": "m1", "input": [HI, *first.json()["output"], HI]})).status == 200
        said = w.sent["messages"][1]
    assert (said["reasoning_content"], said["content"]) == ("hm", "Hello from upstream.")


async def test_an_item_by_its_id_alone_is_refused_as_what_a_chat_cannot_say() -> None:
    async with world(upstream_a(api="chat")) as w:
        answer = await post(w, {"model": "m1", "input": [HI, {"type": "item_reference", "id": "msg_1"}]})
        assert refusal(answer) == (400, "unsupported_parameter", "input[1].type")


STORED = {
    "previous_response_id": "resp_1",
    "conversation": {"id": "conv_1"},
    "prompt": {"id": "pmpt_1"},
}


@pytest.mark.parametrize("name", STORED)
async def test_case_341_what_no_chat_has_is_refused_as_that_whoever_asks(name: str) -> None:
    async with world(upstream_a(api="chat")) as w:
        for user in ("a1", "u1"):
            body = {"model": "m1", "input": "hi", name: STORED[name]}
            answer = await w.post(RESPONSES, body, headers={"x-test-user": user})
            assert refusal(answer) == (400, "unsupported_parameter", name)
    for upstream in (upstream_a(), upstream_a(api="chat", drop_fields=[name])):
        async with world(upstream) as w:
            answer = await post(w, {"model": "m1", "input": "hi", name: STORED[name]})
            assert refusal(answer) == (400, "invalid_field", name)
            assert w.upstream.requests == []


async def test_a_field_that_is_written_twice_hides_nothing() -> None:
    body = b'{"model":"m1","input":"hi","previous_response_id":"a","extra_body":{"previous_response_id":"b"},'
    async with world(upstream_a(api="chat")) as w:
        own = {"content-type": "application/json", **USER}
        answer = await w.post_bytes(RESPONSES, body + b'"previous_response_id":null}', headers=own)
        assert (answer.status, error_of(answer)["code"], w.upstream.requests) == (400, "invalid_field", [])


@pytest.mark.parametrize("api", ["auto", "both", "responses"])
async def test_where_anybody_may_look_them_up_they_have_to_be_open(api: str) -> None:
    async with world(upstream_a(api="chat"), upstream_b(api=api)) as w:
        assert refusal(await post(w)) == CLOSED
        assert w.upstream.requests == []
        assert (await w.post(RESPONSES, ASK)).status == 200, "administrators may"


async def test_fallbacks_are_among_those_who_may_look_them_up() -> None:
    upstreams = upstream_a(api="chat"), upstream_b("m2", api="responses")
    async with world(store=falling_back(*upstreams)) as w:
        assert refusal(await post(w)) == CLOSED
    async with world(store=falling_back(upstream_a(api="chat"), upstream_b("m2", api="chat"))) as w:
        w.upstream.answer(CHAT, error_answer(500), json_answer({"choices": [{"message": {"content": "x"}}]}))
        assert (await post(w)).status == 200, "nothing keeps the call to one upstream"


@pytest.mark.parametrize(
    "more",
    [
        {"input": [HI, THOUGHT, {"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]},
        {"extra_body": {"previous_response_id": "resp_1"}},
    ],
)
async def test_what_else_is_stored_has_to_be_open(more: dict[str, Any]) -> None:
    async with world(upstream_a(api="chat")) as w:
        answer = await post(w, {**ASK, **more})
        assert (answer.status, error_of(answer)["code"], w.upstream.requests) == (400, "invalid_field", [])


async def test_what_was_learned_of_an_upstream_counts_and_lasts_as_long_as_such_calls_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(apis, "monotonic", lambda: now[0])
    async with world(upstream_a()) as w:
        w.upstream.answer(RESPONSES, NO_ROUTE)
        assert refusal(await post(w)) == CLOSED, "nobody knows yet that it has no such API"
        assert (await post(w, {"model": "m1", "input": [HI]})).status == 200
        for _ in range(3):
            now[0] += apis.LEARNED_FOR
            assert (await post(w)).status == 200
        assert paths(w) == [RESPONSES, *[CHAT] * 4]


async def test_who_turns_out_to_have_the_api_after_all_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Apis, "only_translates", lambda *_args, **_options: True)
    async with world(upstream_a(api="responses")) as w:
        assert refusal(await post(w)) == CLOSED
        assert w.upstream.requests == []


LOOKED_UP = error_answer(404, "Item with id 'rs_1' not found.")


@pytest.mark.parametrize(("answer", "status"), [(NO_ROUTE, 200), (LOOKED_UP, 404)])
async def test_a_404_of_the_path_is_told_from_one_of_an_item(answer: Answer, status: int) -> None:
    async with world(upstream_a(), settings=Settings(retries=0, open_groups={"responses"})) as w:
        w.upstream.answer(RESPONSES, answer)
        assert (await post(w)).status == status
        assert paths(w) == [RESPONSES, CHAT][: 2 if status == 200 else 1]


async def test_the_explanation_agrees() -> None:
    async with world(upstream_a(api="chat"), settings=EAGER) as w:
        explained = await w.gateway.explain(USERS["u1"], "POST", RESPONSES, body=json.dumps(ASK).encode())
        assert (explained.outcome, explained.candidates[0].translated_to) == ("sent", "chat")
