"""Who asks, as upstreams are told: headers with variables, signed tokens, stamps in bodies, lists of users' own."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from starlette.requests import Request

from openai_gateway_asgi import ConfigError, Gateway, GatewayConfig, Preset, Settings, Upstream, User, everyone
from openai_gateway_asgi.config import from_wire, to_wire
from openai_gateway_asgi.config.rules import identity
from openai_gateway_asgi.testing import FakeRequest
from openai_gateway_asgi.testing.answers import json_answer
from openai_gateway_asgi.upstream import signed_identity
from openai_gateway_asgi.upstream.signed_identity import SignedIdentity
from tests.bodies.multipart.forms import CONTENT_TYPE, FILE, field, form
from tests.cases.gateways import EAGER, MESSAGES, A, B, error_of, upstream_a, upstream_b, world

SHARED = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
SECRET = Settings(retries=0, identity_secret="0123456789abcdef")
PRIVATE = Ed25519PrivateKey.generate()
PEM = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def pem_of_another_kind() -> str:
    key = generate_private_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


# Headers


async def test_case_94_header_values_have_variables_which_are_encoded() -> None:
    """The whole of case 94: a comma and a pipe stay, line breaks and other letters are encoded, an int is a text."""
    told = {"X-C": "{user.name}|{context.chat_id}", "X-Key": "k-{user.id:hmac}", "X-Date": "{date}", "X-Five": "5"}
    ada = User("z 1", name="Zoë Ω,x", groups={"b", "a"})
    async with world(
        upstream_a("m1", headers=told | {"X-Groups": "{user.groups}", "X-Op": "{operation} {model}"}),
        settings=SECRET,
        resolve_user=lambda request: ada,
        context=lambda user, request: {"chat_id": "CH"},
    ) as it:
        assert (await it.chat("m1")).status == 200
        sent = it.upstream.last
        assert sent.header("x-c") == "Zo%C3%AB %CE%A9,x|CH"
        assert sent.header("x-five") == "5"
        assert sent.header("x-groups") == "a,b"
        assert sent.header("x-op") == "createChatCompletion m1"
        assert len(sent.header("x-key") or "") == 66
        assert sent.header("authorization") == "Bearer ka"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a\r\nX-Admin: 1", "a%0D%0AX-Admin: 1"),
        ("{user.email}", "{user.email}"),
        ("%0D%0AX: 1", "%250D%250AX: 1"),
        ("\x00\x7f", "%00%7F"),
        ("half \ud800", "half ?"),
        ("  ", None),
    ],
)
async def test_what_a_user_is_called_neither_breaks_a_header_nor_is_a_variable(name: str, value: str | None) -> None:
    mallory = User("m", name=name, email="secret@x.test")
    upstream = upstream_a("m1", headers={"X-Name": "{user.name}"})
    async with world(upstream, resolve_user=lambda request: mallory) as it:
        assert (await it.chat("m1")).status == 200
        assert it.upstream.last.header("x-name") == value
        assert it.upstream.last.header("x-admin") is None


async def test_no_client_can_send_what_says_who_asks() -> None:
    """Also where this call has no value for it."""
    upstream = upstream_a(
        "m1", headers={"X-Who": "{user.email}", "X-Chat": "{context.chat_id}"}, identity="jwt", identity_key=SHARED
    )
    settings = Settings(retries=0, forwarded_headers=("x-who", "x-chat", "x-other", "x-openwebui-*", "content-type"))
    async with world(
        upstream,
        settings=settings,
        resolve_user=lambda request: User("u1"),
        context=lambda user, request: {},
    ) as it:
        forged = {"x-who": "boss@x.test", "x-chat": "c9", "x-openwebui-user-jwt": "a.b.c", "x-other": "1"}
        assert (await it.chat("m1", headers=forged)).status == 200
        sent = it.upstream.last
        assert (sent.header("x-who"), sent.header("x-chat"), sent.header("x-other")) == (None, None, "1")
        assert sent.header("x-openwebui-user-jwt") != "a.b.c"


async def test_a_credential_without_its_value_refuses_the_call() -> None:
    upstream = upstream_a("m1", headers={"Authorization": "Bearer {context.token}"})
    contexts: list[dict[str, str]] = [{"token": "t1"}, {}]
    async with world(upstream, context=lambda user, request: contexts.pop(0)) as it:
        assert (await it.chat("m1")).status == 200
        assert it.upstream.last.header("authorization") == "Bearer t1"
        refused = await it.chat("m1")
        assert (refused.status, error_of(refused)["code"]) == (502, "upstream_credential")
        assert len(it.upstream.requests) == 1


@pytest.mark.parametrize("is_async", [False, True])
async def test_context_is_asked_once_for_a_call(is_async: bool) -> None:
    asked: list[str] = []

    def plain(user: User, request: Request) -> dict[str, str]:
        asked.append(user.id)
        return {"chat_id": "c7"}

    async def later(user: User, request: Request) -> dict[str, str]:
        return plain(user, request)

    context: Any = later if is_async else plain
    settings = Settings(retries=1, forward_user_info=True)
    async with world(upstream_a("m1", headers={"X-C": "{context.chat_id}"}), context=context, settings=settings) as it:
        it.upstream.script("m1", status=503)
        await it.chat("m1")
        assert len(it.upstream.requests) == 2
        assert it.upstream.last.header("x-c") == "c7"
        assert it.upstream.last.header("x-openwebui-chat-id") == "c7"
        assert asked == ["a1"]


async def test_speech_is_not_shared_where_the_upstream_hears_who_asks() -> None:
    async with world(upstream_a("m1", headers={"X-Who": "{user.id}"})) as it:
        for user in ("u1", "a1"):
            body = {"model": "m1", "input": "hello", "voice": "alloy"}
            await it.post("/audio/speech", body, headers={"x-test-user": user})
        assert [request.header("x-who") for request in it.upstream.requests] == ["u1", "a1"]


def test_the_origins_spellings_are_taken_from_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_BASE_URLS", A)
    monkeypatch.setenv("OPENAI_API_CONFIGS", json.dumps({"0": {"headers": {"X-C": "{{USER_ID}}", "X-N": 5}}}))
    gateway = Gateway(authorize_model=everyone)
    upstream = gateway._parts.live.store._config.upstreams[0]  # type: ignore[attr-defined]
    assert upstream.headers["X-C"] == "{user.id}"
    assert upstream.headers["X-N"] == "5"
    with pytest.raises(ConfigError, match="is no variable"):
        Upstream(A, headers={"X": "{user.password}"})


# Signed tokens


async def test_a_token_says_who_asks_beside_the_credential() -> None:
    ada = User("u1", name="Ada", email="ada@x.test", role="admin")
    upstreams = (
        upstream_a("m1", identity="jwt", identity_key=PEM),
        upstream_b("m2", identity="jwt", identity_key=SHARED, identity_header="X-Me"),
    )
    settings = Settings(retries=0, forward_user_info=True)
    async with world(*upstreams, resolve_user=lambda request: ada, settings=settings) as it:
        assert (await it.chat("m1")).status == 200
        sent = it.upstream.last
        token = sent.header("x-openwebui-user-jwt") or ""
        claims = jwt.decode(token, PUBLIC, algorithms=["EdDSA"], audience=A, issuer="openai-gateway-asgi")
        assert claims.pop("exp") - claims.pop("iat") == 60
        told = {"sub": "u1", "email": "ada@x.test", "name": "Ada", "role": "admin"}
        assert claims == {**told, "iss": "openai-gateway-asgi", "aud": A}
        assert sent.header("authorization") == "Bearer ka"
        assert sent.header("x-openwebui-user-name") is None  # what is signed need not be said again

        assert (await it.chat("m2")).status == 200
        claims = jwt.decode(it.upstream.last.header("x-me") or "", SHARED, algorithms=["HS256"], audience=B)
        assert claims["sub"] == "u1"

        assert (await it.chat("m1")).status == 200
        assert it.upstream.last.header("x-openwebui-user-jwt") == token


def test_a_token_is_kept_until_near_its_end_for_its_upstream_and_user_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr(signed_identity, "time", lambda: now[0])
    a = Upstream(A, identity="jwt", identity_key=SHARED)
    b = Upstream(B, identity="jwt", identity_key=OTHER)
    signed, user = SignedIdentity(), User("u1", name="Ann")
    first = signed.token(a, user)
    now[0] += 44
    assert signed.token(a, user) == first
    assert signed.token(b, user) != first
    assert signed.token(a, User("u1", name="Anne")) != first
    now[0] += 2
    assert signed.token(a, user) != first


def test_the_tokens_that_are_kept_are_bounded() -> None:
    signed, upstream = SignedIdentity(), Upstream(A, identity="jwt", identity_key=SHARED)
    for number in range(signed_identity.MOST_KEPT + 10):
        signed.token(upstream, User(f"u{number}"))
    assert len(signed._kept) == signed_identity.MOST_KEPT


async def test_a_failure_to_sign_refuses_the_call(caplog: pytest.LogCaptureFixture) -> None:
    odd = User("u1")
    object.__setattr__(odd, "email", b"no text")
    async with world(upstream_a("m1", identity="jwt", identity_key=SHARED), resolve_user=lambda request: odd) as it:
        refused = await it.chat("m1")
        assert (refused.status, error_of(refused)["code"]) == (502, "upstream_credential")
        assert not it.upstream.requests
        assert SHARED not in caplog.text


def test_without_pyjwt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"openai-gateway-asgi\[jwt\]") as raised:
        Gateway([Upstream(A, identity="jwt", identity_key=SHARED)], authorize_model=everyone)
    assert raised.value.code == "pyjwt_missing"


async def test_an_upstream_that_repeats_the_token_is_cut_short() -> None:
    async with world(upstream_a("m1", identity="jwt", identity_key=SHARED, headers={"X-W": "w-{user.name}"})) as it:
        seen: list[str] = []

        def repeats(request: FakeRequest) -> Any:
            seen.append(request.header("x-openwebui-user-jwt") or "")
            return json_answer({"error": {"message": f"bad token {seen[0]} of Ada", "type": "x"}}, 400)

        it.upstream.answer("/chat/completions", repeats)
        answer = await it.chat("m1")
        assert seen[0]
        assert seen[0] not in answer.text
        assert "of Ada" in answer.text  # a name is no secret


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"identity": "jwt"}, "identity_key"),
        ({"identity": "jwt", "identity_key": "short"}, "identity_key"),
        ({"identity": "jwt", "identity_key": None}, "identity_key"),
        ({"identity_key": SHARED}, "identity_key"),
        ({"identity": "saml"}, "identity"),
        ({"identity": "jwt", "identity_key": SHARED, "identity_header": "Authorization"}, "identity_header"),
        ({"identity": "jwt", "identity_key": SHARED, "headers": {"x-openwebui-user-jwt": "1"}}, "identity_header"),
        ({"stamp": ["user"]}, "stamp"),
        ({"stamp": {"model": "{user.id}"}}, "stamp.model"),
        ({"stamp": {"a.b.c": "x"}}, "stamp"),
        ({"stamp": {"User": "x"}}, "stamp"),
        ({"stamp": {"metadata": "{user.id}"}}, "stamp.metadata"),
        ({"stamp": {"temperature": "{user.id}"}}, "stamp.temperature"),
        ({"stamp": {"user": ""}}, "stamp.user"),
        ({"stamp": {"user": "{user.nope}"}}, "stamp.user"),
        ({"stamp": {f"f{n}": "x" for n in range(9)}}, "stamp"),
        ({"list_per_user": 1}, "list_per_user"),
    ],
)
def test_a_fault_is_told_by_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Upstream(A, **fields)
    assert raised.value.field == field
    assert SHARED not in str(raised.value)


def test_a_secret_belongs_to_one_upstream() -> None:
    def signing(url: str, key: str, **more: Any) -> Upstream:
        return Upstream(url, api_key="k", identity="jwt", identity_key=key, **more)

    for upstreams, settings in (
        ([signing(A, SHARED), signing(B, SHARED)], Settings()),
        ([signing(A, SHARED)], Settings(identity_secret=SHARED)),
    ):
        with pytest.raises(ConfigError) as raised:
            Gateway(upstreams, authorize_model=everyone, settings=settings)
        assert (raised.value.code, raised.value.field[-12:]) == ("shared_identity_key", "identity_key")
        assert SHARED not in str(raised.value)
    for fine in (
        [signing(A, SHARED), signing(A, SHARED, name="two")],
        [signing(A, SHARED), signing(B, SHARED, enabled=False)],
        [signing(A, PEM), signing(B, PEM)],
    ):
        Gateway(fine, authorize_model=everyone, settings=Settings(identity_secret=OTHER))
    for pem in (pem_of_another_kind(), "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----"):
        with pytest.raises(ConfigError) as raised:
            Gateway([signing(A, pem)], authorize_model=everyone)
        assert raised.value.code == "invalid_identity_key"


def test_administrators_see_a_mask_and_can_post_it_back() -> None:
    upstream = Upstream(A, identity="jwt", identity_key=SHARED, stamp={"user": "{user.id}"}, list_per_user=True)
    current = GatewayConfig(True, [upstream], version="1")
    posted = to_wire(current)
    entry = posted["OPENAI_API_CONFIGS"]["0"]
    assert SHARED not in json.dumps(posted)
    assert entry["identity_key"].endswith(SHARED[-4:])
    assert (entry["identity"], entry["stamp"], entry["list_per_user"]) == ("jwt", {"user": "{user.id}"}, True)
    assert from_wire(posted, current).upstreams == (upstream,)
    assert SHARED not in repr(upstream)


# Stamps


@pytest.mark.parametrize("rewrites", ["auto", "off"])
async def test_stamps_replace_what_the_client_wrote(rewrites: Any) -> None:
    """A forged ``safety_identifier``."""
    stamp = {"safety_identifier": "{user.id:hmac}", "metadata.team": "{user.groups}", "x_who": "{user.email}"}
    upstream = upstream_a("m1", stamp=stamp, rewrites=rewrites, drop_fields=["x_who"] if rewrites == "auto" else [])
    ada = User("u1", email="ada@x.test", groups={"b", "a"})
    async with world(upstream, settings=SECRET, resolve_user=lambda request: ada) as it:
        forged = {
            "safety_identifier": "boss",
            "SAFETY_identifier": "boss",
            "extra_body": {"safety_identifier": "boss", "metadata": {"Team": "board"}},
            "metadata": {"team": "board", "TEAM": "board", "other": "1"},
        }
        for path, body in (
            ("/chat/completions", {"messages": MESSAGES}),
            ("/responses", {"input": "x"}),
        ):
            assert (await it.post(path, {"model": "m1", **forged, **body})).status == 200
            sent = it.sent
            assert len(sent.pop("safety_identifier")) == 64
            assert sent["metadata"] == {"other": "1", "team": "a,b"}
            assert sent["x_who"] == "ada@x.test"
            assert "boss" not in json.dumps(sent)
            assert "board" not in json.dumps(sent)
        assert (await it.post("/embeddings", {"model": "m1", "input": "x", **forged})).status == 200
        assert it.sent == {"model": "m1", "input": "x", "extra_body": {"metadata": {}}, "metadata": {"other": "1"},
                           "x_who": "ada@x.test"}  # fmt: skip


@pytest.mark.parametrize("rewrites", ["auto", "off"])
async def test_in_forms_nobody_forges_them_either_and_the_apis_own_fields_are_set(rewrites: Any) -> None:
    stamp = {"user": "{user.id}", "x_who": "{user.email}", "metadata.team": "{user.groups}"}
    upstream, presets = upstream_a("m1", stamp=stamp, rewrites=rewrites), [Preset("p", base="m1", params={"user": "p"})]
    ada = User("u1", email="ada@x.test")
    headers = {"content-type": CONTENT_TYPE.decode()}
    forged = [field(name, b"boss") for name in ("user", "USER", "user[]", "x_who")]
    async with world(upstream, presets=presets, resolve_user=lambda request: ada) as it:
        for model in (b"m1", b"p"):
            for path, stamped in (("/images/edits", {"user": "u1"}), ("/audio/transcriptions", {})):
                body = form(field("model", model), *forged, field("prompt", b"x"), FILE)
                assert (await it.post_bytes(path, body, headers=headers)).status == 200
                assert it.upstream.last.form == {"model": "m1", "prompt": "x", **stamped}


async def test_stamps_keep_to_the_lengths_of_the_api() -> None:
    long = User("u" * 200, name="n" * 600)
    stamp = {"safety_identifier": "{user.id}", "metadata.name": "{user.name}", "metadata.mail": "{user.email}"}
    async with world(upstream_a("m1", stamp=stamp), resolve_user=lambda request: long) as it:
        await it.chat("m1", metadata=None)
        assert len(it.sent["safety_identifier"]) == 64
        assert it.sent["metadata"] == {"name": "n" * 512}  # what is empty is left out
        await it.chat("m1", metadata="text")
        assert it.sent["metadata"] == {"name": "n" * 512}
        full = {f"k{number}": "v" for number in range(16)}
        refused = await it.chat("m1", metadata=full)
        assert (refused.status, error_of(refused)["param"]) == (400, "metadata")
        assert "14 pairs" in error_of(refused)["message"]


# Lists


async def test_lists_per_user_are_asked_with_identity_and_kept_apart() -> None:
    upstream = Upstream(A, name="A", headers={"X-Who": "{user.id}"}, list_per_user=True)
    async with world(upstream) as it:

        def lists(request: FakeRequest) -> Any:
            who = request.header("x-who")
            return json_answer({"data": [{"id": "common"}, {"id": f"own-{who}"}]})

        it.upstream.answer("/models", lists)
        for user in ("u1", "a1", "u1"):
            listed = json.loads((await it.ask("GET", "/models", headers={"x-test-user": user})).body)["data"]
            assert [model["id"] for model in listed] == ["common", f"own-{user}"]
        assert len(it.upstream.calls("/models")) == 2
        assert (await it.chat("own-u1", headers={"x-test-user": "u1"})).status == 200
        assert (await it.chat("own-u1", headers={"x-test-user": "a1"})).status == 404


async def test_a_shared_list_is_asked_without_anybodys_identity() -> None:
    upstream = Upstream(
        A, name="A", headers={"X-Who": "{user.id}", "X-Plain": "1"}, identity="jwt", identity_key=SHARED
    )
    async with world(upstream) as it:
        assert (await it.ask("GET", "/models")).status == 200
        sent = it.upstream.calls("/models")[0]
        assert (sent.header("x-who"), sent.header("x-openwebui-user-jwt"), sent.header("x-plain")) == (None, None, "1")


# Tokens of the caller's own


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("resolves_async", [False, True])
async def test_the_callers_own_token_may_come_from_the_host(is_async: bool, resolves_async: bool) -> None:
    """So that callers with a cookie or ``x-api-key`` can use upstreams that want their bearer token."""

    def plain(user: User, request: Request) -> str | None:
        return {"u1": "token-of-u1", "odd": "a\nb"}.get(user.id)

    async def later(user: User, request: Request) -> str | None:
        return plain(user, request)

    def who(request: Request) -> User | None:
        return User(request.headers["x-api-key"])

    async def who_later(request: Request) -> User | None:
        return who(request)

    upstreams = upstream_a("m1", auth_type="session"), upstream_b("m2")
    async with world(
        *upstreams,
        session_token=later if is_async else plain,
        resolve_user=who_later if resolves_async else who,
    ) as it:
        assert (await it.chat("m1", headers={"x-api-key": "u1"})).status == 200
        assert it.upstream.last.header("authorization") == "Bearer token-of-u1"
        assert (await it.chat("m1", headers={"x-api-key": "u2", "authorization": "Bearer own"})).status == 200
        assert it.upstream.last.header("authorization") == "Bearer own"
        assert (await it.chat("m1", headers={"x-api-key": "u2"})).status == 401
        assert (await it.chat("m1", headers={"x-api-key": "odd"})).status == 502
        assert (await it.chat("m2", headers={"x-api-key": "u2"})).status == 200


async def test_without_such_upstreams_nobody_asks_for_tokens() -> None:
    asked: list[str] = []

    def token(user: User, request: Request) -> str | None:
        asked.append(user.id)
        return None

    async with world(upstream_a("m1"), session_token=token, settings=EAGER) as it:
        assert (await it.chat("m1")).status == 200
        assert not asked
