"""Which pages may call with what a browser sends by itself: cases 249, 250 and 270."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response as StarletteResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from openai_gateway_asgi import ConfigError, Gateway, Settings, User, everyone
from openai_gateway_asgi.testing import FakeUpstream, json_answer
from tests.cases.gateways import upstream_a
from tests.support.asgi import Response, ask

OWN, LISTED, FOREIGN = "http://app.test", "https://friend.test", "https://evil.test"
SETTINGS: dict[str, Any] = {"retries": 0, "trusted_origins": (LISTED,), "passthrough": ("GET /mine", "POST /mine")}
ADMIN = User("ann", role="admin")


def make(recorder: FakeUpstream, **settings: Any) -> Gateway:
    return Gateway(
        [upstream_a("m1")],
        resolve_user=lambda request: ADMIN,
        authorize_model=everyone,
        settings=Settings(**{**SETTINGS, **settings}),
        transport=recorder.transport(),
    )


def starlette(gateway: Gateway) -> ASGIApp:
    return Starlette(routes=[Mount("/openai", gateway)])


def fastapi(gateway: Gateway) -> ASGIApp:
    app = FastAPI()
    app.mount("/openai", gateway)
    return app


def route(gateway: Gateway) -> ASGIApp:
    async def ai(request: Request) -> StarletteResponse:
        return gateway.response(ADMIN)

    return Starlette(routes=[Route("/openai/{path:path}", ai, methods=["GET", "HEAD", "POST"])])


def fastapi_route(gateway: Gateway) -> ASGIApp:
    app = FastAPI()

    @app.api_route("/openai/{path:path}", methods=["GET", "HEAD", "POST"])
    async def ai(path: str) -> Any:
        return gateway.response(ADMIN)

    return app


HOSTS = {"starlette": starlette, "fastapi": fastapi, "route": route, "fastapi route": fastapi_route}

CALLS: dict[str, tuple[str, str, bool]] = {
    "list": ("GET", "/models", True),
    "head": ("HEAD", "/v1/models", True),
    "retrieve": ("GET", "/models/m1", True),
    "stored": ("GET", "/files", True),
    "chat": ("POST", "/chat/completions", False),
    "delete": ("DELETE", "/files/f", False),
    "admin": ("GET", "/config", False),
    "opened": ("GET", "/mine", False),
    "opened post": ("POST", "/mine", False),
}
"""Method, path, and whether a request that says nothing of its page may read there."""

# By what it brings: whether it is judged, and whether a request that says nothing of its page is no browser's.
CREDENTIALS: dict[str, tuple[dict[str, str], bool, bool]] = {
    "nothing": ({}, False, False),
    "cookie": ({"cookie": "session=x"}, True, False),
    "bearer": ({"authorization": "Bearer t"}, False, False),
    "bearer in other letters": ({"authorization": "bEARER t"}, False, False),
    "api-key": ({"api-key": "k"}, False, False),
    "x-api-key": ({"x-api-key": "k"}, False, False),
    "own header": ({"x-token": "k"}, False, False),
    "basic": ({"authorization": "Basic dTpw"}, True, True),
    "basic in other letters": ({"authorization": "bASIC\tdTpw"}, True, True),
    "negotiate": ({"authorization": "Negotiate YII="}, True, True),
    "ntlm": ({"authorization": "NTLM TlRM"}, True, True),
    "digest": ({"authorization": 'Digest username="u"'}, True, True),
    "another scheme": ({"authorization": "Token t"}, False, False),
    "cookie and bearer": ({"cookie": "_ga=1", "authorization": "Bearer t"}, False, False),
    "cookie and api-key": ({"cookie": "_ga=1", "api-key": "k"}, False, False),
    "cookie and own header": ({"cookie": "_ga=1", "x-token": "k"}, True, False),
    "cookie and basic": ({"cookie": "a=b", "authorization": "Basic dTpw"}, True, True),
    "cookie and another scheme": ({"cookie": "a=b", "authorization": "Token t"}, True, False),
    "basic and api-key": ({"authorization": "Basic dTpw", "x-api-key": "k"}, False, False),
}

SITES = (None, "same-origin", "none", "same-site", "cross-site")
ORIGINS = (None, OWN, LISTED, FOREIGN, "null")
YES, NO, SILENT = "yes", "no", "silent"
VERDICTS = {
    (None, None): SILENT, (None, OWN): YES, (None, LISTED): YES, (None, FOREIGN): NO, (None, "null"): NO,
    ("same-origin", None): YES, ("same-origin", OWN): YES, ("same-origin", LISTED): YES,
    ("same-origin", FOREIGN): YES, ("same-origin", "null"): YES,
    ("none", None): YES, ("none", OWN): YES, ("none", LISTED): YES, ("none", FOREIGN): YES, ("none", "null"): YES,
    ("same-site", None): NO, ("same-site", OWN): NO, ("same-site", LISTED): YES,
    ("same-site", FOREIGN): NO, ("same-site", "null"): NO,
    ("cross-site", None): NO, ("cross-site", OWN): NO, ("cross-site", LISTED): YES,
    ("cross-site", FOREIGN): NO, ("cross-site", "null"): NO,
}  # fmt: skip
"""By ``Sec-Fetch-Site`` and ``Origin``. The browser's word counts before an Origin that merely looks like the host's."""


def page(site: str | None, origin: str | None) -> dict[str, str]:
    pairs = {"sec-fetch-site": site, "origin": origin, "host": "app.test"}
    return {name: value for name, value in pairs.items() if value is not None}


async def call(app: ASGIApp, method: str, path: str, headers: Mapping[str, str]) -> Response:
    body = {"json": {"model": "m1", "messages": []}} if method == "POST" else {}
    return await ask(app, method, "/openai" + path, headers=headers, strict=False, **body)


@pytest.fixture
def recorder() -> FakeUpstream:
    recorder = FakeUpstream()
    recorder.answer("", json_answer({"ok": True}))
    return recorder


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_case_270_the_whole_matrix(host: str, credential: str, recorder: FakeUpstream) -> None:
    app = HOSTS[host](make(recorder))
    brought, judged, no_browser = CREDENTIALS[credential]

    wrong = []
    for (site, origin), name in itertools.product(VERDICTS, CALLS):
        if host.endswith("route") and name == "delete":
            continue
        method, path, readable = CALLS[name]
        verdict = VERDICTS[site, origin]
        served = not judged or verdict == YES or (verdict == SILENT and (no_browser or readable))
        before = len(recorder.requests)
        answer = await call(app, method, path, {**brought, **page(site, origin)})
        if answer.status != (200 if served else 403) or (not served and len(recorder.requests) > before):
            wrong.append((name, site, origin, answer.status))
    assert wrong == []


def test_the_matrix_has_every_pair() -> None:
    assert set(VERDICTS) == set(itertools.product(SITES, ORIGINS))


async def test_case_249_a_page_over_plain_http_lists_its_models(recorder: FakeUpstream) -> None:
    answer = await call(starlette(make(recorder)), "GET", "/models", {"cookie": "session=x", "host": "app.test"})

    assert answer.status == 200
    assert answer.header("cross-origin-resource-policy") == "same-origin"


@pytest.mark.parametrize(("method", "path"), [("GET", "/models"), ("POST", "/chat/completions"), ("GET", "/nothing"), ("PUT", "/models")])  # fmt: skip
async def test_case_249_every_answer_is_for_the_hosts_own_pages(method: str, path: str, recorder: FakeUpstream) -> None:
    answer = await call(starlette(make(recorder)), method, path, {"authorization": "Bearer t"})

    assert answer.header("cross-origin-resource-policy") == "same-origin"


async def test_case_249_a_handshake_gets_no_grace(recorder: FakeUpstream) -> None:
    headers = {"cookie": "session=x", "host": "app.test", "connection": "upgrade", "upgrade": "websocket"}

    assert (await call(starlette(make(recorder)), "GET", "/models", headers)).status == 403


async def test_case_249_a_refusal_says_what_to_do_and_its_log_what_was_seen(
    recorder: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    app = starlette(make(recorder))
    headers = {"cookie": "session=very-secret", "authorization": "Basic c2VjcmV0", **page("cross-site", FOREIGN)}
    for _ in range(50):
        answer = await call(app, "POST", "/chat/completions", headers)

    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == (
        "permission_error",
        "cross_site_request",
        "sec-fetch-site",
    )
    assert "`Authorization: Bearer`" in error["message"]
    assert "`Sec-Fetch-Site: same-origin`" in error["message"]
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "trusted_origins" in line
    assert "credential_headers" in line
    assert "checked_origin=True" in line
    assert line.endswith(
        "Seen: POST /openai/chat/completions with a cookie, sec-fetch-site: cross-site, origin: https://evil.test, "
        "host: app.test."
    )
    assert "secret" not in line
    assert "c2VjcmV0" not in line


@pytest.mark.parametrize(
    ("headers", "param", "said"),
    [
        ({"cookie": "a=b", **page(None, FOREIGN)}, "origin", "known by a cookie alone"),
        ({"cookie": "a=b"}, "sec-fetch-site", "says nothing of the page"),
        ({"authorization": "Negotiate x", **page("same-site", None)}, "sec-fetch-site", "`Authorization: Negotiate`"),
    ],
)
async def test_case_249_the_message_names_what_was_wrong(
    headers: dict[str, str], param: str, said: str, recorder: FakeUpstream
) -> None:
    error = (await call(starlette(make(recorder)), "POST", "/chat/completions", headers)).json()["error"]

    assert (error["param"], said in error["message"]) == (param, True)


async def test_case_249_what_was_seen_forges_no_line(recorder: FakeUpstream, caplog: pytest.LogCaptureFixture) -> None:
    raw = [(b"cookie", b"a=b"), (b"origin", b"https://evil.test\nWARNING all is well" + b"x" * 1000)]
    await ask(starlette(make(recorder)), "GET", "/openai/models", headers=raw, strict=False)

    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "\n" not in line
    assert len(line) < 1000


async def test_case_249_behind_a_proxy_that_rewrites_host_a_setting_helps(recorder: FakeUpstream) -> None:
    """A browser that tells no site: its pages are at the public name, and the gateway sees the inner one."""
    headers = {"cookie": "session=x", "origin": "https://public.test", "host": "10.0.0.7:8000"}

    assert (await call(starlette(make(recorder)), "POST", "/chat/completions", headers)).status == 403
    helped = starlette(make(recorder, trusted_origins=("https://Public.test:443",)))
    assert (await call(helped, "POST", "/chat/completions", headers)).status == 200


@pytest.mark.parametrize(
    ("host", "origin", "scheme", "served"),
    [
        ("app.test:80", "http://app.test", "http", True),
        ("app.test:443", "https://app.test", "https", True),
        ("APP.test", "http://app.TEST", "http", True),
        ("app.test:8080", "http://app.test:8080", "http", True),
        ("[::1]:8000", "http://[::1]:8000", "http", True),
        ("app.test:443", "http://app.test", "http", False),
        ("app.test", "https://app.test", "http", False),
        ("app.test:8080", "http://app.test", "http", False),
        ("app.test", "http://app.test.evil.test", "http", False),
        ("app.test", "http://app.test, http://evil.test", "http", False),
        ("app.test", "app.test", "http", False),
        ("", "http://", "http", False),
    ],
)
async def test_the_hosts_own_origin_is_the_one_of_the_request(
    host: str, origin: str, scheme: str, served: bool, recorder: FakeUpstream
) -> None:
    headers = {"cookie": "a=b", "host": host, "origin": origin}
    answer = await ask(
        make(recorder), "POST", "/chat/completions", headers=headers, scheme=scheme, json={"model": "m1"}
    )
    assert answer.status == (200 if served else 403)


def doubled(*pairs: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    return [(b"cookie", b"a=b"), *((name.encode(), value.encode()) for name, value in pairs)]


@pytest.mark.parametrize(
    "headers",
    [
        doubled(("origin", OWN), ("origin", FOREIGN), ("host", "app.test")),
        doubled(("origin", LISTED), ("origin", FOREIGN)),
        doubled(("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")),
        doubled(("sec-fetch-site", "same-origin, cross-site")),
        doubled(("origin", OWN), ("host", "app.test"), ("host", "evil.test")),
        doubled(("sec-fetch-site", "")),
        doubled(("origin", "")),
    ],
)
async def test_a_header_that_stands_twice_or_empty_admits_nobody(
    headers: list[tuple[bytes, bytes]], recorder: FakeUpstream
) -> None:
    for pairs in (headers, [headers[0], *reversed(headers[1:])]):
        assert (await ask(make(recorder), "GET", "/models", headers=pairs)).status == 403


async def test_case_250_an_unrelated_cookie_beside_a_token_is_served_from_any_origin(recorder: FakeUpstream) -> None:
    headers = {"cookie": "_ga=GA1.2.3", "authorization": "Bearer t", **page("cross-site", FOREIGN)}

    assert (await call(starlette(make(recorder)), "POST", "/chat/completions", headers)).status == 200


async def test_case_250_the_hosts_own_header_counts_once_it_is_named(recorder: FakeUpstream) -> None:
    headers = {"cookie": "_ga=GA1.2.3", "x-token": "t", **page("cross-site", FOREIGN)}

    assert (await call(starlette(make(recorder)), "POST", "/chat/completions", headers)).status == 403
    for named in ({"x-token"}, ["X-Token"], ("x-other", "x-token")):
        app = starlette(make(recorder, credential_headers=named))
        assert (await call(app, "POST", "/chat/completions", headers)).status == 200


@pytest.mark.parametrize(("scheme", "served"), [("Token", True), ("ApiKey", True), ("Basic", False), ("Negotiate", False), ("Digest", False), ("NTLM", False)])  # fmt: skip
async def test_case_250_authorization_may_be_named_for_schemes_that_no_browser_sends(
    scheme: str, served: bool, recorder: FakeUpstream
) -> None:
    app = starlette(make(recorder, credential_headers={"authorization"}))
    headers = {"cookie": "_ga=1", "authorization": f"{scheme} x", **page("cross-site", FOREIGN)}

    assert (await call(app, "POST", "/chat/completions", headers)).status == (200 if served else 403)


UNASKED = """cookie Cookie origin accept Accept-Language content-type range user-agent referer host connection
    sec-fetch-site Sec-Whatever X-Forwarded-User x-real-ip proxy-authorization via forwarded dnt""".split()


@pytest.mark.parametrize("name", UNASKED)
def test_case_250_what_any_page_can_send_is_no_credential(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Settings(credential_headers={name})
    assert raised.value.field == "credential_headers.0"
    assert "x-token" in raised.value.problem


async def test_case_250_a_route_that_has_checked_the_origin_says_so(recorder: FakeUpstream) -> None:
    gateway = make(recorder)

    async def ai(request: Request) -> StarletteResponse:
        return gateway.response(ADMIN, checked_origin=request.headers.get("x-csrf") == "right")

    app = Starlette(routes=[Route("/openai/{path:path}", ai, methods=["POST"])])
    headers = {"cookie": "session=x", **page("cross-site", FOREIGN)}

    assert (await call(app, "POST", "/chat/completions", headers)).status == 403
    assert (await call(app, "POST", "/chat/completions", {**headers, "x-csrf": "right"})).status == 200


AMBIENT_BEARER = [
    ({"authorization": "Bearer t", **page("cross-site", FOREIGN)}, False),
    ({"authorization": "Bearer t", "cookie": "a=b", **page("cross-site", FOREIGN)}, False),
    ({"authorization": "Bearer t"}, False),
    ({"authorization": "Bearer t", **page("same-origin", None)}, True),
    ({"authorization": "Bearer t", **page("none", None)}, True),
    ({"authorization": "Bearer t", **page(None, OWN)}, True),
    ({"authorization": "Bearer t", **page(None, LISTED)}, True),
    ({"authorization": "Bearer t", "api-key": "k", **page("cross-site", FOREIGN)}, True),
]


@pytest.mark.parametrize(("headers", "served"), AMBIENT_BEARER)
async def test_case_270_a_token_that_a_proxy_adds_tells_no_pages_apart(
    headers: dict[str, str], served: bool, recorder: FakeUpstream
) -> None:
    app = starlette(make(recorder, ambient_bearer=True))

    assert (await call(app, "POST", "/chat/completions", headers)).status == (200 if served else 403)


async def test_case_270_nor_does_it_beside_an_authorization_that_is_named(recorder: FakeUpstream) -> None:
    app = starlette(make(recorder, ambient_bearer=True, credential_headers={"authorization"}))
    headers = {"authorization": "Bearer t", **page("cross-site", FOREIGN)}

    assert (await call(app, "POST", "/chat/completions", headers)).status == 403


async def test_case_270_several_authorizations_are_told_by_the_one_that_no_browser_sends(
    recorder: FakeUpstream,
) -> None:
    pairs = [(b"authorization", b"Basic dTpw"), (b"authorization", b"Bearer t"), (b"sec-fetch-site", b"cross-site")]
    for headers in (pairs, [pairs[1], pairs[0], pairs[2]]):
        assert (await ask(make(recorder), "GET", "/models", headers=headers)).status == 200


async def test_case_270_a_refused_request_asks_nobody_who_it_is_and_reads_no_body(recorder: FakeUpstream) -> None:
    asked: list[Request] = []

    def resolve_user(request: Request) -> User:
        asked.append(request)
        return ADMIN

    gateway = Gateway(
        [upstream_a()], resolve_user=resolve_user, authorize_model=everyone, transport=recorder.transport()
    )
    headers = {"authorization": "Basic dTpw", **page("cross-site", FOREIGN)}

    assert (await call(starlette(gateway), "POST", "/chat/completions", headers)).status == 403
    assert asked == recorder.requests == []
