"""What an upstream's own headers tell it of who asks: values with variables, and a signed token."""

from __future__ import annotations

import logging

from ..config.header_rules import CREDENTIALS
from ..config.templates import Template
from ..config.upstream import Upstream
from ..errors import UpstreamCredentialError
from ..hidden import HiddenList
from ..host.variables import Facts
from ..http.asgi import RawHeaders
from .identity import in_header
from .signed_identity import SignedIdentity

LONGEST = 8 * 1024
"""Bytes of a header with variables: a longer one is left out, for servers refuse a request that has it."""

logger = logging.getLogger("openai_gateway_asgi")


class Telling:
    """One for a gateway; upstreams that tell nothing (``tells_user``) need it not."""

    __slots__ = ("_signed", "secret")

    def __init__(self, secret: bytes | None = None) -> None:
        """``secret`` hides users' ids."""
        self.secret = secret
        self._signed = SignedIdentity()

    def headers(self, upstream: Upstream, facts: Facts) -> RawHeaders:
        """Raises ``UpstreamCredentialError`` where a credential lacks its value, or a token cannot be signed."""
        told: RawHeaders = HiddenList()
        for name, template in upstream.header_templates.items():
            value = _value(template, facts)
            if value:
                told.append((name.lower().encode("ascii"), value))
            elif name.lower() in CREDENTIALS:
                logger.warning("upstream %r: its header %s has no value for this user", upstream.name, name)
                raise UpstreamCredentialError("The gateway has no credential for the upstream of this model.")
        if upstream.identity:
            told.append((_identity_name(upstream), self._signed.token(upstream, facts.user)))
        return told

    def forget(self) -> None:
        self._signed.forget()


def names(upstream: Upstream) -> frozenset[bytes]:
    """Of the headers that tell of who asks, whether or not this call has a value for each: no client sends them."""
    told = {name.lower().encode("ascii") for name in upstream.header_templates}
    return frozenset(told | ({_identity_name(upstream)} if upstream.identity else set()))


def _identity_name(upstream: Upstream) -> bytes:
    return upstream.identity_header.lower().encode("ascii")


def _value(template: Template, facts: Facts) -> bytes:
    """Each value percent-encoded where it is put in: what a user is called can neither break a header nor begin
    another. Empty where a key of the context is missing."""
    text = template.render_or_none(facts, in_header)
    value = b"" if text is None else text.strip().encode("ascii")
    return value if len(value) <= LONGEST else b""
