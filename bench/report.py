"""The table that the command prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from .measure import Series, Spread
from .results import Result, Run

NOTHING = "-"

Cell = Callable[[Result, str, Series], str]


def table(run: Run) -> str:
    """All scenarios, one block each; empty columns are left out."""
    blocks = [_block(result, run.titles) for result in run.results]
    notes = [f"Note: {note}" for note in run.notes]
    return "\n\n".join([*blocks, *(["\n".join(notes)] if notes else [])])


def _median(spread: Spread | None, form: str = "{:,.0f}", scale: float = 1.0) -> str:
    return NOTHING if spread is None else form.format(spread.median / scale)


def _with_spread(spread: Spread | None) -> str:
    return NOTHING if spread is None else f"{spread.median:.2f} ({spread.low:.2f}-{spread.high:.2f})"


def _figure(figure: str, form: str = "{:,.0f}", scale: float = 1.0) -> Cell:
    return lambda result, name, series: _median(series.spread(figure), form, scale)


def _added(figure: str) -> Cell:
    return lambda result, name, series: NOTHING if name == "direct" else _median(result.added(name, figure))


def _events(result: Result, name: str, series: Series) -> str:
    return _median(series.spread("events_rate")) if result.scenario.events else NOTHING


def _connections(result: Result, name: str, series: Series) -> str:
    return NOTHING if name == "direct" else _median(series.spread("connections"), "{:.3f}")


COLUMNS: dict[str, Cell] = {
    "CPU / pass-through": lambda result, name, series: _with_spread(result.ratio(name)),
    "CPU us": _figure("cpu"),
    "per s": _figure("rate", "{:,.1f}"),
    "events/s": _events,
    "added p50 us": _added("latency_p50"),
    "added p99 us": _added("latency_p99"),
    "first byte p50 us": _figure("first_byte_p50"),
    "event delay p99 us": _figure("event_delay_p99"),
    "KiB/stream": _figure("memory", "{:.1f}", 1024),
    "new conns": _connections,
    "stall ms": _figure("stall", "{:.1f}", 1000),
}


def _block(result: Result, titles: Mapping[str, str]) -> str:
    header = [f"per {result.scenario.unit}", *COLUMNS]
    rows = [_row(result, name, series, titles[name]) for name, series in result.series.items()]
    columns = [column for column in zip(header, *rows, strict=True) if any(cell != NOTHING for cell in column[1:])]
    refused = [f"  {titles[name]}: {series.refused}" for name, series in result.series.items() if series.refused]
    return "\n".join([result.scenario.title, *_aligned(columns), *refused, *_comparisons(result)])


def _comparisons(result: Result) -> Iterable[str]:
    """This checkout beside another commit, where both were measured."""
    for name, series in result.series.items():
        kind, at, commit = name.partition("@")
        if at and kind in result.series:
            spread = result.against(kind, name)
            if spread is not None:
                figures = f"{spread.median:.3f} ({spread.low:.3f}-{spread.high:.3f})"
                yield f"  {kind}: CPU {figures} times that of {commit}, in {len(series.samples)} rounds"


def _row(result: Result, name: str, series: Series, title: str) -> list[str]:
    return [title, *(cell(result, name, series) for cell in COLUMNS.values())]


def _aligned(columns: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in columns]
    for row in zip(*columns, strict=True):
        name, *cells = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(["", row[0].ljust(len(name)), *cells])
