"""The figures of speed that the README quotes: kept in ``figures.json``, which a full run writes.

``python -m bench.figures`` puts the table of that file into the README.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .picture import GATEWAY

FILE = Path(__file__).parent / "figures.json"
README = Path(__file__).parent.parent / "README.md"
BY_HAND = "handwritten"
LIST = "list-10000"

ROWS = {
    "small JSON, 1 and 64 clients": ("json-1", "json-64"),
    "stream of 200 events, 1 and 64 clients": ("stream-1", "stream-64"),
    "the same with an event every 5 ms, 16 clients": ("paced-16",),
    "the same at once over TLS, 64 clients": ("tls-stream-64",),
    "JSON of 1 MB, one long text in it": ("json-1mb",),
    "upload and download of 100 MB": ("upload", "download"),
}
"""By what the README calls them: the scenarios of one row."""

HEAD = "| | CPU against the bare pass-through | cheaper than FastAPI + httpx by hand |\n|---|---|---|\n"

Figures = Mapping[str, Mapping[str, float]]


def figures_of(run: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """What is quoted of a full run, from its JSON; by scenario."""
    found = {}
    for scenario in (*(each for row in ROWS.values() for each in row), LIST):
        targets = run["scenarios"][scenario]["targets"]
        gateway, by_hand = targets[GATEWAY], targets[BY_HAND]
        found[scenario] = {
            "ratio": round(gateway["cpu_ratio"]["median"], 2),
            "milliseconds": round(gateway["cpu"]["median"] / 1000, 3),
            "by_hand": round(by_hand["cpu"]["median"] / gateway["cpu"]["median"], 2),
        }
    return found


def table(figures: Figures) -> str:
    lines = [
        f"| {title} | {_times([figures[name]['ratio'] for name in names])} "
        f"| {_times([figures[name]['by_hand'] for name in names])} |\n"
        for title, names in ROWS.items()
    ]
    models = figures[LIST]
    lines.append(f"| list of 10,000 models | {models['milliseconds']:.1f} ms | {_times([models['by_hand']])} |\n")
    return HEAD + "".join(lines)


def _times(values: list[float]) -> str:
    return " and ".join(f"{value:.1f}" if value < 3 else f"{value:.0f}" for value in values) + " times"


def main() -> None:
    text = README.read_text()
    found = re.search(re.escape(HEAD) + r"(?:\|.*\n)+", text)
    if found is None:
        raise SystemExit("The README has no table of figures.")
    README.write_text(text.replace(found[0], table(json.loads(FILE.read_text()))))


if __name__ == "__main__":
    main()
