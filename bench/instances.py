"""The running side of one setting: a mock upstream, and every target started against it."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .native import Tools, python_tools
from .processes import BenchError, Cores, Process, free_port
from .scenarios import Setting
from .targets import Launch, Target, Upstream


@dataclass(frozen=True)
class MockUpstream:
    process: Process
    port: int
    seen: Upstream

    def counts(self) -> dict[str, int]:
        """How many connections and requests it has had."""
        connection = self._connection()
        try:
            connection.request("GET", "/stats")
            counts: dict[str, int] = json.loads(connection.getresponse().read())
            return counts
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.seen.certificate is None:
            return http.client.HTTPConnection("127.0.0.1", self.port)
        context = ssl.create_default_context(cafile=str(self.seen.certificate))
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context)


@dataclass(frozen=True)
class Instance:
    """One target that serves on ``port``; ``process`` is None for the upstream itself."""

    target: Target
    port: int
    process: Process | None

    def cpu_seconds(self) -> float:
        return self.process.cpu_seconds() if self.process else 0.0

    def resident_bytes(self) -> int:
        return self.process.resident_bytes() if self.process else 0

    def failure(self, what: str) -> BenchError:
        """``what`` went wrong, with what the process had to say about it."""
        return self.process.failure(what) if self.process else BenchError(f"{self.target.title}: {what}")

    def watch_loop(self) -> None:
        if self.process and self.target.python:
            self.process.signal(signal.SIGUSR1)

    def longest_stall_ms(self) -> float | None:
        """Ends the watch over the target's event loop."""
        if not self.process or not self.target.python:
            return None
        self.process.signal(signal.SIGUSR2)
        return float(self.process.read_line())


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key. Raises BenchError without ``openssl``."""
    if shutil.which("openssl") is None:
        raise BenchError("openssl is not installed")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


class Group:
    """Starts what one setting needs; everything it started ends with it."""

    def __init__(self, setting: Setting, tools: Tools, cores: Cores, directory: Path) -> None:
        self._setting = setting
        self._tools = tools
        self._cores = cores
        self._directory = directory
        self._stack = ExitStack()

    @contextmanager
    def running(self, targets: Sequence[Target]) -> Iterator[tuple[MockUpstream, list[Instance]]]:
        with self._stack:
            upstream = self._start_upstream()
            instances = [self._start(target, upstream) for target in targets]
            for instance in instances:
                if instance.process is not None:
                    instance.process.wait_until_listening(instance.port)
            yield upstream, instances

    def _start_upstream(self) -> MockUpstream:
        command, scheme, certificate = [*self._tools.upstream, str(self._setting.models)], "http", None
        if self._setting.tls:
            certificate, key = make_certificate(self._directory)
            command = [*python_tools().upstream, str(self._setting.models), str(certificate), str(key)]
            scheme = "https"
        process = self._process("upstream", Launch(tuple(command)), self._cores.load)
        port = int(process.read_line().removeprefix("port "))
        return MockUpstream(process, port, Upstream(f"{scheme}://127.0.0.1:{port}", certificate))

    def _start(self, target: Target, upstream: MockUpstream) -> Instance:
        if target.launch is None:
            return Instance(target, upstream.port, None)
        port = free_port()
        launch = target.launch(port, upstream.seen, self._setting.models, self._directory)
        process = self._process(target.name, launch, self._cores.target)
        return Instance(target, port, process)

    def _process(self, name: str, launch: Launch, cores: frozenset[int]) -> Process:
        log = self._directory / f"{name}.log"
        process = Process(launch.command, cores=cores, log=log, env=launch.env, directory=launch.directory)
        self._stack.callback(process.stop)
        return process
