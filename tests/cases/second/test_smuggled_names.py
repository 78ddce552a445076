"""Bodies that try to take a model, a route or a stored object past the gateway: none of them passes.

The caller may use the model `m1` and no other, and no stored objects but those of the groups that a row opens. Each
body means something: where all is granted that it names, it is served, unless no two readers would read it alike.
"""

from __future__ import annotations

import codecs
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from openai_gateway_asgi import Grant, Grants, Settings, Upstream, everyone
from openai_gateway_asgi.api.route_fields import ROUTE_FIELDS
from openai_gateway_asgi.testing import json_answer
from tests.cases.gateways import error_of, world
from tests.surface import world as forms

CHAT, RESPONSES, CALLS, SPOKEN = "/chat/completions", "/responses", "/realtime/calls", "/audio/transcriptions"
GROUPS = (
    "batches", "chat_completions", "containers", "conversations", "evals", "files", "fine_tuning", "prompts",
    "responses", "skills", "vector_stores", "videos", "voices",
)  # fmt: skip
SERVED = ("m1", "secret", "gpt-realtime", "gpt-image-1")
NEVER = 400
"""What is answered though all is granted: some would read it in one way and some in another."""


@dataclass(frozen=True)
class Smuggled:
    path: str
    body: bytes
    param: str | None
    """The field that the refusal names; of a model that is denied the model."""
    status: int = 400
    granted: int = 200
    """What is answered where everything is granted that it names."""
    groups: tuple[str, ...] = ()
    """Of stored objects, which are open all the same."""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def sent(self) -> dict[str, str]:
        kind = forms.FORM if self.body.startswith(b"--") else forms.JSON
        return {"content-type": kind, "x-test-user": "u1", **self.headers}


def chat(written: str, param: str | None, status: int = 400, **more: Any) -> Smuggled:
    """Fields as they are written, behind the model and the messages."""
    return Smuggled(
        CHAT, b'{"model":"m1","messages":[],%b}' % written.encode("utf-8", "surrogatepass"), param, status, **more
    )


def denied(written: str, **more: Any) -> Smuggled:
    return chat(written, "model", 404, **more)


def respond(written: str, param: str | None, status: int = 400, **more: Any) -> Smuggled:
    said = "" if '"input"' in written else '"input":"x",'
    return Smuggled(RESPONSES, f'{{"model":"m1",{said}{written}}}'.encode(), param, status, **more)


def form(path: str, *parts: tuple[str, bytes], param: str | None, **more: Any) -> Smuggled:
    return Smuggled(path, forms.form(*parts), param, **more)


def json_at(path: str, param: str | None, status: int = 400, *, body: Any, **more: Any) -> Smuggled:
    return Smuggled(path, json.dumps(body).encode(), param, status, **more)


M1, FILE = forms.field("model", "m1"), forms.FILE
SESSION = {"type": "realtime", "model": "gpt-realtime"}

BODIES: dict[str, Smuggled] = {
    # A model, by its own name
    "escaped letters": denied(r'"mod\u0065l":"secret"'),
    "the second of two": denied('"model":"secret"'),
    "a capital": chat('"Model":"secret"', "Model", granted=NEVER),
    "a NUL behind it": chat(r'"model\u0000":"secret"', "model\0", granted=NEVER),
    "a byte order mark before it": chat('"\\ufeffmodel":"secret"', "\ufeffmodel", granted=NEVER),
    "half a character inside": chat(r'"mod\ud800el":"secret"', None, granted=NEVER),
    "a blank behind it": chat('"model ":"secret"', "model ", granted=NEVER),
    "several in one": Smuggled(CHAT, b'{"model":"m1,secret","messages":[]}', "model", granted=NEVER),
    "a list": Smuggled(CHAT, b'{"model":["secret"],"messages":[]}', "model", granted=NEVER),
    "an object": Smuggled(CHAT, b'{"model":{"id":"secret"},"messages":[]}', "model", granted=NEVER),
    "a line break behind its id": Smuggled(CHAT, b'{"model":"m1\\n","messages":[]}', "model", granted=NEVER),
    "the prototype": denied('"__proto__":{"model":"secret"}'),
    "what clients lay over the body": denied('"extra_body":{"extra_body":{"model":"secret"}}'),
    "the query": Smuggled(f"{CHAT}?model=secret", b'{"model":"m1","messages":[]}', "model", granted=NEVER),
    "a list in the query": Smuggled(f"{CHAT}?model%5B%5D=secret", b'{"model":"m1","messages":[]}', "model", granted=NEVER),
    "the path and the body": Smuggled(
        "/deployments/m1/chat/completions", b'{"model":"secret","messages":[]}', "model", granted=NEVER
    ),
    # Other characters
    "UTF-7": Smuggled(
        CHAT, b'{"model":"m1","+AG0AbwBkAGUAbA-":"secret","messages":[]}', "content-type", 415, granted=415,
        headers={"content-type": "application/json; charset=utf-7"},
    ),
    "UTF-16": Smuggled(CHAT, '{"model":"secret","messages":[]}'.encode("utf-16"), None, granted=NEVER),
    "a byte order mark": Smuggled(CHAT, codecs.BOM_UTF8 + b'{"model":"secret","messages":[]}', None, granted=NEVER),
    "overlong letters": Smuggled(CHAT, b'{"model":"m1","messages":[],"\xc1\xadodel":"secret"}', None, granted=NEVER),
    "behind a NUL": Smuggled(CHAT, b'{"model":"m1","messages":[]}\0{"model":"secret"}', None, granted=NEVER),
    "two bodies": Smuggled(CHAT, b'{"model":"m1","messages":[]}\n{"model":"secret"}', None, granted=NEVER),
    "a comment": Smuggled(CHAT, b'{"model":"m1",/*"*/"messages":[]}', None, granted=NEVER),
    "compressed": Smuggled(
        CHAT, gzip.compress(b'{"model":"secret","messages":[]}'), "content-encoding", 415, granted=415,
        headers={"content-encoding": "gzip"},
    ),
    # Models beside it
    "OpenRouter's models": denied('"models":["m1","secret"],"route":"fallback"'),
    "OpenRouter's models in other letters": chat('"mode\\u004cs":["secret"]', "modeLs", granted=NEVER),
    "OpenRouter's models as an object": chat('"models":{"0":"secret"}', "models", granted=NEVER),
    "OpenRouter's plugins": denied('"plugins":[{"id":"x","model":"m1","model":"secret"}]'),
    "OpenRouter's tools": denied('"tools":[{"type":"openrouter:image_generation","parameters":{"model":"secret"}}]'),
    "a tool of two types": denied('"tools":[{"type":"x","parameters":{"model":"secret"},"type":"function"}]'),
    "Groq's compound": denied('"compound_custom":{"models":{"answering_model":"secret"}}'),
    "Vercel's gateway": denied('"providerOptions":{"gateway":{"models":["secret"]}}'),
    "LM Studio's draft": denied('"draft_model":"secret"'),
    "LiteLLM's silent model": denied('"silent_model":"secret"'),
    "a tool that makes images": respond('"tools":[{"type":"image_generation","model":"secret"}]', "model", 404),
    "a tool among the items": respond(
        '"input":[{"type":"additional_tools","tools":[{"type":"image_generation","model":"secret"}]}]', "model", 404
    ),
    "what transcribes a session": json_at(
        "/realtime/client_secrets", "model", 404,
        body={"session": {"type": "realtime", "model": "m1", "audio": {"input": {"transcription": {"model": "secret"}}}}},
    ),
    "a session in a session": Smuggled(
        "/realtime/client_secrets", b'{"session":{"model":"m1"},"s\\u0065ssion":{"model":"secret"}}', "model", 404
    ),
    "a session's model twice": Smuggled(
        "/realtime/client_secrets", b'{"session":{"model":"m1","MODEL":"secret"}}', "session.MODEL", granted=NEVER
    ),
    "a grader of an eval": json_at(
        "/evals", "model", 404, groups=("evals",),
        body={"data_source_config": {"type": "custom", "item_schema": {}},
              "testing_criteria": [{"type": "score_model", "name": "x", "model": "secret", "input": []}]},
    ),
    "a run of an eval": json_at(
        "/evals/eval_1/runs", "model", 404, groups=("evals",),
        body={"data_source": {"type": "completions", "model": "secret", "source": {"type": "file_content", "content": []}}},
    ),
    "the base of a fine-tuning": json_at(
        "/fine_tuning/jobs", "model", 404, groups=("fine_tuning", "files"), body={"model": "secret", "training_file": "file-1"}
    ),
    "a grader of a fine-tuning": json_at(
        "/fine_tuning/jobs", "model", 404, groups=("fine_tuning", "files"),
        body={"model": "m1", "training_file": "file-1",
              "method": {"type": "reinforcement", "reinforcement": {"grader": {"type": "score_model", "model": "secret"}}}},
    ),
    # Routes
    "LiteLLM's fallbacks": chat('"fallbacks":["secret"]', "fallbacks"),
    "fallbacks with the Kelvin sign": chat('"fallbac\u212as":["secret"]', "fallbac\u212as", granted=NEVER),
    "fallbacks, escaped, where clients lay them over": chat('"extra_body":{"\\u0066allbacks":["secret"]}', "extra_body.fallbacks"),
    "another address": chat('"api_base":"http://evil.test","api_key":"k"', "api_base"),
    "LiteLLM's router": chat('"router_settings_override":{"model_group_alias":{"m1":"secret"}}', "router_settings_override"),
    "LiteLLM's teams": chat('"metadata":{"user_api_key_team_id":"t"}', "metadata.user_api_key_team_id"),
    "LiteLLM's teams, as text": chat('"metadata":"{\\"user_api_key_team_id\\":\\"t\\"}"', "metadata", granted=NEVER),
    "an answer that is none": chat('"mock_response":"x"', "mock_response"),
    "OpenRouter's preset": chat('"preset":"other"', "preset"),
    "OpenRouter's panel": chat('"plugins":[{"id":"fusion"}]', "plugins[0].id"),
    "Azure's data": chat('"data_sources":[{"type":"azure_search","parameters":{}}]', "data_sources"),
    "vLLM's transfer": chat('"kv_transfer_params":{"remote_host":"evil.test"}', "kv_transfer_params"),
    "SGLang's adapter": chat('"lora_path":"secret"', "lora_path"),
    "TensorRT's adapter": chat('"lora_request":{"lora_name":"secret"}', "lora_request"),
    "MLX's adapters": chat('"adapters":"/secret"', "adapters"),
    "TensorZero's patches": chat(
        '"tensorzero::extra_body":[{"pointer":"/model","value":"secret"}]', "tensorzero::extra_body"
    ),
    "Open WebUI's entry of a model": chat('"model_item":{"direct":true,"id":"secret"}', "model_item"),
    "Open WebUI's tools": chat('"tool_ids":["server:1"]', "tool_ids"),
    "Azure's agent": respond('"agent_reference":{"type":"agent_reference","name":"secret"}', "agent_reference"),
    "Azure's connections": respond(
        '"tools":[{"type":"bing_grounding","bing_grounding":{"search_configurations":[{"project_connection_id":"x"}]}}]',
        "tools[0].bing_grounding.search_configurations[0].project_connection_id",
    ),
    "Azure's own identity": respond(
        '"tools":[{"type":"openapi","openapi":{"spec":{},"auth":{"type":"managed_identity"}}}]', "tools[0].openapi.auth.type"
    ),
    "Azure's memory of others": respond('"tools":[{"type":"memory_search","memory_store_name":"x"}]', "tools[0].memory_store_name"),
    "LiteLLM's own MCP servers": respond(
        '"tools":[{"type":"mcp","server_label":"x","server_url":"litellm_proxy/mcp/x"}]', "tools[0].server_url"
    ),
    "LiteLLM's own MCP servers, escaped": respond(
        r'"tools":[{"type":"mcp","server_label":"x","serv\u0065r_url":"litellm\u005fproxy"}]', "tools[0].server_url"
    ),
    "LiteLLM's guardrails": chat('"metadata":{"disable_global_guardrail":true}', "metadata.disable_global_guardrail"),
    "another account's tunnel": respond('"tools":[{"type":"mcp","server_label":"s","tunnel_id":"t"}]', "tools[0].tunnel_id"),
    "a route in the query": Smuggled(f"{CHAT}?Deployment_Id=secret", b'{"model":"m1","messages":[]}', "deployment_id"),
    # Stored objects
    "the response before": respond(r'"previous_respons\u0065_id":"resp_1"', "previous_response_id"),
    "a conversation": respond('"conversation":{"id":"conv_1"}', "conversation"),
    "an item by its escaped id": respond(r'"input":[{"\u0069d":"msg_1"}]', "input[0]"),
    "an item of two types": respond('"input":[{"type":"item_reference","id":"m","type":"message","content":"x"}]', "input[0].type"),
    "an item that is none": respond('"input":["x",{"role":"user","content":"x"}]', "input[0]"),
    "an image by its id": respond('"input":[{"type":"image_generation_call","id":"ig_1","result":null}]', "input[0]"),
    "a stored prompt": respond('"prompt":{"id":"pmpt_1"}', "prompt"),
    "a file in a prompt's variables": respond(
        '"prompt":{"id":"pmpt_1","variables":{"schema":{"type":"input_file","file_id":"f"}}}',
        "prompt.variables.schema.file_id", groups=("prompts",),
    ),
    "a file": chat(
        '"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}]', "messages[0].content[0].file.file_id"
    ),
    "a file in other letters": chat(
        '"messages":[{"role":"user","content":[{"type":"file","file":{"File_Id":"file-1"}}]}]',
        "messages[0].content[0].file.File_Id", granted=NEVER,
    ),
    "files of a tool": respond(
        '"tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["file-1"]}}]', "tools[0].container.file_ids"
    ),
    "a tool's container": respond('"tools":[{"type":"code_interpreter","container":"cntr_1"}]', "tools[0].container"),
    "a vector store": respond('"tools":[{"type":"file_search","vector_store_ids":["vs_1"]}]', "tools[0].vector_store_ids"),
    "xAI's collections": respond('"tools":[{"type":"collections_search","collection_ids":["c"]}]', "tools[0].collection_ids"),
    "Zhipu's knowledge": chat('"tools":[{"type":"retrieval","retrieval":{"knowledge_id":"1"}}]', "tools[0].retrieval.knowledge_id"),
    "Open WebUI's knowledge": chat('"files":[{"type":"collection","id":"1"}]', "files[0]"),
    "a voice of somebody's": json_at(
        "/audio/speech", "voice", body={"model": "m1", "input": "x", "voice": {"id": "voice_1"}}
    ),
    "answers that an eval reads": json_at(
        "/evals", "data_source_config.type", groups=("evals",),
        body={"data_source_config": {"type": "stored_completions", "metadata": {}}, "testing_criteria": []},
    ),
    "lines of a batch": json_at(
        "/batches", "input_file_id", groups=("batches",),
        body={"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"},
    ),
    "a batch where none is open": json_at("/batches", None, 404, body={"input_file_id": "file-1", "endpoint": "/v1/embeddings"}),
    # Forms
    "two models in a form": form(SPOKEN, M1, FILE, forms.field("model", "secret"), param="model", granted=NEVER),
    "a file for a model": form(SPOKEN, M1, ('name="model"; filename="m"', b"secret"), FILE, param="model", granted=NEVER),
    "a model in brackets": form(SPOKEN, M1, forms.field("model[0]", "secret"), FILE, param="model[0]", granted=NEVER),
    "a model by an extended name": form(
        SPOKEN, M1, ("name=\"x\"; name*=utf-8''model", b"secret"), FILE, param=None, granted=NEVER
    ),
    "a model in base64": form(
        SPOKEN, ('name="model"\r\nContent-Transfer-Encoding: base64', b"c2VjcmV0"), FILE, param=None, granted=NEVER
    ),
    "a character set of the form's own": form(
        SPOKEN, forms.field("_charset_", "utf-7"), M1, FILE, param="_charset_", granted=NEVER
    ),
    "a form in a form": form(
        SPOKEN, M1, ('name="x"\r\nContent-Type: multipart/mixed; boundary=b', b"--b\r\n\r\n--b--"), FILE, param=None, granted=NEVER
    ),
    "a route in a form": form(SPOKEN, M1, forms.field("litellm_params[api_base]", "http://evil.test"), FILE, param="litellm_params[api_base]"),
    "JSON in a form's notes": form(
        SPOKEN, M1, forms.field("metadata", '{"user_api_key_team_id":"t"}'), FILE, param="metadata.user_api_key_team_id"
    ),
    "JSON in a form's file": form(
        "/videos", M1, forms.field("prompt", "x"), forms.field("input_reference", '{"file_id":"file-1"}'),
        param="input_reference.file_id", groups=("videos",),
    ),
    "a file in a form's brackets": form(
        "/videos", M1, forms.field("prompt", "x"), forms.field("input_reference[file_id]", "file-1"),
        param="input_reference[file_id]", groups=("videos",),
    ),
    "a session in a form": form(
        CALLS, forms.field("sdp", "v=0"), forms.field("session", json.dumps({**SESSION, "model": "secret"})), param="model", status=404
    ),
    "a session in a form, with a model of its own": form(
        CALLS, forms.field("sdp", "v=0"), forms.field("session", '{"model":"m1"}'), forms.field("model", "secret"),
        param="model", granted=NEVER,
    ),
}  # fmt: skip


def upstream(*models: str, **options: Any) -> Upstream:
    return Upstream("http://a/v1", name="A", api_key="ka", model_ids=models, **options)


def test_there_are_more_than_forty_of_all_kinds() -> None:
    assert len(BODIES) > 40
    assert len({sent.path.partition("?")[0] for sent in BODIES.values()}) > 10


@pytest.mark.parametrize("name", BODIES)
async def test_it_does_not_pass(name: str) -> None:
    sent = BODIES[name]
    mine = Grants({"m1": Grant(public=True)}, admins=False)
    settings = Settings(retries=0, open_groups=frozenset(sent.groups))
    async with world(upstream(*SERVED), authorize_model=mine, settings=settings) as w:
        answer = await w.post_bytes(sent.path, sent.body, headers=sent.sent)
        error = error_of(answer)
        assert (answer.status, error["param"]) == (sent.status, sent.param), error
        assert w.upstream.requests == []
        if sent.status == 404 and sent.param == "model":
            assert error["code"] == "model_not_found"


@pytest.mark.parametrize("name", BODIES)
async def test_it_is_refused_for_what_it_names(name: str) -> None:
    """The same body where everything is granted."""
    sent = BODIES[name]
    taking = upstream(*SERVED, route_fields=[f"-{row}" for row in ROUTE_FIELDS])
    settings = Settings(retries=0, open_groups=frozenset(GROUPS))
    async with world(taking, authorize_model=everyone, settings=settings) as w:
        w.upstream.answer("", json_answer({}))
        answer = await w.post_bytes(sent.path, sent.body, headers=sent.sent)
        assert answer.status == sent.granted, answer.text
        assert len(w.upstream.requests) == (sent.granted == 200)


@pytest.mark.parametrize(
    ("body", "path", "sent"),
    [
        (b'{"model":"secret","model":"m1","messages":[]}', CHAT, b'{"model":"m1","messages":[]}'),
        (b'{"mod\\u0065l":"secret","model":"m1","messages":[]}', CHAT, b'{"model":"m1","messages":[]}'),
        (b'{"model":"m1","previous_response_id":"r","previous_response_id":null,"input":"x"}', RESPONSES,
         b'{"model":"m1","previous_response_id":null,"input":"x"}'),
    ],
)  # fmt: skip
async def test_of_equal_names_at_the_top_one_is_sent_whoever_reads_it(body: bytes, path: str, sent: bytes) -> None:
    mine = Grants({"m1": Grant(public=True)}, admins=False)
    async with world(upstream(*SERVED), authorize_model=mine) as w:
        answer = await w.post_bytes(path, body, headers={"content-type": forms.JSON, "x-test-user": "u1"})
        assert answer.status == 200, answer.text
        assert w.upstream.last.body == sent
