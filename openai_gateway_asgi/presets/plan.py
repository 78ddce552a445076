"""What presets and defaults want of a call, made ready for one operation."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from ..api.parameters import EMBEDDING, FILE_FORMAT, PARAMETERS, RESPONSES, canonical, names_of, parameter
from ..config.presets import Defaults, Preset
from ..config.templates import Template
from ..models import Via

INSTRUCTIONS = frozenset({RESPONSES, "Compactconversation", "Getinputtokencounts"})
"""Operations whose system prompt stands in ``instructions``; that of chat is a message."""
WORDLESS = frozenset(
    {
        EMBEDDING, "createModeration", "createImage", "createImageEdit", "createImageVariation", "createSpeech",
        "createTranscription", "createTranslation", "createVideo",
    }
)  # fmt: skip
"""Operations in which nothing is told that a system prompt could guard."""

MOST_PLANS = 1024
"""Presets whose plans are kept ready, by operation."""

FORMAT = "response_format"

_encode = msgspec.json.Encoder().encode


class Names:
    """Names of parameters, by where they stand: those with a dot inside an object."""

    __slots__ = ("all", "inside", "top")

    def __init__(self, names: Iterable[str]) -> None:
        below: dict[str, list[str]] = {}
        top: list[str] = []
        for name in names:
            holder, dot, rest = name.partition(".")
            if dot:
                below.setdefault(holder, []).append(rest)
            else:
                top.append(name)
        self.top = frozenset(top)
        self.inside: Mapping[str, Names] = {holder: Names(rest) for holder, rest in below.items()}
        self.all = self.top | self.inside.keys()
        """At the top: the names, and the objects that hold others."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One parameter in one operation."""

    at: str
    """Its name there; empty where the operation has it not, and it can only be taken out."""
    names: frozenset[str]
    """All its names, wherever a server reads it."""
    value: msgspec.Raw | None
    """None: it is only taken out."""
    by: str
    """Who sets it, as ``Preset 'lawyer'``."""

    is_inside: bool = False
    """Whether it stands in an object there."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    fills: tuple[Setting, ...]
    """Set where the client sends none."""
    fill_names: Names
    """All names of all of them."""
    locks: tuple[Setting, ...]
    """Set whatever the client sends."""
    lock_names: Names
    prompts: tuple[Template, ...]
    """Put in front of what the client says, in this order: those of presets near the model first."""
    name: bytes | None
    """Of the preset, in JSON, which answers name; None where a model itself was asked for."""
    guarded: bool
    """Whether a system prompt or a locked parameter would be gone around by an operation that knows neither."""
    asks_context: bool
    """Whether a prompt has something of the host's ``context``."""


@functools.lru_cache(maxsize=MOST_PLANS)
def plan_of(via: Via, operation: str) -> Plan:
    """What the presets and defaults on the way want together. Where two of them set a parameter, the one nearer to the
    client wins; where two lock it, the one nearer to the model."""
    values: dict[str, Setting] = {}
    locks: dict[str, Setting] = {}
    for entry, by in _entries(via):
        own = {canonical(name): _setting(name, value, operation, by) for name, value in entry.params.items()}
        locked = {canonical(name): name for name in entry.locked}
        for canon, name in locked.items():
            locks[canon] = own.get(canon) or Setting("", names_of(name), None, by)
        for canon, setting in own.items():
            if canon not in locked:
                _ = values.setdefault(canon, setting)
    fills = tuple([each for canon, each in values.items() if canon not in locks and each.at])
    prompts = tuple([preset.prompt for preset in reversed(via.presets) if preset.prompt is not None])
    asks = any(prompt.context_keys for prompt in prompts)
    answering = None if via.preset is None else _encode(via.preset)
    settings = tuple([each for each in locks.values() if each.names])
    return Plan(fills, _names(fills), settings, _names(settings), prompts, answering, bool(prompts or locks), asks)


def _names(settings: Iterable[Setting]) -> Names:
    return Names({name for setting in settings for name in setting.names})


def _entries(via: Via) -> Iterator[tuple[Preset | Defaults, str]]:
    """From the one that was asked for to the model."""
    for preset in via.presets:
        yield preset, f"Preset {preset.id!r}"
    for defaults in via.defaults:
        yield defaults, f"Defaults {', '.join(defaults.models)}"


def _setting(name: str, value: object, operation: str, by: str) -> Setting:
    """Under the name that it was written with, where the operation takes that."""
    spellings = parameter(name, value).at.get(operation, ())
    at = name if name in spellings else next(iter(spellings), "")
    # A format of files is another thing than a format of words, under the same name.
    another = canonical(name) == FORMAT and not at and operation in (*FILE_FORMAT.at, *PARAMETERS[FORMAT].at)
    return Setting(at, frozenset() if another else names_of(name), msgspec.Raw(_encode(value)), by, "." in at)
