"""Values that are used like any other and shown as nothing: what is secret on its way through local variables.

A debugger, an error tracker and ``traceback.TracebackException(capture_locals=True)`` print what frames hold, and what
they print is the ``repr``. So what carries a credential is of one of these types wherever it stands in a frame that
others are called from. Whatever is made from one (a slice, a joined text) is plain again.
"""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

HIDDEN = "***"


class _Hidden:
    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN

    def __sentry_repr__(self) -> str:
        """Sentry looks into containers, unless they have this (``sentry_sdk.serializer``)."""
        return HIDDEN


class HiddenText(_Hidden, str):
    __slots__ = ()


class HiddenBytes(_Hidden, bytes):
    __slots__ = ()

    __str__ = _Hidden.__repr__


class HiddenList(_Hidden, list[T]):
    __slots__ = ()


class HiddenDict(_Hidden, dict[K, V]):
    __slots__ = ()


def hidden(value: Any) -> Any:
    """JSON data with every text, list and object in it of a hidden type; what is none of these stays itself."""
    if isinstance(value, str):
        return HiddenText(value)
    if isinstance(value, bytes):
        return HiddenBytes(value)
    if isinstance(value, dict):
        return HiddenDict({name: hidden(item) for name, item in value.items()})
    if isinstance(value, list | tuple):
        return HiddenList([hidden(item) for item in value])
    return value


def shown(value: Any) -> Any:
    """The same data of plain types."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return {str(name): shown(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shown(item) for item in value]
    return value
