"""The figures of a whole run, and their JSON form."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from .measure import FIGURES, Series, Spread, added, ratio
from .scenarios import Scenario
from .targets import REFERENCE

VERSIONS = ("aiohttp", "fastapi", "httptools", "httpx", "starlette", "uvicorn", "uvloop")


@dataclass
class Result:
    """One scenario: a series of samples per target, in the order of the targets."""

    scenario: Scenario
    series: dict[str, Series] = field(default_factory=dict)

    def ratio(self, target: str, figure: str = "cpu") -> Spread | None:
        """``target`` over the bare pass-through of the same rounds."""
        return ratio(self.series[target], self.series.get(REFERENCE, Series()), figure)

    def against(self, target: str, earlier: str) -> Spread | None:
        """``target`` over the same target at another commit, in the same rounds."""
        return ratio(self.series[target], self.series.get(earlier, Series()), "cpu")

    def added(self, target: str, figure: str) -> Spread | None:
        """``target`` over direct calls to the upstream in the same rounds, in microseconds."""
        return added(self.series[target], self.series.get("direct", Series()), figure)


@dataclass
class Run:
    """All scenarios of one command, and what the reader has to know about the circumstances."""

    results: list[Result]
    rounds: int
    notes: list[str]
    titles: Mapping[str, str]
    """Of the targets, by name."""

    def as_json(self) -> dict[str, Any]:
        return {
            "machine": _machine(),
            "rounds": self.rounds,
            "notes": self.notes,
            "scenarios": {result.scenario.name: _scenario(result) for result in self.results},
        }


def _machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in VERSIONS},
    }


def _scenario(result: Result) -> dict[str, Any]:
    targets = {name: _target(result, name, series) for name, series in result.series.items()}
    return {"title": result.scenario.title, "unit": result.scenario.unit, "targets": targets}


def _target(result: Result, name: str, series: Series) -> dict[str, Any]:
    if series.refused:
        return {"refused": series.refused}
    figures = {figure: _spread(series.spread(figure)) for figure in FIGURES}
    derived = {"cpu_ratio": _spread(result.ratio(name))}
    for figure in ("latency_p50", "latency_p99"):
        derived[f"added_{figure}"] = _spread(result.added(name, figure))
    return figures | derived


def _spread(spread: Spread | None) -> dict[str, float] | None:
    return None if spread is None else {key: round(value, 4) for key, value in asdict(spread).items()}
