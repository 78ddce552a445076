"""The mock upstream and the load client as small C programs, built where a compiler is found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent


@dataclass(frozen=True)
class Tools:
    """The commands that start the mock upstream and the load client, without their arguments."""

    upstream: tuple[str, ...]
    load: tuple[str, ...]
    native: bool


def python_tools() -> Tools:
    python = (sys.executable, "-m")
    return Tools((*python, "bench.fallback.upstream"), (*python, "bench.fallback.load"), native=False)


def build(directory: Path) -> Tools:
    """Compiles both programs into ``directory``; without a C compiler, their slow Python forms."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return python_tools()
    for name in ("upstream", "load"):
        command = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(directory / name), str(SOURCES / f"{name}.c")]
        subprocess.run(command, check=True)
    return Tools((str(directory / "upstream"),), (str(directory / "load"),), native=True)
