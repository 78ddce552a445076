"""What a body was found to name, and where."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import msgspec

from ..config.model_ids import MAX_ID
from ..errors import InvalidRequest
from ..http.request_body import Bytes
from .long_texts import LongTexts

MOST = 100
"""Different models, or fields of routes, that one body may name."""

_NEAR = 64 * 1024
"""Bytes in front of a place within which its path is told exactly."""
_SHOWN = 64
"""Characters of a key that are shown in a path."""
_LONE = re.compile(rb"\\u[dD][89a-fA-F]")
_TOKEN = re.compile(rb'"(?>(?:[^"\\]++|\\.)*)"(?:[ \t\n\r]*+:)?|[\[\]{},]', re.DOTALL)


class Place(NamedTuple):
    """Where in a body something stands; ``str`` gives the path, which nobody needs while all is well."""

    data: Bytes
    at: int
    """Behind the key whose value it is, or at the beginning of an element."""
    field: str
    """The top-level field whose value ``data`` is, or empty where it is the whole body."""
    texts: LongTexts | None = None
    top: str = ""
    """The top-level field in which it is, where ``data`` is the whole body."""

    def __str__(self) -> str:
        if self.at > _NEAR:
            return f"{self.field or self.top}[...]"
        return self.field + "".join(self._steps()) if self.field else "".join(self._steps()).removeprefix(".")

    def _steps(self) -> Iterator[str]:
        steps: list[str | int] = []
        for token in _TOKEN.finditer(self.data, 0, self.at):
            text = token[0]
            if text == b"{":
                steps.append("")
            elif text == b"[":
                steps.append(0)
            elif text in (b"]", b"}"):
                steps.pop()
            elif text == b",":
                last = steps[-1]
                if isinstance(last, int):
                    steps[-1] = last + 1
            elif text[-1:] == b":":
                key = text[: text.rindex(b'"') + 1]
                steps[-1] = f".{self._name(key)}"
        return (step if isinstance(step, str) else f"[{step}]" for step in steps)

    def _name(self, key: bytes) -> str:
        """A key between its quotes, or its beginning."""
        if self.texts is not None:
            key = self.texts.beginning(key, 8 * _SHOWN)
        written = key.decode("utf-8", "replace")
        name: str = json.loads(written, strict=False) if len(key) <= 6 * _SHOWN else written[1:]
        name = name.encode("utf-8", "backslashreplace").decode()  # it may have half a character
        return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."


class Reference(NamedTuple):
    """One kind of stored objects that a body names: where it does first, and the group."""

    place: Place
    group: str
    only_items: bool = False
    """Whether these are items of the Responses API, which its server looks up by their ids, and nothing else."""

    @property
    def field(self) -> str:
        return str(self.place)


class Findings(msgspec.Struct):
    """Each model, group and field of a route once, with the place where it was found first.

    Faults are told at the end: what is found in a schema is none.
    """

    models: dict[str, Place] = {}
    groups: dict[str, Place] = {}
    routes: dict[str, Place] = {}
    defaults: dict[str, Place] = {}
    """What is named without its model, by the key of its default (``api/default_models.py``)."""
    beyond: set[str] = set()
    """Groups of which more is named than items."""
    repeated: set[str] = set()
    """Models that are named more than once."""
    fault: Callable[[], InvalidRequest] | None = None

    def model(self, id: str, place: Place) -> None:
        if self.models.setdefault(id, place) is not place:
            self.repeated.add(id)
        self._check_number(place)

    def object(self, group: str, place: Place) -> None:
        self.groups.setdefault(group, place)
        self.beyond.add(group)

    def item(self, place: Place) -> None:
        """One of the Responses API that has an id and does not say what it is about."""
        self.groups.setdefault("responses", place)

    def route(self, name: str, place: Place) -> None:
        self.routes.setdefault(name, place)
        self._check_number(place)

    def wrong_type(self, place: Place, expected: str) -> None:
        self.fault = self.fault or partial(_wrong_type, place, expected)

    def misspelt(self, place: Place, name: str) -> None:
        self.fault = self.fault or partial(_misspelt, place, name)

    def unreadable(self, place: Place, text: bytes) -> None:
        self.fault = self.fault or partial(unreadable, place, text)

    def merge(self, others: Findings) -> None:
        self.repeated |= self.models.keys() & others.models.keys()
        for own, more in zip(self._all(), others._all(), strict=True):
            for name, place in more.items():
                own.setdefault(name, place)
        self.repeated |= others.repeated
        self.beyond |= others.beyond
        self.fault = self.fault or others.fault
        for place in (*others.models.values(), *others.routes.values()):
            self._check_number(place)

    @property
    def references(self) -> tuple[Reference, ...]:
        return tuple([Reference(place, group, group not in self.beyond) for group, place in self.groups.items()])

    def check(self) -> None:
        """Raises ``InvalidRequest`` for the first fault, and for what is no model's id."""
        if self.fault is not None:
            raise self.fault()
        for id in self.models:
            check_model_id(id)

    def _all(self) -> tuple[dict[str, Place], ...]:
        return self.models, self.groups, self.routes, self.defaults

    def _check_number(self, last: Place) -> None:
        if len(self.models) > MOST or len(self.routes) > MOST:
            raise InvalidRequest(
                f"The request body names more than {MOST} different models or routes - at `$.{last}`",
                param=str(last),
                code="invalid_value",
            )


NOTHING_FOUND = Findings()
"""Of a body that names nothing; not to be written to."""


def _wrong_type(place: Place, expected: str) -> InvalidRequest:
    where = str(place)
    return InvalidRequest(f"Expected `{expected}` - at `$.{where}`", param=where, code="invalid_type")


def _misspelt(place: Place, name: str) -> InvalidRequest:
    where = str(place)
    said = f"must be written `{name}`" if name else "begins with too many blanks"
    return InvalidRequest(f"The field `{where}` {said}.", param=where, code="invalid_field")


def unreadable(place: object, text: bytes) -> InvalidRequest:
    """What is told of a value that has to be read and cannot."""
    lone = ": it has a lone surrogate escape, which stands for no character" if _LONE.search(text) else ""
    return InvalidRequest(f"The value at `$.{place}` cannot be read{lone}.", param=str(place), code="invalid_json")


def check_model_id(id: str) -> None:
    if not id or len(id) > MAX_ID or id != id.strip() or not id.isprintable():
        raise InvalidRequest(
            f"`$.model` must be 1 to {MAX_ID} printable characters without space around them.",
            param="model",
            code="invalid_value",
        )
    if "," in id:
        # LiteLLM takes it for as many models, and asks them all.
        raise InvalidRequest("`$.model` must name one model.", param="model", code="invalid_value")
