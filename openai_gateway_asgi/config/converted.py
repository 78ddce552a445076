"""The type of a dataclass field that takes more than it keeps."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

Kept = TypeVar("Kept", covariant=True)
Given = TypeVar("Given", contravariant=True)


class Converted(Protocol[Kept, Given]):
    """For type checkers alone, which read a descriptor's types: set with ``Given``, read as ``Kept``.

    The conversion itself is ``__post_init__``'s.
    """

    def __get__(self, instance: object, owner: Any) -> Kept: ...

    def __set__(self, instance: object, value: Given) -> None: ...
