"""Who is let in, and to what: cases 1 to 5 and 141."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.exceptions import HTTPException

from openai_gateway_asgi import Settings, Upstream, User
from tests.cases.conftest import MakeWorld
from tests.cases.world import PEOPLE, World, refusal
from tests.support.asgi import ask

ADMIN_ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/config", None),
    ("POST", "/config/update", {"OPENAI_API_BASE_URLS": [], "OPENAI_API_KEYS": [], "OPENAI_API_CONFIGS": {}}),
    ("POST", "/verify", {"url": "http://a/v1", "key": ""}),
    ("GET", "/config/upstreams/0/models", None),
]
USER_ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/models", None),
    ("GET", "/models/gpt-small", None),
    ("POST", "/chat/completions", {"model": "gpt-small", "messages": []}),
    ("POST", "/responses", {"model": "gpt-small", "input": "hi"}),
    ("POST", "/embeddings", {"model": "gpt-small", "input": "hi"}),
    ("POST", "/audio/speech", {"model": "gpt-small", "input": "hi", "voice": "alloy"}),
]


@pytest.mark.parametrize(("method", "path", "body"), USER_ROUTES + ADMIN_ROUTES)
async def test_case_001_without_a_credential_nothing_is_served(world: World, method: str, path: str, body: Any) -> None:
    answer = await world.request(method, path, None, json=body)
    assert answer.status_code == 401
    assert refusal(answer)["type"] == "authentication_error"
    assert world.up.requests == []


@pytest.mark.parametrize(("method", "path", "body"), USER_ROUTES + ADMIN_ROUTES)
async def test_case_002_whom_the_host_turns_away_gets_the_hosts_words(
    world: World, method: str, path: str, body: Any
) -> None:
    answer = await world.request(method, path, "p1", json=body)
    assert answer.status_code == 401
    assert refusal(answer)["message"] == "Your account is still to be approved."
    assert world.up.requests == []


# The cases allow 401 or 403; a known caller is refused with 403.
@pytest.mark.parametrize(("method", "path", "body"), ADMIN_ROUTES[:3])
async def test_case_003_admin_routes_are_for_admins_and_change_nothing_for_others(
    world: World, method: str, path: str, body: Any
) -> None:
    before = (await world.get("/config")).json()
    answer = await world.request(method, path, "u1", json=body)
    assert answer.status_code == 403
    assert refusal(answer)["code"] == "permission_denied"
    assert (await world.get("/config")).json() == before
    assert world.up.requests == []


# `GET /models/0` is the model "0" here; the list of one upstream is an admin route (the settlement of case 4).
async def test_case_004_the_list_of_one_upstream_is_for_admins(world: World) -> None:
    answer = await world.get("/config/upstreams/0/models", "u1")
    assert answer.status_code == 403
    assert world.up.requests == []


async def test_case_004_a_number_below_models_is_a_model(world: World) -> None:
    world.up.host("a").models = ["0"]
    assert (await world.get("/models/0", "u1")).json()["id"] == "0"


@pytest.mark.parametrize(
    "host", ["evil.test", "gateway.test/openai/models?", "gateway.test/openai/models#", "a@b", "[::1]:1/models", ""]
)
async def test_case_005_the_host_header_decides_nothing(world: World, host: str) -> None:
    headers = {"authorization": "Bearer u1", "host": host}
    refused = await ask(world.app, "GET", "/openai/config", headers=headers, strict=False)
    assert refused.status == 403
    served = await ask(world.app, "GET", "/openai/models", headers=headers, strict=False)
    assert served.status == 200


@pytest.mark.parametrize(
    "path",
    ["/openai/models/..%2fconfig", "/openai/models/../config", "/openai/models%2f..%2fconfig", "/openai/config%2f"],
)
async def test_case_005_a_path_is_read_one_way_only(world: World, path: str) -> None:
    answer = await ask(world.app, "GET", path, headers={"authorization": "Bearer u1"}, strict=False)
    assert answer.status in (400, 404)
    # Below /models/ it is the id of a model that nobody lists (case 245), which the lists must be asked for.
    assert {request.path for request in world.up.requests} <= {"/v1/models"}


@pytest.mark.parametrize("root_path", ["", "/behind/proxy"])
async def test_case_005_the_mount_is_found_by_root_path(world: World, root_path: str) -> None:
    headers = {"authorization": "Bearer u1"}
    for path, status in [("/openai/config", 403), ("/openai/models", 200)]:
        assert (await ask(world.app, "GET", path, headers=headers, root_path=root_path, strict=False)).status == status


class _Broken(Exception):
    """What a host's own code may raise: a text that no client may see."""


def _raise(*_: Any) -> Any:
    raise _Broken("secret of the host")


async def _raise_later(*_: Any) -> Any:
    raise _Broken("secret of the host")


@pytest.mark.parametrize("fault", [_raise, _raise_later])
@pytest.mark.parametrize("name", ["resolve_user", "authorize_model", "visible_models", "context", "oauth_token"])
async def test_case_141_a_callable_that_raises_is_a_500_and_no_call(
    make_world: MakeWorld, name: str, fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = Upstream(
        "http://a/v1", model_ids=["m1"], auth_type="system_oauth" if name == "oauth_token" else "bearer"
    )
    given = {"oauth_token": lambda *_: "t", "settings": Settings(forward_user_info=True), name: fault}
    world = make_world([upstream], **given)
    answer = await (world.get("/models") if name == "visible_models" else world.chat("m1"))
    assert answer.status_code == 500
    assert refusal(answer)["code"] == "host_failure"
    assert "secret" not in answer.text
    assert world.up.requests == []
    assert f"{name} raised _Broken" in caplog.text


def _user(_: Any) -> User:
    return PEOPLE["u1"]


async def _user_later(_: Any) -> User:
    return PEOPLE["u1"]


def _yes(*_: Any) -> bool:
    return True


async def _yes_later(*_: Any) -> bool:
    return True


def _all(_: Any, models: Any) -> Any:
    return models


async def _all_later(_: Any, models: Any) -> Any:
    return set(models[:1])


@pytest.mark.parametrize(
    ("user", "authorize", "visible", "seen"),
    [
        (_user, _yes, None, 2),
        (_user_later, _yes_later, None, 2),
        (_user, _yes_later, _all, 2),
        (_user_later, _yes, _all_later, 1),
    ],
)
async def test_case_141_callables_may_be_sync_or_async(
    make_world: MakeWorld, user: Any, authorize: Any, visible: Any, seen: int
) -> None:
    world = make_world(resolve_user=user, authorize_model=authorize, visible_models=visible)
    assert len(await world.ids(None)) == seen
    assert (await world.chat("gpt-small", None)).status_code == 200


@pytest.mark.parametrize("answer", [None, 1, "yes", [True], object()])
async def test_case_141_only_true_allows(make_world: MakeWorld, answer: Any) -> None:
    world = make_world(authorize_model=lambda user, model: answer)
    assert await world.ids() == []
    assert (await world.chat("gpt-small")).status_code == 404
    assert world.up.calls("/chat/completions") == []


@pytest.mark.parametrize("answer", [False, True, "a1", {"id": "a1"}])
async def test_case_141_who_is_asking_must_be_a_user_or_nobody(make_world: MakeWorld, answer: Any) -> None:
    world = make_world(resolve_user=lambda request: answer)
    assert (await world.get("/models", None)).status_code == 500
    assert world.up.requests == []


@pytest.mark.parametrize("status", [400, 402, 403, 404, 429, 503])
async def test_case_141_an_http_exception_keeps_its_status(make_world: MakeWorld, status: int) -> None:
    def refuse(*_: Any) -> Any:
        raise HTTPException(status, "Not today.")

    world = make_world(authorize_model=refuse)
    for answer in (await world.chat("gpt-small"), await world.get("/models/gpt-small"), await world.get("/models")):
        assert answer.status_code == status
        assert refusal(answer)["message"] == "Not today."
    assert world.up.calls("/chat/completions") == []
