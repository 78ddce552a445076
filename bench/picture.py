"""The picture that the README shows: CPU time as a multiple of the bare pass-through, as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

from .measure import Spread
from .results import Result, Run
from .targets import REFERENCE

SCENARIOS = ("json-64", "json-1mb", "stream-1", "stream-64")
GATEWAY = "gateway-starlette"
COLOURS = {
    "nginx": "#b8bec7",
    "floor": "#8d96a3",
    REFERENCE: "#5b6675",
    GATEWAY: "#0b7a5e",
    "gateway-fastapi": "#35a586",
    "handwritten": "#d4772c",
    "litellm": "#b5483a",
}
OTHER = "#7d8590"

WIDTH, LABELS, VALUES = 860, 230, 170
BAR, GAP, PANEL_GAP, TOP = 18, 6, 44, 84


@dataclass(frozen=True)
class Bar:
    """One row of a panel."""

    label: str
    colour: str
    spread: Spread


def svg(run: Run) -> str:
    """One panel per scenario, each on its own linear scale: bars from zero, the spread as a thin line."""
    y, panels = TOP, []
    for title, bars in [*_comparisons(run), ("small JSON, 64 clients, by the number of models known", _curve(run))]:
        if bars:
            panels.append(_panel(title, bars, y))
            y += len(bars) * (BAR + GAP) + PANEL_GAP
    heading = _text(20, 30, "CPU time per request or stream, as a multiple of a bare pass-through", size=16, weight=600)
    legend = _text(20, 50, "Median of the rounds; the thin line and the brackets are the lowest and the highest round.")
    style = "font-family:system-ui,-apple-system,'Segoe UI',sans-serif"
    frame = f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" style="{style}">'
    return "\n".join([opening, frame, heading, legend, *panels, "</svg>", ""])


def _comparisons(run: Run) -> list[tuple[str, list[Bar]]]:
    """The targets side by side, per scenario."""
    return [
        (result.scenario.title, [bar for name in result.series if (bar := _bar_of(result, name, run.titles[name]))])
        for result in run.results
        if result.scenario.name in SCENARIOS
    ]


def _curve(run: Run) -> list[Bar]:
    """What the gateway's call costs as the models grow."""
    chosen = [result for result in run.results if result.scenario.name.startswith("models-")]
    labels = [f"gateway, {result.scenario.setting.models:,} models" for result in chosen]
    return [bar for result, label in zip(chosen, labels, strict=True) if (bar := _bar_of(result, GATEWAY, label))]


def _bar_of(result: Result, name: str, label: str) -> Bar | None:
    spread = result.ratio(name) if name in result.series else None
    return None if spread is None else Bar(label, COLOURS.get(name, OTHER), spread)


def _panel(title: str, bars: list[Bar], y: int) -> str:
    scale = (WIDTH - LABELS - VALUES) / max(bar.spread.high for bar in bars)
    lines = [_text(20, y, title, weight=600)]
    for row, bar in enumerate(bars):
        lines += _bar(bar, scale, y + 10 + row * (BAR + GAP))
    return "\n".join(lines)


def _bar(bar: Bar, scale: float, y: int) -> list[str]:
    middle, spread = y + BAR / 2, bar.spread
    width, low, high = (value * scale for value in (spread.median, spread.low, spread.high))
    end = LABELS + max(width, high) + 8
    return [
        _text(LABELS - 8, middle + 4, bar.label, anchor="end"),
        f'<rect x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{bar.colour}"/>',
        f'<path d="M{LABELS + low:.1f} {middle}H{LABELS + high:.1f}" stroke="#1c2128" stroke-width="1.5"/>',
        _text(end, middle + 4, f"{spread.median:.2f} ({spread.low:.2f}-{spread.high:.2f})"),
    ]


def _text(x: float, y: float, text: str, *, size: int = 13, weight: int = 400, anchor: str = "start") -> str:
    look = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="#1c2128"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(text)}</text>'
