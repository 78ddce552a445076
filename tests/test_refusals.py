"""Every refusal of the gateway's own teaches: message, ``param`` and ``code`` say what to mend."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import openai_gateway_asgi
from openai_gateway_asgi import Gateway, Grant, Grants, MemoryStore, Settings, Upstream, User, errors
from openai_gateway_asgi.http.loop_guard import NAME as HOPS
from openai_gateway_asgi.testing import FakeUpstream
from tests.support.asgi import Conversation, Response
from tests.surface.world import FILE, FORM, form
from tests.surface.world import field as part

PACKAGE = Path(openai_gateway_asgi.__file__).parent
ERRORS = (Path(__file__).parent.parent / "docs" / "errors.md").read_text()
JSON = {"content-type": "application/json"}
ADMIN = {"x-who": "ada"}
CHAT = "/v1/chat/completions"
PEOPLE = {"ada": User("ada", role="admin"), "una": User("una")}


@dataclass(frozen=True)
class Refusal:
    """A request, and what is said of it. ``words`` must all be in the message: the fault, and what to write instead."""

    method: str
    path: str
    status: int
    code: str
    param: str | None
    words: tuple[str, ...]
    body: bytes | None = b""
    headers: Any = field(default_factory=lambda: JSON)
    query: bytes = b""


def chat(body: bytes, code: str, param: str | None, *words: str, path: str = CHAT, status: int = 400) -> Refusal:
    return Refusal("POST", path, status, code, param, words, body)


def upload(code: str, param: str | None, *words: str, body: bytes, kind: str = FORM, status: int = 400) -> Refusal:
    return Refusal("POST", "/audio/transcriptions", status, code, param, words, body, {"content-type": kind})


PAIR = [(b"content-type", b"application/json")]
MODEL = part("model", "m1")
SMALL = ('name="file"; filename="a.mp3"', b"sound")
CONFIG = b'{"OPENAI_API_BASE_URLS": [], "OPENAI_API_KEYS": [], "OPENAI_API_CONFIGS": {}}'

REFUSALS = {
    # What the body says
    "no JSON": chat(b'{"model": ', "invalid_json", None, "not valid JSON"),
    "a list": chat(b"[]", "invalid_json", None, "must be a JSON object"),
    "no body": chat(b"", "invalid_json", None, "JSON"),
    "another encoding": chat(b'{"model": "\xff"}', "invalid_json", None, "UTF-8"),
    "no model": chat(b"{}", "missing_field", "model", "`$.model` is missing", "GET /models"),
    "no model, null": chat(b'{"model": null}', "missing_field", "model", "`$.model` is missing"),
    "no model in a form": upload("missing_field", "model", "form field `model` is missing", body=form(SMALL)),
    # What the API of the upstream has no word for
    "no word for it": chat(
        b'{"model": "r1", "messages": [], "stop": "x"}', "unsupported_parameter", "stop", "`stop`", "no such parameter"
    ),
    "no place for it": chat(
        b'{"model":"c1","input":[{"type":"computer_call"}]}', "unsupported_parameter", "input[0].type", path="/responses"
    ),
    "no call for it": chat(
        b'{"model":"c1","input":[{"type":"function_call_output","call_id":"c","output":""}]}',
        "invalid_value", "input[0].call_id", "no call", path="/responses",
    ),
    "no messages": chat(b'{"model": "r1"}', "missing_required_parameter", "messages", "`messages`"),
    "only Responses do": chat(b'{"model": "c1"}', "not_served", None, path="/responses/compact", status=501),
    "a number for a model": chat(b'{"model": 7}', "invalid_type", "model", "`$.model`", "str"),
    "an odd model": chat(b'{"model": " m1"}', "invalid_value", "model", "1 to 256 printable characters"),
    "a model in other letters": chat(b'{"model":"m1","Model":"x"}', "invalid_field", "Model", "written `model`"),
    "an address": chat(b'{"model":"m1","api_base":"http://x"}', "invalid_field", "api_base", "`api_base`", "gateway"),
    "a stored object": chat(
        b'{"model":"m1","previous_response_id":"r"}', "invalid_field", "previous_response_id",
        "group `responses`", "leave it out", path="/responses",
    ),
    "no messages for a model that needs them": chat(
        b'{"model":"o3"}', "missing_required_parameter", "messages", "`$.messages`"
    ),
    "a model that nobody knows": chat(
        b'{"model":"nothing"}', "model_not_found", "model", "`nothing`", "access", status=404
    ),
    "a default that nobody knows": chat(
        b'{"input":"x"}', "model_not_found", "model", "names no model", "`omni-moderation-latest`",
        path="/moderations", status=404,
    ),
    # What the head says
    "an unknown path": chat(b"{}", "not_found", None, "OpenAI API", "/v1", "base URL", path="/nothing", status=404),
    "a closed group": Refusal("GET", "/files", 404, "not_found", None, ("stored objects", "application opens")),
    "a trailing slash": Refusal("GET", "/files/", 404, "not_found", None, ("do not end in a slash",)),
    "another method": Refusal("PUT", CHAT, 405, "method_not_allowed", None, ("GET, HEAD, POST",)),
    "an odd path": Refusal("GET", "/files//x", 400, "invalid_path", None, ("empty segments",)),
    "a slash in an id": Refusal("GET", "/files/a%2Fb", 400, "invalid_path", "file_id", ("encoded slash", "`file_id`")),
    "an odd query": Refusal("GET", "/models", 400, "invalid_query", None, ("percent-encoded",), query=b"a=\xff"),
    "a model in the query": Refusal(
        "POST", CHAT, 400, "invalid_field", "model", ("`model`", "in the body"), b'{"model":"m1"}', query=b"model=x"
    ),
    "a body for nothing": Refusal(
        "GET", "/files", 400, "invalid_body", None, ("takes no request body", "leave it out"), b"{}",
        {**ADMIN, "content-length": "2"},
    ),
    "another type": Refusal(
        "POST", CHAT, 415, "unsupported_media_type", "content-type", ("`Content-Type: application/json`",), b"{}",
        {"content-type": "text/plain"},
    ),
    "another character set": Refusal(
        "POST", CHAT, 415, "unsupported_media_type", "content-type", ("UTF-8",), b"{}",
        {"content-type": "application/json; charset=utf-16"},
    ),
    "a compressed body": Refusal(
        "POST", CHAT, 415, "unsupported_media_type", "content-encoding", ("uncompressed",), b"{}",
        {**JSON, "content-encoding": "gzip"},
    ),
    "two types": Refusal(
        "POST", CHAT, 400, "invalid_header", "content-type", ("send one",), b"{}", [*PAIR, (b"content-type", b"x/y")]
    ),
    "two lengths": Refusal(
        "POST", CHAT, 400, "ambiguous_framing", "content-length", ("`Content-Length`", "`Transfer-Encoding`"), b"{}",
        [*PAIR, (b"content-length", b"2"), (b"transfer-encoding", b"chunked")],
    ),
    # How much, and how fast
    "a large body": chat(b"x" * 2000, "payload_too_large", None, "1000 bytes", "`json_limit`", status=413),
    "a large upload": upload(
        "payload_too_large", None, "2000 bytes", "`upload_limit`", body=form(MODEL, FILE), status=413
    ),
    "a body that never comes": Refusal(
        "POST", CHAT, 408, "request_timeout", None, ("0.05 seconds", "request=request"), None
    ),
    # Forms
    "no form at all": upload("invalid_multipart", None, "boundary", body=b"x", kind="multipart/form-data"),
    "an empty model": upload("invalid_value", "model", "`model` is empty", body=form(part("model", ""), part("x", "y"))),
    "two models": upload("invalid_field", "model", "must occur once", body=form(MODEL, MODEL)),
    "an address in a form": upload("invalid_field", "base_url", "`base_url`", body=form(MODEL, part("base_url", "x"))),
    # Who asks
    "nobody": Refusal(
        "POST", CHAT, 401, "unauthenticated", None, ("sign in", "credential"), b"{}", {**JSON, "x-who": "nobody"}
    ),
    "no administrator": Refusal("GET", "/config", 403, "permission_denied", None, ("administrators",)),
    "another site": Refusal(
        "POST", CHAT, 403, "cross_site_request", "origin", ("cookie", "`Authorization: Bearer`"), b"{}",
        {**JSON, "cookie": "a=b", "origin": "https://evil.test"},
    ),
    # Administrators
    "a configuration that changed": Refusal(
        "POST", "/config/update", 412, "precondition_failed", "if-match", ("has changed",), CONFIG,
        {**JSON, **ADMIN, "if-match": '"other"'},
    ),
    "a wrong configuration": Refusal(
        "POST", "/config/update", 400, "invalid_config", "OPENAI_API_BASE_URLS.0", ("http",),
        b'{"OPENAI_API_BASE_URLS": ["ftp://x"], "OPENAI_API_KEYS": [""], "OPENAI_API_CONFIGS": {}}', {**JSON, **ADMIN},
    ),
    "no such upstream": Refusal("GET", "/config/upstreams/7/models", 404, "not_found", "index", ("there are 3",), headers=ADMIN),
    "no index": Refusal(
        "GET", "/config/upstreams/x/models", 400, "invalid_value", "index", ("whole number",), headers=ADMIN
    ),
    "no such keeper": Refusal(
        "GET", "/files", 400, "invalid_value", "x-gateway-upstream", ("they are A",),
        headers={**ADMIN, "x-gateway-upstream": "B"},
    ),
    "itself": Refusal("POST", CHAT, 508, "loop_detected", None, ("own upstream",), b"{}", [*PAIR, (HOPS, b",".join([b"0" * 16] * 8))]),
}  # fmt: skip

DJANGOS = frozenset({"disallowed_host"})
"""Those of the Django host alone; ``tests/contrib`` has them."""

NOT_THE_CLIENTS = frozenset(
    """body_already_read configuration_unavailable gateway_busy gateway_disabled gateway_draining host_failure internal_error
    not_served rate_limit_exceeded upstream_account upstream_credential upstream_error upstream_timeout
    upstream_unavailable""".split()
)
"""Codes of failures that no client can mend in its request; what they say is tested where they arise."""


@dataclass(frozen=True)
class Host:
    app: Starlette
    recorder: FakeUpstream


def host() -> Host:
    recorder = FakeUpstream()
    gateway = Gateway(
        MemoryStore(
            [
                Upstream("http://a/v1", name="A", auth_type="none", model_ids=["m1", "o3"]),
                Upstream("http://r/v1", name="R", auth_type="none", model_ids=["r1"], api="responses"),
                Upstream("http://c/v1", name="C", auth_type="none", model_ids=["c1"], api="chat"),
            ]
        ),
        resolve_user=lambda request: PEOPLE.get(request.headers.get("x-who", "una")),
        authorize_model=Grants(dict.fromkeys(("m1", "o3", "r1", "c1"), Grant(public=True))),
        settings=Settings(json_limit=1000, upload_limit=2000, upload_idle=0.05, retries=0),
        transport=recorder.transport(),
    )
    return Host(Starlette(routes=[Mount("/openai", gateway)]), recorder)


async def answered(refusal: Refusal, asked: Host | None = None) -> tuple[Response, FakeUpstream]:
    asked = asked or host()
    talk = Conversation(
        asked.app, refusal.method, "/openai" + refusal.path, headers=refusal.headers, body=refusal.body,
        query=refusal.query, strict=False,
    )  # fmt: skip
    async with talk:
        return await talk.whole(), asked.recorder


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_says_what_to_mend(name: str) -> None:
    refusal = REFUSALS[name]
    answer, recorder = await answered(refusal)

    error = answer.json()["error"]
    assert (answer.status, error["code"], error["param"]) == (refusal.status, refusal.code, refusal.param), error
    assert error["type"] in ("invalid_request_error", "authentication_error", "permission_error", "server_error")
    assert [word for word in refusal.words if word not in error["message"]] == [], error["message"]
    assert [request for request in recorder.requests if request.path != "/v1/models"] == []


def codes() -> Iterator[str]:
    """Every code that the package's source gives a failure."""
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] == "testing":  # nothing that a gateway answers with
            continue
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") != "ConfigError":
                given = [node.value for node in call.keywords if node.arg == "code"]
                yield from (node.value for node in given if isinstance(node, ast.Constant))
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.GatewayError) and value.code:
            yield value.code


CODES = sorted(set(codes()))
OF_LIMITS = frozenset({"insufficient_quota", "unmetered_operation"})
"""Seen in ``tests/limits/test_enforced.py``."""
OF_FILTERS = frozenset({"out_of_filters_sight"})
"""Seen in ``tests/extensions/test_filters.py``."""
OF_PRESETS = frozenset({"locked_parameter", "unsupported_operation"})
"""Seen in ``tests/presets/test_parameters.py``."""
ELSEWHERE = OF_LIMITS | OF_FILTERS | OF_PRESETS


@pytest.mark.parametrize("code", [code for code in CODES if code not in NOT_THE_CLIENTS | DJANGOS | ELSEWHERE])
def test_every_code_of_a_clients_mistake_is_in_the_table(code: str) -> None:
    assert code in {refusal.code for refusal in REFUSALS.values()}


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_in_the_table_of_errors(code: str) -> None:
    assert f"`{code}`" in ERRORS, "Add it to docs/errors.md."


def test_no_code_is_called_somebody_elses_that_is_not_there() -> None:
    assert set(CODES) >= NOT_THE_CLIENTS | DJANGOS


@pytest.mark.parametrize("name", ["nobody", "another site", "itself", "a body that never comes"])
async def test_what_the_host_can_mend_is_told_in_its_log_once_a_minute(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = REFUSALS[name]
    app = host()
    for _ in range(3):
        await answered(refusal, app)

    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith(f"{refusal.code}: ")
    assert f"Seen: {refusal.method} /openai{refusal.path}" in line


@pytest.mark.parametrize("name", ["a model that nobody knows", "no model", "a closed group", "no administrator"])
async def test_what_only_the_client_can_mend_is_not(name: str, caplog: pytest.LogCaptureFixture) -> None:
    await answered(REFUSALS[name])

    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == []
