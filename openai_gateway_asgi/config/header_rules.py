"""Which header names a configuration may use. What frames a message belongs to the connection alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from ..hidden import HiddenDict
from . import checks
from .hidden_values import HiddenValues

FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
PRIVATE_COOKIES = frozenset({"csrftoken", "oauth_session_id", "session", "sessionid", "token"})
"""Cookies that are the host's own session in Django, Starlette and the like: never sent, even when listed."""
UNASKED = frozenset(
    """accept accept-charset accept-encoding accept-language cache-control content-encoding content-language
    content-type cookie cookie2 date device-memory dnt downlink dpr ect forwarded from if-modified-since if-none-match
    if-range last-event-id origin pragma priority range referer rtt save-data user-agent via viewport-width width
    x-client-ip x-real-ip""".split()
)
"""What a browser sends by itself, or for a page without asking (Fetch, CORS-safelisted), or a proxy adds."""
UNASKED_PREFIXES = ("access-control-", "proxy-", "sec-", "x-forwarded-")
CREDENTIALS = frozenset({"api-key", "authorization", "cookie", "openai-organization", "openai-project", "x-api-key"})


def own_name(field: str, value: Any) -> str:
    """The name of a header the gateway may set upstream."""
    name = checks.token(field, value)
    if name.lower() in FRAMING or name.lower().startswith("proxy-"):
        raise ConfigError(field, "belongs to the connection and is set by the gateway; leave it out")
    return name


def identity_name(field: str, value: Any) -> str:
    """The name of a header that tells an upstream about the user."""
    name = own_name(field, value)
    if name.lower() in CREDENTIALS:
        raise ConfigError(field, "carries a credential; write a name of your own, such as X-User-Id")
    return name


def custom_headers(field: str, value: Any) -> HiddenValues:
    """An upstream's own headers: names once each, whatever their case, and values that fit in one line."""
    if not isinstance(value, Mapping):
        raise ConfigError(field, "must map header names to values")
    pairs: HiddenDict[str, str] = HiddenDict()
    seen: set[str] = set()
    for name, text in value.items():
        # The place of a name that is none is not shown: it could hold anything.
        own_name(field if not isinstance(name, str) or not name.isprintable() else f"{field}.{name}", name)
        if name.lower() in seen:
            raise ConfigError(f"{field}.{name}", "is given twice; header names do not differ by case")
        seen.add(name.lower())
        pairs[name] = str(checks.visible_ascii(f"{field}.{name}", text))
    return HiddenValues(pairs)


def credential_names(field: str, value: Any) -> tuple[str, ...]:
    """Names of headers that say who asks, in lower case: none that a browser or a proxy sends whoever's page asks."""
    names = tuple(dict.fromkeys(name.lower() for name in checks.tokens(field, value)))
    for index, name in enumerate(names):
        if name in UNASKED or name in FRAMING or name.startswith(UNASKED_PREFIXES):
            raise ConfigError(
                f"{field}.{index}",
                "is sent by browsers or proxies whichever page asks, so that it tells nobody apart; name a header that "
                "your own clients add, such as x-token",
            )
    return names


def forwarded(field: str, value: Any) -> tuple[str, ...]:
    """Names of client headers to pass on, in lower case; a trailing ``*`` makes one a prefix."""
    names = (forwarded_name(f"{field}.{index}", item) for index, item in enumerate(checks.items(field, value)))
    return tuple(dict.fromkeys(names))


def forwarded_name(field: str, value: Any) -> str:
    name = checks.token(field, value).lower()
    stem = name.removesuffix("*")
    if "*" in stem:
        raise ConfigError(field, "may have one *, at its end")
    withheld = CREDENTIALS | FRAMING | {"x-gateway-upstream"}
    covers = name in withheld if stem == name else any(other.startswith(stem) for other in withheld)
    if covers or name.startswith("proxy-"):
        raise ConfigError(field, "covers a header that never crosses: a client's credential, or the connection's own")
    return name
