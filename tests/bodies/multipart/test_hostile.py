"""Bodies that two readers could read differently, or that would cost too much: each is refused and says why."""

from __future__ import annotations

import pytest

from openai_gateway_asgi.errors import GatewayError
from tests.bodies.multipart.forms import (
    BOUNDARY,
    CONTENT_TYPE,
    FILE,
    FILE_HEAD,
    MODEL,
    MODEL_HEAD,
    cut,
    field,
    form,
    rules,
    send_through,
)

DISPOSITION = b"Content-Disposition: form-data; "
LIMITED = rules(field=2000, fields=3000, total=70_000, refused=["models", "api_base"])


def only(disposition: bytes) -> bytes:
    """A form whose first part has this after ``form-data;``."""
    return form((DISPOSITION + disposition, b"x"), MODEL, FILE)


def beside(lines: bytes) -> bytes:
    """A form whose first part has these header lines besides its disposition."""
    return form((DISPOSITION + b"name=x\r\n" + lines, b"x"), MODEL, FILE)


HOSTILE = {
    # The framing
    "empty": (b"", 400, "ends before"),
    "preamble": (b"hello\r\n" + form(MODEL, FILE), 400, "does not begin with its boundary"),
    "two line breaks before": (b"\r\n\r\n" + form(MODEL, FILE), 400, "does not begin with its boundary"),
    "another boundary": (form(MODEL, FILE, boundary=b"elsewhere"), 400, "does not begin with its boundary"),
    "boundary with a tail": (form(MODEL, FILE).replace(b"frontier\r\n", b"frontier2\r\n", 1), 400, "line break"),
    "boundary with blanks": (form(MODEL, FILE).replace(b"frontier\r\n", b"frontier \r\n"), 400, "line break"),
    "a longer boundary inside": (form(MODEL, (FILE_HEAD, b"\r\n--frontiers\r\n")), 400, "line break"),
    "bare line feeds": (form(MODEL, FILE).replace(b"\r\n", b"\n"), 400, "line break"),
    "half-closed": (form(MODEL, FILE)[:-3], 400, "ends before"),
    "not closed": (form(MODEL, FILE)[:-14], 400, "ends before"),
    "cut in a head": (form(MODEL, FILE)[:30], 400, "ends before"),
    "closed in mid-break": (form(MODEL, FILE)[:-1], 400, "ends before"),
    "epilogue": (form(MODEL, FILE) + b"junk", 400, "follows its closing boundary"),
    "epilogue of line breaks": (form(MODEL, FILE) + b"\r\n", 400, "follows its closing boundary"),
    "second form behind": (form(MODEL, FILE) + form(field("model", b"gpt-4")), 400, "follows its closing boundary"),
    "no parts": (b"--frontier--\r\n", 400, "has no parts"),
    "1001 parts": (form(MODEL, *[field("x", b"")] * 1000), 400, "more than 1000 parts"),
    # The header lines of a part
    "no headers": (form((b"", b"x"), MODEL, FILE), 400, "bad header line"),
    "no disposition": (form((b"Content-Type: text/plain", b"x"), MODEL, FILE), 400, "no Content-Disposition"),
    "two dispositions": (form((MODEL_HEAD + b"\r\n" + DISPOSITION + b"name=x", b"y"), FILE), 400, "same header twice"),
    "two types": (beside(b"Content-Type: a/b\r\ncontent-type: c/d"), 400, "same header twice"),
    "folded line": (form((DISPOSITION + b"name=x;\r\n filename=y", b""), MODEL, FILE), 400, "folded"),
    "folded by a tab": (form((DISPOSITION + b"name=x;\r\n\tfilename=y", b""), MODEL, FILE), 400, "folded"),
    "blank before the colon": (beside(b"X-Y : z"), 400, "bad header line"),
    "no colon": (beside(b"nonsense"), 400, "bad header line"),
    "line feed in a header": (beside(b"X: y\nContent-Type: a/b"), 400, "bad header line"),
    "return in a header": (beside(b"X: y\rz"), 400, "bad header line"),
    "zero byte in a header": (beside(b"X: y\0z"), 400, "bad header line"),
    "headers in latin-1": (only(b'name="x"; filename="\xe4"'), 400, "not UTF-8"),
    "17 headers": (beside(b"\r\n".join(b"X-%d: y" % number for number in range(16))), 400, "more than 16 headers"),
    "long headers": (beside(b"X: " + b"y" * 8192), 400, "longer than 8192 bytes"),
    "endless headers": (b"--frontier\r\nX: " + b"y" * 15_000, 400, "longer than 8192 bytes"),
    "base64": (beside(b"Content-Transfer-Encoding: base64"), 400, "Content-Transfer-Encoding"),
    "parts in a part": (beside(b"Content-Type: multipart/mixed; boundary=y"), 400, "parts of its own"),
    "a message in a part": (beside(b"Content-Type: message/rfc822"), 400, "parts of its own"),
    "a field in UTF-16": (beside(b"Content-Type: text/plain; charset=utf-16"), 400, "character set"),
    # The disposition
    "attachment": (form((b"Content-Disposition: attachment; name=x", b""), MODEL), 400, "not form-data"),
    "no name": (only(b"filename=x"), 400, "name must be"),
    "empty name": (only(b'name=""'), 400, "name must be"),
    "endless name": (only(b'name="' + b"n" * 257 + b'"'), 400, "name must be"),
    "quote in a name": (only(b'name="a\\"b"'), 400, "name must be"),
    "backslash in a name": (only(b'name="a\\b"'), 400, "name must be"),
    "semicolon in a name": (only(b'name="a; name=model"'), 400, "name must be"),
    "tab in a name": (only(b'name="a\tb"'), 400, "name must be"),
    "two names": (only(b"name=x; name=model"), 400, "same parameter twice"),
    "two names, one in capitals": (only(b"name=x; NAME=model"), 400, "same parameter twice"),
    "two file names": (only(b"name=x; filename=a; filename=b"), 400, "same parameter twice"),
    "extended name": (only(b"name*=utf-8''model"), 400, "extended parameter"),
    "extended name beside a plain one": (only(b"name=x; name*=utf-8''model"), 400, "extended parameter"),
    "continued file name": (only(b"name=x; filename*0=a; filename*1=b"), 400, "extended parameter"),
    "extended file name in latin-1": (only(b"name=x; filename*=iso-8859-1''%E4"), 400, "RFC 8187"),
    "extended file name, bad UTF-8": (only(b"name=x; filename*=utf-8''%E4"), 400, "RFC 8187"),
    "line break in an extended file name": (only(b"name=x; filename*=utf-8''a%0D%0Ab"), 400, "control characters"),
    "tab in a file name": (only(b'name=x; filename="a\tb"'), 400, "control characters"),
    "open quote": (only(b'name="x'), 400, "not of the form"),
    "text behind a quote": (only(b'name="x"y'), 400, "not of the form"),
    "blanks around the sign": (only(b"name = x"), 400, "not of the form"),
    "comma": (only(b"name=x, name=model"), 400, "not of the form"),
    # The fields
    "two models": (form(MODEL, FILE, MODEL), 400, "`model` must occur once"),
    "two models before the file": (form(MODEL, MODEL, FILE), 400, "`model` must occur once"),
    "model as a file": (form((MODEL_HEAD + b"; filename=m", b"x"), MODEL), 400, "`model` must not be a file"),
    "model as a nameless file": (form((MODEL_HEAD + b'; filename=""', b"x"), FILE), 400, "must not be a file"),
    "model twice, once as a file": (form(MODEL, (MODEL_HEAD + b"; filename=m", b"x")), 400, "must not be a file"),
    "Model": (form(MODEL, FILE, field("Model", b"x")), 400, "`Model` must be written `model`"),
    "model[]": (form(MODEL, FILE, field("model[]", b"x")), 400, "must be written `model`"),
    "[model]": (form(MODEL, FILE, field("[model]", b"x")), 400, "must be written `model`"),
    "model.id": (form(MODEL, FILE, field("model.id", b"x")), 400, "must be written `model`"),
    "model and a blank": (form(MODEL, FILE, field(" model ", b"x")), 400, "must be written `model`"),
    "model in the other quotes": (form(MODEL, FILE, field("'model'", b"x")), 400, "must be written `model`"),
    "model in escapes": (form(MODEL, FILE, field("m%6Fdel", b"x")), 400, "must be written `model`"),
    "empty model": (form(field("model", b""), FILE), 400, "`model` is empty"),
    "long model": (form(field("model", b"m" * 257), FILE), 400, "longer than 256 bytes"),
    "model not in UTF-8": (form(field("model", b"\xff"), FILE), 400, "not valid UTF-8"),
    "refused field": (form(MODEL, FILE, field("api_base", b"x")), 400, "`api_base` is not taken"),
    "refused field, nested": (form(MODEL, FILE, field("Models[0]", b"x")), 400, "`Models[0]` is not taken"),
    "refused field, as a file": (form(MODEL, (DISPOSITION + b"name=models; filename=x", b"")), 400, "is not taken"),
    "large field": (form(MODEL, FILE, field("prompt", b"p" * 2001)), 413, "larger than the 2000 bytes"),
    "large fields": (form(MODEL, FILE, *[field("prompt", b"p" * 1500)] * 2), 413, "fields are larger than the 3000"),
    "large file": (form(MODEL, (FILE_HEAD, bytes(70_000))), 413, "upload is larger than the 70000 bytes"),
    "large file first": (form((FILE_HEAD, bytes(70_000)), MODEL), 413, "upload is larger than the 70000 bytes"),
}


@pytest.mark.parametrize("size", [1, 50, 1_000_000])
@pytest.mark.parametrize("case", HOSTILE)
async def test_a_hostile_body_is_refused_before_a_byte_of_it_goes_upstream(case: str, size: int) -> None:
    body, status, reason = HOSTILE[case]
    sent: list[bytes] = []

    with pytest.raises(GatewayError) as raised:
        await send_through(cut(body, size), by=LIMITED, sent=sent)

    assert (raised.value.status, raised.value.type) == (status, "invalid_request_error")
    assert reason in raised.value.message
    assert raised.value.code is not None
    assert sent == []


CONTENT_TYPES = {
    "another type": (b"application/json", 415, "multipart/form-data"),
    "nothing": (b"", 415, "multipart/form-data"),
    "mixed": (b"multipart/mixed; boundary=frontier", 415, "multipart/form-data"),
    "no boundary": (b"multipart/form-data", 400, "name one boundary"),
    "empty boundary": (b"multipart/form-data; boundary=", 400, "not of the form"),
    "empty quoted boundary": (b'multipart/form-data; boundary=""', 400, "1 to 70"),
    "long boundary": (b"multipart/form-data; boundary=" + b"x" * 71, 400, "1 to 70"),
    "boundary that ends in a blank": (b'multipart/form-data; boundary="x "', 400, "1 to 70"),
    "boundary with a percent": (b"multipart/form-data; boundary=a%b", 400, "1 to 70"),
    "boundary in latin-1": (b'multipart/form-data; boundary="\xe4"', 400, "1 to 70"),
    "two boundaries": (b"multipart/form-data; boundary=frontier; boundary=b", 400, "same parameter twice"),
    "two boundaries, one in capitals": (b"multipart/form-data; boundary=a; Boundary=b", 400, "same parameter twice"),
    "extended boundary": (b"multipart/form-data; boundary=frontier; boundary*=utf-8''b", 400, "name one boundary"),
    "two headers in one": (CONTENT_TYPE + b", " + CONTENT_TYPE, 400, "not of the form"),
    "junk": (CONTENT_TYPE + b"; junk", 400, "not of the form"),
}


@pytest.mark.parametrize("case", CONTENT_TYPES)
async def test_a_hostile_content_type_is_refused(case: str) -> None:
    content_type, status, reason = CONTENT_TYPES[case]

    with pytest.raises(GatewayError) as raised:
        await send_through([form(MODEL, FILE)], content_type=content_type)

    assert raised.value.status == status
    assert reason in raised.value.message


async def test_the_error_names_the_field() -> None:
    with pytest.raises(GatewayError) as raised:
        await send_through([form(MODEL, FILE, field("MODEL", b"x"))])

    assert (raised.value.param, raised.value.code) == ("MODEL", "invalid_field")


async def test_refusals_do_not_quote_the_body() -> None:
    with pytest.raises(GatewayError) as raised:
        await send_through([form((b"Secret sk-123", b""), MODEL)])

    assert "sk-123" not in raised.value.message
    assert BOUNDARY.decode() not in raised.value.message
