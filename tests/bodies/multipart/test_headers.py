"""What is understood of header lines; what is refused stands in test_hostile."""

from __future__ import annotations

import pytest

from openai_gateway_asgi.bodies.multipart import Part, boundary_of
from openai_gateway_asgi.bodies.multipart.headers import parse_part


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (b"multipart/form-data; boundary=frontier", b"frontier"),
        (b"Multipart/Form-Data;BOUNDARY=frontier", b"frontier"),
        (b'multipart/form-data; charset=utf-8; boundary="frontier"', b"frontier"),
        (b'multipart/form-data; boundary="a b,c"', b"a b,c"),
        (b"multipart/form-data; boundary=----=_Part_1(2):3/4?+'", b"----=_Part_1(2):3/4?+'"),
        (b"multipart/form-data; boundary=" + b"x" * 70, b"x" * 70),
        (b"multipart/form-data \t; boundary=x ", b"x"),
    ],
)
def test_the_boundary_is_read_quoted_or_plain(content_type: bytes, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    ("lines", "part"),
    [
        (b'Content-Disposition: form-data; name="model"', Part("model")),
        (b"content-disposition:form-data;name=model", Part("model")),
        (b"Content-Disposition: Form-Data; Name=model ", Part("model")),
        (b'Content-Disposition: form-data; name="include[]"', Part("include[]")),
        (b'Content-Disposition: form-data; name="f"; filename="a b.mp3"', Part("f", "a b.mp3")),
        (b'Content-Disposition: form-data; name="f"; filename=""', Part("f", "")),
        (b'Content-Disposition: form-data; name="f"; filename="a%22b"', Part("f", "a%22b")),
        (b'Content-Disposition: form-data; name="f"; filename="a\\"b\\\\c"', Part("f", 'a"b\\c')),
        (b'Content-Disposition: form-data; name="f"; filename="C:\\dir\\a"', Part("f", "C:\\dir\\a")),
        (b'Content-Disposition: form-data; name="f"; filename="a;b=c"', Part("f", "a;b=c")),
        (b'Content-Disposition: form-data; name="f"; filename="skill/SKILL.md"', Part("f", "skill/SKILL.md")),
        ('Content-Disposition: form-data; name="f"; filename="äß語.mp3"'.encode(), Part("f", "äß語.mp3")),
        (
            b"Content-Disposition: form-data; name=f; filename=\"=?utf-8?B?w6Q=?=\"; filename*=utf-8''%C3%A4.mp3",
            Part("f", "ä.mp3"),
        ),
        (b"Content-Disposition: form-data; name=f; filename*=UTF-8'de'a%20b", Part("f", "a b")),
        (b"Content-Disposition: form-data; name=f; size=3", Part("f")),
        (
            b"Content-Type: audio/mpeg\r\nContent-Disposition: form-data; name=f; filename=a\r\nContent-Length: 3",
            Part("f", "a", "audio/mpeg"),
        ),
        (
            b'Content-Disposition: form-data; name=f\r\nContent-Type: text/plain; charset="UTF-8"',
            Part("f", None, 'text/plain; charset="UTF-8"'),
        ),
        (
            b"Content-Disposition: form-data; name=f; filename=a\r\nContent-Type: text/csv; charset=latin-1",
            Part("f", "a", "text/csv; charset=latin-1"),
        ),
        (
            b"Content-Disposition: form-data; name=f\r\nContent-Transfer-Encoding: 8BIT\r\nX-Other: y",
            Part("f"),
        ),
    ],
)
def test_a_part_is_known_by_name_file_name_and_type(lines: bytes, part: Part) -> None:
    assert parse_part(lines) == part


@pytest.mark.parametrize(
    "value", [b"", b"audio", b"audio/", b"audio/mpeg,text/plain", b"audio/mpeg; x", "a/ä".encode()]
)
def test_a_type_that_is_none_is_left_behind(value: bytes) -> None:
    lines = b"Content-Disposition: form-data; name=f; filename=a\r\nContent-Type: " + value

    assert parse_part(lines) == Part("f", "a", "")
