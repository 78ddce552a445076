"""Processes under measurement: started on their own cores, with their CPU time and memory readable. Linux only."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = os.sysconf("SC_PAGE_SIZE")
START_TIMEOUT = 90.0


class BenchError(Exception):
    """Something that makes the figures worthless; the command fails with this text."""


class NotServed(BenchError):
    """The target answered 501: it does not do this, which is shown in place of figures."""


@dataclass(frozen=True)
class Cores:
    """Which cores the target may use, and which are left to the upstream, the load client and the bench itself."""

    target: frozenset[int]
    load: frozenset[int]

    @property
    def apart(self) -> bool:
        return not self.target & self.load


def split_cores() -> Cores:
    """The first core is the target's, the others are the load's; with a single core both share it."""
    first, *others = sorted(os.sched_getaffinity(0))
    return Cores(frozenset({first}), frozenset(others or {first}))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A child process pinned to ``cores``; what it writes to stderr goes to ``log`` and is shown when it dies."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        cores: frozenset[int],
        log: Path,
        env: Mapping[str, str] | None = None,
        directory: Path = ROOT,
    ) -> None:
        self.command = command
        self._log = log
        with log.open("wb") as stderr:
            self._popen = subprocess.Popen(
                command,
                cwd=directory,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def read_line(self, timeout: float = START_TIMEOUT) -> str:
        """The next line of the process's stdout. Raises BenchError when it ends or is silent for ``timeout`` s."""
        assert self._popen.stdout is not None
        readable, _, _ = select.select([self._popen.stdout], [], [], timeout)
        line = self._popen.stdout.readline().decode() if readable else ""
        if not line:
            raise self.failure("said nothing")
        return line.strip()

    def wait_until_listening(self, port: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._popen.poll() is not None:
                raise self.failure(f"ended with status {self._popen.returncode}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise self.failure(f"did not listen within {START_TIMEOUT:.0f} s")

    def failure(self, what: str) -> BenchError:
        log = self._log.read_text(errors="replace").strip()[-3000:]
        return BenchError(f"{' '.join(self.command)}: {what}\n{log}".strip())

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def stop(self) -> None:
        self._popen.terminate()
        try:
            self._popen.wait(timeout=3)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        if self._popen.stdout is not None:
            self._popen.stdout.close()

    def cpu_seconds(self) -> float:
        """User and system time of the process and its children, all threads, to the nanosecond."""
        return sum(time.clock_gettime(_cpu_clock(pid)) for pid in _family(self.pid))

    def resident_bytes(self) -> int:
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE for pid in _family(self.pid))


def _cpu_clock(pid: int) -> int:
    # CPUCLOCK_SCHED of another process, as clock_getcpuclockid(3) makes it: finer than the ticks of /proc/<pid>/stat
    return ~pid << 3 | 2


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has just ended
            for child in (task / "children").read_text().split():
                yield from _family(int(child))
