"""The other servers, hypercorn and granian: clients that leave at every stage, as with uvicorn, and the end.

Their loads are in ``test_load``. All of it is run with ``-m soak``.
"""

from __future__ import annotations

import pytest

from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import sse
from tests.reliability.clients import Client, request
from tests.reliability.gateways import CHAT, chat
from tests.reliability.leaving import EVENTS, STAGES, Play, Stage, leave_at, needs_list
from tests.reliability.processes import OTHERS, run, vitals
from tests.support.servers import Program


class FarSite:
    """A gateway in a process of its own."""

    token = b"ann"

    def __init__(self, program: Program, prefix: str) -> None:
        self.prefix = prefix
        self._program = program

    async def connect(self) -> Client:
        return await Client.to(self._program)

    async def read(self) -> int:
        return int((await vitals(self._program, "calls"))["read"])

    async def outcomes(self) -> list[str]:
        return list((await vitals(self._program, "calls"))["outcomes"])

    async def in_use(self) -> int:
        return int((await vitals(self._program, "calls"))["in_use"])


@pytest.mark.soak
@pytest.mark.parametrize("prefix", ["/openai", "/behind"])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("server", OTHERS)
async def test_a_client_may_leave_at_any_stage(server: str, stage: Stage, prefix: str) -> None:
    app = "left_for_its_list" if needs_list(stage) else "left"
    play = Play()
    async with FakeUpstream(wire=[play]) as upstream, run(server, app, {"UPSTREAM_URL": upstream.url}) as program:
        await leave_at(stage, FarSite(program, prefix), upstream, play)


async def told_to_stop(server: str) -> bytes:
    """The rest of a stream that was open then."""
    async with FakeUpstream(wire=[sse(*EVENTS[:2], ending="open")]) as upstream:
        env = {"UPSTREAM_URL": upstream.url, "DRAIN_WITHIN": "0.5"}
        async with run(server, "app", env) as program:
            client = await Client.to(program)
            await client.send(request(chat(stream=True), path="/openai" + CHAT))
            await client.until(b"data: ")
            program.terminate()
            rest = await client.rest()
            await upstream.connections[0].closed()
            await client.close()
    return rest


@pytest.mark.soak
async def test_granian_told_to_stop_ends_a_stream_with_the_error_event_at_the_deadline() -> None:
    rest = await told_to_stop("granian")
    assert b'"gateway_draining"' in rest
    assert b"[DONE]" not in rest


@pytest.mark.soak
async def test_hypercorn_told_to_stop_cuts_a_stream_visibly() -> None:
    """It takes the signal for itself, after the lifespan has begun."""
    rest = await told_to_stop("hypercorn")
    assert b"[DONE]" not in rest
    assert not rest.endswith(b"\r\n0\r\n\r\n")
