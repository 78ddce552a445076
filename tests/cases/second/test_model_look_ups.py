"""What is listed can be retrieved, whatever its id: case 245."""

from __future__ import annotations

from urllib.parse import quote

import openai
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount, Route

from openai_gateway_asgi import Gateway, Grant, Grants, Upstream, User, everyone
from openai_gateway_asgi.http.paths import SAFE
from openai_gateway_asgi.testing import FakeUpstream, json_answer
from tests.cases.gateways import EAGER, resolve_user, upstream_a, world
from tests.support.asgi import ask
from tests.support.servers import serve

IDS = [
    "/data/models/Qwen",
    "a#b",
    "a?",
    "a?b=c&d",
    "100%x",
    "100%41",
    "a;b",
    "C:\\x\\q.gguf",
    "../models/7B/ggml-model.gguf",
    "./m",
    "a//b",
    "org/m/",
    "a b",
    "org/model:free",
    "模型/é",
    "%2F",
    "a%2Fb",
    "v1",
    "v1/models/x",
    "openai/v1/models/x",
    "config",
    "@cf/meta+x!$&'(),=~",
    "\U0001f999",
    "<script>",
    '"quoted"',
    "m" * 256,
]


@pytest.mark.parametrize("version", ["", "/v1"])
async def test_case_245_the_real_client_retrieves_every_model_that_is_listed(version: str) -> None:
    upstream = FakeUpstream(list(IDS))
    async with serve(upstream) as up:
        gateway = Gateway(
            [Upstream(f"{up.url}/v1")], resolve_user=resolve_user, authorize_model=everyone, settings=EAGER
        )
        app = Starlette(routes=[Mount("/openai", gateway)])
        async with gateway.lifespan(), serve(app, http="httptools") as server:
            async with openai.AsyncOpenAI(base_url=f"{server.url}/openai{version}", api_key="sk") as sdk:
                listed = [model.id async for model in sdk.models.list()]
                assert listed == IDS
                for id in listed:
                    assert (await sdk.models.retrieve(id)).id == id
    assert {request.path for request in upstream.requests} == {"/v1/models"}


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("root", ["", "/v1", "/openai", "/openai/v1"])
async def test_case_245_in_every_spelling_of_the_path(id: str, root: str) -> None:
    spellings = {quote(id, safe=""), quote(id, safe=SAFE), quote(id, safe=SAFE + "/"), quote(id, safe=SAFE + "/;")}
    async with world(upstream_a(*IDS)) as w:
        for spelling in spellings:
            answer = await w.ask("GET", f"{root}/models/{spelling}")
            assert (answer.status, answer.json()["id"]) == (200, id), spelling
            head = await w.ask("HEAD", f"{root}/models/{spelling}")
            assert (head.status, head.header("content-length")) == (200, str(len(answer.body)))
        assert w.upstream.requests == []


@pytest.mark.parametrize("id", [id for id in IDS if id != "config"])
async def test_case_245_what_is_unknown_or_denied_looks_the_same(id: str) -> None:
    grants = Grants({"other": Grant(public=True)}, admins=False)
    answers = []
    for upstream in (upstream_a(*IDS), upstream_a("other")):
        async with world(upstream, authorize_model=grants) as w:
            answer = await w.ask("GET", f"/models/{quote(id, safe='')}")
            answers.append((answer.status, answer.json()))
    assert answers[0] == answers[1]
    assert (answers[0][0], answers[0][1]["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("id", IDS)
async def test_case_245_deleting_one_goes_to_an_upstream_and_so_by_the_strict_rules(id: str) -> None:
    """A path that two decoders could read differently is never forwarded."""
    async with world(upstream_a(*IDS)) as w:
        w.upstream.answer("", json_answer({"deleted": True}))
        answer = await w.ask("DELETE", f"/models/{quote(id, safe='')}")
        assert answer.status in (200, 400, 404)
        for request in w.upstream.requests:
            assert request.path == f"/v1/models/{quote(id, safe=SAFE)}"


@pytest.mark.parametrize("path", ["/models/", "/v1/models/", "/models//", "/models/%", "/models/%ff", "/models%2Fm1"])
async def test_case_245_what_names_no_model_is_no_look_up(path: str) -> None:
    async with world() as w:
        assert (await w.ask("GET", path)).status in (400, 404)
        assert w.upstream.requests == []


async def test_case_245_as_a_route_of_the_hosts_own_and_behind_a_proxys_prefix() -> None:
    gateway = Gateway([upstream_a(*IDS)], authorize_model=everyone, settings=EAGER)

    async def ai(request: Request):  # type: ignore[no-untyped-def]
        return gateway.response(User("u"))

    app = Starlette(routes=[Route("/ai/{path:path}", ai)])
    async with gateway.lifespan():
        for id in IDS:
            path = f"/ai/models/{quote(id, safe='')}"
            for root_path in ("", "/behind/proxy"):
                answer = await ask(app, "GET", path, root_path=root_path, strict=False)
                assert (answer.status, answer.json().get("id")) == (200, id)


printable = st.text(max_size=256).filter(
    lambda id: id != "" and id.isprintable() and id == id.strip() and "*" not in id
)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(printable)
@example("..")
@example(".")
async def test_case_245_any_id_that_an_upstream_may_list(id: str) -> None:
    async with world(upstream_a(id)) as w:
        listed = (await w.ask("GET", "/models")).json()["data"]
        for entry in listed:
            answer = await w.ask("GET", f"/models/{quote(entry['id'], safe='')}")
            assert (answer.status, answer.json().get("id")) == (200, entry["id"])
