"""Cases 135 to 137, and the paths that a host opens by hand.

Settled since those cases were written: what is not served is a 404, not a 403.
"""

from __future__ import annotations

import pytest

from openai_gateway_asgi import User
from openai_gateway_asgi.testing import Answer, json_answer
from openai_gateway_asgi.testing.answers import bytes_answer
from tests.cases.gateways import error_of
from tests.surface.world import ASKED, DENIED, FILE, FORM, SERVED, SOUND, field, form, parts_of, surface

PATTERNS = ("GET /rerankers/{id}", "POST /rerank", "PUT /files/{id}", "DELETE /rerankers/{id}", "POST /things/{a}/{b}")
OPEN = {"passthrough": PATTERNS, "open_groups": ["passthrough", "files"]}


async def test_case_135_an_unknown_path_reaches_nobody() -> None:
    async with surface() as gateway:
        for who in ("una", "ada"):
            for method, path in (("GET", "/v1/rerankers/r"), ("POST", "/rerank"), ("GET", "/"), ("PUT", "/v1/x/y")):
                answer = await gateway.ask(method, path, who=who)
                assert (answer.status, error_of(answer)["code"]) == (404, "not_found")
        assert gateway.up.requests == []


async def test_case_136_a_path_that_is_open_keeps_its_query_and_its_answer() -> None:
    async with surface(answer=json_answer({"data": []}), settings=OPEN) as gateway:
        answer = await gateway.ask("GET", "/v1/files?limit=2")
        assert (answer.status, answer.json()) == (200, {"data": []})
        assert (gateway.up.last.path, gateway.up.last.query) == ("/v1/files", b"limit=2")
        await gateway.ask("GET", "/rerankers/a%20b?limit=2&x=%2F")
        assert (gateway.up.last.path, gateway.up.last.query) == ("/v1/rerankers/a%20b", b"limit=2&x=%2F")


async def test_case_136_a_form_stays_a_form() -> None:
    body = form(field("purpose", "batch"), FILE)
    async with surface(answer=json_answer({}), settings=OPEN) as gateway:
        for path in ("/v1/files", "/rerank"):
            assert (await gateway.ask("POST", path, headers={"content-type": FORM}, body=body)).status == 200
            kind = gateway.up.last.header("content-type") or ""
            assert kind.startswith("multipart/form-data; boundary=")
            assert [content for _, content in parts_of(gateway.up.last.body, kind)] == [b"batch", SOUND]


@pytest.mark.parametrize(
    "answer",
    [
        bytes_answer(SOUND, "application/octet-stream"),
        bytes_answer(SOUND, "application/zip", 201),
        Answer((), 204),
        bytes_answer(b'{"error":{"message":"gone"}}', "application/json", 410),
    ],
)
async def test_case_136_bytes_and_status_are_kept(answer: Answer) -> None:
    async with surface(answer=answer, settings=OPEN) as gateway:
        got = await gateway.ask("GET", "/rerankers/r")
        assert (got.status, got.body) == (answer.status, b"".join(answer.chunks))  # type: ignore[arg-type]


async def test_case_136_a_model_in_the_body_is_checked_and_named_as_its_upstream_does() -> None:
    async with surface(answer=json_answer({}), settings=OPEN) as gateway:
        body = {"model": ASKED, "query": "q"}
        assert (await gateway.ask("POST", "/rerank", json=body)).status == 200
        assert gateway.up.last.json() == body | {"model": SERVED}
        assert (await gateway.ask("POST", "/rerank", json={"query": "q"})).status == 200
        assert gateway.up.last.json() == {"query": "q"}
        denied = await gateway.ask("POST", "/rerank", json=body | {"model": DENIED})
        assert (denied.status, error_of(denied)["code"]) == (404, "model_not_found")
        assert len(gateway.up.requests) == 2


async def test_case_136_other_paths_stay_closed() -> None:
    async with surface(settings=OPEN) as gateway:
        for method, path, status in (
            ("GET", "/v1/rerankers", 404),
            ("GET", "/v1/rerankers/a/b", 404),
            ("PATCH", "/v1/rerankers/a", 405),
            ("GET", "/v1/Rerankers/a", 404),
            ("GET", "/v1/organization/users", 404),
            ("POST", "/v1/things/a", 404),
            ("POST", "/v1/things/a/b%2Fc", 400),
        ):
            assert (await gateway.ask(method, path)).status == status, path
        assert gateway.up.requests == []


@pytest.mark.parametrize("path", ["/..%2f..%2fadmin", "/rerankers/..%2f..%2fadmin", "/rerankers/%2e%2e", "/../admin"])
async def test_case_137_a_path_that_climbs_is_a_400(path: str) -> None:
    async with surface(settings=OPEN) as gateway:
        answer = await gateway.ask("GET", path, who="ada")
        assert (answer.status, error_of(answer)["code"]) == (400, "invalid_path")
        assert gateway.up.requests == []


async def test_they_are_for_administrators_where_their_group_is_closed() -> None:
    async with surface(answer=json_answer({}), settings={"passthrough": PATTERNS}) as gateway:
        assert (await gateway.ask("POST", "/rerank", json={})).status == 404
        assert (await gateway.ask("POST", "/rerank", who="ada", json={})).status == 200
        assert len(gateway.up.requests) == 1


async def test_a_policy_of_the_host_opens_them_to_whom_it_likes() -> None:
    def staff_may(user: User, group: str) -> bool:
        return group == "passthrough" and "staff" in user.groups

    async with surface(
        answer=json_answer({}), settings={"passthrough": PATTERNS}, authorize_group=staff_may
    ) as gateway:
        assert (await gateway.ask("POST", "/rerank", who="val", json={})).status == 200
        assert (await gateway.ask("POST", "/rerank", who="una", json={})).status == 404
        assert len(gateway.up.requests) == 1


async def test_they_stand_beside_the_paths_of_the_api() -> None:
    async with surface(answer=json_answer({}), settings=OPEN) as gateway:
        assert (await gateway.ask("PUT", "/v1/files/f%40", json={})).status == 200
        assert (gateway.up.last.method, gateway.up.last.path) == ("PUT", "/v1/files/f@")
        assert (await gateway.ask("GET", "/v1/files/f")).status == 200
        assert (await gateway.ask("HEAD", "/v1/rerankers/r")).status == 200
        assert (await gateway.ask("DELETE", "/v1/rerankers/r")).status == 200
        assert (gateway.up.last.method, gateway.up.last.path) == ("DELETE", "/v1/rerankers/r")
        assert (await gateway.ask("POST", "/v1/things/a/b", json={})).status == 200
        assert gateway.up.last.path == "/v1/things/a/b"
