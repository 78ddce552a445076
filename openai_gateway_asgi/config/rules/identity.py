"""Rules about tokens that say who asks. No finding shows anything of a key."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from ...hidden import HiddenBytes, HiddenText
from ..findings import Finding
from ..header_rules import CREDENTIALS
from ..secret import Secret
from ..store import GatewayConfig
from ..upstream import Upstream
from ..upstream_fields import is_private_key
from .setup import Setup

FIELD = "identity_key"


def library(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    if upstream.identity and (find_spec("jwt") is None or find_spec("cryptography") is None):
        yield Finding(
            "pyjwt_missing", "identity", "needs PyJWT, and it is not installed",
            'pip install "openai-gateway-asgi[jwt]"',
        )  # fmt: skip


def private_key(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    key = HiddenText(upstream.identity_key.reveal())
    if is_private_key(key) and find_spec("cryptography") is not None and not _signs(HiddenBytes(key.encode())):
        yield Finding(
            "invalid_identity_key", FIELD, "is no private key of Ed25519 in PEM without a password",
            "openssl genpkey -algorithm ed25519",
        )  # fmt: skip


def lists(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    """They are asked for outside of every call, so that there is no ``context``, and without a body."""
    if not upstream.list_per_user:
        return
    for name, template in upstream.header_templates.items():
        if template.context_keys and name.lower() in CREDENTIALS:
            yield Finding(
                "list_without_context", f"headers.{name}", f"has {{context.{template.context_keys[0]}}}, and a list of "
                "models is asked for outside of every call", "write variables of the user, or leave out list_per_user",
            )  # fmt: skip
    if not upstream.tells_user_in_lists:
        yield Finding(
            "unused_field", "list_per_user", "has no effect: nothing tells the upstream who asks for its list",
            'write headers={"X-User": "{user.id}"}, or identity="jwt"',
        )  # fmt: skip


def shared_keys(config: GatewayConfig, setup: Setup) -> Iterator[Finding]:
    """Whoever has a shared secret can sign with it, for every upstream that believes it."""
    places: dict[Secret, str] = {}
    own = setup.settings.identity_secret
    for index, upstream in enumerate(config.upstreams):
        key = upstream.identity_key
        if not (upstream.enabled and upstream.identity) or is_private_key(HiddenText(key.reveal())):
            continue
        if own is not None and key == Secret(own):
            yield Finding(
                "shared_identity_key", f"upstreams.{index}.{FIELD}", "is Settings(identity_secret) as well",
                "write a key that this upstream alone shares",
            )  # fmt: skip
        if places.setdefault(key, upstream.base_url) != upstream.base_url:
            yield Finding(
                "shared_identity_key", f"upstreams.{index}.{FIELD}", "is another base URL's as well: each could pass "
                "for the gateway at the other", "write a key of its own, or sign with a private key",
            )  # fmt: skip


def _signs(pem: HiddenBytes) -> bool:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return isinstance(load_pem_private_key(pem, None), Ed25519PrivateKey)
    except Exception:  # it raises what it likes, and what it says may hold some of the key
        return False
