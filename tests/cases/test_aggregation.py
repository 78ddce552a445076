"""One list out of many upstreams: cases 18 to 43."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest

from openai_gateway_asgi import Settings, Upstream
from openai_gateway_asgi.testing import Answer, FakeRequest, error_answer, json_answer
from openai_gateway_asgi.testing.answers import bytes_answer
from tests.cases.conftest import MakeWorld
from tests.cases.world import A, B, World, refusal


def answers(world: World, host: str, data: Any, status: int = 200) -> None:
    world.up.host(host).answer("/models", json_answer(data, status))


async def never(_: FakeRequest) -> Answer:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def test_case_018_models_are_merged_in_the_upstreams_order(world: World) -> None:
    answers(world, "a", {"data": [{"id": "gpt-4o"}, {"id": "shared", "name": None}]})
    answers(world, "b", {"data": [{"id": "shared", "name": "B shared"}, {"id": "bm"}]})
    models = await world.models()
    assert [(m["id"], m["urlIdx"], m["name"]) for m in models] == [
        ("gpt-4o", 0, "gpt-4o"),
        ("shared", 0, "shared"),
        ("bm", 1, "bm"),
    ]
    assert sorted((r.host, r.method, r.header("authorization")) for r in world.up.requests) == [
        ("a", "GET", "Bearer ka"),
        ("b", "GET", "Bearer kb"),
    ]


async def test_case_018_an_entry_keeps_what_its_upstream_says(world: World) -> None:
    answers(world, "b", {"data": [{"id": "bm", "created": 5, "owned_by": "them", "context_length": 9}]})
    entry = (await world.models())[-1]
    assert entry == {
        "object": "model",
        "created": 5,
        "id": "bm",
        "name": "bm",
        "owned_by": "openai",
        "context_length": 9,
        "connection_type": "external",
        "provider": "",
        "urlIdx": 1,
        "openai": {
            "id": "bm",
            "created": 5,
            "owned_by": "them",
            "context_length": 9,
            "connection_type": "external",
        },
    }
    assert (await world.get("/models/bm")).json() == entry


async def test_case_019_an_empty_key_sends_no_authorization(make_world: MakeWorld) -> None:
    world = make_world([Upstream("http://a/v1")])
    await world.models()
    assert world.up.last.header("authorization") is None


async def test_case_020_a_prefix_is_put_before_id_and_name(make_world: MakeWorld) -> None:
    world = make_world([replace(A, prefix_id="pa")])
    answers(world, "a", {"data": [{"id": "m1"}, {"id": "m2", "name": "M Two"}]})
    assert [(m["id"], m["name"]) for m in await world.models()] == [("pa.m1", "pa.m1"), ("pa.m2", "pa.M Two")]


async def test_case_021_entries_may_be_keyed_by_url(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_BASE_URL", "http://a/v1")
    monkeypatch.setenv("OPENAI_API_CONFIGS", '{"http://a/v1": {"prefix_id": "leg"}}')
    assert (await make_world(None).ids())[0] == "leg.gpt-small"
    monkeypatch.setenv("OPENAI_API_CONFIGS", '{"http://a/v1": {"prefix_id": "leg"}, "0": {"prefix_id": "zero"}}')
    assert (await make_world(None).ids())[0] == "zero.gpt-small"


async def test_case_022_named_models_need_no_call(make_world: MakeWorld) -> None:
    tags = [{"name": "t"}]
    world = make_world([replace(A, model_ids=["s1", "s2"], prefix_id="p", tags=tags)])
    models = await world.models()
    assert [(m["id"], m["tags"], m["connection_type"]) for m in models] == [
        ("p.s1", tags, "external"),
        ("p.s2", tags, "external"),
    ]
    assert world.up.requests == []
    assert (await world.chat("p.s2")).status_code == 200
    assert world.up.last.json()["model"] == "s2"


async def test_case_023_a_switched_off_upstream_is_not_asked_and_keeps_its_place(make_world: MakeWorld) -> None:
    world = make_world([replace(A, enabled=False), B])
    assert {m["urlIdx"] for m in await world.models()} == {1}
    assert [r.host for r in world.up.requests] == ["b"]


async def test_case_024_tags_replace_the_upstreams_only_where_there_are_any(make_world: MakeWorld) -> None:
    world = make_world([replace(A, tags=[{"name": "ours"}]), B])
    answers(world, "a", {"data": [{"id": "a1", "tags": [{"name": "theirs"}]}]})
    answers(world, "b", {"data": [{"id": "b1", "tags": [{"name": "theirs"}]}, {"id": "b2"}]})
    assert [m.get("tags") for m in await world.models()] == [[{"name": "ours"}], [{"name": "theirs"}], None]


async def test_case_025_the_connection_type_is_shown(make_world: MakeWorld) -> None:
    world = make_world([replace(A, connection_type="local", prefix_id="a"), replace(B, connection_type="")])
    assert {m["id"]: m["connection_type"] for m in await world.models()} == {
        "a.gpt-small": "local",
        "a.gpt-large": "local",
        "gpt-small": "external",
        "gpt-large": "external",
    }


def _refuses(_: FakeRequest) -> Answer:
    raise httpx.ConnectError("refused")


def _breaks(_: FakeRequest) -> Answer:
    raise RuntimeError("a transport of the host's own, with a fault of its own")


# Not among them any more, because servers say it so (case 243): a null, strings, and a list under ``models``.
BAD = {
    "refuses": _refuses,
    "breaks": _breaks,
    "html": bytes_answer(b"<html>", "text/html", 502),
    "html with 200": bytes_answer(b"<html>", "text/html"),
    "an error": json_answer({"error": {"message": "no"}}, 401),
    "another object": json_answer({"entries": [{"id": "z"}]}),
    "a redirect": bytes_answer(b"", "text/plain", 302, [("location", "http://c/v1/models")]),
    "nothing": bytes_answer(b"", "application/json"),
    "no text": bytes_answer(b"\xff\xfe", "application/json"),
    "cut short": bytes_answer(b'{"data": [{"id": "z"}', "application/json"),
    "too deep": bytes_answer(b"[" * 100_000, "application/json"),
    "a strange coding": bytes_answer(b"{}", "application/json", headers=[("content-encoding", "br")]),
    "a broken coding": bytes_answer(b"{}", "application/json", headers=[("content-encoding", "gzip")]),
    "case-028 an object": json_answer({"data": {"x": 1}}),
    "case-028 a string": json_answer("str"),
    "case-029 a list with 500": json_answer({"data": [{"id": "z"}]}, 500),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_case_026_a_bad_upstream_costs_nothing_but_its_own_models(
    world: World, bad: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answers(world, "a", {"data": [{"id": "m1"}]})
    world.up.host("b").answer("/models", bad)
    assert await world.ids() == ["m1"]
    assert (await world.chat("m1")).status_code == 200
    assert world.up.host("c").requests == []
    assert len(world.up.host("b").calls("/models")) == 1
    assert "model list of upstream 'b' failed" in caplog.text


async def test_case_027_a_silent_upstream_costs_its_deadline_at_a_cold_start(make_world: MakeWorld) -> None:
    world = make_world(settings=Settings(model_list_timeout=0.1))
    world.up.host("b").answer("/models", never)
    assert await asyncio.wait_for(world.ids(), 5) == ["gpt-small", "gpt-large"]
    assert world.up.open_answers == 0


async def test_case_027_with_a_warm_cache_a_silent_upstream_costs_nothing(make_world: MakeWorld) -> None:
    world = make_world(settings=Settings(model_list_lifetime=0.01))
    world.up.host("b").models = ["bm"]
    warm = await world.ids()
    assert "bm" in warm
    world.up.host("b").answer("/models", never)
    await asyncio.sleep(0.1)  # longer than any list is taken unasked
    assert await world.ids() == warm
    assert (await world.chat("bm")).status_code == 200
    await world.up.host("b").until(lambda: len(world.up.host("b").calls("/models")) == 2)


async def test_case_030_a_bare_list_is_a_list(make_world: MakeWorld) -> None:
    world = make_world([replace(A, prefix_id="z")])
    answers(world, "a", [{"id": "l1"}, {"name": "l2"}])
    assert await world.ids() == ["z.l1", "z.l2"]


@pytest.mark.parametrize("prefix", ["", "z"])
async def test_case_031_an_entry_without_a_usable_id_is_left_out(make_world: MakeWorld, prefix: str) -> None:
    world = make_world([replace(A, prefix_id=prefix)])
    bad: list[Any] = [{}, {"id": ""}, {"id": None}, {"id": 5}, {"id": ["x"]}, {"id": " m"}, {"id": "m\n"}, None, 1, []]
    bad.append({"id": "x" * 300})
    answers(world, "a", {"data": [*bad, {"id": "good"}, *bad]})
    assert await world.ids() == ["z.good" if prefix else "good"]


OFFICIAL = Upstream("https://api.openai.com/v1", api_key="ka")
HIDDEN = ["babbage-002", "dall-e-3", "davinci-002", "text-embedding-3-small", "gpt-4o-mini-tts", "my-whisper-x"]


async def test_case_032_the_official_list_hides_what_is_not_for_chat(make_world: MakeWorld) -> None:
    world = make_world([OFFICIAL])
    world.up.host("api.openai.com").models = [*HIDDEN, "gpt-4o", "DALL-E"]
    assert await world.ids() == ["gpt-4o", "DALL-E"]


# Hidden from the list, where the origin drops them: an embedding model is still wanted at /embeddings.
async def test_case_032_what_is_hidden_can_still_be_called(make_world: MakeWorld) -> None:
    world = make_world([OFFICIAL], authorize_model=lambda user, model: user.is_admin)
    world.up.host("api.openai.com").models = [*HIDDEN]
    body = {"model": "text-embedding-3-small", "input": "hi"}
    assert (await world.post("/embeddings", body)).status_code == 200
    assert (await world.get("/models/text-embedding-3-small")).status_code == 200
    assert (await world.post("/embeddings", body, "u1")).status_code == 404


@pytest.mark.parametrize(
    "url", ["http://x/api.openai.com/v1", "https://api.openai.com.evil.example/v1", "https://eu.api.openai.com/v1"]
)
async def test_case_033_only_the_official_host_itself_hides_anything(make_world: MakeWorld, url: str) -> None:
    world = make_world([Upstream(url)])
    world.up.models = [*HIDDEN]
    assert await world.ids() == HIDDEN


async def test_case_034_a_prefix_hides_nothing(make_world: MakeWorld) -> None:
    world = make_world([replace(OFFICIAL, prefix_id="tts")])
    world.up.host("api.openai.com").models = ["gpt-4o", "tts-1"]
    assert await world.ids() == ["tts.gpt-4o"]


async def test_case_035_lists_are_asked_for_with_the_upstreams_own_headers(make_world: MakeWorld) -> None:
    world = make_world([replace(A, auth_type="none", headers={"X-C": "1"})])
    await world.models()
    assert world.up.last.header("x-c") == "1"
    assert world.up.last.header("authorization") is None


async def test_case_036_a_session_list_is_asked_for_with_the_callers_token(make_world: MakeWorld) -> None:
    world = make_world([replace(A, auth_type="session")])
    await world.models()
    assert world.up.last.header("authorization") == "Bearer a1"


@pytest.mark.parametrize("lifetime", [60, 0])
async def test_case_037_many_callers_cost_one_call_per_upstream(make_world: MakeWorld, lifetime: float) -> None:
    world = make_world(settings=Settings(model_list_lifetime=lifetime))
    go_on = asyncio.Event()

    async def slowly(_: FakeRequest) -> Answer:
        await go_on.wait()
        return json_answer({"data": [{"id": "m"}]})

    for host in ("a", "b"):
        world.up.host(host).answer("/models", slowly)
    callers = [asyncio.create_task(world.ids()) for _ in range(60)]
    callers += [asyncio.create_task(world.chat("m")) for _ in range(40)]  # type: ignore[arg-type]
    await world.up.until_requests(2)
    for _ in callers:
        await asyncio.sleep(0)  # a burst begins in turns, and all of it is to be there
    go_on.set()
    await asyncio.gather(*callers)
    assert [len(world.up.host(host).calls("/models")) for host in ("a", "b")] == [1, 1]


async def test_case_038_a_lifetime_of_zero_asks_every_time(make_world: MakeWorld) -> None:
    world = make_world([A], settings=Settings(model_list_lifetime=0))
    a = world.up.host("a")
    for number in range(1, 4):
        a.models = [f"m{number}"]
        assert await world.ids() == [f"m{number}"]
        assert len(a.calls("/models")) == number
    a.models = ["m4"]
    assert (await world.chat("m4")).status_code == 200
    assert (await world.chat("m3")).status_code == 404


async def test_case_039_filtering_for_a_user_does_not_touch_the_list(make_world: MakeWorld) -> None:
    world = make_world([A], authorize_model=lambda user, model: user.is_admin or model.id == "gpt-small")
    for _ in range(2):
        assert await world.ids("a1") == ["gpt-small", "gpt-large"]
        assert await world.ids("u1") == ["gpt-small"]
    assert len(world.up.requests) == 1


def _own_list(request: FakeRequest) -> Answer:
    token = (request.header("authorization") or "").removeprefix("Bearer ")
    return json_answer({"data": [{"id": f"m-{token}"}]})


async def test_case_040_lists_of_ones_own_stay_ones_own(make_world: MakeWorld) -> None:
    world = make_world([B, replace(A, auth_type="session")])
    world.up.host("a").answer("/models", _own_list)
    assert "m-a1" in await world.ids("a1")
    assert "m-a2" in await world.ids("a2")
    assert "m-a1" not in await world.ids("a2")
    assert (await world.chat("m-a1", "a1")).status_code == 200
    assert (await world.chat("m-a2", "a1")).status_code == 404
    assert sorted(request.host for request in world.up.calls("/models")) == ["a", "a", "b"]


async def test_case_041_a_disabled_api_lists_nothing(make_world: MakeWorld) -> None:
    world = make_world(settings=Settings(enabled=False))
    for path in ("/models", "/models/gpt-small", "/config/upstreams/0/models"):
        answer = await world.get(path)
        assert answer.status_code == 503
        assert refusal(answer)["code"] == "gateway_disabled"
        assert refusal(answer)["message"] == "OpenAI API is disabled."
    assert world.up.requests == []


# Of the route /config/upstreams/{n}/models; 400 where the case says 422.
@pytest.mark.parametrize(
    ("index", "status"), [("2", 404), ("9", 404), ("-1", 404), ("abc", 400), ("1.0", 400), ("9" * 100, 404)]
)
async def test_case_042_an_index_that_is_none_is_said_to_be_none(world: World, index: str, status: int) -> None:
    answer = await world.get(f"/config/upstreams/{index}/models")
    assert answer.status_code == status
    assert refusal(answer)["param"] == "index"
    assert world.up.requests == []


async def test_case_042_the_list_of_one_upstream_has_its_own_ids(make_world: MakeWorld) -> None:
    world = make_world([A, replace(B, prefix_id="p", enabled=False)])
    answer = await world.get("/config/upstreams/1/models")
    assert [model["id"] for model in answer.json()["data"]] == ["gpt-small", "gpt-large"]
    assert [r.host for r in world.up.requests] == ["b"]


async def test_case_043_a_refused_list_is_told_in_words(world: World) -> None:
    world.up.host("a").answer("/models", error_answer(401, "bad key"))
    answer = await world.get("/config/upstreams/0/models")
    assert answer.status_code == 502
    # Administrators are told what the upstream says, where it has the shape of the API's errors.
    assert refusal(answer)["message"].startswith("401: bad key. The upstream refuses the gateway's credential")
