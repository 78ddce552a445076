"""Stored objects behind one key: who may touch them, which upstream keeps them, and what bodies name of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from openai_gateway_asgi import ConfigError, Settings, Upstream, User
from openai_gateway_asgi.testing import json_answer
from tests.cases.gateways import error_of
from tests.surface.world import ASKED, DENIED, FILE, FORM, SERVED, field, form, keeper, surface

ANSWER = json_answer({"id": "x"})
CHAT = {"model": ASKED, "messages": [{"role": "user", "content": "hi"}]}
SECOND = Upstream("http://b/v1", name="B", api_key="kb", model_ids=["b1"])
OFF = Upstream("http://c/v1", name="C", api_key="kc", model_ids=["c1"], enabled=False)


def staff_may(user: User, group: str) -> bool:
    return "staff" in user.groups and group == "files"


async def staff_may_later(user: User, group: str) -> bool:
    return staff_may(user, group)


@pytest.mark.parametrize("policy", [staff_may, staff_may_later])
@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        ("val", "/v1/files", 200),
        ("val", "/v1/batches", 404),
        ("una", "/v1/files", 404),
        ("una", "/v1/batches", 404),
        ("una", "/v1/evals", 200),
        ("ada", "/v1/files", 200),
        ("ada", "/v1/skills", 200),
    ],
)
async def test_a_group_is_open_to_administrators_by_the_settings_and_by_the_host(
    who: str, path: str, status: int, policy: Any
) -> None:
    async with surface(answer=ANSWER, settings={"open_groups": ["evals"]}, authorize_group=policy) as gateway:
        answer = await gateway.ask("GET", path, who=who)

        assert answer.status == status
        assert len(gateway.up.requests) == (status == 200)


@pytest.mark.parametrize("answer", [None, 1, "yes", [True]])
async def test_a_policy_opens_a_group_with_true_alone(answer: Any) -> None:
    async with surface(answer=ANSWER, authorize_group=lambda user, group: answer) as gateway:
        assert (await gateway.ask("GET", "/v1/files")).status == 404
        assert gateway.up.requests == []


@pytest.mark.parametrize(("raised", "status"), [(HTTPException(403, "No."), 403), (RuntimeError("broken"), 500)])
async def test_a_policy_that_raises_never_opens(raised: Exception, status: int) -> None:
    def broken(user: User, group: str) -> bool:
        raise raised

    async with surface(answer=ANSWER, authorize_group=broken) as gateway:
        assert (await gateway.ask("GET", "/v1/files")).status == status
        assert gateway.up.requests == []


async def test_a_call_in_a_group_that_names_a_model_needs_both() -> None:
    async with surface(answer=ANSWER, settings={"open_groups": ["fine_tuning", "files"]}) as gateway:
        job = {"model": ASKED, "training_file": "file-1"}
        assert (await gateway.ask("POST", "/v1/fine_tuning/jobs", json=job)).status == 200
        assert gateway.up.last.json() == job | {"model": SERVED}
        denied = await gateway.ask("POST", "/v1/fine_tuning/jobs", json=job | {"model": DENIED})
        assert (denied.status, error_of(denied)["code"]) == (404, "model_not_found")
        assert len(gateway.up.requests) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/evals", {"testing_criteria": [{"type": "score_model", "model": DENIED}]}),
        ("/v1/evals/e1/runs", {"data_source": {"type": "completions", "model": DENIED}}),
        ("/v1/fine_tuning/alpha/graders/run", {"grader": {"graders": {"a": {"model": DENIED}}}}),
        ("/v1/threads", {"model": DENIED}),
        ("/v1/threads/t/runs", {"assistant_id": "a", "model": DENIED}),
    ],
)
async def test_a_denied_model_further_down_is_a_404(path: str, body: Any) -> None:
    groups = ["evals", "graders", "assistants"]
    async with surface(answer=ANSWER, settings={"open_groups": groups}) as gateway:
        answer = await gateway.ask("POST", path, json=body)

        assert (answer.status, error_of(answer)["code"]) == (404, "model_not_found")
        assert gateway.up.requests == []


async def test_a_run_may_leave_its_model_to_the_assistant() -> None:
    async with surface(answer=ANSWER, settings={"open_groups": ["assistants"]}) as gateway:
        for body in ({"assistant_id": "a"}, {"assistant_id": "a", "model": None}):
            assert (await gateway.ask("POST", "/v1/threads/t/runs", json=body)).status == 200
            assert gateway.up.last.json() == body
        assert (await gateway.ask("POST", "/v1/assistants", json={"name": "n"})).status == 400


async def test_deleting_a_model_names_it_as_its_upstream_does() -> None:
    async with surface(answer=ANSWER, settings={"open_groups": ["fine_tuning"]}) as gateway:
        assert (await gateway.ask("DELETE", f"/v1/models/{ASKED}")).status == 200
        assert (gateway.up.last.method, gateway.up.last.path) == ("DELETE", "/v1/models/org%2Fm.1:x")
        assert (await gateway.ask("DELETE", f"/v1/models/{DENIED}")).status == 404
        assert (await gateway.ask("DELETE", "/v1/models/nothing")).status == 404
        assert len(gateway.up.requests) == 1


@pytest.mark.parametrize(
    ("setting", "header", "host"),
    [(None, None, "a"), ("B", None, "b"), (None, "B", "b"), ("B", "A", "a")],
)
async def test_stored_objects_are_kept_by_one_upstream(setting: str | None, header: str | None, host: str) -> None:
    headers = {} if header is None else {"x-gateway-upstream": header}
    async with surface(keeper(), SECOND, answer=ANSWER, settings={"stored_upstream": setting}) as gateway:
        answer = await gateway.ask("GET", "/v1/files", who="ada", headers=headers)

        assert answer.status == 200
        assert gateway.up.last.host == host
        assert gateway.up.last.header("x-gateway-upstream") is None


async def test_the_first_upstream_that_is_enabled_keeps_them() -> None:
    async with surface(OFF, SECOND, keeper(), answer=ANSWER) as gateway:
        await gateway.ask("GET", "/v1/files", who="ada")

        assert gateway.up.last.host == "b"


async def test_an_upstream_named_wrongly_is_a_400_and_by_others_than_administrators_nothing() -> None:
    async with surface(keeper(), OFF, answer=ANSWER, settings={"open_groups": ["files"]}) as gateway:
        for name in ("nobody", "C", "", "a"):
            wrong = await gateway.ask("GET", "/v1/files", who="ada", headers={"x-gateway-upstream": name or " "})
            assert (wrong.status, error_of(wrong)["param"]) == (400, "x-gateway-upstream")
        assert gateway.up.requests == []
        assert (await gateway.ask("GET", "/v1/files", headers={"x-gateway-upstream": "C"})).status == 200


async def test_where_the_upstream_of_the_settings_is_off_it_is_a_501() -> None:
    async with surface(keeper(), OFF, answer=ANSWER, settings={"stored_upstream": "C"}) as gateway:
        assert (await gateway.ask("GET", "/v1/files", who="ada")).status == 501


async def test_what_is_made_with_a_model_is_kept_where_it_can_be_found() -> None:
    both = [keeper(), Upstream("http://b/v1", name="B", api_key="kb", prefix_id="pre", model_ids=["other"])]
    async with surface(*both, answer=ANSWER, settings={"stored_upstream": "B"}) as gateway:
        chat = {"model": "pre.other", "messages": [{"role": "user", "content": "hi"}]}
        assert (await gateway.ask("POST", "/v1/videos", who="ada", json={"model": "pre.other"})).status == 200
        assert gateway.up.last.host == "b"
        refused = await gateway.ask("POST", "/v1/videos", who="ada", json={"model": ASKED})
        assert (refused.status, error_of(refused)["param"]) == (400, "model")
        named = chat | {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}
        await gateway.ask("POST", "/v1/chat/completions", who="ada", json=named)
        assert gateway.up.last.host == "b"


def message(part: Any) -> dict[str, Any]:
    return CHAT | {"messages": [{"role": "user", "content": [part]}]}


RESPONSE = {"model": ASKED, "input": "hi"}
# The path, the body, the field that is refused, and its group.
NAMED: list[tuple[str, dict[str, Any], str, str]] = [
    ("/chat/completions", message({"type": "file", "file": {"file_id": "f"}}),
     "messages[0].content[0].file.file_id", "files"),
    ("/responses", RESPONSE | {"previous_response_id": "r"}, "previous_response_id", "responses"),
    ("/responses", RESPONSE | {"conversation": "c"}, "conversation", "conversations"),
    ("/responses", RESPONSE | {"conversation": {"id": "c"}}, "conversation", "conversations"),
    ("/responses", RESPONSE | {"prompt": {"id": "p"}}, "prompt", "prompts"),
    ("/responses", RESPONSE | {"input": [{"content": [{"type": "input_image", "file_id": "f"}]}]},
     "input[0].content[0].file_id", "files"),
    ("/responses", RESPONSE | {"input": [{"type": "item_reference", "id": "m"}]}, "input[0].type", "responses"),
    ("/responses", RESPONSE | {"input": [{"id": "m"}]}, "input[0]", "responses"),
    ("/responses", RESPONSE | {"input": [{"type": "code_interpreter_call", "container_id": "c"}]},
     "input[0].container_id", "containers"),
    ("/responses", RESPONSE | {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]},
     "tools[0].vector_store_ids", "vector_stores"),
    ("/responses", RESPONSE | {"tools": [{"type": "code_interpreter", "container": "c"}]},
     "tools[0].container", "containers"),
    ("/responses", RESPONSE | {"tools": [{"container": {"type": "auto", "file_ids": ["f"]}}]},
     "tools[0].container.file_ids", "files"),
    ("/responses", RESPONSE | {"tools": [{"environment": {"skills": [{"skill_id": "s"}]}}]},
     "tools[0].environment.skills[0].skill_id", "skills"),
    ("/responses/compact", RESPONSE | {"previous_response_id": "r"}, "previous_response_id", "responses"),
    ("/audio/speech", {"model": ASKED, "input": "hi", "voice": {"id": "v"}}, "voice", "voices"),
    ("/images/edits", {"model": ASKED, "images": [{"file_id": "f"}]}, "images[0].file_id", "files"),
    ("/realtime/client_secrets", {"session": {"model": ASKED, "prompt": {"id": "p"}}}, "session.prompt", "prompts"),
    ("/fine_tuning/jobs", {"model": ASKED, "training_file": "f"}, "training_file", "files"),
    ("/batches", {"input_file_id": "f", "endpoint": "/v1/x"}, "input_file_id", "files"),
    ("/vector_stores", {"file_ids": ["f"]}, "file_ids", "files"),
    ("/threads", {"messages": [{"attachments": [{"file_id": "f"}]}]}, "messages[0].attachments[0].file_id", "files"),
    ("/evals/e/runs", {"data_source": {"source": {"type": "file_id", "id": "f"}}}, "data_source.source.type", "files"),
    ("/evals/e/runs", {"data_source": {"source": {"type": "stored_completions"}}},
     "data_source.source.type", "chat_completions"),
]  # fmt: skip
OF_THE_CALL = ["fine_tuning", "batches", "vector_stores", "assistants", "evals"]


@pytest.mark.parametrize(("path", "body", "where", "group"), NAMED)
async def test_a_stored_object_in_a_body_passes_only_where_its_group_is_open(
    path: str, body: dict[str, Any], where: str, group: str
) -> None:
    closed = [name for name in OF_THE_CALL if name != group or path.startswith("/vector_stores")]
    async with surface(answer=ANSWER, settings={"open_groups": closed}) as gateway:
        refused = await gateway.ask("POST", path, json=body)
        assert (refused.status, error_of(refused)["param"]) == (400, where)
        assert gateway.up.requests == []
    async with surface(answer=ANSWER, settings={"open_groups": [*closed, group]}) as gateway:
        assert (await gateway.ask("POST", path, json=body)).status == 200
    async with surface(answer=ANSWER) as gateway:
        assert (await gateway.ask("POST", path, who="ada", json=body)).status == 200


@pytest.mark.parametrize(
    "spelling",
    [
        b'"file\\u005fid":"f"',
        b'"\\u0066ile_id" : "f"',
        b'"file_id":"f","file_id":null',
        b'"file_id":null,"file_id":"f"',
    ],
)
async def test_no_spelling_hides_a_reference(spelling: bytes) -> None:
    body = b'{"model":"pre.other","messages":[{"role":"user","content":[{"file":{%b}}]}]}' % spelling
    async with surface(answer=ANSWER) as gateway:
        answer = await gateway.ask(
            "POST", "/v1/chat/completions", headers={"content-type": "application/json"}, body=body
        )

        assert answer.status == 400
        assert gateway.up.requests == []


@pytest.mark.parametrize(
    "body",
    [
        CHAT | {"metadata": {"file_id": "mine"}},
        CHAT | {"messages": [{"role": "user", "content": 'say "file_id": "f"'}]},
        CHAT | {"tools": [{"function": {"parameters": {"properties": {"file_id": {"type": "string"}}}}}]},
        RESPONSE | {"previous_response_id": None, "conversation": None},
        RESPONSE | {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]},
        RESPONSE | {"input": [{"id": "m", "type": "message", "role": "assistant", "content": []}]},
        RESPONSE | {"input": [{"role": "user", "id": "m", "content": "hi"}]},
        RESPONSE | {"input": [{"role": "assistant", "content": [{"annotations": [{"file_id": "f"}]}]}]},
        {"model": ASKED, "prompt": "say file_id", "voice": "alloy"},
    ],
)
async def test_what_only_looks_like_a_reference_passes(body: dict[str, Any]) -> None:
    async with surface(answer=ANSWER) as gateway:
        path = "/v1/responses" if "input" in body else "/v1/chat/completions"
        assert (await gateway.ask("POST", path, json=body)).status == 200
        assert gateway.up.last.json() == body | {"model": SERVED}


async def test_a_deep_body_that_may_name_something_is_a_400_and_no_crash() -> None:
    deep = b"[" * 900 + b'{"file_id":1}' + b"]" * 900
    async with surface(answer=ANSWER) as gateway:
        answer = await gateway.ask(
            "POST",
            "/v1/chat/completions",
            headers={"content-type": "application/json"},
            body=b'{"model":"pre.other","messages":' + deep + b"}",
        )

        assert answer.status in (200, 400)


async def test_a_form_names_stored_objects_only_where_their_group_is_open() -> None:
    for name in ("file_id", "file_ids[]", "input_reference[file_id]", "vector_store_ids"):
        body = form(FILE, field(name, "f"))
        async with surface(answer=ANSWER, settings={"open_groups": ["containers"]}) as gateway:
            answer = await gateway.ask("POST", "/v1/containers/c/files", headers={"content-type": FORM}, body=body)
            assert (answer.status, error_of(answer)["param"]) == (400, name)
        async with surface(answer=ANSWER) as gateway:
            answer = await gateway.ask(
                "POST", "/v1/containers/c/files", who="ada", headers={"content-type": FORM}, body=body
            )
            assert answer.status == 200


REALTIME = ["/realtime/client_secrets", "/realtime/translations/client_secrets"]


@pytest.mark.parametrize("path", REALTIME)
async def test_a_session_names_its_model_inside(path: str) -> None:
    async with surface(keeper(prefix_id=""), answer=ANSWER) as gateway:
        body = b'{ "session" : {"type": "realtime", "model" : "other", "speed":1.50} , "expires_after":{ "s" :1e1}}'
        answer = await gateway.ask("POST", path, headers={"content-type": "application/json"}, body=body)

        assert answer.status == 200
        sent = b'{"session":{"type":"realtime","model":"other","speed":1.50},"expires_after":{ "s" :1e1}}'
        assert gateway.up.last.body == sent


@pytest.mark.parametrize(
    ("session", "status"),
    [
        ({"model": ASKED}, 200),
        ({"type": "transcription", "audio": {"input": {"transcription": {"model": ASKED}}}}, 200),
        ({"type": "transcription", "audio": {"input": {"transcription": {"model": "pre.secret"}}}}, 404),
        ({"model": "pre.secret"}, 404),
        ({"model": ASKED, "audio": {"input": {"transcription": {"model": "pre.secret"}}}}, 404),
        ({"Model": ASKED}, 400),
        ({"model": 7}, 400),
        ({"model": None}, 400),
        ({}, 400),
        ([], 400),
    ],
)
async def test_the_models_of_a_session_are_checked_like_any(session: Any, status: int) -> None:
    async with surface(answer=ANSWER) as gateway:
        answer = await gateway.ask("POST", "/v1/realtime/client_secrets", json={"session": session})

        assert answer.status == status
        assert len(gateway.up.requests) == (status == 200)
        if status == 200:
            assert DENIED not in gateway.up.last.body.decode()
            assert json.dumps(SERVED) in gateway.up.last.body.decode()


async def test_a_model_that_stands_twice_in_a_session_is_sent_once() -> None:
    body = b'{"session":{"model":"secret","model":"other"}}'
    async with surface(keeper(prefix_id=""), answer=ANSWER, authorize_model=lambda user, model: True) as gateway:
        answer = await gateway.ask(
            "POST", "/v1/realtime/client_secrets", headers={"content-type": "application/json"}, body=body
        )

        assert answer.status == 200
        assert gateway.up.last.body == b'{"session":{"model":"other"}}'


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("open_groups", ["files", "nothing"], "open_groups.1"),
        ("open_groups", "files", "open_groups"),
        ("stored_upstream", 7, "stored_upstream"),
        ("passthrough", ["GET /organization/users"], "passthrough.0"),
        ("passthrough", ["GET /{any}"], "passthrough.0"),
        ("passthrough", ["GET /files/{id}"], "passthrough.0"),
        ("passthrough", ["TRACE /x"], "passthrough.0"),
        ("passthrough", ["GET /ok", "/x"], "passthrough.1"),
        ("passthrough", ["POST /models/{id}/x"], "passthrough.0"),
        ("passthrough", ["GET /v1/x"], "passthrough.0"),
        ("passthrough", ["GET /x/../y"], "passthrough.0"),
    ],
)
def test_settings_that_open_what_they_cannot_are_refused(field: str, value: Any, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(**{field: value})
    assert caught.value.field == named
