"""Faults of an upstream for every kind of request: attempts are counted where they arrive, by method.

What is in ``test_faults`` for chats, here for requests without a body, for stored objects and for forms. A form is
streamed, and can be sent again while it is short.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import pytest

from openai_gateway_asgi import Gateway, Timeouts
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import (
    JSON,
    Call,
    WireScript,
    answer,
    close_before_headers,
    garbage,
    hang,
    head,
    refusing_url,
    reset,
)
from tests.reliability.clients import Client, request
from tests.reliability.gateways import ADMIN, MODEL, assert_error, at, make_gateway
from tests.support.asgi import Response, ask
from tests.support.leaks import lasting
from tests.support.servers import serve

LIMIT = 0.15
HASTY = Timeouts(first_event=LIMIT, answer=LIMIT, idle=LIMIT)
IN_TIME = 0.5

FORM = (
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + MODEL.encode() + b"\r\n"
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\nsound\r\n--x--\r\n'
)
MULTIPART = {"content-type": "multipart/form-data; boundary=x"}


@dataclass(frozen=True)
class Kind:
    """A kind of request, how often it may be asked of one upstream, and how often once it may have been executed."""

    method: str
    path: str
    options: Any = None
    executed: int = 3

    async def ask(self, gateway: Gateway) -> Response:
        options = dict(self.options or {})
        headers = {**ADMIN, **options.pop("headers", {})}
        return await ask(gateway, self.method, self.path, headers=headers, **options)


KINDS = [
    Kind("GET", "/v1/files"),
    Kind("GET", "/v1/files/file-1/content"),
    Kind("DELETE", "/v1/files/file-1"),
    Kind("POST", "/v1/batches", options={"json": {"input_file_id": "file-1"}}, executed=1),  # case 236
    Kind("POST", "/v1/responses/resp_1/cancel"),
    Kind("POST", "/v1/embeddings", options={"json": {"model": MODEL, "input": "Hello?"}}),
    Kind("POST", "/v1/audio/transcriptions", options={"body": FORM, "headers": MULTIPART}),  # case 240
]

FAULTS: dict[str, tuple[WireScript, int, str | None, bool]] = {
    # the answer's status and code, and whether the upstream may be asked again
    "close": (close_before_headers, 502, "upstream_unavailable", True),
    "reset": (reset, 502, "upstream_unavailable", True),
    "garbage": (garbage, 502, "upstream_unavailable", True),
    "500": (answer(500), 500, None, True),
    "429": (answer(429, (*JSON, (b"Retry-After-Ms", b"10"))), 429, None, True),
    "429-long": (answer(429, (*JSON, (b"Retry-After", b"30"))), 429, None, False),
    "401": (answer(401), 502, "upstream_credential", False),
    "404": (answer(404), 404, None, False),
    "hang": (hang, 504, "upstream_timeout", False),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.method}-{kind.path[4:]}")
async def test_a_fault_has_its_answer_and_its_attempts(kind: Kind, fault: str) -> None:
    script, status, code, again = FAULTS[fault]
    asked = (3 if fault == "429" else kind.executed) if again else 1
    async with FakeUpstream(wire=[*[script] * asked, answer(200, body=b'{"id": "1"}')]) as upstream:
        gateway = make_gateway([at(upstream)], timeouts=HASTY)

        async with lasting(0, IN_TIME + (LIMIT if script is hang else 0)):
            answered = await kind.ask(gateway)

        if code is None:
            assert (answered.status, answered.body) == (status, b"{}"), "the upstream's own"
        else:
            assert_error(answered, status, code)
        assert upstream.methods == Counter({kind.method: asked})
        if fault != "429-long":
            assert (await kind.ask(gateway)).body == b'{"id": "1"}'
        await gateway.aclose()


def asks_with_a_form(gateway: Gateway) -> Awaitable[Response]:
    return KINDS[-1].ask(gateway)


async def test_a_form_goes_to_the_next_upstream_while_nothing_of_it_was_sent() -> None:
    with refusing_url() as refusing:
        async with FakeUpstream(wire=[answer(200, body=b'{"id": "1"}')]) as upstream:
            gateway = make_gateway([at(refusing, name="refusing"), at(upstream, name="up")], settings={"retries": 0})
            assert (await asks_with_a_form(gateway)).body == b'{"id": "1"}'
            await gateway.aclose()


async def test_a_form_waits_in_no_line_while_another_upstream_would_take_it() -> None:
    async with FakeUpstream(wire=[hang]) as full, FakeUpstream(wire=[answer(200, body=b'{"id": "1"}')]) as upstream:
        gateway = make_gateway(
            [at(full, name="full", max_concurrency=1), at(upstream, name="up")], settings={"queue_time": 60}
        )
        first = asyncio.create_task(asks_with_a_form(gateway))
        await full.until_requests(1)
        async with asyncio.timeout(5):
            assert (await asks_with_a_form(gateway)).body == b'{"id": "1"}'
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await gateway.aclose()


async def refuse_and_close(call: Call) -> None:
    await call.send(head(413, (*JSON, (b"Connection", b"close"), (b"Content-Length", b"2"))) + b"{}")
    call.close()


async def refuse_and_reset(call: Call) -> None:
    await call.send(head(413, (*JSON, (b"Connection", b"close"), (b"Content-Length", b"2"))) + b"{}")
    call.reset()


@pytest.mark.parametrize("script", [refuse_and_close, refuse_and_reset])
async def test_an_upstream_that_refuses_an_upload_and_closes_is_heard_or_a_502(script: WireScript) -> None:
    """What the reset of a connection leaves of an answer is the kernel's to say."""
    async with FakeUpstream(wire=[script]) as upstream:
        gateway = make_gateway([at(upstream)], timeouts=HASTY)
        async with serve(gateway) as server:
            client = await Client.to(server)
            beginning = FORM.removesuffix(b"\r\n--x--\r\n") + b"a" * 400_000
            await client.send(
                request(
                    beginning,
                    path="/v1/audio/transcriptions",
                    content_type=b"multipart/form-data; boundary=x",
                    length=10_000_000,
                )
            )
            assert (await client.until(b"\r\n"))[9:12] in (b"413", b"502")
            await client.close()
        assert upstream.methods.keys() == {"POST"}  # so little of it had gone that it can be sent again
        await gateway.aclose()
