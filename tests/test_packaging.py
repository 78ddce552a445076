"""What the package says of itself is what is tested: the Pythons, the oldest versions, the addresses."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CI: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())


def test_each_python_that_is_named_is_tested() -> None:
    named = re.findall(r"^Programming Language :: Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)
    assert CI["jobs"]["checks"]["strategy"]["matrix"]["python"] == named
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_it_runs_what_has_to_hold_before_a_change_lands() -> None:
    assert CI["jobs"]["checks"]["steps"][-1] == {"run": "bash .ci/run"}


def test_the_oldest_versions_that_are_allowed_are_tested() -> None:
    extras = ("azure", "redis", "prices", "django", "prometheus")
    wanted = [*PROJECT["dependencies"], *(each for extra in extras for each in PROJECT["optional-dependencies"][extra])]
    allowed = dict(re.fullmatch(r"([\w-]+)(?:\[.*\])?>=([\d.]+).*", each).groups() for each in wanted)  # type: ignore[union-attr]
    oldest = dict(re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / ".ci/oldest.txt").read_text(), re.MULTILINE))
    assert {name: padded(version) for name, version in oldest.items()} == {
        name: padded(version) for name, version in allowed.items()
    }


def padded(version: str) -> tuple[int, ...]:
    parts = tuple(map(int, version.split(".")))
    return parts + (0,) * (3 - len(parts))


def test_each_address_is_there() -> None:
    assert {"Documentation", "Source", "Issues", "Changelog"} <= PROJECT["urls"].keys()
