from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest

from openai_gateway_asgi.config.upstream import Upstream
from openai_gateway_asgi.errors import Unauthenticated, UpstreamCredentialError
from openai_gateway_asgi.host.users import User
from openai_gateway_asgi.upstream.credentials import Caller, Credentials
from tests.support.token_endpoint import TOKEN_STEM, TokenEndpoint, token_endpoint

ANN = User(id="ann")
BOB = User(id="bob")
AZURE = "https://r.openai.azure.com"


@pytest.fixture
def entra(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenEndpoint]:
    with token_endpoint(monkeypatch) as endpoint:
        yield endpoint


def upstream(auth_type: str = "bearer", base_url: str = "https://up.example/v1", **more: Any) -> Upstream:
    return Upstream(base_url, auth_type=auth_type, **more)


def gives(*tokens: str | None) -> Callable[[Upstream], Awaitable[str | None]]:
    """The host's callable: one token per call."""
    answers = iter(tokens)

    async def oauth(upstream: Upstream) -> str | None:
        return next(answers)

    return oauth


async def sent(upstream: Upstream, caller: Caller | None = None) -> Mapping[bytes, bytes]:
    headers = await Credentials().headers(upstream, caller)
    names = [name for name, _ in headers]
    assert len(names) == len(set(names)), names
    return dict(headers)


@pytest.mark.parametrize(
    ("upstream", "headers"),
    [
        (upstream(api_key="k"), {b"authorization": b"Bearer k"}),
        (upstream(api_key=""), {}),
        (upstream("none", api_key="k"), {}),
        (upstream(base_url=AZURE, provider="azure", api_key="k"), {b"api-key": b"k"}),
        (upstream(base_url=f"{AZURE}/openai/v1", provider="azure", api_key="k"), {b"api-key": b"k"}),
        (upstream("none", base_url=AZURE, provider="azure", api_key="k"), {}),
        (upstream(api_key="k", headers={"Authorization": "Custom x"}), {b"authorization": b"Custom x"}),
        (upstream(api_key="k", headers={"X-C": "5"}), {b"authorization": b"Bearer k", b"x-c": b"5"}),
        (
            upstream(base_url=AZURE, provider="azure", api_key="k", headers={"API-Key": "other"}),
            {b"api-key": b"other"},
        ),
        (upstream("session", headers={"AUTHORIZATION": "Custom x"}), {b"authorization": b"Custom x"}),
    ],
)
async def test_what_is_the_same_for_every_caller_needs_no_caller(
    upstream: Upstream, headers: dict[bytes, bytes]
) -> None:
    assert await sent(upstream) == headers
    static = Credentials().static(upstream)
    assert static is not None
    assert dict(static) == headers


@pytest.mark.parametrize("auth_type", ["session", "system_oauth", "azure_ad", "microsoft_entra_id"])
def test_what_must_be_asked_for_is_not_static(auth_type: str) -> None:
    assert Credentials().static(upstream(auth_type, api_key="k")) is None


@pytest.mark.parametrize("provider", ["", "azure"])
async def test_session_sends_the_callers_own_token_and_never_the_key(provider: str) -> None:
    caller = Caller(ANN, authorization="T1")
    assert await sent(upstream("session", api_key="k", provider=provider), caller) == {b"authorization": b"Bearer T1"}


@pytest.mark.parametrize(
    "caller", [None, Caller(ANN), Caller(ANN, authorization=""), Caller(ANN, cookies={"token": "C"})]
)
async def test_session_without_a_token_is_the_callers_401(caller: Caller | None) -> None:
    with pytest.raises(Unauthenticated):
        await sent(upstream("session", api_key="k"), caller)


async def test_system_oauth_sends_what_the_host_gives() -> None:
    caller = Caller(ANN, authorization="T1", oauth=gives("OT"))
    assert await sent(upstream("system_oauth", api_key="k"), caller) == {b"authorization": b"Bearer OT"}


async def test_system_oauth_asks_the_host_for_every_request() -> None:
    credentials, target = Credentials(), upstream("system_oauth")
    caller = Caller(ANN, oauth=gives("OT1", "OT2"))
    assert await credentials.headers(target, caller) == [(b"authorization", b"Bearer OT1")]
    assert await credentials.headers(target, caller) == [(b"authorization", b"Bearer OT2")]


@pytest.mark.parametrize(
    "caller",
    [
        None,
        Caller(ANN, authorization="T1"),
        Caller(ANN, authorization="T1", oauth=gives(None)),
        Caller(ANN, oauth=gives("")),
    ],
)
async def test_system_oauth_without_a_token_sends_nothing(caller: Caller | None) -> None:
    with pytest.raises(UpstreamCredentialError):
        await sent(upstream("system_oauth", api_key="k"), caller)


@pytest.mark.parametrize("token", ["OT\r\nX-Evil: 1", "OT\n", "tök", "a\x00b"])
async def test_a_token_that_would_not_stay_one_header_is_not_sent_or_shown(
    token: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UpstreamCredentialError) as refusal:
        await sent(upstream("system_oauth"), Caller(ANN, oauth=gives(token)))
    assert token not in str(refusal.value) + caplog.text
    assert "one line of ASCII" in caplog.text


@pytest.mark.parametrize("auth_type", ["azure_ad", "microsoft_entra_id"])
async def test_entra_sends_a_token_and_never_the_key(auth_type: str, entra: TokenEndpoint) -> None:
    target = upstream(auth_type, base_url=AZURE, provider="azure", api_key="k")
    assert await sent(target) == {b"authorization": f"Bearer {TOKEN_STEM}1".encode()}
    assert entra.resources == ["https://cognitiveservices.azure.com"]


async def test_entra_that_fails_sends_nothing(entra: TokenEndpoint) -> None:
    entra.status, entra.broken = 400, b'{"message": "no identity"}'
    with pytest.raises(UpstreamCredentialError):
        await sent(upstream("azure_ad", base_url=AZURE, api_key="k"))


@pytest.mark.parametrize("auth_type", ["system_oauth", "microsoft_entra_id"])
async def test_a_credential_that_a_custom_header_replaces_is_not_asked_for(
    auth_type: str, entra: TokenEndpoint
) -> None:
    target = upstream(auth_type, headers={"authorization": "Custom x"})
    assert await sent(target) == {b"authorization": b"Custom x"}
    assert entra.requests == 0


async def test_no_cookie_goes_upstream_unless_it_is_listed() -> None:
    cookies = {"token": "CT", "session": "S", "other": "1", "theme": "dark"}
    caller = Caller(ANN, authorization="T1", cookies=cookies)
    assert b"cookie" not in await sent(upstream("session"), caller)
    listed = upstream("session", forward_cookies=["theme", "other", "absent"])
    assert (await sent(listed, caller))[b"cookie"] == b"theme=dark; other=1"
    assert b"cookie" not in await sent(listed, Caller(ANN, authorization="T1", cookies={"token": "CT"}))
    assert await sent(upstream(forward_cookies=["theme"]), None) == {}


async def test_the_hosts_session_cookie_never_goes_upstream_though_listed() -> None:
    caller = Caller(ANN, cookies={"token": "CT", "sessionid": "S", "host_login": "H", "other": "1"})
    target = upstream("none", forward_cookies=["token", "sessionid", "host_login", "other"])
    credentials = Credentials(private_cookies=frozenset({"token", "sessionid", "host_login"}))
    assert await credentials.headers(target, caller) == [(b"cookie", b"other=1")]


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "1; token=CT", "é"])
async def test_a_cookie_that_would_not_stay_one_is_left_out(value: str) -> None:
    caller = Caller(ANN, cookies={"a": value, "b": "1"})
    assert await sent(upstream("none", forward_cookies=["a", "b"]), caller) == {b"cookie": b"b=1"}


async def test_a_custom_cookie_header_replaces_the_callers_cookies() -> None:
    target = upstream("none", forward_cookies=["a"], headers={"Cookie": "fixed=1"})
    assert await sent(target, Caller(ANN, cookies={"a": "1"})) == {b"cookie": b"fixed=1"}
    assert not Credentials().per_user(target)


async def test_headers_given_out_are_the_callers_to_change() -> None:
    credentials, target = Credentials(), upstream(api_key="k")
    (await credentials.headers(target, None)).clear()
    assert await credentials.headers(target, None) == [(b"authorization", b"Bearer k")]


async def test_upstreams_that_differ_do_not_share_headers() -> None:
    credentials = Credentials()
    for number in range(3_000):
        target = upstream(api_key=f"k{number}")
        assert credentials.static(target) == ((b"authorization", f"Bearer k{number}".encode()),)


def test_static_headers_are_built_once() -> None:
    credentials, target = Credentials(), upstream(api_key="k")
    assert credentials.static(target) is credentials.static(target)


@pytest.mark.parametrize(
    ("upstream", "retry"),
    [
        (upstream(api_key="k"), False),
        (upstream("none"), False),
        (upstream("session"), False),
        (upstream("system_oauth"), True),
        (upstream("system_oauth", headers={"authorization": "Custom x"}), False),
        (upstream("azure_ad", headers={"authorization": "Custom x"}), False),
    ],
)
def test_after_a_401_only_what_can_be_renewed_is_tried_again(upstream: Upstream, retry: bool) -> None:
    assert Credentials().after_refusal(upstream, [(b"authorization", b"Bearer T1")]) is retry


async def test_a_refused_entra_token_that_is_new_is_not_asked_for_again(entra: TokenEndpoint) -> None:
    credentials, target = Credentials(), upstream("azure_ad")
    headers = await credentials.headers(target, None)
    assert not credentials.after_refusal(target, headers)
    assert await credentials.headers(target, None) == headers
    assert entra.requests == 1


@pytest.mark.parametrize(
    ("upstream", "per_user"),
    [
        (upstream(), False),
        (upstream("none"), False),
        (upstream("azure_ad"), False),
        (upstream("session"), True),
        (upstream("system_oauth"), True),
        (upstream(forward_cookies=["a"]), True),
        (upstream("session", headers={"authorization": "Custom x"}), False),
    ],
)
def test_lists_are_kept_per_user_where_the_upstream_sees_who_asks(upstream: Upstream, per_user: bool) -> None:
    credentials = Credentials()
    caller = Caller(ANN, authorization="T1", oauth=gives())
    assert credentials.per_user(upstream) is per_user
    assert (credentials.list_scope(upstream, caller) is not None) is per_user
    assert credentials.list_scope(upstream, None) is None


@pytest.mark.parametrize(
    ("target", "one", "other"),
    [
        (upstream("session"), Caller(ANN, authorization="x" * 999 + "1"), Caller(ANN, authorization="x" * 999 + "2")),
        (upstream("session"), Caller(ANN, authorization="T1"), Caller(BOB, authorization="T1")),
        (upstream("system_oauth"), Caller(ANN), Caller(BOB)),
        (upstream("none", forward_cookies=["a"]), Caller(ANN, cookies={"a": "1"}), Caller(ANN, cookies={"a": "2"})),
        (upstream("session"), Caller(User(id="a"), authorization="bc"), Caller(User(id="ab"), authorization="c")),
    ],
)
def test_callers_whom_the_upstream_tells_apart_share_no_list(target: Upstream, one: Caller, other: Caller) -> None:
    credentials = Credentials()
    assert credentials.list_scope(target, one) == credentials.list_scope(target, one)
    assert credentials.list_scope(target, one) != credentials.list_scope(target, other)


def test_the_scope_of_a_list_does_not_show_the_token() -> None:
    scope = Credentials().list_scope(upstream("session"), Caller(ANN, authorization="T1-secret"))
    assert scope is not None
    assert "T1-secret" not in scope


def test_a_new_oauth_token_of_the_same_user_keeps_the_list() -> None:
    credentials, target = Credentials(), upstream("system_oauth")
    scopes = {credentials.list_scope(target, Caller(ANN, authorization=token, oauth=gives(token))) for token in "12"}
    assert len(scopes) == 1


def test_a_session_caller_without_a_token_has_no_list() -> None:
    assert Credentials().list_scope(upstream("session"), Caller(ANN)) is None


def test_no_repr_shows_a_secret() -> None:
    caller = Caller(ANN, authorization="T1-secret", cookies={"a": "C-secret"})
    credentials = Credentials()
    credentials.static(upstream(api_key="K-secret", headers={"X-C": "H-secret"}))
    assert "secret" not in repr(caller) + repr(vars(credentials))


async def test_secrets_of_upstreams_that_are_no_more_are_let_go() -> None:
    credentials, kept, gone = Credentials(), upstream(api_key="k1"), upstream(api_key="k2")
    for each in (kept, gone):
        await credentials.headers(each, None)

    credentials.keep_only([kept])

    assert [plan.upstream for plan in credentials._plans.values()] == [kept]
    assert credentials.changes == 1
