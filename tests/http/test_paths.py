"""The canonical path: what is refused, what is read alike by every decoder, and where the mount ends."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, unquote_plus

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from openai_gateway_asgi.api.endpoints import ENDPOINTS, match
from openai_gateway_asgi.errors import InvalidRequest, MethodNotAllowed, NotFound
from openai_gateway_asgi.http.paths import MAX_LENGTH, quote_segment, route_path


def scope_of(target: str | bytes, **fields: str) -> dict[str, Any]:
    """The scope that uvicorn makes of a request target."""
    raw = target.encode("ascii") if isinstance(target, str) else target
    path, _, query = raw.partition(b"?")
    return {
        "type": "http",
        "path": unquote(path.decode(errors="replace")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        **fields,
    }


def segments_of(target: str | bytes, **fields: str) -> tuple[str, ...]:
    return route_path(scope_of(target, **fields)).segments


ACCEPTED = {
    "/chat/completions": ("chat", "completions"),
    "/v1/chat/completions": ("chat", "completions"),
    "/v1/v1/chat/completions": ("v1", "chat", "completions"),
    "/%76%31/chat/completions": ("chat", "completions"),
    "/ch%61t/completion%73": ("chat", "completions"),
    "/files/file-123/content": ("files", "file-123", "content"),
    "/files/a%20b": ("files", "a b"),
    "/files/...": ("files", "..."),
    "/files/.hidden": ("files", ".hidden"),
    "/files/..a": ("files", "..a"),
    "/models/gpt-4.1": ("models", "gpt-4.1"),
    "/models/llama3:8b": ("models", "llama3:8b"),
    "/models/llama3%3A8b": ("models", "llama3:8b"),
    "/models/ft:gpt-4o:org::id": ("models", "ft:gpt-4o:org::id"),
    "/models/org/model": ("models", "org", "model"),
    "/models/org%2Fmodel": ("models", "org/model"),
    "/models/org%2fmodel": ("models", "org/model"),
    "/models/%E6%A8%A1%E5%9E%8B": ("models", "模型"),
    "/models/@cf/meta~x!$&'()*+,=": ("models", "@cf", "meta~x!$&'()*+,="),
    "/models/a+b": ("models", "a+b"),
    "/models?limit=%zz/../x": ("models",),
    "/": (),
    "": (),
    "/v1": (),
}


@pytest.mark.parametrize(("target", "segments"), ACCEPTED.items())
def test_a_path_is_read_as_decoded_segments_without_its_version(target: str, segments: tuple[str, ...]) -> None:
    assert segments_of(target) == segments


HOSTILE: list[str | bytes] = [
    # not a path below our host
    "http://evil/abs",
    "http://evil/v1/chat/completions",
    "https:evil",
    "evil",
    "*",
    "evil.example:443",
    "//evil/x",
    "//evil/v1/chat/completions",
    "///chat/completions",
    # empty segments
    "/chat//completions",
    "/v1//chat/completions",
    "/chat/completions//",
    "/files//content",
    # dot segments, in every spelling
    "/.",
    "/..",
    "/./chat/completions",
    "/../chat/completions",
    "/chat/../files",
    "/chat/./completions",
    "/chat/completions/..",
    "/chat/completions/.",
    "/v1/../../admin",
    "/files/%2e%2e",
    "/files/%2E%2E/models",
    "/files/.%2e",
    "/files/%2e",
    "/files/%2e./x",
    "/files/%252e%252e",
    "/files/%252E%252e/x",
    "/files/%25252e",
    "/models/..%2f..%2forganization",
    "/models/%2e%2e%2forganization",
    "/models/org%2F..%2F..%2Ffiles",
    "/models/org%2F.%2Fmodel",
    "/models/%2F",
    "/models/%2Forg",
    "/models/org%2F",
    "/models/org%2F%2Fmodel",
    "/models/org%252Fmodel",
    "/models/..;/files",
    # delimiters that some decoders cut or split at
    "/files/x;y",
    "/files/;",
    "/files/%3B",
    "/files/x%3b..",
    "/files/a\\b",
    "/files/..\\..\\x",
    "/files/%5c",
    "/files/a%5Cb",
    "/files/..%5c..%5cmodels",
    "/files/%3F",
    "/files/x%3fy",
    "/files/%23",
    "/files/x%23y",
    b"/files/x#y",
    # control characters and white space
    "/files/%00",
    "/files/x%00.json",
    "/files/%0a",
    "/files/x%0d%0aHost:%20evil",
    "/files/x%0D",
    "/files/%09x",
    "/files/%7f",
    "/files/x%1b[0m",
    "/files/%C2%85",
    "/files/x%C2%9Fy",
    "/files/%20",
    "/files/%20..",
    "/files/..%20",
    "/files/x%20",
    "/files/%C2%A0x",
    "/models/org%2F%20%2Fx",
    # escapes that are none, and bytes that are no UTF-8
    "/files/%",
    "/files/%z",
    "/files/%zz",
    "/files/%2",
    "/files/%u002f",
    "/files/100%",
    "/files/%25",
    "/files/%2500",
    "/files/%ff",
    "/files/%C0%AE%C0%AE",
    "/files/%c0%af",
    "/files/%E0%80%AE",
    "/files/%ED%A0%80",
    "/files/%F4%90%80%80",
    "/files/%80",
    "/files/x%EF%BF%BD",
    b"/files/\xff",
    b"/files/\x00",
]


@pytest.mark.parametrize("target", HOSTILE)
def test_a_path_that_can_be_read_in_two_ways_is_refused(target: str | bytes) -> None:
    for root_path in ("", "/api/openai"):
        with pytest.raises(InvalidRequest) as refusal:
            segments_of(target, root_path=root_path)
        assert refusal.value.status == 400
        assert refusal.value.code == "invalid_path"


@pytest.mark.parametrize("target", [target for target in HOSTILE if target[:1] in ("/", b"/")])
def test_it_is_refused_below_a_mount_as_well(target: str | bytes) -> None:
    mounted = "/api/openai" + target if isinstance(target, str) else b"/api/openai" + target
    with pytest.raises(InvalidRequest):
        segments_of(mounted, root_path="/api/openai")


@pytest.mark.parametrize("target", HOSTILE)
def test_only_harmless_segments_pass_where_the_server_gives_no_raw_path(target: str | bytes) -> None:
    scope = scope_of(target)
    del scope["raw_path"]
    try:
        segments = route_path(scope).segments
    except (InvalidRequest, NotFound):
        return
    assert not {"", ".", ".."} & set(segments)
    assert not set("".join(segments)) & set("/\\;%?#")


@pytest.mark.parametrize("target", ["/chat/completions/", "/v1/models/", "/v1/", "/files/", "/threads/", "/m%61/"])
def test_a_trailing_slash_is_an_unknown_path(target: str) -> None:
    with pytest.raises(NotFound) as refusal:
        segments_of(target)
    assert refusal.value.code == "not_found"


@pytest.mark.parametrize("letter", ["a", "%61"])
def test_a_path_longer_than_any_id_is_refused_before_it_is_decoded(letter: str) -> None:
    longest = "/files/" + letter * (MAX_LENGTH - len("/files/"))

    assert segments_of(longest)[0] == "files"
    with pytest.raises(InvalidRequest, match="longer than 4096 characters"):
        segments_of(longest + letter)


SURROGATE = "\udcff"


@pytest.mark.parametrize("path", ["/files/" + SURROGATE, "/files/�", "/files/%41", "/files/a\\b", "/../x", "/a\n"])
@pytest.mark.parametrize("without", ["absent", "none"])
def test_a_decoded_path_alone_is_held_to_the_same_rules(path: str, without: str) -> None:
    scope: dict[str, Any] = {"path": path} if without == "absent" else {"path": path, "raw_path": None}
    with pytest.raises(InvalidRequest, match="not valid"):
        route_path(scope)


def test_without_a_raw_path_an_encoded_slash_was_lost_and_a_model_still_has_it() -> None:
    assert route_path({"path": "/models/org/模型"}).segments == ("models", "org", "模型")


def test_a_query_in_the_raw_path_is_not_read() -> None:
    scope = {"path": "/models/org/m", "raw_path": b"/models/org%2Fm?api-version=1/../%zz"}
    assert route_path(scope).segments == ("models", "org/m")


def test_a_path_rewritten_by_a_middleware_counts_and_not_the_forgotten_raw_path() -> None:
    scope = {"path": "/models/m", "raw_path": b"/secret/%6Dodels/m"}
    assert route_path(scope).segments == ("models", "m")


def test_the_host_header_has_no_say() -> None:
    scope = scope_of("/v1/models") | {"headers": [(b"host", b"t/files?x=")], "server": ("evil", 80)}
    assert route_path(scope).segments == ("models",)


CHAT = ("chat", "completions")
MOUNTS = [
    # path as sent, root_path, app_root_path
    pytest.param("/api/openai/v1/chat/completions", "/api/openai", "", CHAT, id="mounted"),
    pytest.param("/v1/chat/completions", "", "", CHAT, id="the root application"),
    pytest.param("/api/openai/v1/chat/completions", "/proxy/api/openai", "/proxy", CHAT, id="stripping proxy, mounted"),
    pytest.param("/proxy/api/openai/v1/chat/completions", "/proxy/api/openai", "/proxy", CHAT, id="proxy that keeps"),
    pytest.param("/v1/chat/completions", "/proxy", "/proxy", CHAT, id="stripping proxy, root application"),
    pytest.param("/v1/chat/completions", "/api/openai", "", CHAT, id="a mount that strips"),
    pytest.param("/v1/chat/completions", "/v1", "", CHAT, id="mounted at the version"),
    pytest.param("/v1/v1/chat/completions", "/v1", "", CHAT, id="mounted at the version, and sent"),
    pytest.param("/api/openai/models/org%2Fm", "/api/openai/", "", ("models", "org/m"), id="root_path with a slash"),
    pytest.param("/api/%6Fpenai/models/org%2Fm", "/api/openai", "", ("models", "org/m"), id="encoded mount"),
    pytest.param("/%61pi/%6Fpenai/models", "/api/openai", "", ("models",), id="encoded mount, all of it"),
    pytest.param("/api/%6Fpenai/models", "/p/api/openai", "/p", ("models",), id="encoded mount, stripping proxy"),
    pytest.param("/%C3%A9/models/a%2Fb", "/é", "", ("models", "a/b"), id="mount beyond ASCII"),
    pytest.param("/api/openai", "/api/openai", "", (), id="the mount itself"),
    pytest.param("/api/openai/", "/api/openai", "", (), id="the mount and a slash"),
    pytest.param("/api/openaiX/models", "/api/openai", "", ("api", "openaiX", "models"), id="not at a boundary"),
    pytest.param("/X/models", "/proxyX", "/proxy", ("X", "models"), id="proxy not at a boundary"),
]


@pytest.mark.parametrize(("target", "root_path", "app_root_path", "segments"), MOUNTS)
def test_the_mount_is_cut_off_as_hosts_and_proxies_present_it(
    target: str, root_path: str, app_root_path: str, segments: tuple[str, ...]
) -> None:
    assert segments_of(target, root_path=root_path, app_root_path=app_root_path) == segments


@pytest.mark.parametrize("target", ["/api%2Fopenai/models", "/api/openai%2Fmodels/x", "/%2Fapi/openai/models"])
def test_an_encoded_slash_is_no_boundary_of_the_mount(target: str) -> None:
    with pytest.raises(InvalidRequest):
        segments_of(target, root_path="/api/openai")


@pytest.mark.parametrize(
    ("target", "segments"),
    [
        ("/api/openai/v1/models", ("models",)),
        ("/api/%6Fpenai/models/org%2Fm", ("models", "org/m")),
        ("/outer/inner/v1/files/a%20b", ("files", "a b")),
    ],
)
async def test_starlette_mounts_are_understood(target: str, segments: tuple[str, ...]) -> None:
    seen: list[tuple[str, ...]] = []

    async def gateway(scope: Any, receive: Any, send: Any) -> None:
        seen.append(route_path(scope).segments)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    host = Starlette(routes=[Mount("/api/openai", gateway), Mount("/outer", routes=[Mount("/inner", gateway)])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(host), base_url="http://host") as client:
        assert (await client.get(target)).status_code == 204

    assert seen == [segments]


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("org/model", "org%2Fmodel"),
        ("a b", "a%20b"),
        ("ft:x@y+z", "ft:x@y+z"),
        ("é", "%C3%A9"),
        ("a?b#c;d%", "a%3Fb%23c%3Bd%25"),
    ],
)
def test_a_segment_is_quoted_as_one(value: str, quoted: str) -> None:
    assert quote_segment(value) == quoted


# -- every decoder reads the same operation -----------------------------------------------------------------------


def split(path: str) -> tuple[str, ...]:
    return tuple(path.split("/")[1:])


def resolved(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))


DECODERS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "does not decode": split,
    "decodes each segment": lambda path: tuple(map(unquote, split(path))),
    "decodes, then splits": lambda path: split(unquote(path)),
    "decodes twice": lambda path: split(unquote(unquote(path))),
    "decodes as a form": lambda path: split(unquote_plus(path)),
    "decodes as Latin-1": lambda path: split(unquote(path, encoding="latin-1")),
    "removes dot segments, then decodes": lambda path: split(unquote(resolved(path))),
    "decodes, then removes dot segments and double slashes": lambda path: split(resolved(unquote(path))),
    "decodes twice, then removes dot segments": lambda path: split(resolved(unquote(unquote(path)))),
    "takes a backslash for a slash": lambda path: split(resolved(unquote(path).replace("\\", "/"))),
    "cuts path parameters": lambda path: tuple(unquote(part).partition(";")[0] for part in split(path)),
    "decodes before it looks for the query": lambda path: split(unquote(path).partition("?")[0].partition("#")[0]),
    "stops at NUL": lambda path: split(unquote(path).partition("\0")[0]),
    "trims white space": lambda path: tuple(part.strip() for part in split(unquote(path))),
    "ignores case": lambda path: split(unquote(path).lower()),
}

PIECES = [
    *("a", "Z", "9", "-", ".", "..", "_", "~", ":", "@", "+", "é", "模", " ", "v1", "openai", "deployments", "runs"),
    *("%2F", "%2f", "%2e", "%2E%2e", "%252e", "%252F", "%25", "%", "%zz", "%5c", "\\", "%00", "%0a", "%20", "%3B", ";"),
    *(
        "%3F",
        "%23",
        "%C0%AE",
        "%ff",
        "%C3%A9",
        "%61",
        "%52UNS",
        "Compact",
        "COMPACT",
        "edits",
        "Edits",
        "/",
        "//",
        "%09",
    ),
]
WORDS = sorted({word for endpoint in ENDPOINTS for word in endpoint.template.split("/") if word[:1].isalpha()})
values = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join)
loose = st.lists(st.sampled_from(WORDS) | values, max_size=5).map(lambda parts: "/" + "/".join(parts))


@st.composite
def filled_templates(draw: st.DrawFn) -> str:
    template = draw(st.sampled_from(ENDPOINTS)).template
    parts = [draw(values) if part.startswith("{") else part for part in template.split("/")]
    return draw(st.sampled_from(["", "/v1", "/openai", "/openai/v1"])) + "/".join(parts)


targets = filled_templates() | loose
METHODS = ("GET", "POST", "DELETE")


@settings(max_examples=200, derandomize=True, deadline=None)
@given(target=targets)
@example(target="/models/org%2Fmodel")
@example(target="/threads/RUNS")
@example(target="/videos/characters/a%20b")
@example(target="/openai/deployments/org%2Fm/chat/completions")
def test_what_is_forwarded_is_the_same_operation_to_every_decoder(target: str) -> None:
    for method in METHODS:
        try:
            found = match(method, segments_of(target.encode()))
        except (InvalidRequest, NotFound, MethodNotAllowed):
            continue
        for reading, decode in DECODERS.items():
            again = match(method, decode(found.path))
            assert again.endpoint is found.endpoint, (reading, found.path)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(target=targets)
def test_what_is_forwarded_is_canonical_already(target: str) -> None:
    for method in METHODS:
        try:
            found = match(method, segments_of(target.encode()))
        except (InvalidRequest, NotFound, MethodNotAllowed):
            continue
        assert match(method, segments_of(found.path)).path == found.path


@settings(max_examples=200, derandomize=True, deadline=None)
@given(path=st.text(max_size=20), raw=st.binary(max_size=20) | st.none(), root=st.text(max_size=3))
def test_no_scope_is_answered_with_anything_but_segments_or_a_refusal(path: str, raw: bytes | None, root: str) -> None:
    for root_path in (root, "/" + root, path[:2]):
        try:
            segments = route_path({"path": path, "raw_path": raw, "root_path": root_path}).segments
        except (InvalidRequest, NotFound):
            continue
        assert not {"", ".", ".."} & set(segments)
