"""The commands that an example prints, run as they stand there, with free ports for the printed ones."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from tests.support.servers import ROOT, free_port


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the local upstream and the application listen instead of on 9101 and 8000."""

    upstream: int
    application: int

    @classmethod
    def free(cls) -> Ports:
        return cls(free_port(), free_port())

    @property
    def env(self) -> dict[str, str]:
        """Tells the application where its upstream is: what is printed relies on the default."""
        return {"UPSTREAM_URL": f"http://127.0.0.1:{self.upstream}/v1"}


def commands(text: str, ports: Ports) -> list[list[str]]:
    """The indented lines that start with ``python``, in their order."""
    text = text.replace("9101", str(ports.upstream)).replace("8000", str(ports.application))
    return [shlex.split(line) for line in text.splitlines() if line.startswith("    python ")]


async def run(command: list[str], env: Mapping[str, str] = {}) -> tuple[int, str]:
    """Runs a command from the root of the repository; its exit code and all that it said."""
    assert command[0] == "python"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command[1:],
        cwd=ROOT,
        env={**os.environ, **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()
