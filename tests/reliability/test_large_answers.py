"""No whole answer that is translated holds the event loop, however large it is. The gateway has a process to itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import answer
from tests.reliability.clients import Client, request
from tests.reliability.gateways import CHAT
from tests.reliability.hostile_bodies import RESPONSES
from tests.reliability.processes import run, vitals
from tests.reliability.test_hostile_bodies import STALL

MIB = 1024 * 1024
SIZE = 15 * MIB


def chat(message: bytes) -> bytes:
    choice = b'{"index":0,"message":{"role":"assistant",%b},"finish_reason":"stop"}' % message
    return b'{"id":"c","object":"chat.completion","created":1,"model":"gpt","choices":[%b]}' % choice


def response(item: bytes) -> bytes:
    return b'{"id":"r","object":"response","created_at":1,"model":"gpt","status":"completed","output":[%b]}' % item


Made = Callable[[bytes], bytes]

OF_CHAT: dict[str, Made] = {
    "text": lambda said: chat(b'"content":"%b"' % said),
    "thought": lambda said: chat(b'"content":"hi","reasoning_content":"%b"' % said),
    "call": lambda said: chat(
        b'"content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"%b"}}]' % said
    ),
}
OF_RESPONSES: dict[str, Made] = {
    "text": lambda said: response(
        b'{"type":"message","content":[{"type":"output_text","text":"%b","annotations":[]}]}' % said
    ),
    "thought": lambda said: response(b'{"type":"reasoning","summary":[{"type":"summary_text","text":"%b"}]}' % said),
    "call": lambda said: response(b'{"type":"function_call","call_id":"c","name":"f","arguments":"%b"}' % said),
}
SAID = {
    "lines": b"a line of text\\n",
    "JSON": b'{\\"a\\": \\"%b\\"}, ' % (b"some words " * 50),
    "letters": "жук ".encode(),
}
BODIES = {
    "to_chat": (RESPONSES, OF_CHAT, b'{"model":"gpt","input":"hi"}'),
    "to_responses": (CHAT, OF_RESPONSES, b'{"model":"gpt","messages":[{"role":"user","content":"hi"}]}'),
}


@pytest.mark.soak
@pytest.mark.parametrize("app", BODIES)
@pytest.mark.parametrize("spelt", SAID)
@pytest.mark.parametrize("kind", OF_CHAT)
async def test_no_large_answer_that_is_translated_holds_the_loop(app: str, kind: str, spelt: str) -> None:
    path, made, body = BODIES[app]
    told = made[kind](SAID[spelt] * (SIZE // len(SAID[spelt])))
    async with FakeUpstream(wire=[answer(body=told)]) as upstream:
        async with run("httptools", app, {"UPSTREAM_URL": upstream.url, "WATCH_CALLBACKS": "1"}) as program:
            seen = []
            for _ in range(2):  # what else the machine does cannot make the least of them too small
                await vitals(program)
                client = await Client.to(program)
                await client.send(request(body, path=f"/openai{path}", close=True))
                said = await client.rest(within=60)
                await client.close()
                assert said.startswith(b"HTTP/1.1 200 "), said[:500]
                assert len(said) > SIZE
                seen.append((await vitals(program))["longest"])
            assert min(seen) < STALL
