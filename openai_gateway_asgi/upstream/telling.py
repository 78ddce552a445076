"""What an upstream's own headers tell it of who asks: values with variables, and a signed token."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from time import time
from typing import NamedTuple

from ..config.header_rules import CREDENTIALS
from ..config.templates import Template
from ..config.upstream import Upstream
from ..errors import UpstreamCredentialError
from ..hidden import HiddenList
from ..host.users import User
from ..host.variables import Facts
from ..http.asgi import RawHeaders
from .identity import LONGEST, in_header
from .kept_of_users import KeptOfUsers
from .signed_identity import NEAR_END, SignedIdentity

logger = logging.getLogger("openai_gateway_asgi")

Variables = Callable[[bytes | None], Facts]
"""What variables stand for in a call, given the secret that hides users' ids."""


class _Told(NamedTuple):
    headers: RawHeaders
    """Those that are the same in all calls of the user."""
    until: float
    """Seconds of ``time.time``, until which they are good."""


class Telling:
    """One for a gateway; upstreams that tell nothing (``tells_user``) need it not."""

    __slots__ = ("_kept", "_signed", "secret")

    def __init__(self, secret: bytes | None = None) -> None:
        """``secret`` hides users' ids."""
        self.secret = secret
        self._signed = SignedIdentity()
        self._kept: KeptOfUsers[_Told] = KeptOfUsers()

    def headers(self, upstream: Upstream, user: User, variables: Variables) -> RawHeaders:
        """Not to be written to. Raises ``UpstreamCredentialError`` where a credential lacks its value, or a token
        cannot be signed."""
        told = self._kept.get(upstream, "headers", user)
        if told is None or time() >= told.until:
            told = self._of_user(upstream, user, variables)
            self._kept.keep(upstream, "headers", user, told)
        if not (of_call := upstream.call_headers):
            return told.headers
        return HiddenList([*told.headers, *_filled(upstream, of_call, variables(self.secret))])

    def _of_user(self, upstream: Upstream, user: User, variables: Variables) -> _Told:
        of_call = upstream.call_headers
        templates = {name: each for name, each in upstream.header_templates.items() if name not in of_call}
        headers = _filled(upstream, templates, variables(self.secret)) if templates else HiddenList()
        if not upstream.identity:
            return _Told(headers, float("inf"))
        token = self._signed.token(upstream, user)
        headers.append((_identity_name(upstream), token.text))
        return _Told(headers, token.ends - NEAR_END)

    def forget(self) -> None:
        self._signed.forget()
        self._kept.forget()


def names(upstream: Upstream) -> frozenset[bytes]:
    """Of the headers that tell of who asks, whether or not this call has a value for each: no client sends them."""
    told = {name.lower().encode("ascii") for name in upstream.header_templates}
    return frozenset(told | ({_identity_name(upstream)} if upstream.identity else set()))


def _identity_name(upstream: Upstream) -> bytes:
    return upstream.identity_header.lower().encode("ascii")


def _filled(upstream: Upstream, templates: Mapping[str, Template], facts: Facts) -> RawHeaders:
    told: RawHeaders = HiddenList()
    for name, template in templates.items():
        value = _value(template, facts)
        if value:
            told.append((name.lower().encode("ascii"), value))
        elif name.lower() in CREDENTIALS:
            logger.warning("upstream %r: its header %s has no value for this user", upstream.name, name)
            raise UpstreamCredentialError("The gateway has no credential for the upstream of this model.")
    return told


def _value(template: Template, facts: Facts) -> bytes:
    """Each value percent-encoded where it is put in: what a user is called can neither break a header nor begin
    another. Empty where a key of the context is missing."""
    text = template.render_or_none(facts, in_header)
    value = b"" if text is None else text.strip().encode("ascii")
    return value if len(value) <= LONGEST else b""
