"""Headers of httpx that are built only when somebody reads them: on the hot path nobody does."""

from __future__ import annotations

import httpx

from ..http.asgi import RawHeaders


class LazyHeaders(httpx.Headers):
    """Headers from pairs of bytes that are known to be well-formed."""

    def __init__(self, raw: RawHeaders) -> None:
        self._pairs: RawHeaders | None = raw
        self._encoding = None

    def __repr__(self) -> str:
        """The names alone: httpx hides ``authorization``, and there are other credentials."""
        return f"<headers {', '.join(sorted({name.decode('latin-1') for name, _ in self.raw}))}>"

    @property
    def raw(self) -> RawHeaders:
        return super().raw if self._pairs is None else self._pairs

    @property
    def _list(self) -> list[tuple[bytes, bytes, bytes]]:
        if self._pairs is not None:
            self._made = [(name, name.lower(), value) for name, value in self._pairs]
            self._pairs = None
        return self._made

    @_list.setter
    def _list(self, made: list[tuple[bytes, bytes, bytes]]) -> None:
        self._pairs, self._made = None, made
