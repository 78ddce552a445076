"""Case 281: what an upstream says of a call must not tell its users the operator's secrets."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any
from urllib.parse import quote

import pytest

from openai_gateway_asgi import Settings, Upstream, User
from openai_gateway_asgi.testing import Answer, FakeRequest, error_answer, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import bytes_answer, sse
from tests.cases.gateways import EAGER, chat, error_of, upstream_a, world

CHAT = "/chat/completions"
KEY = "sk-proj-4bCdEfGhIjKlMnOpQrStUvWx/+=="
HEADER = "h3ader-of-the-operator"
PASSWORD = "proxy-pa55word"
OWN = "t0ken-of-the-caller-himself"
OAUTH = "t0ken-that-the-host-gave"
COOKIE = "c00kie-of-the-caller"

PER_KIND: dict[str, tuple[Upstream, str]] = {
    "bearer": (upstream_a(api_key=KEY), KEY),
    "azure": (upstream_a(api_key=KEY, provider="azure"), KEY),
    "fixed header": (upstream_a(headers={"X-Team": HEADER}), HEADER),
    "fixed credential": (upstream_a(headers={"Authorization": f"Basic {base64.b64encode(b'me:' + HEADER.encode()).decode()}"}), HEADER),
    "proxy": (upstream_a(proxy=f"http://me:{PASSWORD}@p.test"), PASSWORD),
    "session": (upstream_a(auth_type="session"), OWN),
    "system_oauth": (upstream_a(auth_type="system_oauth"), OAUTH),
    "cookie": (upstream_a(forward_cookies=["flavour"]), COOKIE),
}  # fmt: skip
SENT = {"authorization": f"Bearer {OWN}", "cookie": f"flavour={COOKIE}", "x-test-user": "u1"}


async def oauth_token(user: User, request: object, upstream: Upstream) -> str:
    return OAUTH


def a_world(upstream: Upstream, **options: Any) -> Any:
    return world(upstream, oauth_token=oauth_token, **options)


# A 403 names the operator's account, and is told in our own words: case 227.
@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 503])
@pytest.mark.parametrize("kind", PER_KIND)
async def test_case_281_an_error_of_any_status_is_cleaned_of_the_credential_we_sent(kind: str, status: int) -> None:
    upstream, secret = PER_KIND[kind]
    async with a_world(upstream) as w:
        w.upstream.answer("", error_answer(status, f"No access with {secret}."))
        got = await w.post(CHAT, chat(stream=True), headers=SENT)

        assert got.status == status
        assert secret.encode() not in got.body
        assert got.json()["error"]["message"] == "No access with ***."


@pytest.mark.parametrize(
    "spelt", [KEY, quote(KEY, safe=""), base64.b64encode(f"me:{KEY}".encode()).decode(), KEY.replace("/", "\\/")]
)
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/html", "text/event-stream"])
async def test_case_281_however_it_is_spelt_and_whatever_the_body_is(kind: str, spelt: str) -> None:
    async with a_world(upstream_a(api_key=KEY)) as w:
        w.upstream.answer(CHAT, bytes_answer(f"<b>{spelt}</b>".encode(), kind, 400))
        got = await w.chat(headers={"x-test-user": "u1"})

        assert got.status == 400
        assert KEY[:30].encode() not in got.body
        assert spelt[4:-2].encode() not in got.body


@pytest.mark.parametrize("coding", ["gzip", "br"])
async def test_case_281_a_compressed_error_is_read_or_not_shown(coding: str) -> None:
    body = gzip.compress(json.dumps({"error": {"message": f"Bad {KEY}"}}).encode())
    async with a_world(upstream_a(api_key=KEY)) as w:
        w.upstream.answer(CHAT, bytes_answer(body, "application/json", 400, [("content-encoding", coding)]))
        got = await w.chat(headers={"x-test-user": "u1"})

        assert (got.status, got.header("content-encoding")) == (400, None)
        assert got.json()["error"]["message"] == ("Bad ***" if coding == "gzip" else "The upstream refused this call.")


async def test_case_281_a_compression_bomb_among_errors_is_not_held() -> None:
    async with a_world(upstream_a(api_key=KEY)) as w:
        bomb = gzip.compress(bytes(64 * 1024 * 1024))
        w.upstream.answer(CHAT, bytes_answer(bomb, "application/json", 400, [("content-encoding", "gzip")]))
        assert error_of(await w.chat())["message"] == "The upstream refused this call."


async def test_case_281_headers_of_an_error_are_cleaned_too() -> None:
    async with a_world(upstream_a(api_key=KEY)) as w:
        w.upstream.answer(CHAT, error_answer(400, headers=[("x-request-id", KEY), ("retry-after", "5")]))
        got = await w.chat()

        assert KEY not in str(got.headers)
        assert (got.status, got.header("retry-after")) == (400, "5")


FIRST = [
    {"error": {"message": f"Bad {KEY}", "code": 400}},
    {"type": "error", "code": "invalid_prompt", "message": f"Bad {KEY}"},
]


@pytest.mark.parametrize("event", FIRST)
async def test_case_281_an_error_before_anything_is_told_is_cleaned(event: Any) -> None:
    async with a_world(upstream_a(api_key=KEY)) as w:
        w.upstream.answer(CHAT, stream_answer([sse(event)]))
        got = await w.chat(stream=True)
        assert KEY.encode() not in got.body
        assert got.json()["error"]["message"] == "Bad ***"

        w.upstream.answer(CHAT, json_answer(event))
        assert (await w.chat()).json()["error"]["message"] == "Bad ***"


WORD = sse({"choices": [{"index": 0, "delta": {"content": "An error?"}, "finish_reason": None}]})


@pytest.mark.parametrize(
    "event",
    [
        *map(sse, FIRST),
        sse({"message": f"Bad {KEY}"}, "error"),
        f'error: {{"message": "Bad {KEY}"}}\n\n'.encode(),
    ],
)
@pytest.mark.parametrize("settings", [{}, {"keepalive_comments": 1.0}])
async def test_case_281_an_error_event_in_the_middle_of_a_stream_is_cleaned(event: bytes, settings: Any) -> None:
    async with a_world(upstream_a(api_key=KEY), settings=Settings(retries=0, **settings)) as w:
        w.upstream.answer(CHAT, stream_answer([WORD, event]))
        got = await w.chat(stream=True)

        assert got.status == 200
        assert got.body.startswith(WORD)
        assert KEY.encode() not in got.body
        assert b"Bad ***" in got.body
        assert b"The upstream answered" not in got.body  # which would hide what it said


@pytest.mark.parametrize("before", [100, 65_500, 100_000, 900_000])
@pytest.mark.parametrize("read", [1_000, 65_536])
async def test_case_281_a_long_error_event_is_cleaned_up_to_a_mebibyte(before: int, read: int) -> None:
    event = sse({"error": {"message": f"{'x' * before} {KEY} {'y' * 100_000}", "code": 500}})
    whole = WORD + event
    async with a_world(upstream_a(api_key=KEY)) as w:
        w.upstream.answer(CHAT, stream_answer([whole[at : at + read] for at in range(0, len(whole), read)]))
        got = await w.chat(stream=True)

        assert got.body.startswith(WORD)
        assert KEY.encode() not in got.body
        assert b" *** " in got.body


async def test_case_281_what_a_model_writes_is_not_touched() -> None:
    said = sse({"choices": [{"index": 0, "delta": {"content": f"error: {KEY}"}, "finish_reason": "stop"}]})
    async with a_world(upstream_a(api_key=KEY)) as w:
        w.upstream.answer(CHAT, stream_answer([said, b"data: [DONE]\n\n"]))
        assert (await w.chat(stream=True)).body == said + b"data: [DONE]\n\n"


OPERATORS = [("openai-organization", "org-1"), ("openai-project", "proj-1"), ("openai-version", "2020-10-01")]


@pytest.mark.parametrize("status", [200, 400])
async def test_case_281_whose_account_it_is_reaches_nobody(status: int) -> None:
    async with a_world(upstream_a()) as w:
        w.upstream.answer(CHAT, json_answer({}, status, OPERATORS))
        got = await w.chat()
        assert got.status == status
        assert [got.header(name) for name, _ in OPERATORS] == [None, None, "2020-10-01"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "private"),
        (["public, max-age=60"], "private, max-age=60"),
        (["max-age=60, s-maxage=600"], "private, max-age=60"),
        (["PUBLIC", "immutable"], "private, immutable"),
        (["no-store"], "private, no-store"),
        (['no-cache="a, b", proxy-revalidate'], 'private, no-cache="a, b"'),
    ],
)
async def test_case_281_what_depends_on_the_user_is_kept_for_nobody_else(given: list[str], told: str) -> None:
    async with a_world(upstream_a(), settings=Settings(open_groups={"files"})) as w:
        answer = Answer(
            [b"{}"], 200, [("content-type", "application/json"), *(("cache-control", each) for each in given)]
        )
        w.upstream.answer("/files/f", answer)
        got = await w.ask("GET", "/files/f")
        assert got.header("cache-control") == told
        assert {"authorization", "cookie", "api-key"} <= set((got.header("vary") or "").split(", "))


@pytest.mark.parametrize("path", ["/models", "/models/m1", "/nothing/here"])
async def test_case_281_answers_of_our_own_depend_on_the_user_too(path: str) -> None:
    async with a_world(upstream_a()) as w:
        got = await w.ask("GET", path)
        assert got.header("cache-control") == "private"
        assert "cookie" in (got.header("vary") or "")


async def test_case_281_administrators_see_masks_alone_where_a_trial_fails() -> None:
    async with a_world(upstream_a()) as w:
        w.upstream.answer("/models", error_answer(403, f"Bad {KEY}"))
        body = {"url": "http://a/v1", "key": KEY}
        got = await w.post("/verify", body)
        assert (got.status, KEY.encode() in got.body) == (502, False)


async def test_case_281_a_fallback_answer_is_cleaned_of_the_credential_that_it_was_asked_with() -> None:
    def echo(request: FakeRequest) -> Answer:
        return error_answer(400, f"{request.header('authorization')} {KEY[:20]}")

    first = upstream_a("m1", name="first", api_key=KEY)
    async with world(first, settings=EAGER) as w:
        w.upstream.answer(CHAT, echo)
        assert (await w.chat()).json()["error"]["message"] == "Bearer *** ***"
