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


def user_info(user: User, context: Mapping[str, str], settings: Settings) -> RawHeaders:
    """Who asks, percent-encoded: what a user typed as a name can neither break a header nor begin another."""
    return [
        (name, value)
        for name, value in (
            (_name(settings.user_name_header), _encoded(user.name, " ")),
            (_name(settings.user_id_header), _encoded(user.id, _VISIBLE)),
            (_name(settings.user_email_header), _encoded(user.email, _VISIBLE)),
            (_name(settings.user_role_header), _encoded(user.role, _VISIBLE)),
            (_name(settings.chat_id_header), _encoded(str(context.get(CHAT_ID) or ""), _VISIBLE)),
        )
        if value
    ]


@lru_cache(maxsize=64)
def _name(header: str) -> bytes:
    return header.lower().encode("ascii")


@lru_cache(maxsize=4096)
def _encoded(value: str, safe: str) -> bytes:
    return quote(value.strip(), safe=safe, errors="replace").encode("ascii")
