from __future__ import annotations

import pytest

from openai_gateway_asgi.config import Settings
from openai_gateway_asgi.errors import InvalidRequest
from openai_gateway_asgi.http.asgi import RawHeaders
from openai_gateway_asgi.http.headers import (
    AllowList,
    is_safe_type,
    media_type,
    named_headers,
    refuse_ambiguous,
    response_headers,
)


def selected(allowed: AllowList, headers: RawHeaders) -> RawHeaders:
    return allowed.select(headers, named_headers(headers))


def kept_of(headers: RawHeaders) -> RawHeaders:
    return response_headers(headers, named_headers(headers))


NOSNIFF = (b"x-content-type-options", b"nosniff")


def test_names_and_prefixes_of_the_list_pass_in_order() -> None:
    allowed = AllowList(["Accept", "x-app-*"])
    headers = [(b"x-app-a", b"1"), (b"cookie", b"c"), (b"accept", b"a"), (b"x-app-b", b"2"), (b"accept", b"b")]
    assert selected(allowed, headers) == [headers[0], headers[2], headers[3], headers[4]]


@pytest.mark.parametrize("connection", [b"accept", b"close, Accept", b" ACCEPT ,x"])
def test_what_connection_names_stays_behind(connection: bytes) -> None:
    headers = [(b"connection", connection), (b"accept", b"a"), (b"user-agent", b"u")]
    assert selected(AllowList(["accept", "user-agent"]), headers) == [(b"user-agent", b"u")]


@pytest.mark.parametrize(
    "name", ["authorization", "cookie", "x-api-key", "api-key", "openai-organization", "host", "te"]
)
def test_the_default_list_lets_no_credential_and_no_framing_pass(name: str) -> None:
    assert selected(AllowList(Settings().forwarded_headers), [(name.encode(), b"x")]) == []


def test_the_first_of_several_values_is_the_headers() -> None:
    headers = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
    assert named_headers(headers) == {b"a": b"1", b"b": b"2"}


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"1"), (b"content-length", b"1")],
        [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"identity")],
        [(b"content-type", b"a/b"), (b"content-type", b"a/b")],
    ],
)
def test_two_readings_are_refused(headers: RawHeaders) -> None:
    with pytest.raises(InvalidRequest):
        refuse_ambiguous(headers, named_headers(headers))


def test_one_reading_passes() -> None:
    headers = [(b"content-length", b"1"), (b"content-type", b"a/b"), (b"accept", b"x"), (b"accept", b"y")]
    refuse_ambiguous(headers, named_headers(headers))


@pytest.mark.parametrize(
    "name",
    [
        b"content-type",
        b"x-request-id",
        b"openai-processing-ms",
        b"x-ratelimit-limit-tokens",
        b"retry-after-ms",
        b"etag",
    ],
)
def test_useful_headers_come_back(name: bytes) -> None:
    assert kept_of([(name, b"text/csv")]) == [NOSNIFF, (name, b"text/csv")]


@pytest.mark.parametrize(
    "name",
    b"""set-cookie server date via location access-control-allow-origin x-accel-redirect x-sendfile connection
    transfer-encoding content-length content-security-policy www-authenticate link""".split(),
)
def test_all_others_stay_behind(name: bytes) -> None:
    assert kept_of([(name, b"x")]) == [NOSNIFF]


@pytest.mark.parametrize(
    ("kind", "safe"),
    [
        (b"application/json; charset=utf-8", True),
        (b"Audio/MPEG", True),
        (b"video/mp4", True),
        (b"text/event-stream", True),
        (b"text/html", False),
        (b"image/svg+xml", False),
        (b"application/json, text/html", False),
        (b"application/xhtml+xml", False),
        (b"", False),
    ],
)
def test_only_known_types_are_shown_as_they_are(kind: bytes, safe: bool) -> None:
    assert is_safe_type(kind) is safe
    download = [(b"content-type", b"application/octet-stream"), (b"content-disposition", b"attachment")]
    assert kept_of([(b"content-type", kind)]) == [NOSNIFF, *([(b"content-type", kind)] if safe else download)]


def test_of_two_types_the_one_that_was_acted_on_is_sent() -> None:
    kept = kept_of([(b"content-type", b"text/plain"), (b"content-type", b"text/html")])
    assert kept == [NOSNIFF, (b"content-type", b"text/plain")]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"inline", b"attachment"),
        (b'inline; filename="a b.mp3"', b'attachment; filename="a b.mp3"'),
        (b"attachment; filename=a.csv; x=y", b'attachment; filename="a.csv"'),
        (b'attachment; filename="../../etc/passwd"', b'attachment; filename="passwd"'),
        (b'attachment; filename="C:\\x\\evil.exe"', b'attachment; filename="evil.exe"'),
        (b'attachment; filename="a\x00b\x1f;.html"', b'attachment; filename="a_b__.html"'),
        ('attachment; filename="ü.txt"'.encode(), b"attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt"),
        (b"attachment; filename*=UTF-8''%C3%BC.txt", b"attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt"),
        (b"attachment; filename=x.txt; filename*=utf-8'en'a%20b.txt", b'attachment; filename="a b.txt"'),
        (b"attachment; filename*=UTF-8''..%2F..%5Cevil%22%0D%0A.html", b'attachment; filename="evil___.html"'),
        (b"attachment; filename*=UTF-8''%FF.txt", b'attachment; filename="_.txt"'),
        (b'attachment; filename=".."', b'attachment; filename="_"'),
        (b'attachment; filename=""', b"attachment"),
    ],
)
def test_a_disposition_is_always_a_download_under_a_plain_name(given: bytes, kept: bytes) -> None:
    assert kept_of([(b"content-disposition", given)]) == [NOSNIFF, (b"content-disposition", kept)]


def test_a_risky_type_is_a_download_whatever_its_disposition_says() -> None:
    kept = kept_of([(b"content-disposition", b'inline; filename="x.html"'), (b"content-type", b"text/html")])
    assert dict(kept)[b"content-disposition"] == b'attachment; filename="x.html"'
    assert dict(kept)[b"content-type"] == b"application/octet-stream"


def test_a_media_type_is_told_from_its_parameters() -> None:
    assert media_type(b" Text/Plain ; charset=x") == b"text/plain"
