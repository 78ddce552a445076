"""The rules a form is held against, part by part: sizes, and which fields it must and must not have."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field

from ...errors import InvalidRequest, PayloadTooLarge
from ..spelling import pieces, stem
from .headers import Part
from .limits import Limits
from .parser import Event, Parser, PartEnd

CHARSET = "_charset_"
"""The field by which a form names the character set of its other fields (RFC 7578, 4.6)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """``wanted`` may occur once, not as a file, in at most ``wanted_limit`` bytes of UTF-8.

    Of ``refused`` none may occur, not even nested. For both, a name that a lenient reader could take for one of them
    counts as one. ``check_value`` gets every other field that is no file, by the beginning of its name and its value,
    and raises for what must not be in it.
    """

    wanted: str | None = "model"
    wanted_limit: int = 256
    refused: Container[str] = ()
    check_value: Callable[[str, bytes], None] | None = None
    limits: Limits = field(default_factory=Limits)


class Form:
    """One body on its way through: ``feed`` and ``close`` as the parser's, and as strict as the rules.

    ``fields`` has the values of the complete fields by name (of several with one name, the last); files are not kept.
    """

    def __init__(self, boundary: bytes, rules: Rules) -> None:
        self.fields: dict[str, bytes] = {}
        self.has_file = False
        self._parser = Parser(boundary)
        self._rules = rules
        self._wanted_stem = None if rules.wanted is None else stem(rules.wanted)
        self._seen_wanted = False
        self._part: Part | None = None
        self._value = bytearray()
        self._fields_size = 0

    @property
    def decided(self) -> bool:
        """Whether all that a decision needs is known: the wanted field, and what stands before the first file."""
        return self.has_file and (self._rules.wanted is None or self._rules.wanted in self.fields)

    def feed(self, data: bytes) -> list[Event]:
        events = self._parser.feed(data)
        for event in events:
            match event:
                case bytes():
                    self._content(event)
                case Part():
                    self._begin(event)
                case PartEnd():
                    self._end()
        return events

    def close(self) -> None:
        self._parser.close()

    def _begin(self, part: Part) -> None:
        self._check_name(part)
        self._part = part
        self._value = bytearray()
        self.has_file = self.has_file or part.is_file

    def _check_name(self, part: Part) -> None:
        name, wanted = part.name, self._rules.wanted
        meant = stem(name)
        if any(piece in self._rules.refused for piece in pieces(name)):
            raise _refusal(name, f"The form field `{name}` is not taken: the gateway decides where a call goes.")
        if meant != self._wanted_stem:
            return
        if name != wanted:
            raise _refusal(name, f"The form field `{name}` must be written `{wanted}`.")
        if part.is_file:
            raise _refusal(name, f"The form field `{name}` must not be a file.")
        if self._seen_wanted:
            raise _refusal(name, f"The form field `{name}` must occur once.")
        self._seen_wanted = True

    def _content(self, data: bytes) -> None:
        part, rules = self._part, self._rules
        assert part is not None
        if part.is_file:
            return
        self._value += data
        self._fields_size += len(data)
        if part.name == rules.wanted and len(self._value) > rules.wanted_limit:
            raise _invalid(part.name, f"The form field `{part.name}` is longer than {rules.wanted_limit} bytes.")
        if len(self._value) > rules.limits.field:
            raise PayloadTooLarge(
                f"The form field `{part.name}` is larger than the {rules.limits.field} bytes this gateway takes.",
                param=part.name,
            )
        if self._fields_size > rules.limits.fields:
            raise PayloadTooLarge(
                f"The form's fields are larger than the {rules.limits.fields} bytes this gateway takes."
            )

    def _end(self) -> None:
        part = self._part
        assert part is not None
        if part.is_file:
            return
        value = bytes(self._value)
        if part.name == self._rules.wanted:
            _check_text(part.name, value)
        elif self._rules.check_value is not None:
            self._rules.check_value(stem(part.name), value)
        if stem(part.name) == CHARSET and value.strip().lower() not in (b"utf-8", b"utf8"):
            raise _invalid(part.name, f"The form field `{part.name}` may say UTF-8 only: so the fields are read.")
        self.fields[part.name] = value


def _check_text(name: str, value: bytes) -> None:
    if not value:
        raise _invalid(name, f"The form field `{name}` is empty.")
    try:
        value.decode()
    except UnicodeDecodeError as error:
        raise _invalid(name, f"The form field `{name}` is not valid UTF-8.") from error


def _refusal(name: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, param=name, code="invalid_field")


def _invalid(name: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, param=name, code="invalid_value")
