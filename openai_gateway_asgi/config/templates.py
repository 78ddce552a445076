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
from typing import Protocol

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


class Values(Protocol):
    """What variables stand for in one call."""

    @property
    def context(self) -> Mapping[str, str]: ...

    def value_of(self, name: str) -> str | None:
        """None for a ``context`` key that is missing."""
        ...


class Template:
    """A text with variables, read once. Raises ``ConfigError`` for ``field`` where it names one that there is not."""

    __slots__ = ("_parts", "context_keys", "needs_secret", "text")

    def __init__(self, text: str, field: str) -> None:
        self.text = text
        # Texts and names in turn: re.split gives what the group caught between what stands around it.
        self._parts = _VARIABLE.split(text)
        names = self._parts[1::2]
        for name in names:
            if name not in KNOWN and not _CONTEXT.fullmatch(name):
                raise ConfigError(field, f"{{{name}}} is no variable; there are {_listed()}")
        self.context_keys = tuple(dict.fromkeys(name.removeprefix("context.") for name in names if "context." in name))
        self.needs_secret = HMAC in names

    def __repr__(self) -> str:
        return f"<Template of {len(self._parts) // 2} variables>"  # the text may be a header with a key in it

    @property
    def literals(self) -> Sequence[str]:
        """What stands between the variables."""
        return self._parts[::2]

    @property
    def plain(self) -> bool:
        """Whether it has no variable at all."""
        return len(self._parts) == 1

    def render(self, values: Values) -> str:
        """The text with its values; a ``context`` key that is missing is empty."""
        if self.plain:
            return self.text
        value_of = values.value_of
        return "".join([value_of(part) or "" if number % 2 else part for number, part in enumerate(self._parts)])

    def render_or_none(self, values: Values, encode: Callable[[str], str] = str) -> str | None:
        """The same with each value encoded, or None where a ``context`` key that it names is missing: for headers,
        which are then left out."""
        if any(key not in values.context for key in self.context_keys):
            return None
        value_of = values.value_of
        return "".join(
            [encode(value_of(part) or "") if number % 2 else part for number, part in enumerate(self._parts)]
        )


def from_origin(text: str) -> str:
    """A text of Open WebUI's configuration in the variables of this library: ``{{USER_NAME}}`` is ``{user.name}``."""
    return _ORIGIN.sub(lambda found: _ORIGINS[found[1]], text)


def _listed() -> str:
    return ", ".join([*(f"{{{name}}}" for name in sorted(KNOWN)), "{context.KEY}"])
