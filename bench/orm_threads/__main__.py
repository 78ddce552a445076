"""``python -m bench.orm_threads``: calls per second with one ORM thread and with several, the database 2 ms away.

Every call makes four queries: for session, user, groups and permission through the ORM, or ``plain`` ones. Each count
of threads has a server of its own, which all clients ask at once; the counts take turns, and the median of the rounds
is shown.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ..processes import ROOT, BenchError, free_port
from . import postgres

BODY = json.dumps({"model": "model-0", "messages": [{"role": "user", "content": "Hello?"}]}).encode()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.orm_threads", description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--latency", type=float, default=2.0, help="milliseconds to the database, each way")
    parser.add_argument("--conn-max-age", type=int, default=600, help="Django's CONN_MAX_AGE, in seconds")
    parser.add_argument("--queries", choices=["session", "plain"], default="session")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    env = {
        "PGUSER": postgres.USER,
        "CONN_MAX_AGE": str(asked.conn_max_age),
        "ORM_THREADS": "1",
        "QUERIES": asked.queries,
    }
    with postgres.server() as port:
        session = _python("print(site.prepare())", env | {"PGPORT": str(port)}).strip()
        with _delayed(port, asked.latency / 1000) as far:
            rates = _measured(asked, session, env | {"PGPORT": str(far)})
        left = _python("print(site.open_connections())", env | {"PGPORT": str(port)}).strip()
    alone = statistics.median(rates[asked.threads[0]])
    print(
        f"{asked.queries} queries, {asked.latency} ms each way to the database, CONN_MAX_AGE={asked.conn_max_age}, "
        f"{asked.clients} clients"
    )
    print("| ORM threads | calls per s: median (lowest-highest) | times |\n|---|---|---|")
    for threads, each in rates.items():
        median = statistics.median(each)
        print(f"| {threads} | {median:.0f} ({min(each):.0f}-{max(each):.0f}) | {median / alone:.1f} |")
    print(f"connections left open by the servers that have stopped: {left}")


def _measured(asked: argparse.Namespace, session: str, env: dict[str, str]) -> dict[int, list[float]]:
    rates: dict[int, list[float]] = {threads: [] for threads in asked.threads}
    for _ in range(asked.rounds):
        for threads in asked.threads:
            with _served(env | {"ORM_THREADS": str(threads)}) as port:
                rates[threads].append(asyncio.run(_load(port, session, asked.clients, asked.seconds)))
    return rates


def _python(statement: str, env: dict[str, str]) -> str:
    command = [sys.executable, "-c", f"from bench.orm_threads import site; {statement}"]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **env}, check=True, capture_output=True, text=True
    ).stdout


@contextlib.contextmanager
def _delayed(target: int, seconds: float) -> Iterator[int]:
    port = free_port()
    call = (
        f"import asyncio; from bench.orm_threads.postgres import delay; asyncio.run(delay({port}, {target}, {seconds}))"
    )
    with _running([sys.executable, "-c", call], {}, port):
        yield port


@contextlib.contextmanager
def _served(env: dict[str, str]) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.orm_threads.site:application", "--port", str(port)]
    with _running([*command, "--no-access-log", "--log-level", "warning"], env, port):
        yield port


@contextlib.contextmanager
def _running(command: list[str], env: dict[str, str], port: int) -> Iterator[None]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **env}, stdout=log, stderr=log)
        try:
            _wait_for(port, process)
            yield
        finally:
            process.terminate()
            process.wait(10)
            log.seek(0)
            if said := log.read().decode():
                print(said, file=sys.stderr)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        if Path("/proc/net/tcp").read_text().find(f":{port:04X} 00000000:0000 0A") > 0:
            return
        time.sleep(0.05)
    raise BenchError(f"{' '.join(process.args)} did not start")  # type: ignore[arg-type]


async def _load(port: int, session: str, clients: int, seconds: float) -> float:
    """Answers per second, all of them checked; a tenth of the time goes by before it is counted."""
    request = (
        f"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncookie: sessionid={session}\r\n"
        f"sec-fetch-site: same-origin\r\ncontent-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY
    answered, over = [0], time.monotonic() + seconds * 1.1

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < over:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise BenchError(f"a wrong answer: {head!r}")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            answered[0] += 1
        writer.close()

    async def counted() -> float:
        await asyncio.sleep(seconds * 0.1)
        begun, before = time.monotonic(), answered[0]
        await asyncio.sleep(seconds)
        return (answered[0] - before) / (time.monotonic() - begun)

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
        rate = group.create_task(counted())
    return rate.result()


if __name__ == "__main__":
    main()
