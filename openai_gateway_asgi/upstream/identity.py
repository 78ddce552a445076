"""The headers that tell an upstream which app calls, and for whom."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from string import punctuation
from urllib.parse import quote

from ..asgi import RawHeaders
from ..config import Settings, Upstream
from ..users import User

OPENROUTER_HOST = "openrouter.ai"
CHAT_ID = "chat_id"
"""The key of the host's ``context`` that becomes the chat id header."""

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

    __slots__ = ("_chat_id", "_email", "_id", "_name", "_role", "names")

    def __init__(self, settings: Settings) -> None:
        self._name = settings.user_name_header.lower().encode("ascii")
        self._id = settings.user_id_header.lower().encode("ascii")
        self._email = settings.user_email_header.lower().encode("ascii")
        self._role = settings.user_role_header.lower().encode("ascii")
        self._chat_id = settings.chat_id_header.lower().encode("ascii")
        self.names = frozenset((self._name, self._id, self._email, self._role, self._chat_id))

    def headers(self, user: User, context: Mapping[str, str]) -> RawHeaders:
        said = [
            (self._name, _encoded(user.name, " ")),
            (self._id, _encoded(user.id, _VISIBLE)),
            (self._email, _encoded(user.email, _VISIBLE)),
            (self._role, _encoded(user.role, _VISIBLE)),
        ]
        if chat_id := context.get(CHAT_ID):
            said.append((self._chat_id, _encoded(str(chat_id), _VISIBLE)))
        return [pair for pair in said if pair[1]]


@lru_cache(maxsize=4096)
def _encoded(value: str, safe: str) -> bytes:
    return quote(value.strip(), safe=safe, errors="replace").encode("ascii")
