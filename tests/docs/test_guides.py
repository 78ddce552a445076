"""The guides, walked from their first line to their last in an empty folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from tests.docs.guides import GUIDES, Walk


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
async def test_whoever_follows_a_guide_gets_what_it_says(page: Path, tmp_path: Path) -> None:
    walk = Walk(
        tmp_path,
        Path(sys.executable),
        left_out=("python -m pytest test_app.py",),  # `-m soak` runs it: pytest takes seconds to begin
        variables={"PYTHONPATH": str(ROOT)},  # as if it were installed
    )
    await walk.through(page)
    assert walk.first_answer is not None
