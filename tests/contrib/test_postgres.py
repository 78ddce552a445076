"""Django's ORM in threads of the gateway's, with a real PostgreSQL (Debian's package ``postgresql``) a way off."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import sys

import pytest

from bench.orm_threads import postgres
from bench.processes import BenchError
from tests.support.servers import ROOT


def missing() -> str:
    if importlib.util.find_spec("psycopg") is None:
        return 'psycopg is not installed: pip install "openai-gateway-asgi[soak]"'
    try:
        postgres.programs()
    except BenchError as error:
        return str(error)
    return ""


@pytest.mark.soak
@pytest.mark.skipif(bool(missing()), reason=missing())
async def test_threads_answer_side_by_side_and_leave_no_connection_open() -> None:
    """How many times as much they answer is for the bench to say; that it is more is certain, for they wait together."""
    command = "-m bench.orm_threads --threads 1 4 --rounds 1 --seconds 2 --latency 5 --clients 8".split()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    said = output.decode()

    assert process.returncode == 0, said
    assert "connections left open by the servers that have stopped: 0" in said
    several = re.search(r"\| 4 \| .* \| ([0-9.]+) \|", said)
    assert several is not None, said
    assert float(several[1]) > 1.5
