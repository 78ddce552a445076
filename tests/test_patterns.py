"""Regular expressions of the package mean the same in every Python that it runs on."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import openai_gateway_asgi

ROOT = Path(openai_gateway_asgi.__file__).parent
CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
BEHIND_A_GROUP = re.compile(r"(?:\)|%(?:\(\w+\))?b)(?:[*+?]|\{\d*,?(?:\d*|%\(\w+\)d)\})\+")


def patterns(path: Path) -> list[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    given = [node.value for node in nodes if isinstance(node, ast.Constant)]
    texts = [each.decode("latin-1") if isinstance(each, bytes) else each for each in given]
    return [CLASS.sub("[]", each) for each in texts if isinstance(each, str) and ("(?" in each or "%b" in each)]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_possessive_is_one_character(path: Path) -> None:
    """Before Python 3.11.5 a group that fails half-way loses its place (CPython issues 100061, 106052): a body would be
    misread. ``(?>(?:...)*)`` says the same, and is what later Pythons make of it."""
    assert [each for each in patterns(path) if BEHIND_A_GROUP.search(each)] == []
