"""The ASGI types that every room needs.

The aliases are the ones Starlette uses, so that its applications and ours type-check against each other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]
NamedHeaders = Mapping[bytes, bytes]
"""Headers by their lower-case names; of several with one name, the first."""

JSON = b"application/json"


class PrivateScope(dict[str, Any]):
    """A copy of an HTTP scope; its ``repr`` shows the method and path alone, for there are credentials in it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{self.get('type')} {self.get('method')} {self.get('path')}>"

    def __sentry_repr__(self) -> str:
        return repr(self)

    def with_(self, **more: Any) -> PrivateScope:
        """A copy with more in it, or other."""
        scope = PrivateScope(self)
        scope.update(more)
        return scope
