"""The headers that tell an upstream which app calls, and for whom."""

from __future__ import annotations

from collections.abc import Mapping
from string import punctuation
from urllib.parse import quote

from ..asgi import RawHeaders
from ..config import Settings, Upstream
from ..users import User

OPENROUTER_HOST = "openrouter.ai"
CHAT_ID = "chat_id"
"""The key of the host's ``context`` that becomes the chat id header."""

_VISIBLE = punctuation.replace("%", "")


def attribution(upstream: Upstream, settings: Settings) -> RawHeaders:
    """OpenRouter's app attribution (openrouter.ai/docs, "App Attribution"); sent to exactly that host."""
    if upstream.host != OPENROUTER_HOST:
        return []
    pairs = ((b"http-referer", settings.attribution_referer), (b"x-title", settings.attribution_title))
    return [(name, value.encode("ascii")) for name, value in pairs if value]


def user_info(user: User, context: Mapping[str, str], settings: Settings) -> RawHeaders:
    """Who asks, percent-encoded: what a user typed as a name can neither break a header nor begin another."""
    values = (
        (settings.user_name_header, quote(user.name.strip(), safe=" ")),
        (settings.user_id_header, _encoded(user.id)),
        (settings.user_email_header, _encoded(user.email)),
        (settings.user_role_header, _encoded(user.role)),
        (settings.chat_id_header, _encoded(str(context.get(CHAT_ID) or ""))),
    )
    return [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in values if value]


def _encoded(value: str) -> str:
    """Visible ASCII stays as it is."""
    return quote(value.strip(), safe=_VISIBLE)
