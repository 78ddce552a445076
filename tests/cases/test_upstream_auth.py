"""Cases 81 to 93: what an upstream is shown as a credential, and that nothing is sent without one.

The key in a cookie of case 85 is the host's own session, which never leaves the host: only a bearer token of the
caller's own is passed on, and without one the call is refused as in 86.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from openai_gateway_asgi import ConfigError, Upstream, User
from openai_gateway_asgi.host.hooks import OAuthToken
from openai_gateway_asgi.testing import error_answer
from tests.support.token_endpoint import TOKEN_STEM, TokenEndpoint, token_endpoint

from .gateways import World, error_of, upstream_a, world

SAME_SITE = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def entra(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenEndpoint]:
    with token_endpoint(monkeypatch) as endpoint:
        yield endpoint


def credentials(w: World) -> dict[str, str | None]:
    """What of the last request could be a credential."""
    names = ("authorization", "api-key", "x-api-key", "cookie")
    found = {name: w.upstream.last.header(name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"api_key": ""}, id="case-081"),
        pytest.param({"auth_type": "none"}, id="case-082"),
    ],
)
async def test_without_a_key_no_credential_is_sent(options: dict[str, str]) -> None:
    async with world(upstream_a(**options)) as w:
        assert (await w.chat(headers={"authorization": "Bearer mine", "x-api-key": "mine"})).status == 200
        assert credentials(w) == {}


def test_case_083_an_unknown_kind_of_authentication_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="auth_type"):
        upstream_a(auth_type="magic")


async def test_case_084_the_callers_own_token_goes_on() -> None:
    async with world(upstream_a(auth_type="session")) as w:
        await w.chat(headers={"authorization": "Bearer T1"})
        assert credentials(w) == {"authorization": "Bearer T1"}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"cookie": "token=CT", **SAME_SITE}, id="case-085"),
        pytest.param({}, id="case-086"),
        pytest.param({"authorization": "Basic dTpw"}, id="case-086-another-scheme"),
        pytest.param({"authorization": "Bearer "}, id="case-086-empty"),
    ],
)
async def test_a_caller_without_a_bearer_token_is_refused(headers: dict[str, str]) -> None:
    async with world(upstream_a(auth_type="session")) as w:
        response = await w.chat(headers=headers)
        assert (response.status, error_of(response)["code"]) == (401, "unauthenticated")
        assert w.upstream.requests == []


@pytest.mark.parametrize(
    ("listed", "sent"),
    [
        pytest.param([], None, id="case-087"),
        pytest.param(["lang", "absent"], "lang=de", id="case-087-listed"),
    ],
)
async def test_only_listed_cookies_reach_the_upstream(listed: list[str], sent: str | None) -> None:
    async with world(upstream_a(auth_type="session", forward_cookies=listed)) as w:
        await w.chat(headers={"authorization": "Bearer T1", "cookie": "token=CT; other=1; lang=de"})
        assert w.upstream.last.header("cookie") == sent


async def test_case_087_the_cookie_of_the_hosts_session_cannot_be_listed() -> None:
    with pytest.raises(ConfigError, match="forward_cookies"):
        async with world(upstream_a(forward_cookies=["token"])):
            pass


def gives(token: str | None) -> OAuthToken:
    def oauth_token(user: User, request: object, upstream: Upstream) -> str | None:
        assert (user.id, upstream.name) == ("a1", "A")
        return token

    return oauth_token


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"cookie": "oauth_session_id=x", **SAME_SITE}, id="case-088"),
        pytest.param({"authorization": "Bearer api-key-of-the-host"}, id="case-089"),
    ],
)
async def test_the_stored_token_of_the_user_is_sent(headers: dict[str, str]) -> None:
    async with world(upstream_a(auth_type="system_oauth"), oauth_token=gives("OT")) as w:
        assert (await w.chat(headers=headers)).status == 200
        assert credentials(w) == {"authorization": "Bearer OT"}


@pytest.mark.parametrize("token", [None, ""])
async def test_case_090_without_a_stored_token_nothing_is_sent(token: str | None) -> None:
    async with world(upstream_a(auth_type="system_oauth"), oauth_token=gives(token)) as w:
        response = await w.chat()
        assert (response.status, error_of(response)["code"]) == (502, "upstream_credential")
        assert w.upstream.requests == []


async def test_a_failing_token_callable_is_a_500_and_nothing_is_sent() -> None:
    def fails(*args: object) -> str:
        raise RuntimeError("secret detail")

    async with world(upstream_a(auth_type="system_oauth"), oauth_token=fails) as w:
        response = await w.chat()
        assert (response.status, error_of(response)["code"]) == (500, "host_failure")
        assert b"secret detail" not in response.body
        assert w.upstream.requests == []


def of_entra(**options: Any) -> Upstream:
    address = "http://127.0.0.1:9/openai/v1"
    return Upstream(address, name="A", model_ids=["m1"], auth_type="azure_ad", provider="azure", **options)


async def test_case_091_an_entra_token_is_sent_alone(entra: TokenEndpoint) -> None:
    async with world(of_entra(api_key="ka")) as w:
        assert (await w.chat()).status == 200
        assert credentials(w) == {"authorization": f"Bearer {TOKEN_STEM}1"}


async def test_case_092_without_an_entra_token_nothing_is_sent(entra: TokenEndpoint) -> None:
    entra.broken, entra.status = b'{"error": "invalid_request"}', 400
    async with world(of_entra()) as w:
        response = await w.chat()
        assert (response.status, error_of(response)["code"]) == (502, "upstream_credential")
        assert w.upstream.requests == []


async def test_case_092_a_hundred_calls_ask_for_one_token_and_block_nobody(entra: TokenEndpoint) -> None:
    entra.gate.clear()
    async with world(of_entra()) as w:
        asking = asyncio.gather(*(w.chat() for _ in range(100)))
        await asyncio.to_thread(entra.wait_for, 1)
        assert entra.issued == 0  # the event loop is here before the token is
        entra.gate.set()
        assert {response.status for response in await asking} == {200}
        assert entra.requests == 1


async def test_a_stored_token_that_is_refused_is_asked_for_anew_once() -> None:
    tokens = iter(["OT1", "OT2", "OT3"])
    async with world(upstream_a(auth_type="system_oauth"), oauth_token=lambda *_: next(tokens)) as w:
        w.upstream.answer("/chat/completions", error_answer(401))
        response = await w.chat()
        assert (response.status, error_of(response)["code"]) == (502, "upstream_credential")
        assert [request.header("authorization") for request in w.upstream.requests] == ["Bearer OT1", "Bearer OT2"]


async def test_case_093_an_upstreams_own_header_replaces_ours() -> None:
    async with world(upstream_a(headers={"Authorization": "Custom x", "X-C": "1"})) as w:
        await w.chat()
        assert w.upstream.last.header_values("authorization") == ["Custom x"]
        assert w.upstream.last.header_values("x-c") == ["1"]


async def test_a_credential_that_the_upstream_refuses_is_not_the_callers_fault() -> None:
    async with world() as w:
        w.upstream.answer("/chat/completions", error_answer(401, "Incorrect API key provided: ka."))
        response = await w.chat()
        assert (response.status, error_of(response)["code"]) == (502, "upstream_credential")
        assert response.header("x-should-retry") == "false"
        assert b"ka" not in response.body


async def test_the_callers_own_refused_token_is_the_callers_401() -> None:
    async with world(upstream_a(auth_type="session")) as w:
        w.upstream.answer("/chat/completions", error_answer(401, "Expired.", headers=[("www-authenticate", "Bearer")]))
        response = await w.chat(headers={"authorization": "Bearer T1"})
        assert (response.status, response.json()["error"]["message"]) == (401, "Expired.")
        # Case 253: it was kept back once, but it is said to the caller, whose own token it is.
        assert response.header("www-authenticate") == "Bearer"
