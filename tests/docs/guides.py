"""A guide, walked as a stranger walks it: its files written, its commands run, its servers left running."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.blocks import ROOT
from tests.support.servers import free_port

GUIDES = sorted((ROOT / "docs").glob("guide-*.md"))
PATIENCE = 60.0

_STEP = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_READY = re.compile(rb"Application startup complete|A fake upstream with")


@dataclass
class Walk:
    """``python`` is the interpreter for whom the guide's commands are installed; ``installed`` is called with the
    arguments of each ``pip install``."""

    folder: Path
    python: Path
    installed: Callable[[list[str]], None] = lambda arguments: None
    left_out: tuple[str, ...] = ()
    """Commands that are not run."""
    said: str = ""
    """What the commands printed."""
    variables: dict[str, str] = field(default_factory=dict)
    first_answer: float | None = None
    """When ``ask.py`` had its answer, by ``time.monotonic``."""

    async def through(self, page: Path) -> None:
        ports = {"9101": str(free_port()), "8000": str(free_port())}
        async with contextlib.AsyncExitStack() as servers:
            for kind, text in steps_of(page, ports):
                if kind == "python":
                    self._write(text)
                elif kind == "sh":
                    for line in text.splitlines():
                        await self._command(line, servers)
                elif kind == "text":
                    assert text in self.said

    def _write(self, text: str) -> None:
        named = re.match(r"# ([\w/]+\.py)\n", text)
        assert named is not None, f"A file of a guide begins with its name: {text[:80]}"
        path = self.folder / named[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    async def _command(self, line: str, servers: contextlib.AsyncExitStack) -> None:
        program, *arguments = shlex.split(line)
        if program == "export":
            self.variables |= dict(argument.split("=", 1) for argument in arguments)
        elif program == "pip":
            self.installed(arguments[1:])
        else:
            command = self._program(program, arguments)
            if line in self.left_out:
                pass
            elif "uvicorn" in line or "fake-upstream" in line:
                await servers.enter_async_context(_served(command, self.folder, self._environment()))
            else:
                await self._run(command)
                if "ask.py" in line:
                    self.first_answer = time.monotonic()

    def _program(self, program: str, arguments: list[str]) -> list[str]:
        modules = {"uvicorn": "uvicorn", "django-admin": "django"}
        if program == "python":
            return [str(self.python), *arguments]
        return [str(self.python), "-m", modules[program], *arguments]

    def _environment(self) -> Mapping[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_"))}
        return {**kept, **self.variables, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    async def _run(self, command: list[str]) -> None:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env=self._environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
        assert process.returncode == 0, f"{shlex.join(command)}\n{output.decode()}"
        self.said += output.decode()


def steps_of(page: Path, ports: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What a reader pastes, file by file and command by command, and what is printed then; with other ports for those
    that may be taken."""
    text = page.read_text()
    for port, free in ports.items():
        text = text.replace(port, free)
    for found in _STEP.finditer(text):
        yield found[1], found[2]


@contextlib.asynccontextmanager
async def _served(command: list[str], folder: Path, environment: Mapping[str, str]) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = b""
    try:
        async with asyncio.timeout(PATIENCE):
            while not _READY.search(said):
                piece = await process.stdout.read(2**16)
                assert piece, f"{shlex.join(command)} ended:\n{said.decode()}"
                said += piece
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.communicate()
