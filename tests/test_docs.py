"""The pages in ``docs``: their code is Python, what they link to is there, and each is in the list of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(DOCS.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_is_python_and_the_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for block in re.findall(r"```python[^\n]*\n(.*?)```", text, re.DOTALL):
        ast.parse(block)
    for link in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
        assert (DOCS / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_is_in_the_list(page: Path) -> None:
    assert page.stem == "README" or f"]({page.name})" in (DOCS / "README.md").read_text()
