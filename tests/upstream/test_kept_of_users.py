"""What is kept of users: as long as nothing that is known of them changes, for so many, and for no other upstream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jwt
import pytest

from openai_gateway_asgi import Settings, Upstream, User
from openai_gateway_asgi.upstream import kept_of_users, signed_identity, telling
from openai_gateway_asgi.upstream.kept_of_users import KeptOfUsers
from tests.cases.gateways import A, upstream_a, world

KEY = "0123456789abcdef0123456789abcdef"
TOLD: dict[str, Any] = {
    "headers": {"X-User": "{user.name}", "X-Groups": "{user.groups}", "X-Op": "{operation}"},
    "stamp": {"metadata.team": "{user.groups}", "safety_identifier": "{user.id:hmac}"},
    "identity": "jwt",
    "identity_key": KEY,
}
ANN = User("u1", name="Ann", email="ann@x.test", groups={"a"})


@pytest.mark.parametrize(
    "after",
    [
        ANN,
        User("u2", name="Ann", email="ann@x.test", groups={"a"}),
        replace(ANN, name="Anne"),
        replace(ANN, email="anne@x.test"),
        replace(ANN, role="admin"),
        replace(ANN, groups={"a", "b"}),
        replace(ANN, name="n" * 5000),
        User("u3", email=None, name=None),  # type: ignore[arg-type]  # as hosts have it
    ],
)
async def test_each_call_tells_of_its_own_user(after: User) -> None:
    asking = [ANN]
    async with world(
        upstream_a("m1", **TOLD),
        settings=Settings(retries=0, identity_secret="0123456789abcdef"),
        resolve_user=lambda request: asking[0],
    ) as it:
        for user in (ANN, after, after, ANN):
            asking[0] = user
            for path, body in (("/chat/completions", {"messages": []}), ("/responses", {"input": "x"})):
                assert (await it.post(path, {"model": "m1", **body})).status == 200
                sent = it.upstream.last
                assert sent.header("x-user") == (user.name or None)
                assert sent.header("x-groups") == (",".join(sorted(user.groups)) or None)
                assert sent.header("x-op") == ("createChatCompletion" if "chat" in path else "createResponse")
                claims = jwt.decode(sent.header("x-openwebui-user-jwt") or "", KEY, algorithms=["HS256"], audience=A)
                assert (claims["sub"], claims["name"], claims["role"]) == (user.id, user.name, user.role)
                assert it.sent.get("metadata") == ({"team": ",".join(sorted(user.groups))} if user.groups else None)
                assert len(it.sent["safety_identifier"]) == 64


async def test_a_token_goes_out_only_while_it_is_good_for_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_800_000_000.0]
    for module in (signed_identity, telling):
        monkeypatch.setattr(module, "time", lambda: now[0])
    async with world(upstream_a("m1", **TOLD), settings=Settings(identity_secret="0123456789abcdef")) as it:
        seen = []
        for _ in range(3):
            await it.chat("m1")
            seen.append(it.upstream.last.header("x-openwebui-user-jwt"))
            now[0] += signed_identity.LIFETIME - signed_identity.NEAR_END - 1
        assert seen[0] == seen[1] != seen[2]


async def test_what_an_update_changes_is_told_at_once() -> None:
    async with world(upstream_a("m1", stamp={"user": "{user.id}"}, headers={"X-Who": "{user.id}"})) as it:
        await it.chat("m1")
        assert (it.sent["user"], it.upstream.last.header("x-who")) == ("a1", "a1")
        posted = (await it.ask("GET", "/config")).json()
        posted["OPENAI_API_KEYS"] = ["ka"]
        posted["OPENAI_API_CONFIGS"]["0"] |= {"stamp": {"user": "<{user.id}>"}, "headers": {"X-Who": "-{user.id}-"}}
        assert (await it.post("/config/update", posted)).status == 200
        await it.chat("m1")
        assert (it.sent["user"], it.upstream.last.header("x-who")) == ("<a1>", "-a1-")


def test_those_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_of_users, "MOST_USERS", 8)
    kept: KeptOfUsers[int] = KeptOfUsers()
    upstream = Upstream(A)
    for number in range(100):
        kept.keep(upstream, "x", User(f"u{number}"), number)
        assert kept.get(upstream, "x", User(f"u{number}")) == number
        assert len(kept._kept) <= 8
    kept.keep(upstream, "x", User("long", name="n" * kept_of_users.LONGEST), 1)
    assert kept.get(upstream, "x", User("long", name="n" * kept_of_users.LONGEST)) is None
    assert kept.get(Upstream(A), "x", User("u99")) is None
    kept.forget()
    assert kept.get(upstream, "x", User("u99")) is None
