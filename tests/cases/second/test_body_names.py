"""What a body names: cases 246 to 248 and 266 to 269."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openai_gateway_asgi import Grant, Grants, MemoryStore, Settings, Upstream
from openai_gateway_asgi.testing import json_answer
from tests.cases.gateways import chat, error_of, upstream_a, upstream_b, world
from tests.surface.world import FILE, FORM, field, form

JSON = {"content-type": "application/json"}
ORDINARY = {"x-test-user": "u1"}
MINE = Grants({"m1": Grant(public=True)}, admins=False)
"""A policy for one model."""


def raw_chat(content: str, **fields: Any) -> bytes:
    """A chat whose message is written as it is given, escapes and all."""
    body = json.dumps({"model": "m1", "messages": [{"role": "user", "content": "@"}], **fields})
    return body.replace("@", content).encode()


# Half a character


@pytest.mark.parametrize("size", [0, 40_000, 2_000_000])
@pytest.mark.parametrize("half", ["\\ud83d", "\\uDC00 x", "\\ud83d\\ud83d", "\\ud83d\\u0041"])
async def test_case_246_half_a_character_in_a_text_that_nobody_reads_passes_as_it_is(half: str, size: int) -> None:
    body = raw_chat("long text " + "x" * size + half)
    async with world() as w:
        assert (await w.post_bytes("/chat/completions", body)).status == 200
        sent = w.upstream.last.body
        assert half.encode() in sent
        assert json.loads(sent) == json.loads(body)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"model": "m1\\ud83d", "messages": []}', "model"),
        (b'{"model": "m1", "stream": "\\ud83d", "messages": []}', "stream"),
        (b'{"model": "m1", "models": ["\\ud83d"], "messages": []}', "models[0]"),
    ],
)
async def test_case_246_in_a_field_that_must_be_read_it_is_a_400_that_says_so(body: bytes, param: str) -> None:
    async with world() as w:
        answer = await w.post_bytes("/chat/completions", body)
        assert (answer.status, error_of(answer)["param"]) == (400, param)
        assert "surrogate" in error_of(answer)["message"]
        assert w.upstream.requests == []


async def test_case_246_speech_of_half_a_character_is_asked_for_and_kept() -> None:
    body = b'{"model": "m1", "input": "cut \\ud83d", "voice": "alloy"}'
    async with world() as w:
        w.upstream.answer("/audio/speech", json_answer({}))
        assert (await w.post_bytes("/audio/speech", body)).status == 200
        assert w.upstream.last.body == body.replace(b": ", b":").replace(b", ", b",")


# extra_body


@pytest.mark.parametrize(
    "extra",
    [
        {"google": {"thinking_config": {"thinking_budget": 0, "include_thoughts": True}}},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"provider": {"order": ["x"]}},
        {},
        None,
    ],
)
async def test_case_247_extra_body_is_sent_on(extra: Any) -> None:
    async with world() as w:
        assert (await w.chat(extra_body=extra)).status == 200
        assert w.sent == chat(extra_body=extra)


@pytest.mark.parametrize(
    ("extra", "status", "param"),
    [
        ({"api_base": "http://evil.test"}, 400, "extra_body.api_base"),
        ({"extra_body": {"api_base": "http://evil.test"}}, 400, "extra_body.extra_body.api_base"),
        ({"aws_region_name": "x"}, 400, "extra_body.aws_region_name"),
        ({"fallbacks": ["secret"]}, 400, "extra_body.fallbacks"),
        ({"Api_Base": "http://evil.test"}, 400, "extra_body.Api_Base"),
        ({"model": "secret"}, 404, "model"),
        ({"models": ["secret"]}, 404, "model"),
        ({"extra_body": {"model": "secret"}}, 404, "model"),
        ({"tools": [{"type": "x", "parameters": {"model": "secret"}}]}, 404, "model"),
        ({"metadata": {"user_api_key_team_id": "t"}}, 400, "extra_body.metadata.user_api_key_team_id"),
    ],
)
async def test_case_247_what_extra_body_must_not_hold_is_refused(extra: Any, status: int, param: str) -> None:
    async with world(upstream_a("m1", "secret"), authorize_model=MINE) as w:
        answer = await w.chat(extra_body=extra, headers=ORDINARY)
        assert (answer.status, error_of(answer)["param"]) == (status, param)
        assert w.upstream.requests == []


# Where names are only names

PROPERTY = {"type": "string", "examples": ["f1"], "default": "f", "const": "f", "enum": ["a"]}
SCHEMA = {
    "type": "object",
    "properties": dict.fromkeys(("file_id", "container_id", "conversation_id", "model", "api_base"), PROPERTY),
    "required": ["file_id"],
    "dependentRequired": {"file_id": ["container_id"], "model": ["file_id"]},
    "default": {"file_id": "f", "model": "secret", "prompt": {"id": "x"}, "conversation_id": "c"},
    "examples": [{"file_id": "f", "models": ["secret"], "File_Id": "f", "model": 7}],
}
FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": False}


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/chat/completions", {"tools": [{"type": "function", "function": FUNCTION}]}),
        ("/chat/completions", {"functions": [FUNCTION]}),
        ("/chat/completions", {"tools": [{"type": "custom", "name": "x", "input_schema": SCHEMA}]}),
        ("/chat/completions", {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}),
        ("/chat/completions", {"response_format": {"type": "json_object", "schema": SCHEMA}}),
        ("/chat/completions", {"response_format": {"type": "json_object", "value": SCHEMA}}),
        ("/chat/completions", {"format": SCHEMA}),
        ("/chat/completions", {"grammar": {"type": "json", "value": SCHEMA}}),
        ("/chat/completions", {"guided_json": SCHEMA}),
        ("/chat/completions", {"structured_outputs": {"json": SCHEMA}}),
        ("/chat/completions", {"metadata": {"file_id": "f", "model": "secret", "api_base": "x", "models": "a,b"}}),
        ("/responses", {"input": "x", "tools": [{"type": "function", **FUNCTION}]}),
        ("/responses", {"input": "x", "tools": [{**FUNCTION, "type": "function"}]}),
        ("/responses", {"input": "x", "tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function", **FUNCTION}]}]}),
        ("/responses", {"input": "x", "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}}),
        ("/responses", {"input": [{"type": "mcp_list_tools", "id": "m", "server_label": "s",
                                   "tools": [{"name": "t", "input_schema": SCHEMA}]}]}),
        ("/responses", {"input": [{"type": "tool_search_call", "arguments": {"file_id": "f", "model": "secret"}}]}),
        ("/responses", {"input": [{"role": "assistant", "content": [{"type": "output_text", "text": "x",
                                   "annotations": [{"type": "file_citation", "file_id": "f"}]}]}]}),
        ("/responses", {"input": 'say "file_id": "f", "model": "secret"'}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [0, 1_200_000])
async def test_case_248_inside_schemas_and_notes_nothing_refers_to_anything(path: str, fields: Any, size: int) -> None:
    body = {
        "model": "m1",
        **({"messages": [{"role": "user", "content": "x\n" + "y" * size}]} if "chat" in path else {}),
        **fields,
    }
    if size and "chat" not in path:
        body["instructions"] = "x\n" + "y" * size
    async with world(upstream_a("m1", "secret"), authorize_model=MINE) as w:
        answer = await w.post(path, body, headers=ORDINARY)
        assert answer.status == 200, answer.text
        assert w.sent == body


async def test_case_248_the_settings_of_a_tool_that_runs_upstream_are_no_schema() -> None:
    """Wherever its type stands."""
    for tool in (
        {"type": "openrouter:image_generation", "parameters": {"model": "secret"}},
        {"parameters": {"model": "secret"}, "type": "openrouter:image_generation"},
        {"type": "function", "parameters": {"nested": {"model": "secret"}}, "Type": "x"},
    ):
        async with world(upstream_a("m1", "secret"), authorize_model=MINE) as w:
            answer = await w.chat(tools=[tool], headers=ORDINARY)
            assert answer.status in (400, 404)
            assert w.upstream.requests == []


@pytest.mark.parametrize(
    ("prompt", "status"),
    [
        ({"variables": {"model": "secret", "file_id": "f", "draft_model": 7, "prompt": "x", "tools": "x"}}, 200),
        ({"variables": {"schema": {"type": "input_text", "text": "x"}}}, 200),
        ({"variables": {"schema": {"type": "input_file", "file_id": "f"}}}, 400),
        ({"variables": {"metadata": [{"type": "input_image", "file_id": "f"}]}}, 400),
        ({"variables": {"a": {"model": "secret"}}}, 404),
        ({"Variables": {"model": "secret"}}, 404),
        ({"model": "secret", "variables": {}}, 404),
        ({"draft_model": "secret"}, 404),
        ({"Model": "secret"}, 400),
    ],
)
async def test_case_248_the_variables_of_a_stored_prompt_have_names_of_the_callers_own(
    prompt: Any, status: int
) -> None:
    """But a file among them is a file, whatever it is called."""
    opened = Settings(retries=0, open_groups={"prompts"})
    async with world(upstream_a("m1", "secret"), authorize_model=MINE, settings=opened) as w:
        body = {"model": "m1", "input": "x", "prompt": {"id": "pmpt_1", **prompt}}
        answer = await w.post("/responses", body, headers=ORDINARY)
        assert answer.status == status, answer.text
        assert [json.loads(got.body) for got in w.upstream.requests] == ([body] if status == 200 else [])


async def test_case_248_of_two_types_of_a_tool_either_may_count() -> None:
    body = b'{"model":"m1","messages":[],"tools":[{"type":"x","parameters":{"model":"secret"},"type":"function"}]}'
    async with world(upstream_a("m1", "secret"), authorize_model=MINE) as w:
        assert (await w.post_bytes("/chat/completions", body, headers={**JSON, **ORDINARY})).status == 404
        assert w.upstream.requests == []


# Routes

OF_THE_CASE = [
    "router_settings_override", "deployment_id", "fallbacks", "context_window_fallbacks", "model_alias_map", "azure",
    "api_base", "base_url", "api_key", "headers", "extra_headers", "custom_llm_provider", "prompt_id", "mock_response",
    "mock_testing_fallbacks", "mock_timeout", "aws_region_name", "aws_access_key_id", "vertex_project",
    "vertex_credentials", "data_sources",
]  # fmt: skip


@pytest.mark.parametrize("name", OF_THE_CASE)
@pytest.mark.parametrize("value", ["x", {"a": "b"}, ["x"], True])
async def test_case_266_another_route_is_refused(name: str, value: Any) -> None:
    async with world() as w:
        answer = await w.post("/chat/completions", chat(**{name: value}))
        assert (answer.status, error_of(answer)["param"]) == (400, name)
        assert w.upstream.requests == []


@pytest.mark.parametrize("name", OF_THE_CASE)
async def test_case_266_nor_is_one_taken_in_a_form(name: str) -> None:
    async with world() as w:
        body = form(field("model", "m1"), field(name, "x"), FILE)
        answer = await w.post_bytes("/audio/transcriptions", body, headers={"content-type": FORM})
        assert (answer.status, error_of(answer)["param"]) == (400, name)
        assert w.upstream.requests == []


@pytest.mark.parametrize("name", [name for name in OF_THE_CASE if name != "api_key"])
@pytest.mark.parametrize("suffix", ["", "[]", "%5B%5D", "%00"])
async def test_case_266_nor_in_a_query(name: str, suffix: str) -> None:
    async with world() as w:
        answer = await w.post(f"/chat/completions?a=b&{name}{suffix}=x", chat())
        assert answer.status == 400
        assert "query parameter" in error_of(answer)["message"]
        assert w.upstream.requests == []


@pytest.mark.parametrize("query", ["model[]=secret", "model%5b0%5d=secret", "models=a", "draft_model=secret"])
async def test_case_266_a_query_names_no_model(query: str) -> None:
    async with world(upstream_a("m1", "secret")) as w:
        assert (await w.post(f"/chat/completions?{query}", chat())).status == 400
        assert w.upstream.requests == []


async def test_case_266_a_key_in_a_query_was_meant_for_the_gateway() -> None:
    async with world() as w:
        assert (await w.post("/chat/completions?api_key=x&a=b", chat())).status == 200
        assert w.upstream.last.query == b"a=b"


@pytest.mark.parametrize("id", ["small,big", "m1,secret", "m1,", ",m1"])
async def test_case_266_several_models_in_one_are_refused(id: str) -> None:
    async with world(upstream_a("m1", "secret", id)) as w:
        for path, body in (("/chat/completions", chat(id)), ("/embeddings", {"model": id, "input": "x"})):
            answer = await w.post(path, body)
            assert (answer.status, error_of(answer)["param"]) == (400, "model")
        answer = await w.post_bytes(
            "/audio/transcriptions", form(field("model", id), FILE), headers={"content-type": FORM}
        )
        assert answer.status == 400
        assert w.upstream.requests == []


@pytest.mark.parametrize(
    "fields",
    [
        {"plugins": [{"id": "x", "model": "secret"}]},
        {"plugins": [{"id": "x", "analysis_models": ["m1", "secret"]}]},
        {"compound_custom": {"models": {"answering_model": "secret"}}},
        {"compound_custom": {"models": {"a": {"b": ["secret"]}}}},
        {"providerOptions": {"gateway": {"models": ["secret"]}}},
        {"draft_model": "secret"},
        {"safety_model": "secret"},
        {"moderation": {"model": "secret"}},
        {"reasoning": {"draft_model": "secret"}},
        {"models": ["m1", "secret"]},
        {"__proto__": {"model": "secret"}},
    ],
)
async def test_case_266_what_names_models_is_checked(fields: dict[str, Any]) -> None:
    async with world(upstream_a("m1", "secret"), authorize_model=MINE) as w:
        answer = await w.chat(headers=ORDINARY, **fields)
        assert (answer.status, error_of(answer)["code"]) == (404, "model_not_found")
        assert w.upstream.requests == []
        mine = json.loads(json.dumps(fields).replace("secret", "m1"))
        assert (await w.chat(headers=ORDINARY, **mine)).status == 200
        assert w.sent == chat(**mine)


async def test_case_266_a_panel_that_chooses_its_models_itself_is_a_route() -> None:
    async with world() as w:
        for fields in ({"plugins": [{"id": "fusion"}]}, {"tools": [{"type": "openrouter:fusion"}]}):
            assert (await w.chat(**fields)).status == 400
        assert w.upstream.requests == []


async def test_case_266_an_upstream_may_take_a_field_and_no_other_gets_it() -> None:
    taking = upstream_b("m1", route_fields=["-vertex_*", "-azure"])
    async with world(upstream_a("m1"), taking) as w:
        assert (await w.chat(vertex_project="p")).status == 200
        assert w.upstream.last.host == "b"
        assert w.sent == chat(vertex_project="p")
        assert (await w.chat(azure=True, vertex_location="x")).status == 200
        assert w.upstream.last.host == "b"
        assert (await w.post("/chat/completions?vertex_project=p", chat())).status == 200
        assert w.upstream.last.host == "b"
        assert (await w.chat()).status == 200
        assert w.upstream.last.host == "a"
        assert (await w.chat(vertex_project="p", api_base="x")).status == 400


async def test_case_266_a_field_that_the_models_upstream_does_not_take_is_refused() -> None:
    async with world(upstream_a("m1"), upstream_b("m2", route_fields=["-azure"])) as w:
        answer = await w.chat("m1", azure=True)
        assert (answer.status, error_of(answer)["param"]) == (400, "azure")
        assert w.upstream.requests == []
        assert (await w.chat("m2", azure=True)).status == 200


async def test_case_266_fallbacks_that_do_not_take_a_field_are_not_asked() -> None:
    store = MemoryStore([upstream_a("m1", route_fields=["-azure"]), upstream_b("m2")], fallbacks={"m1": ["m2"]})
    async with world(store=store) as w:
        w.upstream.host("a").answer("", lambda request: (_ for _ in ()).throw(ConnectionError()))
        assert (await w.chat("m1", azure=True)).status >= 500
        assert {request.host for request in w.upstream.requests} == {"a"}


async def test_case_266_an_upstream_may_refuse_more() -> None:
    async with world(upstream_a("m1", route_fields=["my_router", "x_*"]), upstream_b("m2")) as w:
        for fields in ({"my_router": 1}, {"x_y": 1}, {"extra_body": {"my_router": 1}}, {"My_Router": 1}):
            assert (await w.chat("m1", **fields)).status == 400, fields
        assert w.upstream.requests == []
        assert (await w.chat("m2", my_router=1)).status == 200
        assert (await w.post("/chat/completions?my_router=1", chat("m1"))).status == 400
        assert (await w.post("/chat/completions?my_router=1", chat("m2"))).status == 200


async def test_case_266_a_form_must_be_good_for_every_upstream() -> None:
    both = [upstream_a("m1", route_fields=["-azure"]), upstream_b("m1", route_fields=["-azure", "-vertex_project"])]
    async with world(*both) as w:
        for name, status in (("azure", 200), ("vertex_project", 400)):
            body = form(field("model", "m1"), field(name, "x"), FILE)
            answer = await w.post_bytes("/audio/transcriptions", body, headers={"content-type": FORM})
            assert answer.status == status


def test_case_266_entries_that_say_nothing_are_refused_at_the_start() -> None:
    for entry in ("-unheard_of", "Api_Base", "model", "-", "", "a b", "messages"):
        with pytest.raises(ValueError, match="route_fields"):
            Upstream("http://a/v1", route_fields=[entry])


# Stored items

CLOSED = Settings(retries=0)
ITEM_PATHS = ["/responses", "/responses/compact", "/responses/input_tokens"]


def items(path: str, found: Any) -> dict[str, Any]:
    return {"items": found} if "conversations" in path else {"model": "m1", "input": found}


ITEMS: dict[str, Any] = {
    "a reference": [{"type": "item_reference", "id": "msg_1"}],
    "an id and nothing else": [{"id": "msg_1"}],
    "an id among others": [{"role": "user", "content": "hi"}, {"id": "msg_1"}],
    "an id and a null type": [{"id": "msg_1", "type": None}],
    "an image": [{"type": "image_generation_call", "id": "ig_1"}],
    "an image without its result": [
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": None}
    ],
    "an image with an empty result": [{"type": "image_generation_call", "id": "ig_1", "result": ""}],
    "reasoning": [{"type": "reasoning", "id": "rs_1", "summary": []}],
    "reasoning without its content": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None}],
    "a search": [{"type": "file_search_call", "id": "fs_1"}],
    "a search in the web": [{"type": "web_search_call", "id": "ws_1", "status": "completed"}],
    "a function's call": [{"type": "function_call", "id": "fc_1"}],
    "a message without content": [{"type": "message", "id": "msg_1", "role": "assistant"}],
    "a computer's call": [{"type": "computer_call", "id": "cu_1", "call_id": "c"}],
    "a shell's call": [{"type": "local_shell_call", "id": "sh_1"}],
    "a call of a server": [{"type": "mcp_call", "id": "mcp_1"}],
    "a kind of which nobody has heard": [{"type": "new_thing", "id": "n_1", "status": "completed"}],
    "a compaction": [{"type": "compaction", "id": "cmp_1"}],
    "a list with a text": ["hi", {"role": "user", "content": "x"}],
    "a list with a number": [{"role": "user", "content": "x"}, 1],
    "a list with null": [None],
    "a list in the list": [[{"role": "user", "content": "x"}]],
    "an index": [{"type": "item_reference", "id": 5}],
}


@pytest.mark.parametrize("path", [*ITEM_PATHS, "/conversations/conv_1/items", "/conversations"])
@pytest.mark.parametrize("case", ITEMS)
async def test_case_267_items_that_are_looked_up_need_their_group(path: str, case: str) -> None:
    body = items(path, ITEMS[case])
    keeping = {"conversations"} if "conversations" in path else set()
    async with world(settings=Settings(retries=0, open_groups=keeping)) as w:
        w.upstream.answer("", json_answer({}))
        answer = await w.post(path, body, headers=ORDINARY)
        assert answer.status == 400, answer.text
        assert error_of(answer)["param"].startswith(next(iter(body.keys() - {"model"})))
        assert w.upstream.requests == []
    async with world(settings=Settings(retries=0, open_groups={*keeping, "responses"})) as w:
        w.upstream.answer("", json_answer({}))
        assert (await w.post(path, body, headers=ORDINARY)).status == 200


@pytest.mark.parametrize(
    "spelling",
    [
        b'[{"\\u0069d":"msg_1"}]',
        b'[{"\\u0069\\u0064":"msg_1"}]',
        b'[{"type":"item_r\\u0065ference","id":"msg_1"}]',
        b'[{"type":"message","role":"user","content":"x","id":"m"},{ "id" : "msg_1" }]',
        b'[{"type":"item_reference","id":"msg_1","type":"message","content":"x","role":"user"}]',
        b'[{"type":"message","role":"user","content":"x","content":null,"id":"msg_1"}]',
        b'[{"id":null,"id":"msg_1"}]',
        b'[{"ID":"msg_1"}]',
        b'[{"id ":"msg_1"}]',
        b'[{"id\\u0000":"msg_1"}]',
        b'[{"\\ufeffid":"msg_1"}]',
    ],
)
async def test_case_267_no_spelling_hides_them(spelling: bytes) -> None:
    async with world(settings=CLOSED) as w:
        body = b'{"model":"m1","input":' + spelling + b"}"
        assert (await w.post_bytes("/responses", body, headers={**JSON, **ORDINARY})).status == 400
        assert w.upstream.requests == []


WHOLE: dict[str, Any] = {
    "a message": [{"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}],
    "a message without a type": [{"id": "msg_1", "role": "user", "content": "x"}],
    "reasoning with its content": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}],
    "reasoning of an open model": [{"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "x"}]}],
    "reasoning without an id": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "x"}]}],
    "a call and its output": [
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": ""},
        {"type": "function_call_output", "id": "fo_1", "call_id": "c", "output": ""},
    ],
    "an image and its result": [{"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "iVBOR"}],
    "a search and what it asked": [{"type": "file_search_call", "id": "fs_1", "queries": ["x"], "status": "completed"}],
    "a search in the web": [{"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": "x"}}],
    "a null id": [{"id": None, "role": "user", "content": "x"}],
    "no items": [],
    "a new kind that says something": [{"type": "new_thing", "id": "n_1", "content": "x"}],
}  # fmt: skip


@pytest.mark.parametrize("case", WHOLE)
async def test_case_267_items_that_say_all_themselves_pass(case: str) -> None:
    async with world(settings=CLOSED) as w:
        w.upstream.answer("", json_answer({}))
        for path in ITEM_PATHS:
            body = items(path, WHOLE[case])
            answer = await w.post(path, body, headers=ORDINARY)
            assert answer.status == 200, answer.text
            assert w.sent == body


# Sessions and tools without their model

TRANSCRIBER = {"audio": {"input": {"transcription": {"model": "ears"}}}}


def allowing(*ids: str) -> Grants:
    return Grants({id: Grant(public=True) for id in ids}, admins=False)


@pytest.mark.parametrize(
    ("allowed", "status"),
    [(("gpt-realtime", "ears"), 200), (("ears",), 400), (("gpt-realtime",), 404), ((), 400)],
)
async def test_case_268_a_session_is_checked_by_the_model_that_speaks_and_the_one_that_listens(
    allowed: tuple[str, ...], status: int
) -> None:
    session = {"type": "realtime", **TRANSCRIBER}
    async with world(upstream_a("gpt-realtime", "ears"), authorize_model=allowing(*allowed)) as w:
        w.upstream.answer("", json_answer({}))
        answers = [
            await w.post("/realtime/client_secrets", {"session": session}, headers=ORDINARY),
            await w.post_bytes(
                "/realtime/calls",
                form(field("sdp", "v=0"), field("session", json.dumps(session))),
                headers={"content-type": FORM, **ORDINARY},
            ),
        ]
        assert [answer.status for answer in answers] == [status, status]
        assert len(w.upstream.requests) == (2 if status == 200 else 0)
        assert {record.model for record in w.records} <= {"gpt-realtime", None}


async def test_case_268_where_nothing_speaks_the_model_that_listens_is_the_one() -> None:
    session = {"type": "transcription", **TRANSCRIBER}
    async with world(upstream_a("ears"), authorize_model=allowing("ears")) as w:
        w.upstream.answer("", json_answer({}))
        assert (await w.post("/realtime/client_secrets", {"session": session}, headers=ORDINARY)).status == 200
        assert [record.model for record in w.records] == ["ears"]
    async with world(upstream_a("ears", "gpt-4o-transcribe"), authorize_model=allowing("ears")) as w:
        answer = await w.post("/realtime/client_secrets", {"session": {"type": "transcription"}}, headers=ORDINARY)
        assert answer.status == 400
        assert w.upstream.requests == []
    async with world(upstream_a("gpt-4o-transcribe"), authorize_model=allowing("gpt-4o-transcribe")) as w:
        w.upstream.answer("", json_answer({}))
        body = {"session": {"type": "transcription"}}
        assert (await w.post("/realtime/client_secrets", body, headers=ORDINARY)).status == 200
        assert w.sent == body


@pytest.mark.parametrize(("listens", "status"), [("ears", 200), ("secret", 404)])
async def test_case_268_so_are_the_older_sessions(listens: str, status: int) -> None:
    body = {"model": "m1", "input_audio_transcription": {"model": listens}}
    async with world(upstream_a("m1", "ears", "secret"), authorize_model=allowing("m1", "ears")) as w:
        w.upstream.answer("", json_answer({}))
        assert (await w.post("/realtime/sessions", body, headers=ORDINARY)).status == status
        assert len(w.upstream.requests) == (status == 200)


async def test_case_268_a_session_has_its_one_model_under_its_upstreams_name() -> None:
    session = {"type": "realtime", "model": "pa.mouth"}
    async with world(upstream_a("mouth", "ears", prefix_id="pa")) as w:
        w.upstream.answer("", json_answer({}))
        assert (await w.post("/realtime/client_secrets", {"session": session})).status == 200
        assert w.sent == {"session": {"type": "realtime", "model": "mouth"}}
        twice = {"session": {**session, "audio": {"input": {"transcription": {"model": "pa.mouth"}}}}}
        assert (await w.post("/realtime/client_secrets", twice)).status == 400


@pytest.mark.parametrize(
    ("tool", "allowed", "status"),
    [
        ({"type": "image_generation"}, ("m1", "gpt-image-1"), 200),
        ({"type": "image_generation"}, ("m1",), 404),
        ({"type": "image_generation", "model": None}, ("m1",), 404),
        ({"type": "image_generation", "model": "painter"}, ("m1", "painter"), 200),
        ({"type": "image_generation", "model": "secret"}, ("m1", "gpt-image-1"), 404),
        ({"type": "image_generation", "svg": {"model": "secret"}}, ("m1", "gpt-image-1"), 404),
        ({"type": "function", "name": "image_generation", "parameters": {}}, ("m1",), 200),
    ],
)
@pytest.mark.parametrize("place", ["tools", "input"])
async def test_case_268_a_tool_that_makes_images_is_checked_by_its_model_or_its_default(
    place: str, tool: dict[str, Any], allowed: tuple[str, ...], status: int
) -> None:
    body: dict[str, Any] = {"model": "m1", "input": "x", "tools": [tool]}
    if place == "input":
        body = {"model": "m1", "input": [{"type": "additional_tools", "role": "developer", "tools": [tool]}]}
    one = upstream_a("m1", "gpt-image-1", "painter", "secret")
    async with world(one, authorize_model=allowing(*allowed)) as w:
        answer = await w.post("/responses", body, headers=ORDINARY)
        assert answer.status == status, answer.text
        assert len(w.upstream.requests) == (status == 200)


async def test_case_268_a_default_is_not_named_so_it_needs_no_other_name() -> None:
    settings = Settings(retries=0, default_models={"image_generation": "pa.painter"})
    async with world(upstream_a("m1", "painter", prefix_id="pa"), settings=settings) as w:
        body = {"model": "pa.m1", "input": "x", "tools": [{"type": "image_generation"}]}
        assert (await w.post("/responses", body)).status == 200
        assert w.sent == {**body, "model": "m1"}
    settings = Settings(retries=0, default_models={"image_generation": None})
    async with world(settings=settings) as w:
        body = {"model": "m1", "input": "x", "tools": [{"type": "image_generation"}]}
        answer = await w.post("/responses", body)
        assert (answer.status, error_of(answer)["param"]) == (400, "tools")


# Other letters


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/responses", {"model": "m1", "input": "x", "Previous_Response_Id": "r"}, "Previous_Response_Id"),
        ("/responses", {"model": "m1", "input": "x", "previous_response_id\0": "r"}, "previous_response_id\0"),
        ("/responses", {"model": "m1", "input": "x", " conversation": "r"}, " conversation"),
        ("/chat/completions", {"model": "m1", "messages": [{"content": [{"file": {"File_Id": "f"}}]}]},
         "messages[0].content[0].file.File_Id"),
        ("/chat/completions", {"model": "m1", "messages": [], "Models": ["m2"]}, "Models"),
        ("/chat/completions", {"model": "m1", "messages": [], "Api_Base": "http://x"}, "Api_Base"),
        ("/chat/completions", {"model": "m1", "messages": [], "AWS_region_name": "x"}, "AWS_region_name"),
        ("/chat/completions", {"model": "m1", "messages": [], "model\u017f": ["x"]}, "model\u017f"),
        ("/chat/completions", {"model": "m1", "messages": [], "Model": "m1"}, "Model"),
        ("/chat/completions", {"model": "m1", "messages": [], "api_base \0x": "y"}, "api_base \0x"),
        ("/chat/completions", {"model": "m1", "messages": [], "\x85api_base\u2003": "y"}, "\x85api_base\u2003"),
        ("/chat/completions", {"model": "m1", "messages": [], "plugins": [{"mod\ud83del": "m2"}]},
         "plugins[0].mod\\ud83del"),
        ("/chat/completions", {"model": "m1", "messages": [], "__PROTO__": {"model": "m2"}}, "__PROTO__"),
        ("/chat/completions", {"model": "m1", "messages": [], "Tools": []}, "Tools"),
        ("/chat/completions", {"model": "m1", "messages": [], "plugins": [{"Model": "m2"}]}, "plugins[0].Model"),
        ("/responses", {"model": "m1", "input": "x", "tools": [{"type": "file_search", "Vector_Store_Ids": ["v"]}]},
         "tools[0].Vector_Store_Ids"),
        ("/realtime/client_secrets", {"session": {"Model": "m1"}}, "session.Model"),
        ("/realtime/client_secrets", {"Session": {"model": "m1"}}, "Session"),
    ],
)  # fmt: skip
async def test_case_269_names_in_other_letters_are_a_400(path: str, body: Any, param: str) -> None:
    async with world(upstream_a("m1", "gpt-realtime")) as w:
        answer = await w.post(path, body)
        assert (answer.status, error_of(answer)["param"]) == (400, param)
        assert "must be written" in error_of(answer)["message"]
        assert w.upstream.requests == []


@pytest.mark.parametrize(
    "fields",
    [
        {"Content-Type": "x", "X-Title": "y", "userId": 1, "$ref": 2, "модель": "x", "modell": "x", "Modal": 1},
        {"messages": [{"role": "user", "content": "x", "fileId": "f", "FILE ID": "g", "Profile_Id": "h"}]},
    ],
)
async def test_case_269_names_that_only_look_alike_pass(fields: dict[str, Any]) -> None:
    async with world() as w:
        assert (await w.chat(**fields)).status == 200
        assert w.sent == chat(**fields)
