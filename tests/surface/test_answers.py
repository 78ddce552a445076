"""What comes back: status, bytes, type and the few headers that matter, whatever their kind."""

from __future__ import annotations

from typing import Any

import pytest

from openai_gateway_asgi.http.headers import LONGEST_VALUE
from openai_gateway_asgi.testing import Answer, json_answer
from openai_gateway_asgi.testing.answers import bytes_answer
from tests.cases.gateways import error_of
from tests.surface.world import ASKED, FORM, SDP, SOUND, field, form, surface

OPEN = {"open_groups": ["files", "skills", "videos", "containers", "responses"]}


@pytest.mark.parametrize("status", [200, 201, 202, 206])
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/files/f/content", "application/octet-stream"),
        ("/v1/files/f/content", "application/jsonl"),
        ("/v1/skills/s/content", "application/zip"),
        ("/v1/videos/v/content", "video/mp4"),
        ("/v1/videos/v/content", "image/webp"),
        ("/v1/containers/c/files/f/content", "text/csv; charset=utf-8"),
    ],
)
async def test_bytes_come_back_untouched(path: str, kind: str, status: int) -> None:
    chunks = [SOUND, b'{"error": {"message": "part of the file"}}', b"\x00" * 10, SOUND]
    size = str(sum(map(len, chunks)))
    answer = Answer(chunks, status, [("content-type", kind), ("content-length", size), ("etag", '"1"')])
    async with surface(answer=answer, settings=OPEN) as gateway:
        got = await gateway.ask("GET", path)

        assert (got.status, got.body) == (status, b"".join(chunks))
        assert (got.header("content-type"), got.header("content-length"), got.header("etag")) == (kind, size, '"1"')


async def test_a_file_that_looks_like_an_error_is_a_file() -> None:
    text = b'{"error": {"message": "line one of a log", "code": 500}}'
    async with surface(answer=bytes_answer(text, "application/json"), settings=OPEN) as gateway:
        got = await gateway.ask("GET", "/v1/files/f/content")

        assert (got.status, got.body) == (200, text)


async def test_no_content_stays_no_content() -> None:
    async with surface(answer=Answer((), 204), settings=OPEN) as gateway:
        got = await gateway.ask("DELETE", "/v1/containers/c")

        assert (got.status, got.body, got.header("content-length")) == (204, b"", None)


@pytest.mark.parametrize("name", ["x-ratelimit-limit-tokens", "x-request-id", "cache-control", "retry-after"])
@pytest.mark.parametrize("status", [200, 404])
async def test_a_header_that_nobody_would_send_stays_behind(name: str, status: int) -> None:
    for size, comes in [(LONGEST_VALUE, True), (LONGEST_VALUE + 1, False)]:
        answer = Answer([b"{}"], status, [("content-type", "application/json"), (name, "x" * size)])
        async with surface(answer=answer, settings=OPEN) as gateway:
            got = await gateway.ask("GET", "/v1/files/f")

        assert got.status == status
        assert ("x" * LONGEST_VALUE in "".join(value.decode() for _, value in got.headers)) is comes


async def test_a_head_request_gets_the_length_and_no_body() -> None:
    answer = Answer((), 200, [("content-type", "video/mp4"), ("content-length", "5000"), ("accept-ranges", "bytes")])
    async with surface(answer=answer, settings=OPEN) as gateway:
        got = await gateway.ask("HEAD", "/v1/videos/v/content")

        assert gateway.up.last.method == "HEAD"
        assert (got.status, got.body, got.header("content-length")) == (200, b"", "5000")
        assert got.header("accept-ranges") == "bytes"


async def test_parts_and_conditions_are_the_upstreams_to_answer() -> None:
    part = Answer(
        [b"bcd"], 206, [("content-type", "video/mp4"), ("content-length", "3"), ("content-range", "bytes 1-3/9")]
    )
    sent = {
        "range": "bytes=1-3",
        "if-range": '"1"',
        "if-none-match": '"2"',
        "if-modified-since": "Mon, 01 Jan 2024 00:00:00 GMT",
    }
    async with surface(answer=part, settings=OPEN) as gateway:
        got = await gateway.ask("GET", "/v1/videos/v/content", headers=sent)

        assert (got.status, got.body, got.header("content-range")) == (206, b"bcd", "bytes 1-3/9")
        assert {name: gateway.up.last.header(name) for name in sent} == sent


async def test_not_modified_and_a_range_that_cannot_be_met() -> None:
    async with surface(answer=Answer((), 304, [("etag", '"2"')]), settings=OPEN) as gateway:
        got = await gateway.ask("GET", "/v1/files/f/content")
        assert (got.status, got.body, got.header("etag")) == (304, b"", '"2"')
    refused = bytes_answer(b"", "text/plain", 416, [("content-range", "bytes */9")])
    async with surface(answer=refused, settings=OPEN) as gateway:
        got = await gateway.ask("GET", "/v1/files/f/content")
        assert (got.status, got.header("content-range")) == (416, "bytes */9")


@pytest.mark.parametrize(
    "kind", ["text/html", "image/svg+xml", "application/xml", "text/javascript", "application/xhtml+xml", "nonsense"]
)
async def test_what_a_browser_would_run_becomes_a_download(kind: str) -> None:
    async with surface(answer=bytes_answer(b"<script>", kind), settings=OPEN) as gateway:
        got = await gateway.ask("GET", "/v1/files/f/content")

        assert got.header("content-type") == "application/octet-stream"
        assert got.header("content-disposition") == "attachment"
        assert got.header("x-content-type-options") == "nosniff"
        assert got.body == b"<script>"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ('attachment; filename="result.jsonl"', 'attachment; filename="result.jsonl"'),
        ("inline; filename=a.csv", 'attachment; filename="a.csv"'),
        ('attachment; filename="../../etc/passwd"', 'attachment; filename="passwd"'),
        ("inline", "attachment"),
    ],
)
async def test_the_name_of_a_download_is_kept_and_made_harmless(given: str, kept: str) -> None:
    answer = bytes_answer(SOUND, headers=[("content-disposition", given)])
    async with surface(answer=answer, settings=OPEN) as gateway:
        got = await gateway.ask("GET", "/v1/files/f/content")

        assert got.header("content-disposition") == kept


REALTIME = form(field("sdp", "v=0"), field("session", f'{{"model": "{ASKED}"}}'))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("/v1/realtime/calls/rtc_1-x", "/openai/v1/realtime/calls/rtc_1-x"),
        ("https://a/v1/realtime/calls/rtc_2?x=y", "/openai/v1/realtime/calls/rtc_2"),
        ("//evil.test/", None),
        ("rtc_3%0d%0a", None),
        ("/v1/realtime/calls/", None),
    ],
)
async def test_a_new_call_is_found_at_the_gateway(given: str, told: str | None) -> None:
    answer = bytes_answer(b"v=0 answer", SDP, 201, [("location", given)])
    async with surface(answer=answer) as gateway:
        for body, headers, query in (
            (REALTIME, {"content-type": FORM}, b""),
            (b"v=0", {"content-type": SDP}, b"model=" + ASKED.encode()),
        ):
            got = await gateway.ask("POST", "/v1/realtime/calls", headers=headers, body=body, query=query)
            assert (got.status, got.body, got.header("content-type")) == (201, b"v=0 answer", SDP)
            assert got.header("location") == told


async def test_no_other_location_crosses() -> None:
    answer = json_answer({}, 201, [("location", "https://a/v1/files/f")])
    async with surface(answer=answer, settings=OPEN) as gateway:
        got = await gateway.ask("POST", "/v1/responses", json={"model": ASKED, "input": "hi"})

        assert (got.status, got.header("location")) == (201, None)


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        (b"limit=2&api_key=s3&order=asc", b"limit=2&order=asc"),
        (b"API-KEY=s3", b""),
        (b"a=1;token=s3&b=2", b"b=2"),
        (b"access%5Ftoken=s3&x=%2f%2F+y", b"x=%2f%2F+y"),
        (b"key=s3&sig=s3&signature=s3&subscription-key=s3&keys=kept", b"keys=kept"),
        (b"include[]=a&include[]=b&&=&x", b"include[]=a&include[]=b&&=&x"),
        (b"model=gpt-x&metadata[key]=v", b"model=gpt-x&metadata[key]=v"),
        (b"api-version=2024-10-21&limit=1", b"limit=1"),
    ],
)
async def test_a_query_crosses_as_it_was_sent_but_for_credentials(query: bytes, sent: bytes) -> None:
    async with surface(answer=json_answer({}), settings=OPEN) as gateway:
        assert (await gateway.ask("GET", "/v1/files", query=query)).status == 200
        assert gateway.up.last.query == sent
        assert b"s3" not in b"".join(value for _, value in gateway.up.last.headers)


@pytest.mark.parametrize("query", [b"model=other", b"Mod%65l=other", b"x=1&api_base=http://evil", b"a=1;model=other"])
async def test_a_query_chooses_no_model_and_no_route(query: bytes) -> None:
    async with surface(answer=json_answer({}), settings=OPEN) as gateway:
        for path, options in {
            "/v1/chat/completions": {"json": {"model": ASKED, "messages": []}},
            "/v1/audio/transcriptions": {
                "headers": {"content-type": FORM},
                "body": form(field("model", ASKED)),
            },
        }.items():
            answer = await gateway.ask("POST", path, query=query, **options)
            assert answer.status == 400, path
        assert gateway.up.requests == []


ODD_BODIES: list[tuple[str, str, dict[str, Any], int]] = [
    ("GET", "/v1/files", {"body": b"{}"}, 400),
    ("POST", "/v1/files", {"json": {"purpose": "x"}}, 415),
    ("POST", "/v1/audio/transcriptions", {"json": {"model": ASKED}}, 415),
    ("POST", "/v1/audio/transcriptions", {}, 415),
    ("POST", "/v1/realtime/calls", {"json": {"session": {"model": ASKED}}}, 415),
    ("POST", "/v1/realtime/calls", {"headers": {"content-type": SDP}, "body": b"v=0"}, 400),
    ("POST", "/v1/chat/completions", {"headers": {"content-type": FORM}, "body": form(field("model", ASKED))}, 415),
    ("POST", "/v1/responses/r/cancel", {"headers": {"content-type": "text/plain"}, "body": b"{}"}, 415),
    ("POST", "/v1/responses/r/cancel", {"json": {}}, 200),
    ("POST", "/v1/responses/r/cancel", {}, 200),
    ("POST", "/v1/containers", {"headers": {"content-encoding": "gzip"}, "json": {}}, 415),
    ("POST", "/v1/containers/c/files", {"headers": {"content-encoding": "gzip", "content-type": FORM}, "body": b"x"}, 415),
    ("POST", "/v1/containers", {"json": {"api_base": "http://evil"}}, 400),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "options", "status"), ODD_BODIES)
async def test_a_body_must_be_of_a_kind_that_the_operation_takes(
    method: str, path: str, options: dict[str, Any], status: int
) -> None:
    async with surface(answer=json_answer({}), settings=OPEN) as gateway:
        answer = await gateway.ask(method, path, **options)

        assert answer.status == status
        assert len(gateway.up.requests) == (status == 200)
        if status != 200:
            error_of(answer)


async def test_a_body_that_is_not_there_is_not_sent() -> None:
    async with surface(answer=json_answer({}), settings=OPEN) as gateway:
        await gateway.ask("GET", "/v1/files")
        assert (gateway.up.last.body, gateway.up.last.header("transfer-encoding")) == (b"", None)
        await gateway.ask("POST", "/v1/responses/r/cancel")
        assert (gateway.up.last.body, gateway.up.last.header("transfer-encoding")) == (b"", None)
