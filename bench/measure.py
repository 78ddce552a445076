"""One measurement of one target under one load, and the figures of all rounds."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .instances import Instance, MockUpstream
from .native import Tools
from .open_calls import open_calls
from .processes import ROOT, BenchError, NotServed
from .scenarios import Scenario, requests, waiting_request

LOAD_TIMEOUT = 180.0
MEMORY_INTERVAL = 0.05


@dataclass(frozen=True)
class Sample:
    """What one run of the load client showed. Times are in microseconds; None is what this target cannot show."""

    cpu: float | None  # of the target, per request or stream
    rate: float  # requests or streams per second
    events_rate: float
    latency_p50: float
    latency_p99: float
    first_byte_p50: float
    first_byte_p99: float
    event_delay_p99: float | None
    stall: float | None
    connections: float  # new ones to the upstream, per request
    memory: float | None  # bytes per open stream


FIGURES = tuple(figure.name for figure in fields(Sample))


@dataclass(frozen=True)
class Spread:
    """The median over the rounds, and between what it lies."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        known = list(values)
        return cls(statistics.median(known), min(known), max(known))


@dataclass
class Series:
    """The samples of one target in one scenario, one per round; or why there are none."""

    samples: list[Sample] = field(default_factory=list)
    refused: str = ""

    def spread(self, figure: str) -> Spread | None:
        values = [getattr(sample, figure) for sample in self.samples]
        return Spread.of(values) if values and None not in values else None


def ratio(one: Series, other: Series, figure: str = "cpu") -> Spread | None:
    """``one`` over ``other``, round by round: what disturbs a round disturbs both sides of it."""
    pairs = [(getattr(a, figure), getattr(b, figure)) for a, b in zip(one.samples, other.samples, strict=False)]
    if not pairs or any(not a or not b for a, b in pairs):
        return None
    return Spread.of(a / b for a, b in pairs)


def added(one: Series, direct: Series, figure: str) -> Spread | None:
    """``one`` minus ``direct``, round by round."""
    pairs = [(getattr(a, figure), getattr(b, figure)) for a, b in zip(one.samples, direct.samples, strict=False)]
    return Spread.of(a - b for a, b in pairs) if pairs else None


class Meter:
    """Runs the load client of ``scenario`` against instances of targets."""

    def __init__(self, scenario: Scenario, tools: Tools, upstream: MockUpstream, directory: Path) -> None:
        self._scenario = scenario
        self._tools = tools
        self._upstream = upstream
        self._directory = directory

    def warm_up(self, instance: Instance) -> None:
        """One request per client, whose figures nobody keeps. Raises BenchError when an answer is wrong."""
        clients = min(self._scenario.clients, 16) if self._scenario.setting.fresh else self._scenario.clients
        self._run(self._command(instance, 0.0, clients), lambda: None)

    def sample(self, instance: Instance, seconds: float) -> Sample:
        """Loads ``instance`` for ``seconds``, or as long as one request per client takes."""
        if self._scenario.kind == "chat" and not self._scenario.once:
            self.warm_up(instance)  # idle connections to the upstream ended while others were measured
        with open_calls(
            instance.port,
            waiting_request(instance.target.prefix),
            self._scenario.open_calls,
            lambda: self._upstream.counts()["requests"],
        ):
            return self._loaded(instance, seconds)

    def _loaded(self, instance: Instance, seconds: float) -> Sample:
        memory, base = [0], instance.resident_bytes()
        instance.watch_loop()
        counts, cpu = self._upstream.counts(), instance.cpu_seconds()
        command = self._command(instance, 0.0 if self._scenario.once else seconds, self._scenario.clients)
        seen = self._run(command, lambda: memory.append(instance.resident_bytes() - base))
        cpu = instance.cpu_seconds() - cpu
        opened = self._upstream.counts()["connections"] - counts["connections"]
        stall = instance.longest_stall_ms()
        return Sample(
            cpu=cpu / seen["requests"] * 1e6 if instance.process else None,
            rate=seen["requests"] / seen["seconds"],
            events_rate=seen["events"] / seen["seconds"],
            latency_p50=seen["latency"]["p50"],
            latency_p99=seen["latency"]["p99"],
            first_byte_p50=seen["first_byte"]["p50"],
            first_byte_p99=seen["first_byte"]["p99"],
            event_delay_p99=seen["event_delay"]["p99"] if self._scenario.pace else None,
            stall=None if stall is None else stall * 1000,
            connections=opened / seen["requests"],
            memory=max(memory) / self._scenario.clients if instance.process and self._scenario.setting.fresh else None,
        )

    def _command(self, instance: Instance, seconds: float, clients: int) -> list[str]:
        scenario = self._scenario
        command = [*self._tools.load, "-p", str(instance.port), "-c", str(clients), "-t", str(seconds)]
        command += ["-e", str(scenario.events), "-b", str(scenario.least_answer)]
        command += ["-s"] if scenario.pace else []
        return command + [str(path) for path in self._request_files(instance.target.prefix)]

    def _request_files(self, prefix: str) -> list[Path]:
        folder = self._directory / (self._scenario.name + prefix.replace("/", "-"))
        if not folder.exists():
            folder.mkdir()
            for number, request in enumerate(requests(self._scenario, prefix)):
                (folder / f"{number}.http").write_bytes(request)
        return sorted(folder.iterdir())

    def _run(self, command: list[str], meanwhile: Callable[[], None]) -> dict[str, Any]:
        """The load client's figures. A single wrong answer is a BenchError: a fast wrong answer is no result."""
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as client:
            try:
                output = self._output(client, meanwhile)
            except BaseException:
                client.kill()
                raise
        seen: dict[str, Any] = json.loads(output)
        if seen["errors"]:
            kind = NotServed if "(status 501," in seen["first_error"] else BenchError
            raise kind(f"{self._scenario.name}: {seen['errors']} wrong answers, the first: {seen['first_error']}")
        return seen

    @staticmethod
    def _output(client: subprocess.Popen[bytes], meanwhile: Callable[[], None]) -> bytes:
        deadline = time.monotonic() + LOAD_TIMEOUT
        while time.monotonic() < deadline:
            try:
                return client.communicate(timeout=MEMORY_INTERVAL)[0]
            except subprocess.TimeoutExpired:
                meanwhile()
        raise BenchError(f"the load client did not finish within {LOAD_TIMEOUT:.0f} s")
