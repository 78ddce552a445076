"""Against a real ``DefaultAzureCredential`` that asks a token endpoint on loopback."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from openai_gateway_asgi.config.upstream import Upstream
from openai_gateway_asgi.errors import UpstreamCredentialError
from openai_gateway_asgi.upstream.entra import (
    CLASSIC_SCOPE,
    FOUNDRY_SCOPE,
    EntraTokens,
    default_scope,
)
from tests.support.token_endpoint import TOKEN_STEM, TokenEndpoint, token_endpoint

FIRST, SECOND, THIRD = (TOKEN_STEM + number for number in "123")

COLD_START = f"""
import asyncio, gc, sys
from openai_gateway_asgi.upstream.entra import EntraTokens

assert "azure.identity" not in sys.modules
gc.disable()  # what it ends would be ended in whichever thread it runs
packages = set()

def note(frame, event, argument):
    packages.add(frame.f_globals.get("__name__", "").partition(".")[0])

async def main():
    tokens = EntraTokens(deadline=60)
    await asyncio.gather(*(tokens.token({CLASSIC_SCOPE!r}) for _ in range(100)))
    await tokens.aclose()

sys.setprofile(note)  # of this thread alone
asyncio.run(main())
sys.setprofile(None)
assert "azure.identity" in sys.modules
print(*packages)
"""
"""Prints the packages of which the event loop's thread has run anything."""


class World:
    """Time as the gateway and azure-identity see it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._slept = self._jumped = 0.0
        real_time = time.time
        monkeypatch.setattr(time, "time", lambda: real_time() + self._slept + self._jumped)

    def tokens(self, *, deadline: float = 10.0) -> EntraTokens:
        return EntraTokens(
            deadline=deadline,
            min_interval=30.0,
            failure_ttl=5.0,
            wall=lambda: time.time(),
            monotonic=lambda: time.monotonic() + self._slept,
        )

    def pass_by(self, seconds: float) -> None:
        self._slept += seconds

    def set_clock(self, seconds: float) -> None:
        """Moves the wall clock alone, forward or back."""
        self._jumped += seconds


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """No token's time is that of the library's import, which a busy machine may take long over."""
    importlib.import_module("azure.identity")


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenEndpoint]:
    with token_endpoint(monkeypatch) as endpoint:
        yield endpoint
    join_fetching_threads()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def fetching_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "entra-token"]


def join_fetching_threads() -> None:
    for thread in fetching_threads():
        thread.join(timeout=10)
    assert fetching_threads() == []


async def fetches_ended() -> None:
    await asyncio.to_thread(join_fetching_threads)


async def refused(tokens: EntraTokens) -> None:
    with pytest.raises(UpstreamCredentialError):
        await tokens.token(CLASSIC_SCOPE)


async def test_a_hundred_callers_cost_one_token_request(endpoint: TokenEndpoint) -> None:
    tokens = EntraTokens()
    assert await asyncio.gather(*(tokens.token(CLASSIC_SCOPE) for _ in range(100))) == [FIRST] * 100
    assert [await tokens.token(CLASSIC_SCOPE) for _ in range(100)] == [FIRST] * 100
    assert endpoint.resources == ["https://cognitiveservices.azure.com"]


async def test_each_scope_has_its_own_token(endpoint: TokenEndpoint) -> None:
    tokens = EntraTokens()
    assert [await tokens.token(CLASSIC_SCOPE), await tokens.token(FOUNDRY_SCOPE)] == [FIRST, SECOND]
    assert endpoint.resources == ["https://cognitiveservices.azure.com", "https://ai.azure.com"]


def test_a_cold_start_is_one_token_request_and_import_credential_and_waiting_are_another_threads(
    endpoint: TokenEndpoint,
) -> None:
    child = subprocess.run([sys.executable, "-c", COLD_START], capture_output=True, text=True, check=True)
    packages = set(child.stdout.split())
    assert packages >= {"asyncio", "openai_gateway_asgi"}
    assert not packages & {"azure", "msal", "requests", "urllib3", "http"}
    assert endpoint.resources == ["https://cognitiveservices.azure.com"]


async def test_a_caller_who_leaves_disturbs_nobody(endpoint: TokenEndpoint) -> None:
    endpoint.gate.clear()
    tokens = EntraTokens()
    first, *others = [asyncio.create_task(tokens.token(CLASSIC_SCOPE)) for _ in range(5)]
    await asyncio.to_thread(endpoint.wait_for, 1)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    endpoint.gate.set()
    assert await asyncio.gather(*others) == [FIRST] * 4


async def test_a_token_that_comes_after_everyone_left_serves_the_next(endpoint: TokenEndpoint) -> None:
    endpoint.gate.clear()
    tokens = EntraTokens()
    caller = asyncio.create_task(tokens.token(CLASSIC_SCOPE))
    await asyncio.to_thread(endpoint.wait_for, 1)
    caller.cancel()
    await asyncio.wait([caller])
    endpoint.gate.set()
    assert await tokens.token(CLASSIC_SCOPE) == FIRST
    assert endpoint.requests == 1


def test_event_loops_share_one_token_request(endpoint: TokenEndpoint) -> None:
    endpoint.delay = 0.2
    tokens = EntraTokens()

    async def callers() -> list[str]:
        return await asyncio.gather(*(tokens.token(CLASSIC_SCOPE) for _ in range(25)))

    with ThreadPoolExecutor(4) as pool:
        rounds = list(pool.map(lambda _: asyncio.run(callers()), range(4)))
    assert rounds == [[FIRST] * 25] * 4
    assert endpoint.requests == 1


def test_tokens_survive_the_end_of_an_event_loop(endpoint: TokenEndpoint, world: World) -> None:
    tokens = world.tokens()
    assert asyncio.run(tokens.token(CLASSIC_SCOPE)) == FIRST
    assert asyncio.run(tokens.token(CLASSIC_SCOPE)) == FIRST
    world.pass_by(3600)
    assert asyncio.run(tokens.token(CLASSIC_SCOPE)) == SECOND


@pytest.mark.parametrize(
    ("lifetime", "renewed_after"),
    [(3_600, 3_300), (86_400, 43_200), (200, 100)],
    ids=["five minutes before its end", "at half of a long life, as azure-identity asks", "at half of a short life"],
)
async def test_a_token_is_renewed_early_in_the_background(
    endpoint: TokenEndpoint, world: World, lifetime: float, renewed_after: float
) -> None:
    endpoint.lifetime = lifetime
    tokens = world.tokens()
    await tokens.token(CLASSIC_SCOPE)
    world.pass_by(renewed_after - 10)
    assert await tokens.token(CLASSIC_SCOPE) == FIRST
    await fetches_ended()
    assert endpoint.requests == 1
    world.pass_by(15)
    endpoint.gate.clear()
    assert await tokens.token(CLASSIC_SCOPE) == FIRST
    await asyncio.to_thread(endpoint.wait_for, 2)
    assert await tokens.token(CLASSIC_SCOPE) == FIRST
    endpoint.gate.set()
    await fetches_ended()
    assert await tokens.token(CLASSIC_SCOPE) == SECOND
    assert endpoint.requests == 2


async def test_an_endpoint_that_issues_short_lived_tokens_is_not_asked_for_every_call(
    endpoint: TokenEndpoint, world: World
) -> None:
    endpoint.lifetime = 40
    tokens = world.tokens()
    await tokens.token(CLASSIC_SCOPE)
    world.pass_by(25)
    assert [await tokens.token(CLASSIC_SCOPE) for _ in range(10)] == [FIRST] * 10
    await fetches_ended()
    assert endpoint.requests == 1
    world.pass_by(6)
    assert await tokens.token(CLASSIC_SCOPE) == FIRST
    await fetches_ended()
    assert await tokens.token(CLASSIC_SCOPE) == SECOND
    assert endpoint.requests == 2


async def test_the_old_token_serves_while_it_is_valid_and_renewal_fails(
    endpoint: TokenEndpoint, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = world.tokens()
    await tokens.token(CLASSIC_SCOPE)
    endpoint.status, endpoint.broken = 400, b'{"message": "down"}'
    world.pass_by(3_301)
    assert await tokens.token(CLASSIC_SCOPE) == FIRST
    await fetches_ended()
    assert "No Entra ID token" in caplog.text
    assert [await tokens.token(CLASSIC_SCOPE) for _ in range(10)] == [FIRST] * 10
    await fetches_ended()
    assert endpoint.requests == 2

    world.pass_by(31)
    assert await tokens.token(CLASSIC_SCOPE) == FIRST
    await asyncio.to_thread(endpoint.wait_for, 3)

    world.pass_by(300)
    await refused(tokens)


async def test_a_token_is_not_used_in_its_last_moments(endpoint: TokenEndpoint, world: World) -> None:
    tokens = world.tokens()
    await tokens.token(CLASSIC_SCOPE)
    world.pass_by(3_596)
    assert await tokens.token(CLASSIC_SCOPE) == SECOND


async def test_a_wall_clock_set_back_does_not_revive_an_expired_token(endpoint: TokenEndpoint, world: World) -> None:
    tokens = world.tokens()
    await tokens.token(CLASSIC_SCOPE)
    world.set_clock(-86_400)
    world.pass_by(3_600)
    assert await asyncio.gather(*(tokens.token(CLASSIC_SCOPE) for _ in range(10))) == [SECOND] * 10


async def test_a_wall_clock_set_back_does_not_prolong_a_token(endpoint: TokenEndpoint, world: World) -> None:
    tokens = world.tokens()
    await tokens.token(CLASSIC_SCOPE)
    world.set_clock(-86_400)
    world.pass_by(3_301)
    assert await tokens.token(CLASSIC_SCOPE) == FIRST
    await fetches_ended()
    assert endpoint.requests == 1, "azure-identity's cache, which goes by the wall clock, gave the same token again"
    world.pass_by(299)
    assert await tokens.token(CLASSIC_SCOPE) == SECOND


async def test_a_machine_that_slept_does_not_use_what_expired_meanwhile(endpoint: TokenEndpoint, world: World) -> None:
    tokens = world.tokens()
    await tokens.token(CLASSIC_SCOPE)
    world.set_clock(3_600)
    assert await tokens.token(CLASSIC_SCOPE) == SECOND


FAILURES = {
    "an error status": (400, b'{"statusCode": 400, "message": "No identity"}'),
    "a server error": (500, b'{"statusCode": 500, "message": "down"}'),
    "no JSON": (200, b"<html>"),
    "broken JSON": (200, b'{"access_token": "' + FIRST.encode()),
    "no expiry": (200, b'{"access_token": "' + FIRST.encode() + b'"}'),
    "an expired token": (200, b'{"access_token": "' + FIRST.encode() + b'", "expires_on": "1700000000"}'),
    "a list": (200, b"[]"),
    "nothing": (200, b""),
}


@pytest.mark.parametrize(("status", "broken"), FAILURES.values(), ids=FAILURES.keys())
async def test_a_failing_endpoint_is_asked_once_in_a_while_and_then_recovers(
    endpoint: TokenEndpoint, world: World, status: int, broken: bytes
) -> None:
    endpoint.status, endpoint.broken = status, broken
    tokens = world.tokens()
    errors = await asyncio.gather(*(tokens.token(CLASSIC_SCOPE) for _ in range(20)), return_exceptions=True)
    assert {type(error) for error in errors} == {UpstreamCredentialError}
    assert endpoint.requests == 1

    endpoint.broken = None
    await refused(tokens)
    await fetches_ended()
    assert endpoint.requests == 1
    world.pass_by(5.1)
    assert await tokens.token(CLASSIC_SCOPE) == FIRST


@pytest.mark.parametrize(("status", "broken"), FAILURES.values(), ids=FAILURES.keys())
async def test_a_failure_is_logged_once_and_no_message_shows_a_token(
    endpoint: TokenEndpoint, status: int, broken: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.status, endpoint.broken = status, broken
    tokens = EntraTokens()
    errors = await asyncio.gather(*(tokens.token(CLASSIC_SCOPE) for _ in range(20)), return_exceptions=True)
    ours = [record.getMessage() for record in caplog.records if record.name == "openai_gateway_asgi"]
    assert len(ours) == 1
    assert CLASSIC_SCOPE in ours[0]
    for text in [*ours, *map(str, errors)]:
        assert TOKEN_STEM not in text
    assert {str(error) for error in errors} == {
        "The gateway could not obtain a credential for the upstream of this model."
    }


async def test_an_endpoint_that_refuses_connections_is_a_failure(
    endpoint: TokenEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/msi/token")
    await refused(EntraTokens())


async def test_a_hanging_endpoint_costs_the_deadline_and_then_recovers(endpoint: TokenEndpoint, world: World) -> None:
    endpoint.gate.clear()
    tokens = world.tokens(deadline=0.2)
    async with asyncio.timeout(5):
        await asyncio.gather(*(refused(tokens) for _ in range(20)))
    await fetches_ended()
    asked = endpoint.requests
    await refused(tokens)
    await fetches_ended()
    assert endpoint.requests == asked

    endpoint.gate.set()
    world.pass_by(5.1)
    assert (await tokens.token(CLASSIC_SCOPE)).startswith(TOKEN_STEM)
    assert endpoint.requests == asked + 1


async def test_a_token_that_comes_after_the_deadline_ends_the_failure(endpoint: TokenEndpoint, world: World) -> None:
    endpoint.gate.clear()
    tokens = world.tokens(deadline=0.2)
    await refused(tokens)
    endpoint.gate.set()
    await fetches_ended()
    asked = endpoint.requests
    assert (await tokens.token(CLASSIC_SCOPE)).startswith(TOKEN_STEM)
    assert endpoint.requests == asked


async def test_a_refused_token_is_replaced_by_a_new_credential(endpoint: TokenEndpoint, world: World) -> None:
    tokens = world.tokens()
    await tokens.token(CLASSIC_SCOPE)
    world.pass_by(31)
    assert tokens.invalidate(CLASSIC_SCOPE, FIRST)
    assert await tokens.token(CLASSIC_SCOPE) == SECOND
    assert tokens.invalidate(CLASSIC_SCOPE, FIRST), "others who were refused with it may try the new one"
    assert await tokens.token(CLASSIC_SCOPE) == SECOND
    assert endpoint.requests == 2


async def test_a_token_refused_at_once_is_not_fetched_again_for_every_call(
    endpoint: TokenEndpoint, world: World
) -> None:
    tokens = world.tokens()
    await tokens.token(CLASSIC_SCOPE)
    assert not tokens.invalidate(CLASSIC_SCOPE, FIRST)
    assert await tokens.token(CLASSIC_SCOPE) == FIRST
    world.pass_by(31)
    assert tokens.invalidate(CLASSIC_SCOPE, FIRST)
    assert await tokens.token(CLASSIC_SCOPE) == SECOND
    assert not tokens.invalidate(CLASSIC_SCOPE, SECOND)


async def test_what_is_closed_works_again(endpoint: TokenEndpoint, world: World) -> None:
    tokens = world.tokens()
    await tokens.aclose()
    await tokens.token(CLASSIC_SCOPE)
    await tokens.aclose()
    assert await tokens.token(CLASSIC_SCOPE) == FIRST
    world.pass_by(3_600)
    assert await tokens.token(CLASSIC_SCOPE) == SECOND


@pytest.mark.parametrize(
    ("base_url", "scope"),
    [
        ("https://r.openai.azure.com", CLASSIC_SCOPE),
        ("https://r.cognitiveservices.azure.com", CLASSIC_SCOPE),
        ("https://r.services.ai.azure.com/models", CLASSIC_SCOPE),
        ("https://r.openai.azure.com/openai/v1", FOUNDRY_SCOPE),
        ("https://r.services.ai.azure.com/openai/v1", FOUNDRY_SCOPE),
        ("https://r.services.ai.azure.com/api/projects/p", FOUNDRY_SCOPE),
        ("https://gateway.example/team/openai/v1", FOUNDRY_SCOPE),
        ("https://r.openai.azure.us", "https://cognitiveservices.azure.us/.default"),
        ("https://r.openai.azure.us/openai/v1", "https://cognitiveservices.azure.us/.default"),
        ("https://r.openai.azure.cn:8443", "https://cognitiveservices.azure.cn/.default"),
        ("https://r.openai.azure.us.example", CLASSIC_SCOPE),
    ],
)
def test_the_scope_follows_cloud_and_kind_of_path(base_url: str, scope: str) -> None:
    assert default_scope(Upstream(base_url, provider="azure", auth_type="azure_ad")) == scope


def test_a_scope_that_is_configured_is_the_one() -> None:
    custom = Upstream(
        "https://r.openai.azure.us/openai/v1", auth_type="azure_ad", token_scope="https://x.example/.default"
    )
    assert default_scope(custom) == "https://x.example/.default"
