"""No answer that is changed on its way holds the event loop, or takes more memory than a text of its size does.

They are whole ones in JSON, up to the 16 MiB that are held at most. The gateway has a process to itself.
"""

from __future__ import annotations

import pytest

from openai_gateway_asgi.testing import Answer, FakeUpstream
from tests.reliability.clients import request
from tests.reliability.gateways import CHAT
from tests.reliability.hostile_answers import HOSTILE, PLAIN
from tests.reliability.hostile_bodies import RESPONSES
from tests.reliability.processes import run
from tests.reliability.test_hostile_bodies import MIB, Measured, faults_of, measured

ASKED = {
    CHAT: b'{"model":"%b","messages":[{"role":"user","content":"hi"}]}',
    RESPONSES: b'{"model":"%b","input":"hi"}',
}


async def assert_bounded(size: int, app: str, *, model: bytes = b"gpt", path: str = CHAT) -> None:
    given, asked = b"", request(ASKED[path] % model, path="/openai" + path, close=True)
    fake = FakeUpstream()
    fake.answer("/chat/completions", lambda came: Answer([given], 200, [("content-type", "application/json")]))
    async with fake, run("httptools", app, {"UPSTREAM_URL": fake.url, "WATCH_CALLBACKS": "1"}) as program:

        async def told(body: bytes) -> Measured:
            nonlocal given
            given = body
            return await measured(program, asked)

        await told(PLAIN.body(size))
        plain = await told(PLAIN.body(size))
        assert plain.said.startswith(b"HTTP/1.1 200"), plain.said[:500]
        faults: list[str] = []
        for name, made in HOSTILE.items():
            seen = await told(made.body(size))
            faults += faults_of(name, seen, plain, (200, 502))
        assert not faults, "\n".join(faults)


async def test_an_answer_that_filters_change_does_not_hold_the_loop() -> None:
    await assert_bounded(MIB, "redacted")


@pytest.mark.soak
@pytest.mark.parametrize("size", [1, 4, 15])
@pytest.mark.parametrize("app", ["filtered", "redacted"])
async def test_no_answer_that_filters_look_into_holds_the_loop(app: str, size: int) -> None:
    await assert_bounded(size * MIB, app)


@pytest.mark.soak
@pytest.mark.parametrize("size", [1, 4, 15])
async def test_no_answer_that_gets_a_presets_name_holds_the_loop(size: int) -> None:
    await assert_bounded(size * MIB, "named_by_a_preset", model=b"mine")


@pytest.mark.soak
@pytest.mark.parametrize("size", [1, 4, 8])
async def test_no_answer_that_is_translated_holds_the_loop(size: int) -> None:
    """Of a chat, told as a response."""
    await assert_bounded(size * MIB, "to_chat", path=RESPONSES)
