"""What the upstream receives is what the client sent: only headers of ours and the top level's white space differ."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi.api.endpoints import ENDPOINTS, Kind
from openai_gateway_asgi.http.paths import SAFE
from openai_gateway_asgi.testing import FakeRequest, json_answer
from tests.surface.world import FORM, JSON, Surface, field, form, keeper, parts_of, surface

SPACES = st.text(" \t\r\n", max_size=3)
LETTERS = "abcXYZ_-.0 é😀/<>&'$"
OURS = {
    "accept-encoding", "authorization", "connection", "content-length", "host", "transfer-encoding", "x-gateway-hops",
}  # fmt: skip

# Names that a rule, a route or a check has something to say about; every other one must cross untouched.
NAMES = st.text(LETTERS, min_size=1, max_size=8).map(lambda name: f"x_{name}")


@st.composite
def spelt(draw: st.DrawFn, depth: int = 3) -> str:
    """A JSON value in one of the many ways to write it."""
    kind = draw(st.sampled_from(["number", "text", "word", "list", "object"] if depth else ["number", "text", "word"]))
    if kind == "number":
        return draw(
            st.sampled_from(["0", "-0", "1e2", "1E+2", "1.50", "-1.0e-7", "12345678901234567890123", "0.1", "1e400"])
        )
    if kind == "word":
        return draw(st.sampled_from(["true", "false", "null"]))
    if kind == "text":
        text = json.dumps(draw(st.text(LETTERS, max_size=12)), ensure_ascii=draw(st.booleans()))
        return text.replace("/", "\\/") if draw(st.booleans()) else text
    gap = draw(SPACES)
    if kind == "list":
        items = draw(st.lists(spelt(depth=depth - 1), max_size=3))
        return f"[{gap}{f'{gap},'.join(items)}{gap}]"
    return draw(written_object(depth=depth - 1, gap=gap))


@st.composite
def written_object(draw: st.DrawFn, depth: int, gap: str) -> str:
    fields = draw(st.lists(st.tuples(NAMES, spelt(depth=depth)), max_size=3))
    written = [f"{json.dumps(name)}{gap}:{gap}{value}" for name, value in fields]
    return f"{{{gap}{f'{gap},'.join(written)}{gap}}}"


@st.composite
def bodies(draw: st.DrawFn, model: str = "") -> tuple[bytes, bytes]:
    """A body as it is sent, and without the white space of its top level."""
    fields = draw(st.dictionaries(NAMES, spelt(), max_size=4))
    if model:
        fields = {**dict(list(fields.items())[:2]), "model": json.dumps(model), **fields}
    before, after = draw(SPACES), draw(SPACES)
    pairs = [(json.dumps(name, ensure_ascii=False), value) for name, value in fields.items()]
    sent = f"{before}{{{after}{','.join(f'{before}{n}{after}:{before}{v}{after}' for n, v in pairs)}}}{after}"
    return sent.encode(), f"{{{','.join(f'{n}:{v}' for n, v in pairs)}}}".encode()


ESCAPED = st.sampled_from(["%20", "%C3%A9", "%2f", "%2F", "%3D", "+", "[", "]", "'", "!", "~", "|", "^", "`", "{", "}"])
QUERY_PIECES = st.one_of(ESCAPED, st.sampled_from(["a", "Z", "9", "-", ".", "_", ":", "@", "/", "?", ",", "$", "*"]))
query_words = st.lists(QUERY_PIECES, max_size=5).map("".join)
queries = st.lists(st.tuples(query_words, query_words), max_size=4).map(
    lambda pairs: "&".join(f"q{name}={value}" for name, value in pairs).encode()
)
path_letters = st.sampled_from([*"aZ9-_.~", *SAFE, "é", "ü", " x", "日"])
values = st.lists(path_letters, min_size=1, max_size=6).map(lambda found: "p" + "".join(found))
CALLS = [each for each in ENDPOINTS if each.kind is Kind.STORED and each.operation != "deleteModel"]


@st.composite
def paths(draw: st.DrawFn) -> tuple[str, str, bool]:
    """A method, a path as it is sent, and whether a body goes with it."""
    endpoint = draw(st.sampled_from(CALLS))
    parts = [_encoded(draw(values)) if part[:1] == "{" else part for part in endpoint.template[1:].split("/")]
    return endpoint.method, "/" + "/".join(parts), endpoint.json


def _encoded(value: str) -> str:
    """As the gateway writes a path itself: of two spellings of one path it sends the shorter."""
    return quote(value, safe=SAFE)


def run(check: Any) -> None:
    asyncio.run(check())


async def sent_by(gateway: Surface, method: str, path: str, query: bytes, body: bytes, who: str) -> FakeRequest:
    headers = {"content-type": JSON, "openai-beta": "x=1", "x-stainless-lang": "python"} if body else {}
    answer = await gateway.ask(method, path, query=query, headers=headers, body=body, who=who)
    assert answer.status == 200, answer.body
    (request,) = gateway.up.requests
    given = {name for name, _ in request.headers}
    assert {name.decode() for name in given} - OURS - set(headers) - {"x-who"} == set()
    if request.path.endswith("/audio/speech"):  # several callers hear one answer: nothing of one caller shapes it
        del headers["x-stainless-lang"]
    for name, value in headers.items():
        assert request.header(name) == value
    return request


MODES = st.sampled_from(["auto", "off"])
Mode = Literal["auto", "off"]
CHECKED = settings(max_examples=60, deadline=None, derandomize=True)


@CHECKED
@given(call=paths(), query=queries, body=bodies(), mode=MODES)
def test_a_call_without_a_model(
    call: tuple[str, str, bool], query: bytes, body: tuple[bytes, bytes], mode: Mode
) -> None:
    method, path, takes_json = call
    sent, expected = body if takes_json else (b"", b"")

    async def check() -> None:
        async with surface(keeper(rewrites=mode), answer=json_answer({})) as gateway:
            got = await sent_by(gateway, method, "/v1" + path, query, sent, "ada")
            assert (got.method, got.path, got.query, got.body) == (method, "/v1" + path, query, expected)

    run(check)


MODEL_CALLS = [
    each for each in ENDPOINTS if each.kind is Kind.JSON_MODEL and each.model_at == "model" and not each.group
]


@CHECKED
@given(endpoint=st.sampled_from(MODEL_CALLS), query=queries, body=bodies(model="m/1.x:y"), mode=MODES)
def test_a_call_with_a_model(endpoint: Any, query: bytes, body: tuple[bytes, bytes], mode: Mode) -> None:
    sent, expected = body

    async def check() -> None:
        plain = keeper(prefix_id="", model_ids=["m/1.x:y"], rewrites=mode)
        async with surface(plain, answer=json_answer({})) as gateway:
            got = await sent_by(gateway, "POST", endpoint.template, query, sent, "una")
            assert (got.path, got.query, got.body) == ("/v1" + endpoint.template, query, expected)

    run(check)


@CHECKED
@given(body=bodies(model="m"), mode=MODES)
def test_a_session_is_written_anew_at_its_own_level_alone(body: tuple[bytes, bytes], mode: Mode) -> None:
    inside, expected = body
    sent = b'{"session": %b, "x":[ 1.0 ]}' % inside

    async def check() -> None:
        plain = keeper(prefix_id="", model_ids=["m"], rewrites=mode)
        async with surface(plain, answer=json_answer({})) as gateway:
            got = await sent_by(gateway, "POST", "/v1/realtime/client_secrets", b"", sent, "una")
            assert got.body == b'{"session":%b,"x":[ 1.0 ]}' % expected

    run(check)


@pytest.mark.parametrize("kind", [JSON, "application/json; charset=utf-8", "Application/JSON ;charset=UTF-8"])
async def test_the_type_of_a_body_is_told_as_it_was(kind: str) -> None:
    async with surface(answer=json_answer({})) as gateway:
        body = b'{"model":"pre.other"}'
        await gateway.ask("POST", "/v1/embeddings", headers={"content-type": kind}, body=body)
        assert gateway.up.last.header("content-type") == kind


contents = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"--", b"--frontie", b"\r\n--fron", b"\x00", b"\xff", b"text", b"\r\n\r\n"]),
    max_size=6,
).map(b"".join)
file_heads = st.builds(
    'name="{}"; filename="{}"{}'.format,
    st.sampled_from(["file", "image[]", "mask", "größe"]),
    st.sampled_from(["a.mp3", "", "tö nung (1).png", "a%20b", "c:x"]),
    st.sampled_from(["", "\r\nContent-Type: audio/mpeg", "\r\nContent-Type: text/plain; charset=utf-8"]),
)
parts = st.tuples(file_heads, contents) | st.tuples(st.sampled_from(['name="language"', 'name="include[]"']), contents)


@CHECKED
@given(before=st.lists(parts, max_size=3), after=st.lists(parts, max_size=3), mode=MODES)
def test_a_form_keeps_its_parts(before: list[Any], after: list[Any], mode: Mode) -> None:
    """Their order, names, file names, types and bytes; what frames them is the gateway's own."""
    sent = form(*before, field("model", "m"), *after)

    async def check() -> None:
        plain = keeper(prefix_id="", model_ids=["m"], rewrites=mode)
        async with surface(plain, answer=json_answer({})) as gateway:
            answer = await gateway.ask("POST", "/v1/audio/transcriptions", headers={"content-type": FORM}, body=sent)
            assert answer.status == 200, answer.body
            (got,) = gateway.up.requests
            assert parts_of(got.body, got.header("content-type") or "") == parts_of(sent, FORM)

    run(check)
