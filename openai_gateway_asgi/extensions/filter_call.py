"""One call, as a filter sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request

from ..bodies.loose_json import as_json
from ..bodies.payload import Payload
from ..host.users import User
from ..http.asgi import Scope
from .texts import ASKED, IMAGES, Places, refuse_other_case, texts_in, with_texts

FIXED = frozenset({"stream"})
"""Fields by which it was settled already how the client is answered."""


class Draft:
    """The body on its way through the filters: each sees what those before it made of it."""

    __slots__ = ("payload",)

    def __init__(self, payload: Payload | None) -> None:
        self.payload = payload
        """None once it has been sent on, and for what is no JSON."""


class FilterCall:
    """What a filter is told of one call, and how it changes its body.

    The body is there in ``before`` alone; afterwards a stream may be long, and the body large. What a filter needs
    later it keeps in ``notes``.
    """

    __slots__ = ("_draft", "_scope", "model", "notes", "operation", "state", "user")

    def __init__(self, user: User, operation: str, model: str, scope: Scope, draft: Draft) -> None:
        self.user = user
        self.operation = operation
        """OpenAI's ``operationId``, as ``createChatCompletion``."""
        self.model = model
        """The id that the client asked for; empty where a stored object brings it."""
        self.notes: dict[str, Any] = {}
        """This filter's own, for as long as the call lasts."""
        self.state: dict[str, Any] = {}
        """This filter's own, made anew for each attempt: what an answer that was given up had left in it is gone."""
        self._scope = scope
        self._draft = draft

    @property
    def request(self) -> Request:
        """The host's request, with its session and state; its body has been read."""
        return Request(self._scope)

    @property
    def has_body(self) -> bool:
        """Whether there is a JSON body to look at: forms and sounds are none."""
        return self._draft.payload is not None

    def __contains__(self, name: str) -> bool:
        return name in self._payload.outline

    def get(self, name: str) -> Any:
        """A field of the body, decoded anew each time; None where it is missing or null.

        Where texts may stand in it, a key that is written in other letters than the one that leads to a text ends the
        call with a 400: some upstream would read what no filter has seen.
        """
        kind: Any = Any
        value = self._payload.read(name, kind)
        if (places := ASKED.get(self.operation, {}).get(name)) is not None:
            refuse_other_case(value, places)
        return value

    def set(self, name: str, value: Any) -> None:
        """Puts a field into the body, or another value into it. Another ``model`` is resolved and checked anew."""
        self._check(name)
        self._draft.payload = self._payload.edited({name: msgspec.Raw(as_json(value))})

    def drop(self, name: str) -> None:
        """Takes a field out of the body."""
        self._check(name)
        if name == "model":
            raise ValueError("a filter may name another model, and not none: call.set('model', ...)")
        self._draft.payload = self._payload.edited(without=(name,))

    @property
    def messages(self) -> list[Any]:
        """Of a chat completion, decoded anew: ``call.set("messages", ...)`` puts other ones in their place."""
        return self.get("messages") or []

    def texts(self) -> Sequence[str]:
        """All texts in the body that people, tools or models wrote, wherever the operation has them."""
        return self._found(ASKED)

    def change_texts(self, change: Callable[[str], str]) -> None:
        """Makes something else of each of these texts."""
        for name, places in self._places(ASKED):
            before = self.get(name)
            after = with_texts(before, places, change)
            if after is not before:
                self.set(name, after)

    def images(self) -> Sequence[str]:
        """All images in the body, as URLs (``data:`` URLs among them)."""
        return self._found(IMAGES)

    def _found(self, table: Mapping[str, Places]) -> list[str]:
        return [text for name, places in self._places(table) for text in texts_in(self.get(name), places)]

    def _places(self, table: Mapping[str, Places]) -> list[tuple[str, Places]]:
        """The fields that are there in which some of them stand."""
        tops = table.get(self.operation, {}) if self.has_body else {}
        return [(name, places) for name, places in tops.items() if name in self and self._payload.may_have_text(name)]

    @property
    def _payload(self) -> Payload:
        payload = self._draft.payload
        if payload is None:
            raise RuntimeError(
                "the JSON body is there in `before` alone, and some requests have none (`call.has_body`); keep what "
                "you need later in call.notes"
            )
        return payload

    def _check(self, name: str) -> None:
        if name in FIXED:
            raise ValueError(f"a filter cannot change {name!r}: how the client is answered is settled")
