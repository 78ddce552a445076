"""Presets: models of the host's own, each a name over other models, with what it says and sets there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from ..api.parameters import NOT_PARAMETERS, PARAMETERS, canonical, parameter
from ..errors import ConfigError
from . import checks
from .converted import Converted
from .model_ids import MAX_ID, ModelIds, is_pattern
from .templates import Template

LONGEST_SYSTEM = 64 * 1024
"""Characters of a preset's system prompt."""
LONGEST_DESCRIPTION = 4 * 1024
"""Characters of a preset's description."""
MOST_BASES = 16
"""Bases of one preset."""

ACCESS = ("implied", "checked")

_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_NOTHING: Any = ()
_NO_PARAMS: Any = MappingProxyType({})


class _Remembering:
    """Room for what follows from an heir's fields, so that it is worked out once."""


@dataclass(frozen=True, slots=True)
class Preset(_Remembering):
    """A model of the host's own: a name over one model or several. Immutable; a fault raises ``ConfigError`` naming the
    field.

    Presets come from code, a store or administrators, never from users: access is checked on the preset, and its base
    is implied, unless ``base_access`` says otherwise.
    """

    id: str
    """What clients ask for. That of a real model puts it in front of that model, which is then its own base."""
    base: Converted[tuple[str, ...] | Mapping[str, int], str | Iterable[str] | Mapping[str, int]] = _NOTHING
    """A model or another preset by its public id; several are asked in their order; a mapping to whole numbers draws
    the first one by weight. Empty: the model of the same id."""
    _: KW_ONLY
    name: str = ""
    """Shown in lists; the id where none is given."""
    description: str = ""
    """Shown in lists."""
    order: int | None = None
    """Its place in lists, smaller numbers first; None: behind all that have one."""
    tags: Converted[tuple[Any, ...], Iterable[Any]] = _NOTHING
    """Shown in lists, as those of upstreams."""
    hidden: bool = False
    """Lists leave it out; it can still be called."""
    enabled: bool = True
    """False: as if it were not there."""
    system: str = ""
    """Put in front of the client's instructions; may hold variables, as ``{user.name}``."""
    params: Mapping[str, Any] = field(default_factory=lambda: _NO_PARAMS)
    """Parameters that are filled in where the client sends none, by name, as ``temperature``."""
    locked: Converted[tuple[str, ...], Iterable[str]] = _NOTHING
    """Parameters that clients cannot set: those of ``params`` win over the client's, others are taken out."""
    base_access: Literal["implied", "checked"] = "implied"
    """``checked``: the user must be allowed to use the base as well."""

    def __hash__(self) -> int:
        return hash(self.id)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", model_id("id", self.id))
        for name, rule in _RULES.items():
            object.__setattr__(self, name, rule(name, getattr(self, name)))
        if not self.base:
            object.__setattr__(self, "base", (self.id,))
        _ = self.prompt

    @property
    def bases(self) -> tuple[str, ...]:
        """The ids of ``base``, in order."""
        return tuple(self.base)

    @property
    def weights(self) -> tuple[int, ...] | None:
        """Of ``bases``, where they are drawn."""
        return tuple(self.base.values()) if isinstance(self.base, Mapping) else None

    @cached_property
    def prompt(self) -> Template | None:
        """``system``, read."""
        return Template(self.system, "system") if self.system else None


@dataclass(frozen=True, slots=True)
class Defaults(_Remembering):
    """Parameters for all models whose public id matches: filled in where neither the client nor a preset sets them.

    Immutable; a fault raises ``ConfigError`` naming the field.
    """

    models: str | Iterable[str]
    """Ids, with ``*`` for any run of characters; of a preset its own id and its bases' are looked at."""
    _: KW_ONLY
    params: Mapping[str, Any] = field(default_factory=lambda: _NO_PARAMS)
    locked: Converted[tuple[str, ...], Iterable[str]] = _NOTHING
    """As a preset's."""

    def __hash__(self) -> int:
        return hash(self.models)

    def __post_init__(self) -> None:
        given = self.models
        patterns = checks.lines("models", (given,) if isinstance(given, str) else given)
        if not patterns:
            raise ConfigError("models", 'must name some; write Defaults("gpt-*", params={...})')
        object.__setattr__(self, "models", patterns)
        object.__setattr__(self, "params", _params("params", self.params))
        object.__setattr__(self, "locked", _locked("locked", self.locked))

    @cached_property
    def _patterns(self) -> ModelIds:
        return ModelIds(self.models)

    def concerns(self, ids: Iterable[str]) -> bool:
        """Whether one of a call's models is meant."""
        return any(id in self._patterns for id in ids)


def model_id(where: str, value: Any) -> str:
    id = checks.line(where, value, longest=MAX_ID)
    if is_pattern(id) or "," in id:
        raise ConfigError(where, "must be the id of one model, without * and commas")
    return id


def _base(where: str, value: Any) -> tuple[str, ...] | Mapping[str, int]:
    if isinstance(value, str):
        return (model_id(where, value),) if value else ()
    if isinstance(value, Mapping):
        drawn = {model_id(where, id): checks.whole(f"{where}.{id}", share, least=1) for id, share in value.items()}
        if not drawn:
            raise ConfigError(where, "must name a model; write {'gpt-5': 3, 'claude-4': 1}, or one id")
        return MappingProxyType(_few(where, drawn))
    given = [model_id(f"{where}.{index}", id) for index, id in enumerate(checks.items(where, value))]
    return tuple(_few(where, dict.fromkeys(given, 1)))


def _few(where: str, bases: dict[str, int]) -> dict[str, int]:
    if len(bases) > MOST_BASES:
        raise ConfigError(where, f"must not name more than {MOST_BASES} models")
    return bases


def _params(where: str, value: Any) -> Mapping[str, Any]:
    """Names once each, whatever their spelling, and values of their kind; copied."""
    if not isinstance(value, Mapping):
        raise ConfigError(where, 'must map names of parameters to values; write {"temperature": 0}')
    found: dict[str, Any] = {}
    seen: dict[str, str] = {}
    for name, given in value.items():
        at = f"{where}.{_name(where, name)}"
        canon = canonical(name)
        if canon in seen:
            raise ConfigError(at, f"is another name of {seen[canon]}; write one of them")
        seen[canon] = name
        found[name] = _value(at, name, given)
    return MappingProxyType(found)


def _value(where: str, name: str, value: Any) -> Any:
    try:
        plain = msgspec.json.decode(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(where, "must be what JSON can hold: text, numbers, true, false, lists and objects") from error
    if plain is None:
        raise ConfigError(where, "must not be null; leave it out")
    try:
        msgspec.convert(plain, parameter(name, plain).kind)
    except msgspec.ValidationError as error:
        problem = str(error)
        raise ConfigError(where, f"is of another kind: {problem[:1].lower()}{problem[1:]}") from None
    return plain


def _locked(where: str, value: Any) -> tuple[str, ...]:
    names = checks.lines(where, value)
    for index, name in enumerate(names):
        _ = _name(f"{where}.{index}", name)
    return names


def _name(where: str, name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > MAX_ID:
        raise ConfigError(where, "must name parameters in small letters, such as temperature")
    if name == "system":
        raise ConfigError(f"{where}.{name}", 'is no parameter; write Preset(..., system="...")')
    if name in NOT_PARAMETERS:
        instead = ", ".join(known for known in _DOTTED if known.startswith(f"{name}."))
        raise ConfigError(f"{where}.{name}", f"is no parameter; {f'write {instead}' if instead else 'leave it out'}")
    if "." in name and canonical(name) not in PARAMETERS:
        raise ConfigError(f"{where}.{name}", f"is unknown; names with a dot are {', '.join(_DOTTED)}")
    return name


_DOTTED = sorted(
    {name for each in PARAMETERS.values() for names in each.at.values() for name in names if "." in name}
)  # fmt: skip


def _text(longest: int) -> checks.Rule:
    def rule(where: str, value: Any) -> str:
        if not isinstance(value, str):
            raise ConfigError(where, "must be text")
        if len(value) > longest:
            raise ConfigError(where, f"must not be longer than {longest} characters")
        if not value.isascii():
            _check_characters(where, value)
        return str(value)

    return rule


def _check_characters(where: str, text: str) -> None:
    try:
        _ = text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(where, "has half a character, which nobody can send") from error


_RULES: dict[str, checks.Rule] = {
    "base": _base,
    "name": lambda where, value: checks.line(where, value, empty=True),
    "description": _text(LONGEST_DESCRIPTION),
    "order": checks.optional(checks.whole),
    "tags": checks.plain_data,
    "hidden": checks.flag,
    "enabled": checks.flag,
    "system": _text(LONGEST_SYSTEM),
    "params": _params,
    "locked": _locked,
    "base_access": lambda where, value: checks.choice(where, value, ACCESS),
}
