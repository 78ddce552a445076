"""The headers that tell an upstream which app calls, and for whom."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from string import punctuation
from urllib.parse import quote

from ..config import Settings, Upstream
from ..host.users import User
from ..http.asgi import RawHeaders

OPENROUTER_HOST = "openrouter.ai"
CHAT_ID = "chat_id"
"""The key of the host's ``context`` that becomes the chat id header."""

LONGEST = 8 * 1024
"""Bytes of a header that says who asks: a longer one is left out, for servers refuse a request that has it."""
MOST_KEPT = 4096
"""Users whose headers are kept."""

_VISIBLE = punctuation.replace("%", "")
"""Visible ASCII stays as it is, names excepted, where a comma would separate two."""


def attribution(upstream: Upstream, settings: Settings) -> RawHeaders:
    """OpenRouter's app attribution (openrouter.ai/docs, "App Attribution"); sent to exactly that host."""
    if upstream.host != OPENROUTER_HOST:
        return []
    pairs = ((b"http-referer", settings.attribution_referer), (b"x-title", settings.attribution_title))
    return [(name, value.encode("ascii")) for name, value in pairs if value]


class UserInfo:
    """Who asks, percent-encoded: what a user typed as a name can neither break a header nor begin another."""

    __slots__ = ("_chat_id", "_headers", "_kept", "names")

    def __init__(self, settings: Settings) -> None:
        of_user = (
            settings.user_name_header,
            settings.user_id_header,
            settings.user_email_header,
            settings.user_role_header,
        )
        self._headers = tuple(header.lower().encode("ascii") for header in of_user)
        self._chat_id = settings.chat_id_header.lower().encode("ascii")
        self.names = frozenset((*self._headers, self._chat_id))
        self._kept = lru_cache(maxsize=MOST_KEPT)(self._said)

    def headers(self, user: User, context: Mapping[str, str] | None, *, signed: bool = False) -> RawHeaders:
        """Not to be written to. ``context`` is the host's, None where it has none; ``signed``: a token says
        the rest."""
        if signed:
            said: RawHeaders = []
        elif len(user.name) + len(user.id) + len(user.email) + len(user.role) > LONGEST:
            said = self._said(user.name, user.id, user.email, user.role)
        else:
            said = self._kept(user.name, user.id, user.email, user.role)
        chat_id = context.get(CHAT_ID) if context else None
        return [*said, (self._chat_id, _encoded(str(chat_id)))] if chat_id else said

    def _said(self, name: str, id: str, email: str, role: str) -> RawHeaders:
        values = (_encoded(name, " "), _encoded(id), _encoded(email), _encoded(role))
        return [pair for pair in zip(self._headers, values, strict=True) if 0 < len(pair[1]) <= LONGEST]


def in_header(value: str) -> str:
    """What somebody wrote, as part of a header's value."""
    return quote(value, safe=_VISIBLE + " ", errors="replace")


def _encoded(value: str, safe: str = _VISIBLE) -> bytes:
    return quote(value.strip(), safe=safe, errors="replace").encode("ascii")
