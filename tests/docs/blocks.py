"""The Python blocks of a page of documentation, and how they are run.

A block runs unless the line above it is a comment ``<!-- not run: why -->``, which the reader does not see.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+) -->\n)?^```python[^\n]*\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """One block; ``line`` is that of its first line in the page."""

    page: Path
    line: int
    code: str
    reason: str | None
    """Why it is not run; None: it is."""

    @property
    def file(self) -> str | None:
        """The file that it is, where its first line is a comment with nothing but a file's name."""
        named = re.match(r"# ([\w/]+\.py)\n", self.code)
        return named[1] if named else None


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("code")) + 1
        yield Block(page, line, found["code"], found["reason"])


async def run(block: Block, names: dict[str, Any], *, files: Path) -> None:
    """Runs a block as a module would, with ``await`` at its top level as well; what it defines stays in ``names``.

    What the documentation keeps in ``/var/lib/app`` is kept in ``files``.
    """
    tree = ast.parse(block.code.replace("/var/lib/app", str(files)))
    ast.increment_lineno(tree, block.line - 1)
    code = compile(tree, str(block.page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)
    if inspect.iscoroutine(result):
        await result
