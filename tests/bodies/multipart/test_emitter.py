"""What goes upstream is what was read, and every reader upstream reads the same."""

from __future__ import annotations

import email.parser
import email.policy
from collections.abc import Callable
from io import BytesIO

import aiohttp
import django.conf
import pytest
from aiohttp.streams import StreamReader
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http.multipartparser import MultiPartParser

from openai_gateway_asgi.bodies.multipart import Part, PartEnd
from tests.bodies.multipart.forms import FILE, FILE_HEAD, MODEL, cut, field, form, read, send_through

DISPOSITION = b"Content-Disposition: form-data; "
TRICKY_FILE = (
    DISPOSITION + b'name="file"; filename="a\\"; name=\\"model\\"; name=model; \\\\"\r\nContent-Type: audio/mpeg',
    b"\r\n--frontie\x00\xff--\r\n",
)
Found = dict[str, bytes]


def by_email(body: bytes, boundary: bytes) -> Found:
    head = b"MIME-Version: 1.0\r\nContent-Type: multipart/form-data; boundary=" + boundary + b"\r\n\r\n"
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    assert not message.defects
    found: Found = {}
    for part in message.iter_parts():
        assert not part.defects
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        found[str(name)] = content
    return found


async def by_aiohttp(body: bytes, boundary: bytes) -> Found:
    protocol = aiohttp.base_protocol.BaseProtocol(loop=None)  # type: ignore[arg-type]
    stream = StreamReader(protocol, 2**20)
    stream.feed_data(body)
    stream.feed_eof()
    reader = aiohttp.MultipartReader({"Content-Type": "multipart/form-data; boundary=" + boundary.decode()}, stream)
    found: Found = {}
    while (part := await reader.next()) is not None:
        assert isinstance(part, aiohttp.BodyPartReader)
        found[part.name or ""] = bytes(await part.read())
    return found


def by_django(body: bytes, boundary: bytes) -> Found:
    if not django.conf.settings.configured:
        django.conf.settings.configure()
    meta = {"CONTENT_TYPE": "multipart/form-data; boundary=" + boundary.decode(), "CONTENT_LENGTH": str(len(body))}
    handler = MemoryFileUploadHandler()
    fields, files = MultiPartParser(meta, BytesIO(body), [handler]).parse()
    found = {name: value.encode("utf-8", "surrogateescape") for name, value in fields.items()}
    return found | {name: upload.read() for name, upload in files.items()}


@pytest.mark.parametrize("size", [1, 10, 100_000])
async def test_parts_keep_their_order_names_types_and_bytes(size: int) -> None:
    parts = [
        (FILE_HEAD, b"\r\n--frontie\r\n\r\n"),
        field("include[]", b"a"),
        field("model", b"whisper-1"),
        field("include[]", b""),
        (DISPOSITION + b'name="session"\r\nContent-Type: application/json; charset=utf-8', b'{"a": "\xc3\xa4"}'),
        (DISPOSITION + 'name="mask"; filename="ä ß.png"\r\nContent-Type: image/png'.encode(), bytes(range(256))),
    ]
    original = form(*parts)

    body, boundary = await send_through(cut(original, size))

    assert boundary != b"frontier"
    assert read([body], boundary) == read([original])


async def test_the_named_field_is_replaced_and_nothing_else() -> None:
    original = form(field("prompt", b"whisper-1"), MODEL, FILE)

    body, boundary = await send_through(cut(original, 7), replace={"model": b"openai/whisper-large", "file": b"no"})

    assert read([body], boundary) == [
        Part("prompt"),
        b"whisper-1",
        PartEnd(),
        Part("model"),
        b"openai/whisper-large",
        PartEnd(),
        Part("file", "a.mp3", "audio/mpeg"),
        b"ID3 sound",
        PartEnd(),
    ]


async def test_the_whole_of_it_byte_by_byte() -> None:
    lines = DISPOSITION + b'name=file; filename="C:\\a\\"b"; filename*=utf-8\'\'%22%5C%3B%25\r\nX-Trace: secret'

    body, boundary = await send_through([form((lines, b"x"), (MODEL[0] + b"\r\nContent-Length: 9", MODEL[1]))])

    assert body == (
        b"--%b\r\n"
        b'Content-Disposition: form-data; name="file"; filename="%%22%%5C%%3B%%"\r\n\r\n'
        b"x\r\n"
        b"--%b\r\n"
        b'Content-Disposition: form-data; name="model"\r\n\r\n'
        b"whisper-1\r\n"
        b"--%b--\r\n" % (boundary, boundary, boundary)
    )


async def test_every_upload_has_a_boundary_of_its_own() -> None:
    _, first = await send_through([form(MODEL, FILE)])
    _, second = await send_through([form(MODEL, FILE)])

    assert first != second


@pytest.mark.parametrize("reader", [by_email, by_django])
@pytest.mark.parametrize("parts", [(MODEL, TRICKY_FILE), (TRICKY_FILE, MODEL)], ids=["model first", "model last"])
async def test_other_readers_find_the_same_model_and_file(
    reader: Callable[[bytes, bytes], Found], parts: tuple[tuple[bytes, bytes], ...]
) -> None:
    body, boundary = await send_through([form(*parts)], replace={"model": b"served"})

    assert reader(body, boundary) == {"model": b"served", "file": TRICKY_FILE[1]}


async def test_aiohttp_finds_the_same_model_and_file() -> None:
    body, boundary = await send_through([form(TRICKY_FILE, MODEL)], replace={"model": b"served"})

    assert await by_aiohttp(body, boundary) == {"model": b"served", "file": TRICKY_FILE[1]}
