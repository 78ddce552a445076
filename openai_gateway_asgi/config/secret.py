"""Text that is used, never shown."""

from __future__ import annotations

import hmac
from typing import NoReturn

from ..hidden import HIDDEN


class Secret:
    """An API key or the like. Only ``reveal()`` gives the text; showing or pickling a Secret does not.

    Takes text or another Secret; false when empty. Equality takes the same time wherever two secrets differ.
    """

    __slots__ = ("_text",)
    _text: str

    def __init__(self, text: str | Secret = "") -> None:
        if isinstance(text, Secret):
            text = text._text
        if not isinstance(text, str):
            text = type(text).__name__
            raise TypeError(f"a Secret holds text, not {text}")
        object.__setattr__(self, "_text", str(text))

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    def __format__(self, _spec: str) -> str:
        return HIDDEN

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self._text), _bytes(other._text))

    def __hash__(self) -> int:
        return hash(self._text)

    def __setattr__(self, _name: str, _value: object) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __delattr__(self, _name: str) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: object) -> Secret:
        return self


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
