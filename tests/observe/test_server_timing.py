"""``Server-Timing``: where the time went until the answer began, for whom the settings allow it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from openai_gateway_asgi import Settings, User
from openai_gateway_asgi.testing import error_answer, json_answer, stream_answer
from tests.cases.gateways import USERS, chat, upstream_a, upstream_b, world
from tests.support.asgi import Response

CHAT = "/chat/completions"
SLOW = 0.06


def timing(response: Response) -> dict[str, float]:
    """By name, in seconds."""
    value = response.header("server-timing")
    assert value is not None
    parts = [part.split(";dur=") for part in value.split(", ")]
    return {name: float(milliseconds) / 1000 for name, milliseconds in parts}


async def slowly(request: Any) -> Any:
    await asyncio.sleep(SLOW)
    return json_answer({})


async def slow_user(request: Request) -> User:
    await asyncio.sleep(SLOW)
    return USERS["a1"]


async def test_the_time_of_the_upstream() -> None:
    async with world() as w:
        w.upstream.answer(CHAT, slowly)
        spent = timing(await w.chat())
    assert list(spent) == ["queue", "auth", "upstream", "gateway"]
    assert spent["upstream"] >= SLOW - 0.001
    assert spent["queue"] == 0


async def test_the_time_of_attempts_that_failed_is_the_upstreams_too() -> None:
    async def fails(request: Any) -> Any:
        await asyncio.sleep(SLOW)
        return error_answer(503)

    async with world(upstream_a(), upstream_b()) as w:
        w.upstream.answer(CHAT, fails, slowly)
        assert timing(await w.chat())["upstream"] >= 2 * SLOW - 0.002


async def test_the_time_of_who_asks_and_whether_they_may() -> None:
    async def allows(user: User, model: Any) -> bool:
        await asyncio.sleep(SLOW)
        return True

    async with world(resolve_user=slow_user, authorize_model=allows) as w:
        assert timing(await w.chat())["auth"] >= 2 * SLOW - 0.002


async def test_the_time_in_the_queue_of_an_upstream() -> None:
    async with world(upstream_a(max_concurrency=1)) as w:
        w.upstream.answer(CHAT, slowly)
        first, second = await asyncio.gather(w.chat(), w.chat())
        assert timing(first)["queue"] < SLOW / 2
        assert timing(second)["queue"] >= SLOW / 2


async def test_a_stream_tells_it_up_to_its_first_byte() -> None:
    async with world() as w:
        w.upstream.answer(CHAT, stream_answer([b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n']))
        assert timing(await w.chat(stream=True))["upstream"] > 0


async def test_speech_that_is_shared_tells_what_was_waited_for() -> None:
    async with world() as w:
        w.upstream.answer("/audio/speech", slowly)
        spent = timing(await w.post("/audio/speech", {"model": "m1", "input": "hi", "voice": "alloy"}))
    assert spent["upstream"] >= SLOW / 2


async def test_errors_of_the_gateways_own_tell_it_as_well() -> None:
    async with world() as w:
        spent = timing(await w.chat("unknown"))
    assert spent["upstream"] == 0


@pytest.mark.parametrize(
    ("setting", "admin", "user"), [("admins", True, False), ("all", True, True), ("nobody", False, False)]
)
async def test_who_sees_it(setting: Any, admin: bool, user: bool) -> None:
    async with world(settings=Settings(show_routing=setting)) as w:
        for name, seen in (("a1", admin), ("u1", user)):
            answer = await w.post(CHAT, chat(), headers={"x-test-user": name})
            assert (answer.header("server-timing") is not None) is seen


async def test_strangers_see_none_unless_everyone_does() -> None:
    async with world(resolve_user=lambda request: None) as w:
        assert (await w.chat()).header("server-timing") is None
    async with world(resolve_user=lambda request: None, settings=Settings(show_routing="all")) as w:
        assert timing(await w.chat())["auth"] >= 0
