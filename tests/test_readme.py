"""The README stays short, its code is Python, and what it names is there. Tables stand in ``docs``: ``test_docs.py``."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from bench.figures import BY_HAND, LIST, ROWS, figures_of, table
from bench.picture import GATEWAY

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


def test_the_figures_of_speed_are_those_that_the_bench_wrote() -> None:
    figures = json.loads((ROOT / "bench/figures.json").read_text())
    assert table(figures) in README, "Put them there: python -m bench.figures"


def test_what_a_full_run_shows_is_what_is_quoted() -> None:
    ratios = {"cpu_ratio": {"median": 1.234}, "cpu": {"median": 2000.0}}
    by_hand = {"cpu": {"median": 9000.0}}
    names = [name for row in ROWS.values() for name in row] + [LIST]
    run = {"scenarios": {name: {"targets": {GATEWAY: ratios, BY_HAND: by_hand}} for name in names}}
    assert "| small JSON, 1 and 64 clients | 1.2 and 1.2 times | 4 and 4 times |\n" in table(figures_of(run))
    assert "| list of 10,000 models | 2.0 ms | 4 times |\n" in table(figures_of(run))
