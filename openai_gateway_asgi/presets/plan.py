"""What presets and defaults want of a call, made ready for one operation."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..api.parameters import CHAT, EMBEDDING, FILE_FORMAT, PARAMETERS, RESPONSES, canonical, family, names_of, parameter
from ..config.presets import Defaults, Preset
from ..config.templates import Template
from ..models import Via
from .naming import NamePreset
from .words import in_words_of

MESSAGES = "messages"
PROMPTED: Mapping[str, str] = {
    CHAT: MESSAGES,
    **dict.fromkeys((RESPONSES, "Compactconversation", "Getinputtokencounts"), "instructions"),
}
"""By operation, the field in which a system prompt stands."""
BETWEEN = "\n"
"""What stands between system prompts."""
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


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Plan:
    fills: tuple[Setting, ...]
    """Set where the client sends none."""
    fill_names: Names
    """All names of all of them."""
    locks: tuple[Setting, ...]
    """Set whatever the client sends."""
    lock_names: Names
    prompt: Template | None
    """Put in front of what the client says: those of presets near the model first. None where none is to be put."""
    prompted: str
    """The field in which it is put."""
    name: bytes | None
    """Of the preset, in JSON, which answers name; None where a model itself was asked for."""
    naming: tuple[NamePreset, ...]
    """The stage of calls that do not stream: it keeps nothing of an answer, and so serves them all."""
    guarded: bool
    """Whether there is a system prompt or a locked parameter, which would be gone around where the model, and so its
    parameters, stand further down than at the top of a body."""
    goes_around: bool
    """Whether a system prompt would be gone around by the operation."""
    asks_context: bool
    """Whether a prompt has something of the host's ``context``."""
    asks_who: bool
    """Whether the prompt takes no more than a ``Who``."""
    sets: bool
    """Whether it is more than a name."""
    looks_inside: frozenset[str]
    """Names of objects that may hold what it has a say in."""
    shapes: dict[tuple[str, ...], Any] = field(default_factory=dict)
    """What it does to bodies, by the names of their fields, once that was worked out (``apply.py``)."""


def plan_of(via: Via, operation: str) -> Plan:
    """What the presets and defaults on the way want together. Where two of them set a parameter, the one nearer to the
    client wins; where two lock it, the one nearer to the model."""
    plan: Plan | None = via.plans.get(operation)
    if plan is None:
        plan = via.plans[operation] = _plan_of(via.presets, via.defaults, operation)
    return plan


@functools.lru_cache(maxsize=MOST_PLANS)
def _plan_of(presets: tuple[Preset, ...], given: tuple[Defaults, ...], operation: str) -> Plan:
    """One for all callers: who sees models of their own has ways of their own to the same presets."""
    values: dict[str, Setting] = {}
    locks: dict[str, Sequence[Setting]] = {}
    for entry, by in _entries(presets, given):
        own = {canonical(name): _setting(name, value, operation, by) for name, value in entry.params.items()}
        locked = {family(name): name for name in entry.locked}
        for kin, name in locked.items():
            set_here = [setting for canon, setting in own.items() if family(canon) == kin]
            locks[kin] = set_here or [Setting("", names_of(name), None, by)]
        for canon, setting in own.items():
            if family(canon) not in locked:
                _ = values.setdefault(canon, setting)
    fills = tuple([each for canon, each in values.items() if family(canon) not in locks and each.at])
    settings = tuple([each for settings in locks.values() for each in settings if each.names])
    prompts = [preset.prompt for preset in reversed(presets) if preset.prompt is not None]
    prompt = _joined(prompts) if operation in PROMPTED else None
    fill_names, lock_names = _names(fills), _names(settings)
    return Plan(
        fills=fills,
        fill_names=fill_names,
        locks=settings,
        lock_names=lock_names,
        prompt=prompt,
        prompted=PROMPTED.get(operation, ""),
        name=_encode(presets[0].id) if presets else None,
        naming=tuple([NamePreset(_encode(preset.id), streams=False) for preset in presets[:1]]),
        guarded=bool(prompts or locks),
        goes_around=bool(prompts) and not (operation in PROMPTED or operation in WORDLESS),
        asks_context=prompt is not None and bool(prompt.context_keys),
        asks_who=prompt is None or prompt.asks_who,
        sets=bool(fills or locks or prompts),
        looks_inside=frozenset({*fill_names.inside, *lock_names.inside}),
    )


def _joined(prompts: Sequence[Template]) -> Template | None:
    if len(prompts) < 2:
        return prompts[0] if prompts else None
    return Template(BETWEEN.join([each.text for each in prompts]), "system")  # no variable has a line break in it


def _names(settings: Iterable[Setting]) -> Names:
    return Names({name for setting in settings for name in setting.names})


def _entries(presets: tuple[Preset, ...], given: tuple[Defaults, ...]) -> Iterator[tuple[Preset | Defaults, str]]:
    """From the one that was asked for to the model."""
    for preset in presets:
        yield preset, f"Preset {preset.id!r}"
    for defaults in given:
        yield defaults, f"Defaults {', '.join(defaults.models)}"


def _setting(name: str, value: object, operation: str, by: str) -> Setting:
    """Under the name that it was written with, where the operation takes that."""
    spellings = parameter(name, value).at.get(operation, ())
    at = name if name in spellings else next(iter(spellings), "")
    # A format of files is another thing than a format of words, under the same name.
    another = canonical(name) == FORMAT and not at and operation in (*FILE_FORMAT.at, *PARAMETERS[FORMAT].at)
    said = _encode(in_words_of(operation, canonical(name), value))
    return Setting(at, frozenset() if another else names_of(name), msgspec.Raw(said), by, "." in at)
