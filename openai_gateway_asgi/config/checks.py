"""Rules for single values. Each takes the field's name and a value of any kind, and gives the value as it is kept
or raises ``ConfigError`` with what to write instead. No message repeats a value: it might be a misplaced secret.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from ..errors import ConfigError

Rule = Callable[[str, Any], Any]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


def optional(rule: Rule) -> Rule:
    """The rule for all but None, which stands for a default that is decided later."""
    return lambda field, value: None if value is None else rule(field, value)


def flag(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(field, "must be true or false")
    return value


def whole(field: str, value: Any, *, least: int | None = None) -> int:
    bound = "" if least is None else f" of at least {least}"
    if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
        raise ConfigError(field, f"must be a whole number{bound}")
    return value


def seconds(field: str, value: Any, *, zero: bool = False) -> float:
    """A finite duration above zero, or from zero on."""
    kind = "zero or more seconds" if zero else "a number of seconds above zero"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(field, f"must be {kind}")
    if value < 0 or (value == 0 and not zero):
        raise ConfigError(field, f"must be {kind}")
    return value


def line(field: str, value: Any, *, longest: int = 256, empty: bool = False) -> str:
    """One line of printable text in any script, without spaces around it."""
    if not isinstance(value, str):
        raise ConfigError(field, "must be text")
    if not value.strip() and not (empty and not value):
        raise ConfigError(field, "must not be blank")
    if len(value) > longest:
        raise ConfigError(field, f"must not be longer than {longest} characters")
    if not value.isprintable():
        raise ConfigError(field, "must not contain line breaks or other control characters")
    if value != value.strip():
        raise ConfigError(field, "must not begin or end with a space")
    return value


def choice(field: str, value: Any, known: Collection[str]) -> str:
    if not isinstance(value, str) or value not in known:
        raise ConfigError(field, f"must be one of {', '.join(known)}")
    return value


def items(field: str, value: Any) -> list[Any]:
    """The items of a list or the like. A lone string is refused: it would be taken for its letters."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        one = "; put the text into brackets" if isinstance(value, str) else ""
        raise ConfigError(field, f"must be a list{one}")
    return list(value)


def lines(field: str, value: Any) -> tuple[str, ...]:
    """Lines of text, each kept once."""
    return tuple({line(f"{field}.{index}", item): None for index, item in enumerate(items(field, value))})


def tokens(field: str, value: Any) -> tuple[str, ...]:
    """Names of headers or cookies, each kept once."""
    return tuple({token(f"{field}.{index}", item): None for index, item in enumerate(items(field, value))})


def token(field: str, value: Any) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ConfigError(field, "must be a name of letters, digits and -._~!#$%&'*+^`| (RFC 9110)")
    return value


def visible_ascii(field: str, value: Any) -> str:
    """A header value as every server takes it (RFC 9110, 5.5, without obsolete text)."""
    if not isinstance(value, str):
        raise ConfigError(field, "must be text")
    if not all(" " <= char <= "~" or char == "\t" for char in value):
        raise ConfigError(field, "must be ASCII without line breaks or other control characters")
    if value != value.strip():
        raise ConfigError(field, "must not begin or end with a space")
    return value


def plain_data(field: str, value: Any) -> tuple[Any, ...]:
    """A list of what JSON can hold, copied, so that later changes to the original do not reach us."""
    try:
        return tuple(msgspec.json.decode(msgspec.json.encode(items(field, value))))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(field, "must hold text, numbers, true, false, null, lists and objects alone") from error
