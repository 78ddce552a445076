"""Each case of the second book has a test that carries its number, wherever its room is."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
CASES = range(201, 285)


def test_every_case_has_its_test() -> None:
    named = re.compile(r"^(?:async )?def test_(\w+)", re.MULTILINE)
    found = {
        int(number)
        for file in TESTS.rglob("test_*.py")
        for name in named.findall(file.read_text())
        for number in re.findall(r"(?:^|_)case_(\d{3})_", name)
    }
    assert [case for case in CASES if case not in found] == []
