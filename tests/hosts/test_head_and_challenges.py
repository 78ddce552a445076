"""What HTTP itself asks of an answer, in every host and place: HEAD's length, and a challenge with each 401."""

from __future__ import annotations

import httpx
import pytest

from openai_gateway_asgi import Gateway, Upstream, everyone
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import JSON, answer
from tests.hosts.apps import Host, Place, resolve_user
from tests.support.asgi import ask

ADA = {"authorization": "Bearer ada-token"}
CHAT = {"model": "tiny-chat", "messages": []}


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/models", ADA),
        ("/models/tiny-chat", ADA),
        ("/models/unknown", ADA),
        ("/models", {}),
        ("/nothing", ADA),
        ("/embeddings", ADA),
        ("/config", ADA),
    ],
)
async def test_case_253_head_has_the_length_of_get_and_no_body(place: Place, path: str, who: dict[str, str]) -> None:
    async with httpx.AsyncClient(verify=False, trust_env=False, headers=who) as client:
        got = await client.get(place.url + path)
        head = await client.head(place.url + path)
        again = await client.get(place.url + path)  # on the same connection: nothing was left on it

    assert head.status_code == got.status_code == again.status_code
    assert head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.content))
    assert head.headers["content-type"] == got.headers["content-type"]


async def test_case_253_a_stranger_is_told_how_to_say_who_asks(host: Host, gateway: Gateway) -> None:
    if host.name == "fastapi-route":
        pytest.skip("strangers do not come past the route's own dependency")
    refusal = await ask(host.build(gateway), "POST", f"{host.prefix}/v1/chat/completions", json=CHAT, strict=False)

    assert (refusal.status, refusal.header("www-authenticate")) == (401, 'Bearer realm="OpenAI API"')


CHALLENGE = b'Bearer realm="up", error="invalid_token"'


@pytest.mark.parametrize(
    ("status", "challenges", "expected"),
    [
        (401, [CHALLENGE], CHALLENGE.decode()),
        (403, [b'Bearer error="insufficient_scope"'], 'Bearer error="insufficient_scope"'),
        (401, [CHALLENGE, b"DPoP"], f"{CHALLENGE.decode()}, DPoP"),
        (401, [], 'Bearer realm="OpenAI API"'),
        (403, [], None),
        (400, [CHALLENGE], None),
        # These would make a browser ask for a password on the host's own page.
        (401, [b'Basic realm="up"'], 'Bearer realm="OpenAI API"'),
        (401, [CHALLENGE, b"negotiate"], CHALLENGE.decode()),
        (401, [b'Bearer realm="up", NTLM'], 'Bearer realm="OpenAI API"'),
    ],
)
async def test_case_253_with_session_the_upstreams_own_challenge_arrives(
    status: int, challenges: list[bytes], expected: str | None
) -> None:
    headers = [*JSON, *((b"WWW-Authenticate", challenge) for challenge in challenges)]
    refusal = await chat_with("session", status, headers)

    assert (refusal.status, refusal.header("www-authenticate")) == (status, expected)


async def test_a_challenge_to_the_gateways_own_credential_stays_here() -> None:
    assert (await chat_with("bearer", 401, [*JSON, (b"WWW-Authenticate", CHALLENGE)])).status == 502
    refusal = await chat_with("bearer", 403, [*JSON, (b"WWW-Authenticate", CHALLENGE)])
    assert refusal.header("www-authenticate") is None


async def chat_with(auth_type: str, status: int, headers: list[tuple[bytes, bytes]]):
    async with FakeUpstream(wire=[answer(status, headers, b'{"error": {"message": "No."}}')]) as upstream:
        gateway = Gateway(
            [Upstream(f"{upstream.url}/v1", api_key="sk-up", auth_type=auth_type, model_ids=["tiny-chat"])],
            resolve_user=resolve_user,
            authorize_model=everyone,
        )
        async with gateway.lifespan():
            return await ask(gateway, "POST", "/chat/completions", json=CHAT, headers=ADA)


async def test_a_head_that_an_upstream_refuses_has_no_length_that_nobody_knows(upstream: FakeUpstream) -> None:
    async with FakeUpstream(wire=[answer(404, [*JSON, (b"X", b"y")], b"")]) as up:
        gateway = Gateway(
            [Upstream(f"{up.url}/v1", api_key="sk-up", model_ids=["m"])],
            resolve_user=resolve_user,
            authorize_model=everyone,
            authorize_group=lambda user, group: True,
        )
        async with gateway.lifespan():
            refusal = await ask(gateway, "HEAD", "/files/file-1", headers=ADA)

    assert (refusal.status, refusal.header("content-length"), refusal.body) == (404, None, b"")
