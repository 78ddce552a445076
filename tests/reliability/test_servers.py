"""The other servers, hypercorn and granian: clients that leave at every stage, as with uvicorn.

Their loads are in ``test_load``. All of it is run with ``-m soak``.
"""

from __future__ import annotations

import pytest

from tests.reliability.clients import Client
from tests.reliability.leaving import STAGES, Play, Stage, leave_at, needs_list
from tests.reliability.processes import OTHERS, run, vitals
from tests.support.scripted import ScriptedUpstream
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
    async with ScriptedUpstream(play) as upstream, run(server, app, {"UPSTREAM_URL": upstream.url}) as program:
        await leave_at(stage, FarSite(program, prefix), upstream, play)
