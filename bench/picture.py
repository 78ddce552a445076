"""The picture that the README shows: CPU time as a multiple of the bare pass-through, as SVG."""

from __future__ import annotations

from xml.sax.saxutils import escape

from .measure import Spread
from .results import Result, Run
from .targets import REFERENCE, TARGETS

SCENARIOS = ("json-64", "json-1mb", "stream-1", "stream-64")
COLOURS = {
    "nginx": "#b8bec7",
    "floor": "#8d96a3",
    REFERENCE: "#5b6675",
    "gateway-starlette": "#0b7a5e",
    "gateway-fastapi": "#35a586",
    "handwritten": "#d4772c",
    "litellm": "#b5483a",
}
TITLES = {target.name: target.title for target in TARGETS}

WIDTH, LABELS, VALUES = 860, 230, 150
BAR, GAP, PANEL_GAP, TOP = 18, 6, 44, 64


def svg(run: Run) -> str:
    """One panel per scenario, each on its own linear scale, bars from zero, the spread as a thin line."""
    y, panels = TOP, []
    for result in run.results:
        bars = _bars(result)
        if result.scenario.name in SCENARIOS and bars:
            panels.append(_panel(result.scenario.title, bars, y))
            y += len(bars) * (BAR + GAP) + PANEL_GAP
    heading = _text(20, 30, "CPU time per request or stream, as a multiple of a bare pass-through", size=16, weight=600)
    style = "font-family:system-ui,-apple-system,'Segoe UI',sans-serif"
    frame = f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" style="{style}">'
    return "\n".join([opening, frame, heading, *panels, "</svg>", ""])


def _bars(result: Result) -> dict[str, Spread]:
    ratios = {name: result.ratio(name) for name in result.series if name in COLOURS}
    return {name: spread for name, spread in ratios.items() if spread is not None}


def _panel(title: str, bars: dict[str, Spread], y: int) -> str:
    longest = max(spread.high for spread in bars.values())
    scale = (WIDTH - LABELS - VALUES) / longest
    lines = [_text(20, y, title, weight=600)]
    for row, (name, spread) in enumerate(bars.items()):
        lines += _bar(name, spread, scale, y + 10 + row * (BAR + GAP))
    return "\n".join(lines)


def _bar(name: str, spread: Spread, scale: float, y: int) -> list[str]:
    middle = y + BAR / 2
    width, low, high = (value * scale for value in (spread.median, spread.low, spread.high))
    end = LABELS + max(width, high) + 8
    return [
        _text(LABELS - 8, middle + 4, TITLES[name], anchor="end"),
        f'<rect x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{COLOURS[name]}"/>',
        f'<path d="M{LABELS + low:.1f} {middle}H{LABELS + high:.1f}" stroke="#1c2128" stroke-width="1.5"/>',
        _text(end, middle + 4, f"{spread.median:.2f} ({spread.low:.2f}-{spread.high:.2f})"),
    ]


def _text(x: float, y: float, text: str, *, size: int = 13, weight: int = 400, anchor: str = "start") -> str:
    look = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="#1c2128"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(text)}</text>'
