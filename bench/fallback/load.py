"""The load client of native/load.c in Python, with the same arguments and the same output."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import cast

import httptools
import uvloop

STAMP = b'data: {"id":"chatcmpl-'
TAIL = 64
ENOUGH_ERRORS = 20


class Results:
    """What all clients of one run saw, in nanoseconds."""

    def __init__(self) -> None:
        self.latency: list[int] = []
        self.first_byte: list[int] = []
        self.event_delay: list[int] = []
        self.errors: list[str] = []
        self.events = self.bytes = 0


class Client(asyncio.Protocol):
    """One keep-alive connection; ``done`` carries what was wrong with the latest answer, or an empty text."""

    def __init__(self, wanted: argparse.Namespace, results: Results) -> None:
        self._wanted = wanted
        self._results = results
        self.done: asyncio.Future[str]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result("the connection ended early")

    def begin(self, request: bytes) -> asyncio.Future[str]:
        self._parser = httptools.HttpResponseParser(self)
        self._first = self._content = self._lines = 0
        self._tail, self._line = b"", b"\n"
        self.done = asyncio.get_running_loop().create_future()
        self._began = time.monotonic_ns()
        self.transport.write(request)
        return self.done

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._first = self._first or time.monotonic_ns()
        self._content += len(body)
        self._tail = (self._tail + body)[-TAIL:]
        if self._wanted.e:
            text = self._line + body
            self._lines += text.count(b"\ndata:")
            self._line = text[-5:]  # one byte too short to be counted twice
        if self._wanted.s:
            self._read_stamps(body)

    def _read_stamps(self, body: bytes) -> None:
        now, parts = time.monotonic_ns(), body.split(STAMP)[1:]
        self._results.event_delay += [now - int(part[:19]) for part in parts if part[:19].isdigit()]

    def on_message_complete(self) -> None:
        now, results = time.monotonic_ns(), self._results
        fault = self._fault()
        if not fault:
            results.latency.append(now - self._began)
            results.first_byte.append(self._first - self._began)
            results.events += self._lines
            results.bytes += self._content
        self.done.set_result(fault)

    def _fault(self) -> str:
        if self._parser.get_status_code() != 200:
            return f"not a 200 (status {self._parser.get_status_code()}, ending: {self._tail!r})"
        if self._content < self._wanted.b:
            return f"a short body ({self._content} bytes)"
        if self._wanted.e and not self._tail.endswith(b"data: [DONE]\n\n"):
            return f"a stream without [DONE] (ending: {self._tail!r})"
        return "" if self._lines == self._wanted.e + bool(self._wanted.e) else "a wrong number of events"


async def run_client(wanted: argparse.Namespace, results: Results, first: int, requests: list[bytes]) -> None:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Client(wanted, results), "127.0.0.1", wanted.p)
    turn = first
    while len(results.errors) < ENOUGH_ERRORS:
        fault = await client.begin(requests[turn % len(requests)])
        if fault:
            results.errors.append(fault)
            break
        turn += 1
        if time.monotonic() >= wanted.deadline:
            break
    client.transport.close()


def summary(values: list[int]) -> dict[str, float]:
    values = sorted(values) or [0]
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: values[int(share * (len(values) - 1))] / 1000 for name, share in shares.items()}


async def main(wanted: argparse.Namespace) -> Results:
    results = Results()
    requests = [path.read_bytes() for path in wanted.requests]
    await asyncio.gather(*(run_client(wanted, results, first, requests) for first in range(wanted.c)))
    return results


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("-p", type=int, required=True)
    parser.add_argument("-c", type=int, required=True)
    parser.add_argument("-t", type=float, default=0.0)
    parser.add_argument("-e", type=int, default=0)
    parser.add_argument("-b", type=int, default=0)
    parser.add_argument("-s", action="store_true")
    parser.add_argument("requests", nargs="+", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    asked = arguments()
    start = time.monotonic()
    asked.deadline = start + asked.t
    seen = uvloop.run(main(asked))
    report: dict[str, object] = {
        "requests": len(seen.latency),
        "errors": len(seen.errors),
        "first_error": (seen.errors or [""])[0],
        "seconds": time.monotonic() - start,
        "events": seen.events,
        "bytes": seen.bytes,
        "latency": summary(seen.latency),
        "first_byte": summary(seen.first_byte),
        "event_delay": summary(seen.event_delay),
    }
    print(json.dumps(report))
    sys.exit(0 if seen.latency else 1)
