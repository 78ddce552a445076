"""Every operation of the published surface: refused without a call, or served to the letter."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from openai_gateway_asgi.answers.endings import FINAL_EVENTS
from openai_gateway_asgi.api.endpoints import Endpoint, Kind, match
from openai_gateway_asgi.testing import stream_answer
from openai_gateway_asgi.testing.answers import bytes_answer, chat_events, completions, responses_events, sse
from tests.cases.gateways import error_of
from tests.surface.world import (
    ADMINISTRATIVE,
    ASKED,
    DENIED,
    EVERY_OPERATION,
    JSON,
    ROWS,
    SERVED,
    SOUND,
    Row,
    body_of,
    parts_of,
    surface,
)

QUERY = b"limit=2&after=a%20b&include[]=x&metadata[k]=v%2Fw"
SERVED_HERE = ("listModels", "retrieveModel")


def endpoint_of(row: Row) -> Endpoint:
    path = row.path.removesuffix("?beta=true")
    return match(row.method, tuple(path[1:].split("/"))).endpoint


def target(row: Row, model: str) -> tuple[str, str]:
    """What the client asks for, and what the upstream is to be asked for."""
    path = row.path.removesuffix("?beta=true")
    return _filled(path.replace("{model}", model)), _filled(path.replace("{model}", SERVED.replace("/", "%2F")))


def _filled(template: str) -> str:
    return template.replace("{", "id-%C3%A9.").replace("}", ":1@x")


def queries(row: Row, own: bytes) -> Iterator[bytes]:
    if row.path.endswith("?beta=true"):
        yield b"beta=true"
    yield QUERY
    if own:
        yield own


NAMES_MODEL = [row for row in ROWS if endpoint_of(row).model_at or endpoint_of(row).kind is Kind.MODEL]
OF_GROUP = [row for row in ROWS if endpoint_of(row).group]
PROXIED = [row for row in ROWS if row.operation not in SERVED_HERE]


def test_every_row_is_tried() -> None:
    assert (len(EVERY_OPERATION), len(set(EVERY_OPERATION)), len(ADMINISTRATIVE)) == (288, 288, 119)
    served = {row.operation for row in ROWS}
    assert len(served) == 288 - 119
    assert {row.operation for row in PROXIED} == served - set(SERVED_HERE)
    assert {row.operation for row in NAMES_MODEL + OF_GROUP} == served - {"listModels"}  # which shows what is allowed


ANSWERS = [(row, kind) for row in PROXIED for kind in row.answer_types]


@pytest.mark.parametrize(("row", "kind"), [pytest.param(*each, id=f"{each[0].id} {each[1]}") for each in ANSWERS])
async def test_an_allowed_call_arrives_to_the_letter_and_comes_back_whole(row: Row, kind: str) -> None:
    endpoint = endpoint_of(row)
    body, headers, own_query = body_of(row, endpoint.model_at, ASKED)
    asked, served = target(row, ASKED)
    query = b"&".join(queries(row, own_query))
    whole = bytes_answer(SOUND, kind, 200, [("x-request-id", "up-1")])
    async with surface(answer=whole, settings={"open_groups": {endpoint.group} - {""}}) as gateway:
        answer = await gateway.ask(row.method, asked, query=query, headers=headers, body=body)

        assert (answer.status, answer.body) == (200, SOUND), answer.body
        assert answer.header("content-type") == kind
        assert answer.header("x-request-id") == "up-1"
        (sent,) = gateway.up.requests
    assert (sent.method, sent.path) == (row.method, "/v1" + served)
    assert sent.query == query.replace(b"pre.org", b"org").replace(b".1:x", b".1%3Ax" if own_query else b".1:x")
    assert sent.header("authorization") == "Bearer ka"
    check_body(row, endpoint, sent.body, body, sent.header("content-type") or "")


def check_body(row: Row, endpoint: Endpoint, sent: bytes, body: bytes, content_type: str) -> None:
    if row.body_type == "multipart/form-data":
        got, given = parts_of(sent, content_type), parts_of(body, "boundary=frontier")
        assert [head.splitlines()[0] for head, _ in got] == [head.splitlines()[0] for head, _ in given]
        for (_, now), (head, then) in zip(got, given, strict=True):
            named = b'"model"' in head or b'"session"' in head
            assert now == (then.replace(ASKED.encode(), SERVED.encode()).replace(b": ", b":") if named else then) or (
                named and json.loads(now) == json.loads(then.replace(ASKED.encode(), SERVED.encode()))
            )
    else:
        assert sent == body.replace(ASKED.encode(), SERVED.encode())
        assert content_type == row.body_type


@pytest.mark.parametrize("row", NAMES_MODEL, ids=[row.id for row in NAMES_MODEL])
async def test_a_denied_model_is_a_404_and_no_call(row: Row) -> None:
    endpoint = endpoint_of(row)
    body, headers, query = body_of(row, endpoint.model_at, DENIED)
    asked, _ = target(row, DENIED)
    async with surface(settings={"open_groups": {endpoint.group} - {""}}) as gateway:
        answer = await gateway.ask(row.method, asked, query=query, headers=headers, body=body)

        assert answer.status == 404
        assert error_of(answer)["code"] == "model_not_found"
        assert gateway.up.requests == []


@pytest.mark.parametrize("row", OF_GROUP, ids=[row.id for row in OF_GROUP])
async def test_a_closed_group_is_a_404_and_no_call(row: Row) -> None:
    body, headers, query = body_of(row, endpoint_of(row).model_at, ASKED)
    asked, _ = target(row, ASKED)
    async with surface() as gateway:
        answer = await gateway.ask(row.method, asked, query=query, headers=headers, body=body)
        unknown = await gateway.ask("GET", "/v1/nowhere")

        assert answer.status == unknown.status == 404
        assert error_of(answer) == error_of(unknown)
        assert gateway.up.requests == []


async def test_what_administers_the_account_is_never_served_not_even_to_administrators() -> None:
    async with surface() as gateway:
        for method, path in ADMINISTRATIVE:
            for prefix in ("", "/v1"):
                answer = await gateway.ask(method, prefix + _filled(path), who="ada", json={"model": ASKED})
                assert (answer.status, error_of(answer)["code"]) == (404, "not_found"), path
        assert gateway.up.requests == []


async def test_models_are_listed_by_the_gateway_itself() -> None:
    async with surface() as gateway:
        listed = await gateway.ask("GET", "/v1/models")
        one = await gateway.ask("GET", f"/v1/models/{ASKED}")
        denied = await gateway.ask("GET", f"/v1/models/{DENIED}")

        assert [model["id"] for model in listed.json()["data"]] == [ASKED, "pre.other"]
        assert one.json()["id"] == ASKED
        assert denied.status == 404
        assert gateway.up.requests == []


def events(operation: str) -> list[bytes]:
    if operation == "createChatCompletion":
        return chat_events({})
    if operation in ("createResponse", "getResponse"):
        return responses_events({})
    if operation == "createCompletion":
        return list(completions({"stream": True}).chunks)  # type: ignore[arg-type]
    if operation in FINAL_EVENTS:
        final = FINAL_EVENTS[operation][0]
        return [sse({"type": "partial"}), sse({"type": final}, final)]
    return [sse({"delta": 1}, "thread.run.step.delta"), sse("[DONE]", "done")]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in ROWS if row.streams])
async def test_its_stream_variant_streams(row: Row) -> None:
    endpoint = endpoint_of(row)
    more = {} if row.method == "GET" else {"stream": True}
    body, headers, query = body_of(row, endpoint.model_at, ASKED, **more)
    told = events(endpoint.operation)
    asked, _ = target(row, ASKED)
    async with surface(answer=stream_answer(told), settings={"open_groups": {endpoint.group} - {""}}) as gateway:
        answer = await gateway.ask(row.method, asked, query=query or b"stream=true", headers=headers, body=body)

    assert answer.status == 200
    assert (answer.header("content-type") or "").startswith("text/event-stream")
    assert (answer.header("cache-control"), answer.header("x-accel-buffering")) == ("no-cache", "no")
    assert answer.body == b"".join(told)


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in ROWS if row.streams])
async def test_its_stream_cut_short_is_an_error(row: Row) -> None:
    """A clean end without an error would be taken for success."""
    endpoint = endpoint_of(row)
    more = {} if row.method == "GET" else {"stream": True}
    body, headers, query = body_of(row, endpoint.model_at, ASKED, **more)
    cut = events(endpoint.operation)[:1]
    asked, _ = target(row, ASKED)
    async with surface(answer=stream_answer(cut), settings={"open_groups": {endpoint.group} - {""}}) as gateway:
        answer = await gateway.ask(row.method, asked, query=query or b"stream=true", headers=headers, body=body)

    assert answer.body.startswith(cut[0])
    assert b'"error"' in answer.body.removeprefix(cut[0]), answer.body
    assert b"[DONE]" not in answer.body


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in ROWS if row.method == "GET"])
async def test_head_is_served_where_get_is(row: Row) -> None:
    asked, served = target(row, ASKED)
    async with surface(
        answer=bytes_answer(b"", JSON), settings={"open_groups": {endpoint_of(row).group} - {""}}
    ) as gateway:
        answer = await gateway.ask("HEAD", asked)

        assert (answer.status, answer.body) == (200, b"")
        if row.operation not in SERVED_HERE:
            assert (gateway.up.last.method, gateway.up.last.path) == ("HEAD", "/v1" + served)
