"""No reader decodes other characters than were checked: case 265."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openai_gateway_asgi.testing import json_answer
from tests.cases.gateways import upstream_a, world
from tests.surface.world import FORM, form, parts_of

CHAT = "/chat/completions"
BODY = b'{"model": "m1", "messages": []}'
# "model" for whoever reads UTF-7: m1 was checked, and m2 would be run.
UTF_7 = b'{"model": "m1", "+AG0AbwBkAGUAbA-": "m2", "messages": []}'

TAKEN = {
    "application/json": "application/json",
    "Application/JSON": "Application/JSON",
    "application/json; charset=utf-8": "application/json; charset=utf-8",
    "application/json;charset=UTF-8": "application/json;charset=UTF-8",
    'application/json; charset="utf-8"': "application/json",
    "application/json; charset='utf-8'": "application/json",
    "application/json; charset=utf8": "application/json",
    "application/json ;\tCharset = UTF-8 ;": "application/json",
    "application/json;": "application/json",
    "application/json; odata=verbose": "application/json",
    "application/json; charset=utf-8; x=y": "application/json",
    'application/json; x="; charset=utf-8"': "application/json",
    "application/json; version=1; charset=utf-8": "application/json",
    "application/json; boundary=x": "application/json",
}
"""What a client says of its body, and what the upstream is told."""

CHARSETS = ["utf-7", "utf-16", "UTF-16LE", "utf-32", "iso-8859-1", "latin1", "us-ascii", "ibm037", "x", "", "utf-8x"]
OTHER_CHARSETS = [
    *(f"application/json; charset={name}" for name in CHARSETS),
    'application/json; charset="utf-16"',
    "application/json; charset='utf-7'",
    "application/json;charset=utf-16;charset=utf-8",
    "application/json;charset=utf-8;charset=utf-16",
    "application/json; charset = utf-7",
    "application/json; CHARSET=utf-7",
    "application/json; charset*=us-ascii'en'utf-7",
    "application/json; charset*0=utf-; charset*1=7",
    'application/json; x="a;charset=utf-7',
    "application/json\t;\tcharset=utf-7",
]
OTHER_TYPES = [
    "application/x-json",
    "application/x-ndjson+json",
    "application/vnd.api+json",
    "application/problem+json; charset=utf-16",
    "application/json+x",
    "application/json, application/json",
    "application/json charset=utf-7",
    "application/json,text/plain",
    "application/jsonx",
    "json",
    "text/json",
    "*/*",
    ";application/json",
    '"application/json"',
    "application /json",
    "application/x-www-form-urlencoded",
    "",
]


@pytest.mark.parametrize("kind", TAKEN)
async def test_case_265_json_in_utf_8_is_taken_and_told_in_one_reading(kind: str) -> None:
    async with world() as w:
        answer = await w.post_bytes(CHAT, BODY, headers={"content-type": kind})

        assert answer.status == 200, answer.text
        assert w.upstream.last.header_values("content-type") == [TAKEN[kind]]
        assert w.sent == json.loads(BODY)


@pytest.mark.parametrize("kind", OTHER_CHARSETS + OTHER_TYPES)
@pytest.mark.parametrize("body", [BODY, UTF_7], ids=["plain", "utf-7"])
async def test_case_265_anything_else_is_a_415_that_says_what_to_send(kind: str, body: bytes) -> None:
    async with world(upstream_a("m1", "m2")) as w:
        answer = await w.post_bytes(CHAT, body, headers={"content-type": kind})
        error = answer.json()["error"]

        assert (answer.status, error["code"], error["param"]) == (415, "unsupported_media_type", "content-type")
        assert "`Content-Type: application/json`" in error["message"]
        assert ("UTF-8" in error["message"]) == (kind in OTHER_CHARSETS)
        assert w.upstream.requests == []


@pytest.mark.parametrize("path", ["/config/update", "/verify", "/batches", "/videos", "/realtime/client_secrets"])
async def test_case_265_on_every_route_that_takes_json(path: str) -> None:
    async with world() as w:
        answer = await w.post_bytes(path, b"{}", headers={"content-type": "application/json; charset=utf-16"})

        assert (answer.status, answer.json()["error"]["param"]) == (415, "content-type")
        assert w.upstream.requests == []


@pytest.mark.parametrize("second", ["application/json", "application/json; charset=utf-7", "text/plain"])
async def test_case_265_two_content_types_are_refused(second: str) -> None:
    async with world() as w:
        headers = [(b"content-type", b"application/json"), (b"content-type", second.encode())]
        for pairs in (headers, headers[::-1]):
            answer = await w.ask("POST", CHAT, headers=pairs, body=BODY)
            assert (answer.status, answer.json()["error"]["param"]) == (400, "content-type")
        assert w.upstream.requests == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1"])
async def test_case_265_bytes_in_another_encoding_are_no_json(encoding: str) -> None:
    async with world() as w:
        body = '{"model": "m1", "user": "é"}'.encode(encoding)
        answer = await w.post_bytes(CHAT, body, headers={"content-type": "application/json"})

        assert (answer.status, answer.json()["error"]["code"]) == (400, "invalid_json")
        assert w.upstream.requests == []


@pytest.mark.parametrize("kind", ["application/sdp; charset=utf-16", "Application/SDP", "application/sdp"])
async def test_case_265_an_offer_is_told_as_what_it_is(kind: str) -> None:
    async with world() as w:
        w.upstream.answer("", json_answer({}))
        answer = await w.ask(
            "POST", "/realtime/calls", query=b"model=m1", headers={"content-type": kind}, body=b"v=0\r\n"
        )
        assert answer.status == 200, answer.text
        assert w.upstream.last.header_values("content-type") == ["application/sdp"]


def field_of(kind: str, name: str = "model", value: bytes = b"m1") -> tuple[str, bytes]:
    return f'name="{name}"\r\nContent-Type: {kind}', value


FILE = ('name="file"; filename="a.mp3"\r\nContent-Type: text/plain; charset=utf-16', b"\xff\xfea\x00")
FIELD_TYPES = {
    "text/plain": b"text/plain",
    "text/plain; charset=utf-8": b"text/plain; charset=utf-8",
    'text/plain;charset="UTF-8"': b'text/plain;charset="UTF-8"',
    "text/plain; charset=us-ascii": b"text/plain",
    "text/plain; charset=utf8": b"text/plain",
    "text/plain; x=y": b"text/plain",
    "text/plain; charset=utf-8; x=y": b"text/plain",
    "text/plain; charset = utf-16": None,
    "nonsense; charset=utf-16": None,
    "text/plain; charset='utf-16'; charset=utf-16": None,
}
"""What a field of a form says of itself, and what the upstream is told: None is nothing."""


async def upload(w: Any, *parts: tuple[str, bytes], kind: str = FORM) -> Any:
    w.upstream.answer("", json_answer({}))
    return await w.post_bytes("/audio/transcriptions", form(*parts), headers={"content-type": kind})


@pytest.mark.parametrize("kind", FIELD_TYPES)
async def test_case_265_the_fields_of_a_form_are_told_as_they_were_read(kind: str) -> None:
    async with world() as w:
        answer = await upload(w, field_of(kind), FILE)

        assert answer.status == 200, answer.text
        (head, value), (file_head, content) = parts_of(
            w.upstream.last.body, w.upstream.last.header("content-type") or ""
        )
        told = FIELD_TYPES[kind]
        assert head == b'Content-Disposition: form-data; name="model"' + (
            b"" if told is None else b"\r\nContent-Type: " + told
        )
        assert (value, content) == (b"m1", FILE[1])
        assert file_head.endswith(b"Content-Type: text/plain; charset=utf-16")  # a file is bytes to us, as it was sent


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain; charset=utf-16",
        'text/plain; charset="utf-7"',
        "application/json; CHARSET=utf-16",
        "text/plain; charset*=us-ascii''utf-7",
        "text/plain; charset*0=utf-7",
        "text/plain; charset=",
    ],
)
@pytest.mark.parametrize("name", ["model", "language"])
async def test_case_265_a_field_in_other_characters_is_refused_or_told_without(kind: str, name: str) -> None:
    async with world() as w:
        parts = [field_of(kind, name), *([] if name == "model" else [field_of("text/plain")]), FILE]
        answer = await upload(w, *parts)

        if kind.endswith("="):  # no parameter at all
            assert answer.status == 200
            assert b"charset=\r\n" not in w.upstream.last.body
        else:
            assert (answer.status, answer.json()["error"]["code"]) == (400, "invalid_multipart")
            assert w.upstream.requests == []


@pytest.mark.parametrize(("name", "value", "status"), [
    ("_charset_", b"utf-8", 200), ("_charset_", b" UTF8 ", 200),
    ("_charset_", b"utf-16", 400), ("_charset_", b"", 400), ("_CHARSET_", b"utf-7", 400), ("_charset_[]", b"utf-7", 400),
])  # fmt: skip
async def test_case_265_a_form_cannot_name_another_character_set_for_its_fields(
    name: str, value: bytes, status: int
) -> None:
    async with world() as w:
        answer = await upload(w, field_of("text/plain"), field_of("text/plain", name, value), FILE)

        assert answer.status == status, answer.text
        assert len(w.upstream.requests) == (status == 200)


async def test_case_265_nor_in_the_type_of_the_whole() -> None:
    async with world() as w:
        assert (await upload(w, field_of("text/plain"), FILE, kind=FORM + "; charset=utf-16")).status == 200
        assert b"charset" not in (w.upstream.last.header("content-type") or "").encode()
