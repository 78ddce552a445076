"""The guarded target as another commit has it, beside this checkout's, in the same run."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .processes import ROOT, BenchError
from .targets import GUARDED, TARGETS, Target


@contextmanager
def checkout(commit: str) -> Iterator[tuple[str, Path]]:
    """The commit's short name, and a worktree of it that is gone afterwards. Raises BenchError where there is none."""
    short = _git("rev-parse", "--short", f"{commit}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        there = Path(directory) / "checkout"
        _git("worktree", "add", "--detach", str(there), short)
        try:
            yield short, there
        finally:
            _git("worktree", "remove", "--force", str(there))


@contextmanager
def at_commit(commit: str | None) -> Iterator[list[Target]]:
    """The guarded target of that commit; none without a commit."""
    if commit is None:
        yield []
        return
    with checkout(commit) as (short, there):
        yield [target.at(short, there) for target in TARGETS if target.name == GUARDED]


def _git(*arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise BenchError(f"git {arguments[0]}: {ran.stderr.strip()}")
    return ran.stdout.strip()
