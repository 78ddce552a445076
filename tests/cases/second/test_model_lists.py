"""Cases 241 to 243, 274 and 277: lists that do not come, come late, are spelt oddly, or are one user's own."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from starlette.exceptions import HTTPException

from openai_gateway_asgi import Gateway, Settings, Upstream, User
from openai_gateway_asgi.testing import FakeUpstream, error_answer, json_answer
from openai_gateway_asgi.testing.answers import Answer
from openai_gateway_asgi.testing.requests import FakeRequest
from tests.cases.gateways import World, error_of, world
from tests.support.servers import serve

HANGING = Upstream("http://hanging/v1", name="hanging")
THERE = Upstream("http://there/v1", name="there")
KIB = 1024
MIB = 1024 * KIB
QUICK = 2.0
"""Seconds that no answer here may take; the deadline of a list is five times as long."""


async def never(request: FakeRequest) -> Answer:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


@asynccontextmanager
async def half_dead(hanging: Upstream = HANGING, *others: Upstream, **options: Any) -> AsyncIterator[World]:
    """One upstream whose list never comes, and one that lists ``m2``."""
    async with world(hanging, *(others or (THERE,)), **options) as w:
        w.upstream.host("hanging").answer("/models", never)
        w.upstream.host("there").models = ["m2"]
        async with asyncio.timeout(QUICK):
            yield w


# 241: a list that never loaded.


@pytest.fixture
def over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first minute is."""
    monkeypatch.setattr("openai_gateway_asgi.upstream.list_sources.UNKNOWN_FOR", 0.0)


async def test_case_241_a_model_of_a_list_that_never_loaded_is_worth_another_try() -> None:
    async with world(THERE, settings=Settings(model_list_retry=7)) as w:
        w.upstream.answer("/models", error_answer(500))
        for _ in range(2):
            response = await w.chat("mistyped")
            assert (response.status, error_of(response)["code"]) == (503, "upstream_unavailable")
            assert (response.header("retry-after"), response.header("x-should-retry")) == ("7", None)


@pytest.mark.usefixtures("over")
async def test_case_241_after_a_minute_it_is_unknown_and_the_log_says_which_list_is_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world(THERE, Upstream("http://other/v1", name="other"), settings=Settings(model_list_retry=7)) as w:
        w.upstream.host("there").answer("/models", error_answer(403, "secret reason"))
        caplog.clear()
        for method, path in [("POST", "/chat/completions"), ("POST", "/embeddings"), ("GET", "/models/mistyped")]:
            response = await w.ask(method, path, json={"model": "mistyped", "input": "x", "messages": []})
            assert (response.status, error_of(response)["code"]) == (404, "model_not_found")
            assert response.header("x-should-retry") == "false"
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    failed, missing, more = warnings
    assert "2 more" in more  # what was only counted is told at the end
    assert "'there'" in failed
    assert "403" in failed
    assert "'there'" in missing
    assert "'other'" not in missing
    assert "secret" not in caplog.text


async def test_case_241_the_minute_is_counted_from_when_the_list_was_first_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("openai_gateway_asgi.upstream.list_sources.UNKNOWN_FOR", 0.2)
    async with world(THERE, settings=Settings(model_list_retry=0.01)) as w:
        w.upstream.answer("/models", error_answer(500))
        await asyncio.sleep(0.3)  # nobody has asked for anything yet
        assert (await w.chat("mistyped")).status == 503
        await asyncio.sleep(0.3)
        assert (await w.chat("mistyped")).status == 404
        w.upstream.answer("/models", json_answer({"data": [{"id": "m1"}]}))
        async with asyncio.timeout(QUICK):
            while (await w.chat("m1")).status != 200:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("models", [[], ["m1"]], ids=["listed", "named"])
async def test_case_241_system_oauth_without_a_token_is_one_clear_and_final_answer(models: list[str]) -> None:
    asked = 0

    async def none(user: User, request: object, upstream: Upstream) -> None:
        nonlocal asked
        asked += 1

    upstream = Upstream("http://there/v1", auth_type="system_oauth", model_ids=models)
    async with world(upstream, oauth_token=none, settings=Settings()) as w:
        for _ in range(2):
            response = await w.chat("m1")
            assert (response.status, error_of(response)["code"]) == (502, "upstream_credential")
            assert (response.header("x-should-retry"), response.header("retry-after")) == ("false", None)
        assert w.upstream.requests == []
        assert asked <= 2


async def test_case_241_the_sdk_does_not_try_it_again() -> None:
    async def none(user: User, request: object, upstream: Upstream) -> None:
        return None

    async with FakeUpstream() as fake:
        upstream = Upstream(f"{fake.url}/v1", auth_type="system_oauth")
        gateway = Gateway(
            [upstream], resolve_user=lambda _: User("ann"), authorize_model=lambda *_: True, oauth_token=none
        )
        calls = 0

        async def counting(scope: Any, receive: Any, send: Any) -> None:
            nonlocal calls
            calls += scope["type"] == "http"
            await gateway(scope, receive, send)

        async with (
            serve(counting) as server,
            openai.AsyncOpenAI(base_url=server.url, api_key="k", max_retries=2) as sdk,
        ):
            with pytest.raises(openai.InternalServerError) as raised:
                await sdk.chat.completions.create(model="m", messages=[])
            assert raised.value.code == "upstream_credential"
            assert calls == 1


@pytest.mark.parametrize(
    ("raised", "status"), [(HTTPException(403, "Connect your account first."), 403), (RuntimeError("x"), 500)]
)
async def test_case_241_what_the_host_says_instead_of_a_token_is_what_its_user_hears(
    raised: Exception, status: int
) -> None:
    async def refuses(user: User, request: object, upstream: Upstream) -> str:
        raise raised

    async with world(Upstream("http://there/v1", auth_type="system_oauth"), THERE, oauth_token=refuses) as w:
        w.upstream.host("there").models = ["m2"]
        for _ in range(3):
            response = await w.chat("m1")
            assert response.status == status
            assert (await w.chat("m2")).status == 200
    if status == 403:
        assert error_of(response)["message"] == "Connect your account first."


async def test_case_241_a_token_that_comes_later_is_used() -> None:
    tokens = [None, "t"]

    async def later(user: User, request: object, upstream: Upstream) -> str | None:
        return tokens.pop(0) if len(tokens) > 1 else tokens[0]

    upstream = Upstream("http://there/v1", auth_type="system_oauth")
    async with world(upstream, oauth_token=later, settings=Settings(model_list_retry=0.05)) as w:
        w.upstream.models = ["m1"]
        assert (await w.chat("m1")).status == 502
        await asyncio.sleep(0.1)
        assert (await w.chat("m1")).status == 200, "the first call after it is not told what was before"


async def test_case_241_a_token_of_ones_own_that_the_upstream_refuses_is_a_401() -> None:
    def own(request: FakeRequest) -> Answer:
        good = request.header("authorization") == "Bearer good"
        return json_answer({"data": [{"id": "m1"}]}) if good else error_answer(401, "who?")

    async with world(Upstream("http://there/v1", auth_type="session")) as w:
        w.upstream.answer("/models", own)
        for token, status in [("bad", 401), ("good", 200), ("bad", 401)]:
            response = await w.chat("m1", headers={"authorization": f"Bearer {token}"})
            assert response.status == status


async def test_case_241_a_host_that_never_gives_its_token_costs_the_deadline_of_a_list() -> None:
    async def hangs(user: User, request: object, upstream: Upstream) -> str:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    own = Upstream("http://own/v1", auth_type="system_oauth")
    async with world(own, THERE, oauth_token=hangs, settings=Settings(model_list_timeout=0.1)) as w:
        w.upstream.host("there").models = ["m2"]
        async with asyncio.timeout(QUICK):
            assert (await w.chat("m2")).status == 200
            assert (await w.ask("GET", "/models")).status == 200
            assert (await w.chat("m1")).status == 503


# 242 and 277: a list that hangs.


async def test_case_242_a_call_waits_for_no_list_but_its_own_models() -> None:
    async with half_dead() as w:
        for _ in range(3):
            assert (await w.chat("m2")).status == 200
            assert (await w.ask("GET", "/models/m2")).status == 200
        assert w.upstream.host("hanging").methods == {"GET": 1}


async def test_case_242_all_that_come_at_once() -> None:
    async with half_dead() as w:
        responses = await asyncio.gather(*(w.chat("m2") for _ in range(50)))
        assert {response.status for response in responses} == {200}
        assert w.upstream.host("there").methods == {"GET": 1, "POST": 50}


async def test_case_242_over_sockets() -> None:
    async with FakeUpstream() as hanging, FakeUpstream(["m2"]) as there:
        hanging.answer("/models", never)
        upstreams = [Upstream(f"{fake.url}/v1", name=name) for name, fake in [("hanging", hanging), ("there", there)]]
        gateway = Gateway(upstreams, resolve_user=lambda _: User("ann"), authorize_model=lambda *_: True)
        async with serve(gateway) as server, openai.AsyncOpenAI(base_url=server.url, api_key="k", max_retries=0) as sdk:
            async with asyncio.timeout(QUICK):
                answer = await sdk.chat.completions.create(model="m2", messages=[{"role": "user", "content": "hi"}])
            assert answer.choices[0].message.content
        await gateway.aclose()


async def test_case_242_a_list_that_is_merely_slow_is_waited_for_where_it_could_tell_of_the_model() -> None:
    open = asyncio.Event()

    async def slow(request: FakeRequest) -> Answer:
        await open.wait()
        return json_answer({"data": [{"id": "m1"}]})

    async with half_dead() as w:
        w.upstream.host("hanging").answer("/models", slow)
        asking = asyncio.create_task(w.chat("m1"))
        await w.upstream.host("hanging").until_requests(1)
        await asyncio.sleep(0.05)
        assert not asking.done()
        open.set()
        assert (await asking).status == 200


async def test_case_242_all_the_models_that_a_body_names_are_waited_for() -> None:
    async with half_dead(HANGING, THERE, settings=Settings(model_list_timeout=0.2)) as w:
        fields = {"models": ["m2"]}
        assert (await w.chat("m2", **fields)).status == 200
        fields = {"models": ["m2", "m1"]}
        assert (await w.chat("m2", **fields)).status == 503


NEW_AND_DEAD = [
    pytest.param({"prefix_id": "p"}, id="another prefix"),
    pytest.param({"model_ids": ["a", "b"]}, id="named models"),
    pytest.param({"model_ids": ["a", "gpt-*"]}, id="patterns"),
]


@pytest.mark.parametrize("options", NEW_AND_DEAD)
async def test_case_277_a_dead_upstream_costs_calls_for_models_that_it_cannot_serve_nothing(
    options: dict[str, Any],
) -> None:
    async with half_dead(Upstream("http://hanging/v1", name="hanging", **options)) as w:
        assert (await w.chat("m2")).status == 200
        assert (await w.chat("mistyped")).status == 404


@pytest.mark.parametrize("options", [{}, *[case.values[0] for case in NEW_AND_DEAD]])
async def test_case_277_neither_when_it_is_new(options: dict[str, Any]) -> None:
    async with half_dead(THERE) as w:
        assert (await w.chat("m2")).status == 200
        config = (await w.ask("GET", "/config")).json()
        config["OPENAI_API_BASE_URLS"] = ["http://hanging/v1", "http://there/v1"]
        config["OPENAI_API_CONFIGS"] = {"0": {"name": "new", **options}, "1": {"name": "there"}}
        assert (await w.post("/config/update", config)).status == 200
        assert (await w.chat("m2")).status == 200
        assert (await w.chat("m2", models=["m2"])).status == 200
        if options:
            assert (await w.chat("mistyped")).status == 404


async def test_case_277_with_a_lifetime_of_none_as_well() -> None:
    async with half_dead(
        Upstream("http://hanging/v1", name="hanging", prefix_id="p"), settings=Settings(model_list_lifetime=0)
    ) as w:
        for _ in range(3):
            assert (await w.chat("m2")).status == 200
        assert w.upstream.host("there").methods == {"GET": 3, "POST": 3}


async def test_a_model_that_is_named_is_what_its_upstream_says_of_it_before_anybody_may_call_it() -> None:
    """What ``model_ids`` name is known at once; what a policy may ask of it is known when the list is there."""
    open = asyncio.Event()

    async def slow(request: FakeRequest) -> Answer:
        await open.wait()
        return json_answer({"data": [{"id": "m1", "tags": ["closed"]}]})

    upstream = Upstream("http://slow/v1", model_ids=["m1", "gpt-*"])
    async with world(upstream, authorize_model=lambda user, model: "closed" not in model.tags) as w:
        w.upstream.answer("/models", slow)
        asking = asyncio.create_task(w.chat("m1"))
        await w.upstream.until_requests(1)
        open.set()
        assert (await asking).status == 404


# 243: how lists are spelt.


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (b'{"object":"list","data":null}', []),
        (b'{"object":"list"}', []),
        (b'{"models": [{"name": "m1"}]}', ["m1"]),
        (b'{"model_names": ["m1", "m2"]}', ["m1", "m2"]),
        (b'["m1", "m2"]', ["m1", "m2"]),
        (b'\xef\xbb\xbf{"data": [{"id": "m1"}]}', ["m1"]),
    ],
)
async def test_case_243_lists_as_servers_send_them_are_read_and_well(body: bytes, ids: list[str]) -> None:
    async with world(THERE) as w:
        w.upstream.answer("/models", Answer([body], 200, [("content-type", "application/json")]))
        listed = (await w.ask("GET", "/models")).json()
        assert [model["id"] for model in listed["data"]] == ids
        for id in ids:
            assert (await w.chat(id)).status == 200
        assert w.gateway.health().upstreams["there"].models == "ok"
        assert (await w.chat("mistyped")).status == 404
        verified = (await w.post("/verify", {"url": "http://there/v1", "key": ""})).json()
        assert [model["id"] for model in verified["data"]] == ids


# 274: lists of one's own.


def entries(count: int, **more: Any) -> list[dict[str, Any]]:
    about = {"object": "model", "created": 1, "description": "d" * 200, "context_length": 128_000}
    return [{"id": f"vendor/model-{number}", **about, **more} for number in range(count)]


@asynccontextmanager
async def own_lists(settings: Settings | None = None) -> AsyncIterator[World]:
    upstream = Upstream("http://own/v1", auth_type="session")
    users = lambda request: User(request.headers["authorization"][7:])  # noqa: E731
    async with world(upstream, THERE, resolve_user=users, settings=settings or Settings()) as w:
        w.upstream.host("there").models = [f"shared-{number}" for number in range(100)]
        yield w


async def show(w: World, user: str) -> bytes:
    response = await w.ask("GET", "/models", headers={"authorization": f"Bearer {user}"})
    assert response.status == 200
    return response.body


@asynccontextmanager
async def seen_by(users: int, own: Callable[[str], bytes]) -> AsyncIterator[tuple[World, int]]:
    """After so many users have seen their lists, each of which is what ``own`` makes of a name; and what these take."""

    def answer(request: FakeRequest) -> Answer:
        return Answer([own((request.header("authorization") or "")[7:])], 200, [("content-type", "application/json")])

    async with own_lists() as w:
        w.upstream.host("own").answer("/models", answer)
        await show(w, "first")
        w.upstream.requests.clear()
        gc.collect()
        tracemalloc.start()
        try:
            for number in range(users):
                await show(w, f"user-{number}")
                w.upstream.requests.clear()
                w.upstream.host("own").requests.clear()
            gc.collect()
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        yield w, grown


def listed(*models: dict[str, Any]) -> bytes:
    return json.dumps({"object": "list", "data": models}).encode()


async def test_case_274_a_thousand_users_with_one_list_have_it_once() -> None:
    same = listed(*entries(400))
    async with seen_by(1000, lambda user: same) as (w, memory):
        assert memory < 20 * MIB
        w.upstream.host("own").answer("/models", never)
        assert await show(w, "user-0") == await show(w, "user-999") == await show(w, "first")


async def test_case_274_lists_that_differ_in_one_model_share_the_others() -> None:
    same = entries(400)
    async with seen_by(30, lambda user: listed(*same, {"id": f"of-{user}"})) as (w, memory):
        assert memory < 30 * 64 * KIB
        w.upstream.host("own").answer("/models", never)
        assert b'"of-user-7"' in await show(w, "user-7")
        assert b'"of-user-7"' not in await show(w, "user-8")


async def test_case_274_lists_that_differ_in_all_take_no_more_than_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai_gateway_asgi.upstream.list_views.MOST_OWN_BYTES", 4 * MIB)
    async with seen_by(60, lambda user: listed(*entries(400, of=user))) as (w, memory):
        assert memory < 8 * MIB
        w.upstream.requests.clear()
        await show(w, "user-59")
        assert w.upstream.requests == [], "what was used last is kept"
        await show(w, "user-0")
        assert len(w.upstream.requests) == 1
