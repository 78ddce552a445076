"""The README stays short, its code is Python, and what it names is there. Tables stand in ``docs``: ``test_docs.py``."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
LONGEST = 180


def test_it_is_read_in_a_few_minutes() -> None:
    assert len(README.splitlines()) <= LONGEST, "What is longer goes to a page in docs/, which docs/README.md lists."


@pytest.mark.parametrize("block", BLOCKS)
def test_the_code_is_python(block: str) -> None:
    ast.parse(block)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", README))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
