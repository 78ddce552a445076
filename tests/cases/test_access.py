"""Who may see and call which model: cases 44 to 57, and the switch of case 125."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from openai_gateway_asgi import Grant, Grants, MemoryStore, Model, Settings, Upstream, User, admins_only
from tests.cases.conftest import MakeWorld
from tests.cases.world import A, B, M, World, refusal

NAMED = replace(A, model_ids=["m1"])


async def assert_denied(world: World, who: str = "u1", model: str = "m1") -> None:
    """Neither seen nor called, by any route, and the upstream hears nothing of it."""
    before = len(world.up.requests)
    assert model not in await world.ids(who)
    for answer in (
        await world.get(f"/models/{model}", who),
        await world.chat(model, who),
        await world.post("/responses", {"model": model, "input": "hi"}, who),
        await world.post("/embeddings", {"model": model, "input": "hi"}, who),
        await world.post("/audio/speech", {"model": model, "input": "hi", "voice": "alloy"}, who),
        await world.post(f"/deployments/{model}/chat/completions", {"messages": M}, who),
    ):
        assert answer.status_code == 404
        assert refusal(answer)["code"] == "model_not_found"
    assert len(world.up.requests) == before


async def assert_allowed(world: World, who: str = "u1", model: str = "m1") -> None:
    assert model in await world.ids(who)
    assert (await world.get(f"/models/{model}", who)).json()["id"] == model
    assert (await world.chat(model, who)).status_code == 200
    assert world.up.last.path == "/v1/chat/completions"


# Denied and unknown are 404 for everyone, where cases 44, 46, 48, 49, 51, 54 and 55 say 403.
async def test_case_044_a_model_without_a_grant_is_nobodys(make_world: MakeWorld) -> None:
    await assert_denied(make_world([NAMED], authorize_model=Grants({})))


GRANTS = {
    "case-045-public": Grant(public=True),
    "case-047-owner": Grant(owner="u1"),
    "case-048-named": Grant(users={"u1"}),
    "case-049-member": Grant(groups={"g1", "g2"}),
}
NO_GRANTS = {
    "case-046-private": Grant(owner="a1"),
    "case-048-others-named": Grant(users={"u2"}),
    "case-049-no-member": Grant(groups={"g2"}),
    "nothing-granted": Grant(),
}


@pytest.mark.parametrize("grant", GRANTS.values(), ids=GRANTS)
async def test_case_045_to_049_what_is_granted_is_seen_and_called(make_world: MakeWorld, grant: Grant) -> None:
    await assert_allowed(make_world([NAMED], authorize_model=Grants({"m1": grant})))


# A "write-only" entry of case 48 has no counterpart: a grant is to use a model, and nothing else.
@pytest.mark.parametrize("grant", NO_GRANTS.values(), ids=NO_GRANTS)
async def test_case_046_to_049_what_is_not_granted_is_neither_seen_nor_called(
    make_world: MakeWorld, grant: Grant
) -> None:
    await assert_denied(make_world([NAMED], authorize_model=Grants({"m1": grant})))


@pytest.mark.parametrize("policy", [Grants({}), Grants({"m1": Grant(owner="u2")}), admins_only])
async def test_case_050_admins_use_everything_where_the_policy_says_so(make_world: MakeWorld, policy: Any) -> None:
    await assert_allowed(make_world([NAMED], authorize_model=policy), "a1")


# Towards models an admin is special only where a policy says so.
async def test_case_050_an_admin_is_nobody_special_to_a_policy_that_does_not_say_so(make_world: MakeWorld) -> None:
    world = make_world([NAMED], authorize_model=Grants({"m1": Grant(owner="u1")}, admins=False))
    await assert_denied(world, "a1")
    assert (await world.get("/config", "a1")).status_code == 200


@pytest.mark.parametrize(
    "query", ["bypass_filter=true", "bypass_filter=1&bypass_system_prompt=true", "user=a1", "role=admin"]
)
async def test_case_051_no_query_opens_anything(make_world: MakeWorld, query: str) -> None:
    world = make_world([NAMED], authorize_model=admins_only)
    answer = await world.post(f"/chat/completions?{query}", {"model": "m1", "messages": M}, "u1")
    assert answer.status_code == 404
    assert (await world.get(f"/models?{query}", "u1")).json()["data"] == []
    assert world.up.requests == []


@pytest.mark.parametrize(
    "headers", [{"x-role": "admin"}, {"x-openwebui-user-role": "admin"}, {"x-forwarded-user": "a1"}]
)
@pytest.mark.parametrize("fields", [{"bypass_filter": True}, {"metadata": {"bypass_filter": True}}, {"user": "a1"}])
async def test_case_051_neither_header_nor_body_opens_anything(
    make_world: MakeWorld, headers: dict[str, str], fields: dict[str, Any]
) -> None:
    world = make_world([NAMED], authorize_model=admins_only)
    answer = await world.post("/chat/completions", {"model": "m1", "messages": M, **fields}, "u1", headers=headers)
    assert answer.status_code == 404
    assert world.up.requests == []


# Cases 52 and 53 are of presets, which come later; what there is of chains already are fallbacks.
async def test_case_053_every_hop_of_a_chain_is_checked(make_world: MakeWorld) -> None:
    store = MemoryStore(
        [replace(A, model_ids=["m1"]), replace(B, model_ids=["secret", "open"])],
        fallbacks={"m1": ["secret", "open"], "open": ["m1"]},
    )
    policy = Grants({"m1": Grant(public=True), "open": Grant(public=True)})
    world = make_world(store, authorize_model=policy, settings=Settings(retries=0))
    world.up.host("a").answer("/chat/completions", _refuses)
    answer = await world.chat("m1", "u1")
    assert answer.status_code == 200
    assert [(r.host, r.json()["model"]) for r in world.up.requests] == [("a", "m1"), ("b", "open")]


def _refuses(_: Any) -> Any:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/responses", {"input": "hi"}, id="case-054"),
        pytest.param("/embeddings", {"input": "hi"}, id="case-055"),
        pytest.param("/audio/speech", {"input": "hi", "voice": "alloy"}, id="speech"),
        pytest.param("/images/generations", {"prompt": "hi"}, id="images"),
        pytest.param("/moderations", {"input": "hi"}, id="moderations"),
        pytest.param("/completions", {"prompt": "hi"}, id="completions"),
        pytest.param("/v1/chat/completions", {"messages": M}, id="with a version"),
    ],
)
async def test_case_054_055_every_route_that_names_a_model_is_checked(
    make_world: MakeWorld, path: str, body: dict[str, Any]
) -> None:
    world = make_world([NAMED], authorize_model=admins_only)
    answer = await world.post(path, {"model": "m1", **body}, "u1")
    assert answer.status_code == 404
    assert refusal(answer)["code"] == "model_not_found"
    assert world.up.requests == []


@pytest.mark.parametrize("body", [{"models": ["secret"]}, {"models": ["open", "secret"]}, {"models": ["unheard-of"]}])
async def test_case_054_other_models_that_a_body_names_are_checked_too(
    make_world: MakeWorld, body: dict[str, Any]
) -> None:
    policy = Grants({"m1": Grant(public=True), "open": Grant(public=True)})
    world = make_world([replace(A, model_ids=["m1", "open", "secret"])], authorize_model=policy)
    assert (await world.chat("m1", "u1", models=["open"])).status_code == 200
    answer = await world.chat("m1", "u1", **body)
    assert answer.status_code == 404
    assert len(world.up.requests) == 1


async def test_case_054_other_models_are_sent_only_where_they_are_what_was_checked(make_world: MakeWorld) -> None:
    serves_both = replace(B, model_ids=["m1", "other"])
    world = make_world([NAMED, serves_both])
    assert (await world.chat("m1", "u1", models=["other"])).status_code == 200
    assert [r.host for r in world.up.requests] == ["b"]
    apart = make_world([NAMED, replace(B, model_ids=["other"])])
    answer = await apart.chat("m1", "u1", models=["other"])
    assert answer.status_code == 400
    assert apart.up.requests == []


async def test_case_056_the_bypass_opens_every_model_to_every_user(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BYPASS_MODEL_ACCESS_CONTROL", "true")
    world = make_world([NAMED], authorize_model=Grants({}), settings=Settings.from_env())
    await assert_allowed(world)
    assert (await world.get("/models", None)).status_code == 401
    assert (await world.get("/config", "u1")).status_code == 403


def _without_ids(answer: httpx.Response, model: str) -> tuple[int, str, dict[str, str]]:
    """The answer, but for the name of the model and what differs between any two requests."""
    changing = ("x-request-id", "x-gateway-request-id", "content-length")
    headers = {name: value for name, value in answer.headers.items() if name not in changing}
    return answer.status_code, answer.text.replace(model, "..."), headers


@pytest.mark.parametrize("unknown_list", [False, True])
async def test_case_057_denied_and_unknown_models_look_the_same(make_world: MakeWorld, unknown_list: bool) -> None:
    upstreams = [replace(A, model_ids=["secret", "open"]), *([B] if unknown_list else [])]
    world = make_world(upstreams, authorize_model=Grants({"open": Grant(public=True)}))
    world.up.host("b").answer("/models", _refuses)
    ways: list[Callable[[str], Awaitable[httpx.Response]]] = [
        lambda id: world.get(f"/models/{id}", "u1"),
        lambda id: world.chat(id, "u1"),
        lambda id: world.post("/embeddings", {"model": id, "input": "hi"}, "u1"),
        lambda id: world.chat("open", "u1", models=[id]),
    ]
    for ask in ways:
        denied, unknown = await ask("secret"), await ask("unheard-of")
        assert _without_ids(denied, "secret") == _without_ids(unknown, "unheard-of")
        assert denied.status_code == (503 if unknown_list else 404)


@pytest.mark.parametrize("waits", [False, True])
async def test_case_057_a_policy_is_not_asked_on_behind_its_no(make_world: MakeWorld, waits: bool) -> None:
    """What it says of the model's fallbacks, or raises there, would tell that there is such a model."""

    def plain(_: User, model: Model) -> bool:
        if model.id != "secret":
            raise RuntimeError(model.id)
        return False

    async def waiting(user: User, model: Model) -> bool:
        return plain(user, model)

    store = MemoryStore([replace(A, model_ids=["secret", "m1"])], fallbacks={"secret": ["m1"]})
    world = make_world(store, authorize_model=waiting if waits else plain)
    assert (await world.chat("secret", "u1")).status_code == 404
    assert (await world.chat("secret", "u1", models=["m1"])).status_code == 404


async def test_a_model_unknown_only_because_a_list_never_loaded_is_a_503(make_world: MakeWorld) -> None:
    world = make_world([NAMED, replace(B, prefix_id="pb")], settings=Settings(model_list_retry=7))
    world.up.host("b").answer("/models", _refuses)
    waiting = await world.chat("pb.m")
    assert waiting.status_code == 503
    assert refusal(waiting)["code"] == "upstream_unavailable"
    assert waiting.headers["retry-after"] == "7"
    assert (await world.chat("m")).status_code == 404  # without the prefix it cannot be b's
    assert (await world.chat("m1")).status_code == 200
    assert len(world.up.host("b").calls("/models")) == 1


ROUTES = [
    ("POST", "/chat/completions", {"model": "m1", "messages": M}),
    ("POST", "/responses", {"model": "m1", "input": "hi"}),
    ("POST", "/embeddings", {"model": "m1", "input": "hi"}),
    ("POST", "/audio/speech", {"model": "m1", "input": "hi", "voice": "alloy"}),
    ("GET", "/models", None),
    ("GET", "/models/m1", None),
    ("GET", "/config/upstreams/0/models", None),
    ("GET", "/files", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_case_125_a_disabled_api_serves_no_route(
    make_world: MakeWorld, method: str, path: str, body: Any
) -> None:
    world = make_world(MemoryStore([NAMED]))
    assert (await world.update(ENABLE_OPENAI_API=False)).status_code == 200
    answer = await world.request(method, path, json=body)
    assert answer.status_code == 503
    assert refusal(answer)["code"] == "gateway_disabled"
    assert world.up.requests == []
    assert (await world.get("/config")).json()["ENABLE_OPENAI_API"] is False
    assert (await world.update(ENABLE_OPENAI_API=True)).status_code == 200
    assert (await world.chat("m1")).status_code == 200


async def test_case_125_a_disabled_upstream_serves_no_model(make_world: MakeWorld) -> None:
    world = make_world([replace(NAMED, enabled=False), Upstream("http://b/v1")])
    assert (await world.chat("m1")).status_code == 404
    assert world.up.host("a").requests == []


# Callers known by a cookie alone.


COOKIE = {"cookie": "who=u1"}
CROSS_SITE = [
    {},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "origin": "http://gateway.test"},
    {"origin": "http://evil.test"},
    {"origin": "null"},
    {"origin": "https://gateway.test"},
    {"origin": "http://gateway.test.evil.test"},
]
SAME_SITE = [
    {"sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
    {"origin": "http://gateway.test"},
    {"origin": "http://friend.test"},
    {"origin": "http://friend.test", "sec-fetch-site": "cross-site"},
]


@pytest.mark.parametrize("headers", CROSS_SITE)
@pytest.mark.parametrize(("method", "path", "body"), [*ROUTES[:6], ("GET", "/config", None)])
async def test_a_cookie_alone_opens_nothing_to_other_sites(
    make_world: MakeWorld, method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    world = make_world([NAMED])
    answer = await world.request(method, path, None, json=body, headers={**COOKIE, **headers})
    if method == "GET" and path != "/config" and not headers:
        assert answer.status_code == 200  # a page over plain HTTP brings neither header (case 249)
        return
    assert answer.status_code == 403
    assert refusal(answer)["code"] == "cross_site_request"
    assert world.up.requests == []


@pytest.mark.parametrize("headers", SAME_SITE)
async def test_a_cookie_alone_serves_the_hosts_own_pages(make_world: MakeWorld, headers: dict[str, str]) -> None:
    world = make_world([NAMED], settings=Settings(trusted_origins=("http://friend.test",)))
    answer = await world.get("/models", None, headers={**COOKIE, **headers})
    assert [model["id"] for model in answer.json()["data"]] == ["m1"]


@pytest.mark.parametrize("name", ["authorization", "api-key", "x-api-key"])
async def test_a_header_of_its_own_serves_any_site(make_world: MakeWorld, name: str) -> None:
    world = make_world([NAMED])
    headers = {**COOKIE, name: "Bearer u1", "sec-fetch-site": "cross-site"}
    assert (await world.get("/models", None, headers=headers)).status_code == 200


async def test_a_cookie_alone_posts_json_only(make_world: MakeWorld) -> None:
    world = make_world([NAMED])
    headers = {**COOKIE, "sec-fetch-site": "same-origin", "content-type": "text/plain"}
    answer = await world.request("POST", "/chat/completions", None, content=b'{"model":"m1"}', headers=headers)
    assert answer.status_code == 415
    assert world.up.requests == []
