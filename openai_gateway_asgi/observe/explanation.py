"""What would become of a request, as plain values that print well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Decision:
    """One step on the way."""

    about: str
    """As ``operation``, ``access`` or ``model``."""
    verdict: str
    by: str
    """The setting, callable or rule that decided it."""

    def __str__(self) -> str:
        return f"{self.about}: {self.verdict} ({self.by})"


@dataclass(frozen=True, slots=True)
class BodyChange:
    """A place in the body that an upstream gets otherwise than the client sent it. Texts are told by their length,
    for they may be prompts; names of models and other plain words are shown."""

    at: str
    """As ``$.messages[0].role``."""
    before: str | None
    """None where there was nothing."""
    after: str | None
    """None where nothing is sent."""
    by: str
    """The settings that decide it."""

    def __str__(self) -> str:
        if self.before is None:
            told = f"+ {self.at}: {self.after}"
        elif self.after is None:
            told = f"- {self.at}: {self.before}"
        else:
            told = f"~ {self.at}: {self.before} -> {self.after}"
        return f"{told} ({self.by})"


@dataclass(frozen=True, slots=True)
class ParameterExplained:
    """A parameter in which presets or defaults have a say."""

    name: str
    """As it would be sent."""
    value: str | None
    """As JSON; a client's text is told by its length. None where none is sent."""
    by: str
    """Whose value won: the client's, a preset's, that of defaults."""
    locked: bool
    """Whether the client has no say in it."""
    over: bool
    """Whether somebody else had a value for it as well."""

    def __str__(self) -> str:
        how = f"{self.by}{', locked' * self.locked}"
        return f"parameter {self.name}: {self.value or 'taken out'} ({how}{', over another' * self.over})"


@dataclass(frozen=True, slots=True)
class HeaderExplained:
    """A header that an upstream would get."""

    name: str
    value: str
    """``***`` where it is, or may be, secret."""
    by: str
    """The setting that lets it through, or adds it."""


@dataclass(frozen=True, slots=True)
class CandidateExplained:
    """An upstream that may serve the call."""

    upstream: str
    """Its name."""
    model: str
    """The model's id there; empty where none is named."""
    serves: str
    """The public id that it would answer for: the one asked for, or a fallback's; empty where none is named."""
    asked: bool
    """Whether a request may be sent to it."""
    why: str
    """Why, or why not."""
    by: str
    """The settings that put it in its place."""
    share: float
    """How often it is the first of its model and priority, from 0 to 1."""
    url: str = ""
    """Where the request would go; values of the query are masked."""
    headers: tuple[HeaderExplained, ...] = ()
    """That would be sent."""
    translated_to: str | None = None
    """The API that the call would be said in, where it is not the client's: ``chat`` or ``responses``."""
    dropped: tuple[str, ...] = ()
    """What its translation would leave out, because the upstream is set so, as ``tools[0] (web_search)``, or because
    its provider is known to refuse it."""
    way: tuple[str, ...] = ()
    """The ids on the way to it, where presets lead there: the one asked for first."""
    parameters: tuple[ParameterExplained, ...] = ()
    """What presets and defaults say of parameters, and whose value won."""
    body: tuple[BodyChange, ...] = ()
    """What the upstream would get otherwise than the client sent it."""
    clocks: Mapping[str, float | None] | None = None
    """Seconds that are waited for each step (``Timeouts``)."""
    clocks_by: str = ""

    def lines(self) -> Iterator[str]:
        model = f" as {self.model}" if self.model else ""
        if len(self.way) > 1:
            model += f" by way of {' -> '.join(self.way)}"
        yield f"{self.upstream}{model}: {self.why} ({self.by})"
        if not self.asked:
            return
        yield f"  {self.url}"
        if self.translated_to is not None:
            yield f"  translated to the API {self.translated_to} (Upstream.api)"
        for each in self.dropped:
            yield f"  left out: {each} ({'Upstream.drop_hosted_tools' if ' (' in each else 'its provider refuses it'})"
        yield from (f"  {each.name}: {each.value} ({each.by})" for each in self.headers)
        yield from (f"  {parameter}" for parameter in self.parameters)
        yield from (f"  {change}" for change in self.body)
        if not self.body and any(each.name == "content-type" for each in self.headers):
            yield "  body: as it came"
        if self.clocks is not None:
            seconds = ", ".join(f"{name} {'-' if s is None else f'{s:g} s'}" for name, s in self.clocks.items())
            yield f"  clocks: {seconds} ({self.clocks_by})"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a request would meet, and whom it would be sent to. Nothing was sent for it. ``str`` of it reads well."""

    method: str
    path: str
    """Without the query."""
    user: str
    """The user's id."""
    outcome: str
    """``sent``: an upstream would be asked. ``answered``: by the gateway itself. ``refused``: by the gateway, with
    ``status``. ``undecided``: only a list of models that was never loaded could tell."""
    status: int | None = None
    """Of the gateway's own answer."""
    code: str | None = None
    """Of the error."""
    reason: str | None = None
    """Which refusal it is, as the record has it: it tells a model that is denied from one that is unknown."""
    message: str = ""
    """What the client would be told."""
    operation: str | None = None
    model: str | None = None
    """The public id that would be served; None where none is named."""
    streams: bool = False
    decisions: tuple[Decision, ...] = ()
    """What the request was found to be, then each verdict in its turn."""
    candidates: tuple[CandidateExplained, ...] = ()
    """In the order in which they would be asked; where weights draw it, the likeliest first."""
    would_ask: tuple[str, ...] = ()
    """What a call would ask, take or tell beside, and this did not."""

    def to_data(self) -> dict[str, Any]:
        """As plain JSON data."""
        data: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return data

    def __str__(self) -> str:
        return "\n".join(map(_in_line, self._lines()))

    def _lines(self) -> Iterator[str]:
        yield f"{self.method} {self.path} by {self.user}: {self._told}"
        for decision in self.decisions:
            yield f"  {decision}"
        if self.candidates:
            yield "candidates:"
        for number, candidate in enumerate(self.candidates, 1):
            first, *rest = candidate.lines()
            yield f"  {number}. {first}"
            yield from (f"     {line}" for line in rest)
        if self.would_ask:
            yield "a call would also:"
            yield from (f"  {each}" for each in self.would_ask)

    @property
    def _told(self) -> str:
        if self.outcome == "refused":
            told = f"refused, {self.status} {self.reason}"
            return f"{told}: {self.message}" if self.message else told
        return self.outcome if self.status is None else f"{self.outcome}, {self.status}"


def _in_line(text: str) -> str:
    """What users and upstreams wrote cannot begin a line of its own."""
    return "".join([char if char.isprintable() else "?" for char in text])
