"""Tokens that say who asks, signed for one upstream (RFC 7519): short-lived, and kept until near their end.

EdDSA (RFC 8037) with a private key, whose public half the upstream has; or HS256 with a secret that both share. The
claims are those that Open WebUI's upstreams know: ``sub``, ``email``, ``name`` and ``role``, beside ``iss``, ``aud``,
``iat`` and ``exp``.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from time import time
from typing import Any, NamedTuple

from ..config.upstream import Upstream
from ..config.upstream_fields import is_private_key
from ..errors import UpstreamCredentialError
from ..hidden import HiddenBytes, HiddenText
from ..host.users import User

ISSUER = "openai-gateway-asgi"
LIFETIME = 60
"""Seconds for which a token is good."""
NEAR_END = 15
"""Seconds before its end from which on a token is made anew: a call may wait at its upstream."""
MOST_KEPT = 4096
"""Tokens that are kept, of all users and upstreams."""

logger = logging.getLogger("openai_gateway_asgi")


class Token(NamedTuple):
    text: HiddenBytes
    ends: float
    """Seconds of ``time.time``."""
    upstream: Upstream
    """Kept alive, so that its id stays its own."""


class SignedIdentity:
    """Makes and keeps them."""

    __slots__ = ("_kept", "_keys")

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, str, str, str, str], Token] = OrderedDict()
        self._keys: dict[int, tuple[Upstream, Any, str]] = {}

    def token(self, upstream: Upstream, user: User) -> Token:
        """Raises ``UpstreamCredentialError`` where it cannot be signed: nothing is sent then."""
        key, now = (id(upstream), user.id, user.email, user.name, user.role), time()
        kept = self._kept.get(key)
        if kept is not None and now < kept.ends - NEAR_END:
            return kept
        made = Token(self._signed(upstream, user, int(now)), int(now) + LIFETIME, upstream)
        self._kept[key] = made
        self._kept.move_to_end(key)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return made

    def forget(self) -> None:
        """Keys of upstreams that a new configuration no longer has are let go."""
        self._kept.clear()
        self._keys.clear()

    def _signed(self, upstream: Upstream, user: User, now: int) -> HiddenBytes:
        claims = {
            "sub": user.id, "email": user.email, "name": user.name, "role": user.role,
            "iss": ISSUER, "aud": upstream.base_url, "iat": now, "exp": now + LIFETIME,
        }  # fmt: skip
        try:
            import jwt

            key, algorithm = self._key(upstream)
            return HiddenBytes(jwt.encode(claims, key, algorithm=algorithm).encode("ascii"))
        except Exception as error:  # a library that is missing, a key that is none, a name that cannot be encoded
            failure = type(error).__name__
        logger.error("upstream %r: the token that says who asks cannot be signed (%s)", upstream.name, failure)
        raise UpstreamCredentialError("The gateway cannot say to the upstream of this model who asks.")

    def _key(self, upstream: Upstream) -> tuple[Any, str]:
        known = self._keys.get(id(upstream))
        if known is None:
            known = self._keys[id(upstream)] = (upstream, *_read_key(upstream))
        return known[1], known[2]


def _read_key(upstream: Upstream) -> tuple[Any, str]:
    """Read once: parsing a private key takes a hundred times as long as signing."""
    text = HiddenText(upstream.identity_key.reveal())
    if not is_private_key(text):
        return HiddenBytes(text.encode()), "HS256"
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(HiddenBytes(text.encode()), None), "EdDSA"
