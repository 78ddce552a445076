"""No body holds the event loop, or takes more memory than a text of its size does, whatever is in it.

Cases 263 and 264. The gateway has a process to itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import answer
from tests.reliability.clients import Client, request
from tests.reliability.hostile_bodies import HOSTILE, MADE_TO_HOLD, PLAIN, Made
from tests.reliability.processes import run, vitals
from tests.support.servers import Program

MIB = 1024 * 1024
STALL = 0.05
"""Seconds that nothing on the gateway's event loop may take in one go."""
GROWTH = 20 * MIB
"""Bytes of memory that a body may take beyond what a text of the same size does."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from /proc")


def peak(program: Program) -> int:
    """The most that the process has had resident since it was ``forgotten``, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{program.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def forget(program: Program) -> None:
    Path(f"/proc/{program.process.pid}/clear_refs").write_text("5")


ANSWER = json.dumps(
    {
        "id": "x", "object": "response", "created": 1, "created_at": 1, "model": "gpt", "status": "completed", "output": [],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
    }
).encode()  # fmt: skip
"""Of either API."""


@asynccontextmanager
async def serving(app: str) -> AsyncIterator[Program]:
    async with FakeUpstream(wire=[answer(body=ANSWER)]) as upstream:
        async with run("httptools", app, {"UPSTREAM_URL": upstream.url, "WATCH_CALLBACKS": "1"}) as program:
            yield program


class Measured(NamedTuple):
    said: bytes
    longest: float
    """Seconds of the longest callback."""
    long: list[str]
    """Callbacks that were long."""
    most: int
    """Bytes of memory."""


async def measured(program: Program, asked: bytes) -> Measured:
    await vitals(program)
    forget(program)
    client = await Client.to(program)
    await client.send(asked)
    said = await client.rest(within=60)
    await client.close()
    most, seen = peak(program), await vitals(program)
    return Measured(said, seen["longest"], seen["long"], most)


def is_answer(said: bytes, statuses: Iterable[int]) -> bool:
    """Of one of these statuses, and an error of OpenAI's shape where it is none of 200."""
    head, _, body = said.partition(b"\r\n\r\n")
    status = int(head[9:12])
    return status in statuses and (status == 200 or "error" in json.loads(body))


def faults_of(name: str, seen: Measured, plain: Measured, statuses: Iterable[int]) -> Iterator[str]:
    """What was wrong with an answer, or cost more than that to a plain text of the same size."""
    if not is_answer(seen.said, statuses):
        yield f"{name}: {seen.said[:500]!r}"
    if seen.longest > STALL:
        yield f"{name}: {seen.long}"
    if seen.most > plain.most + GROWTH:
        yield f"{name}: {(seen.most - plain.most) / MIB:+.1f} MiB"


async def assert_bounded(names: Iterable[str], size: int, *, at: str = "/openai", app: str = "bodies") -> None:
    async with serving(app) as program:

        async def sent(made: Made) -> Measured:
            return await measured(program, request(made.body(size), path=at + made.path, close=True))

        await sent(PLAIN)
        plain = await sent(PLAIN)
        assert is_answer(plain.said, (200, 413))  # filters are shown texts of up to ``decode_limit``
        faults: list[str] = []
        for name in names:
            seen = await sent(HOSTILE[name])
            faults += faults_of(name, seen, plain, (200, 400, 403, 404, 413))
        assert not faults, "\n".join(faults)


async def test_case_263_and_case_264_bodies_made_to_hold_the_loop_do_not() -> None:
    await assert_bounded(MADE_TO_HOLD, 8 * MIB)


async def test_case_263_a_long_key_above_many_zeros_costs_what_a_text_of_its_size_does() -> None:
    await assert_bounded(["a long key above zeros"], 2 * MIB)


@pytest.mark.soak
@pytest.mark.parametrize("at", ["/openai", "/joined"])
@pytest.mark.parametrize("size", [2, 8, 31])
async def test_no_body_of_any_shape_holds_the_loop(size: int, at: str) -> None:
    await assert_bounded(HOSTILE, size * MIB, at=at)


@pytest.mark.soak
@pytest.mark.parametrize("app", ["to_responses", "to_chat", "behind_a_preset", "filtered", "redacted"])
@pytest.mark.parametrize("size", [0.2, 2, 4, 31])
async def test_no_body_that_is_changed_on_its_way_holds_the_loop(size: float, app: str) -> None:
    """Messages that are translated, get a system prompt in front, or are read and changed by filters."""
    await assert_bounded(HOSTILE, int(size * MIB), app=app)
