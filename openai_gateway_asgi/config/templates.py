"""Texts with variables, for system prompts, headers and stamps: one grammar for all of them.

    {user.id} {user.name} {user.email} {user.role} {user.groups}    who asks; groups sorted, joined with commas
    {user.id:hmac}                                                  a name for the user that says nothing about them
    {context.KEY}                                                   what the host's ``context`` callable gave
    {date} {model} {operation}                                      today (UTC), the id asked for, the operation

Every other brace is text, so that prompts may hold JSON. A name of these families that does not exist is refused where
the text is configured. Values are put in once: what a user is called is never read as a variable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter, methodcaller
from typing import Any, Protocol

import msgspec

from ..errors import ConfigError

_VARIABLE = re.compile(r"\{((?:user|context|date|model|operation)(?:[.:][^{}\s]*)?)\}")
_CONTEXT = re.compile(r"context\.([A-Za-z0-9_][A-Za-z0-9_.-]*)")
_OF_USER = ("user.id", "user.name", "user.email", "user.role", "user.groups")
HMAC = "user.id:hmac"
KNOWN = frozenset({*_OF_USER, HMAC, "date", "model", "operation"})

# Open WebUI's spellings (utils/task.py, utils/headers.py), as its own configuration has them.
_ORIGINS = {
    "USER_ID": "{user.id}",
    "USER_NAME": "{user.name}",
    "USER_EMAIL": "{user.email}",
    "USER_ROLE": "{user.role}",
    "USER_GROUPS": "{user.groups}",
    "MODEL_ID": "{model}",
    "CHAT_ID": "{context.chat_id}",
    "MESSAGE_ID": "{context.message_id}",
    "CURRENT_DATE": "{date}",
}
_ORIGIN = re.compile(r"\{\{\s*(" + "|".join(_ORIGINS) + r")\s*\}\}")

_LEFT = re.compile(r"\{\{\s*((?:USER|CURRENT|CHAT|MESSAGE|SESSION)_[A-Z_]+|(?:user|chat)\.variables\.[\w.-]+)\s*\}\}")
"""Others of Open WebUI's (utils/task.py), for which nothing here stands."""

_WHO = frozenset({"user.id", "user.name", "user.email", "user.role", "model"})
_GETTERS: Mapping[str, Callable[[Any], str | None]] = {name: attrgetter(name) for name in (*_WHO, "operation")}
"""Of the variables that are attributes by these names."""

_encode = msgspec.json.Encoder().encode


class Values(Protocol):
    """What variables stand for in one call: a user (``.user``) with what users have, and what else is known."""

    @property
    def context(self) -> Mapping[str, str]: ...

    def value_of(self, name: str) -> str | None:
        """None for a ``context`` key that is missing."""
        ...


class Who(Protocol):
    """What nearly all texts are about, and whoever serves a call has at hand."""

    @property
    def user(self) -> Any: ...

    @property
    def model(self) -> str: ...


class Template:
    """A text with variables, read once. Raises ``ConfigError`` for ``field`` where it names one that there is not."""

    __slots__ = (
        "_getters",
        "_in_json",
        "_only",
        "_parts",
        "asks_who",
        "context_keys",
        "needs_secret",
        "of_user",
        "plain",
        "text",
    )

    def __init__(self, text: str, field: str) -> None:
        self.text = text
        # Texts and names in turn: re.split gives what the group caught between what stands around it.
        self._parts = _VARIABLE.split(text)
        names = self._parts[1::2]
        self.plain = not names
        """Whether it has no variable at all."""
        for name in names:
            if name not in KNOWN and not _CONTEXT.fullmatch(name):
                raise ConfigError(field, f"{{{name}}} is no variable; there are {_listed()}")
        self.context_keys = tuple(dict.fromkeys(name.removeprefix("context.") for name in names if "context." in name))
        self.needs_secret = HMAC in names
        self.of_user = all(name.startswith("user.") for name in names)
        """Whether it is always the same for one user."""
        self.asks_who = _WHO.issuperset(names)
        """Whether it takes no more than a ``Who``."""
        self._getters = tuple([_GETTERS.get(name) or methodcaller("value_of", name) for name in names])
        self._only = self._getters[0] if len(names) == 1 else None
        self._in_json: bytes | None = None

    def __repr__(self) -> str:
        return f"<Template of {len(self._parts) // 2} variables>"  # the text may be a header with a key in it

    @property
    def literals(self) -> Sequence[str]:
        """What stands between the variables."""
        return self._parts[::2]

    def render(self, values: Values) -> str:
        """The text with its values; a ``context`` key that is missing is empty."""
        if self.plain:
            return self.text
        return whole(self._filled([get(values) or "" for get in self._getters]))

    def render_json(self, values: Values | Who) -> bytes:
        """What ``render`` gives, in JSON and without its quotes; ``Who`` will do where it ``asks_who``."""
        if (known := self._in_json) is None:  # encoded once: prompts are long
            pieces = [_encode(text)[1:-1].replace(b"%", b"%%") for text in self.literals]
            self._in_json = known = _encode(self.text)[1:-1] if self.plain else b"%b".join(pieces)
        if self.plain:
            return known
        try:
            if self._only is not None:
                return known % _encode(self._only(values) or "")[1:-1]
            return known % tuple([_encode(get(values) or "")[1:-1] for get in self._getters])
        except UnicodeEncodeError:
            return known % tuple([_encode(whole(get(values) or ""))[1:-1] for get in self._getters])

    def render_or_none(self, values: Values, encode: Callable[[str], str] = str) -> str | None:
        """The same with each value encoded, or None where a ``context`` key that it names is missing: for headers,
        which are then left out."""
        if any(key not in values.context for key in self.context_keys):
            return None
        return self._filled([encode(get(values) or "") for get in self._getters])

    def _filled(self, values: list[str]) -> str:
        parts = self._parts.copy()
        parts[1::2] = values
        return "".join(parts)


def whole(text: str) -> str:
    """With a question mark in the place of half a character, which nobody can send."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def from_origin(text: str) -> str:
    """A text of Open WebUI's configuration in the variables of this library: ``{{USER_NAME}}`` is ``{user.name}``."""
    return _ORIGIN.sub(lambda found: _ORIGINS[found[1]], text)


def left_of_origin(text: str) -> list[str]:
    """The variables of Open WebUI that a text still has, each once: they would be read as they are written."""
    return list(dict.fromkeys(_LEFT.findall(text)))


def _listed() -> str:
    return ", ".join([*(f"{{{name}}}" for name in sorted(KNOWN)), "{context.KEY}"])
