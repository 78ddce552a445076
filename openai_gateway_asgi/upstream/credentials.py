"""The headers that make an upstream serve us: one builder for calls, model lists and checks.

======================  ============================================================================================
``bearer``              ``Authorization: Bearer <api_key>``; Azure gets ``api-key`` instead. An empty key sends none
``none``                nothing, on Azure too
``session``             the caller's own bearer token; a caller without one is refused (401)
``system_oauth``        what the host's ``oauth_token`` gives for this user
``microsoft_entra_id``  a Microsoft Entra ID token, never together with ``api-key``
======================  ============================================================================================

It fails closed: where the kind asks for a credential and there is none, an error is raised and no request is made.
Custom ``Upstream.headers`` replace whatever is built here under the same name.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..config.header_rules import PRIVATE_COOKIES
from ..config.upstream import Upstream
from ..config.upstream_fields import ENTRA
from ..errors import Headers, Unauthenticated, UpstreamCredentialError
from ..hidden import HiddenDict, HiddenList, HiddenText
from ..host.users import User
from ..http.asgi import RawHeaders
from .entra import EntraTokens, default_scope
from .telling import Telling

_STATIC = frozenset({"bearer", "none"})
_PER_USER = frozenset({"session", "system_oauth"})
_MOST_PLANS = 1_024
"""Upstreams whose credentials are kept ready."""

_COOKIE_VALUE = re.compile(r"[ -:<-~]*")  # printable ASCII but the semicolon

_NO_CREDENTIAL = "The gateway has no credential for the upstream of this model."

logger = logging.getLogger("openai_gateway_asgi")


@dataclass(slots=True)  # not frozen: each call makes one, and that would triple what it costs
class Caller:
    """What of the one who asks can become an upstream's credential. Not to be written to."""

    user: User
    authorization: str | None = field(default=None, repr=False)
    """The caller's own bearer token, without ``Bearer``."""
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    oauth: Callable[[Upstream], Awaitable[str | None]] | None = field(default=None, repr=False)
    """The host's ``oauth_token``, already told who asks."""


@dataclass(frozen=True, slots=True)
class OwnKind:
    """What an upstream sees of a caller: its answers are then that caller's own. Many upstreams see the same."""

    token: bool
    """The caller's own bearer token; without it there is nothing to ask with."""
    cookies: tuple[str, ...]
    identity: bool = False
    """Headers that say who asks."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is known about an upstream before anyone calls."""

    upstream: Upstream
    fixed: Headers = field(repr=False)
    asks: bool
    """Whether the credential has to be asked for, call by call."""
    scope: str
    """Of the Entra ID token, if that is what is asked for."""
    cookies: tuple[str, ...]
    own: OwnKind | None
    """None where the upstream does not see who asks."""


class Credentials:
    """Builds the headers; keeps what is the same for every call."""

    def __init__(
        self,
        entra: EntraTokens | None = None,
        *,
        private_cookies: frozenset[str] = PRIVATE_COOKIES,
        telling: Telling | None = None,
    ) -> None:
        self._entra = entra or EntraTokens()
        self.telling = telling or Telling()
        """What upstreams' own headers tell of who asks, beside the credential."""
        self._private_cookies = private_cookies
        # By identity: hashing an upstream by its fields would cost more than all the rest. The plan keeps the upstream
        # alive, so that its id stays its own.
        self._plans: dict[int, _Plan] = {}
        self.changes = 0
        """How often ``keep_only`` was called. When it changes, others drop what they keep by an upstream's identity."""

    def keep_only(self, upstreams: Iterable[Upstream]) -> None:
        """Lets go of the secrets of upstreams that a new configuration no longer has."""
        current = set(map(id, upstreams))
        self._plans = {place: plan for place, plan in self._plans.items() if place in current}
        self.telling.forget()
        self.changes += 1

    def static(self, upstream: Upstream) -> Headers | None:
        """The headers, where they are the same for every caller; None where ``headers`` must be awaited."""
        plan = self._plan(upstream)
        return None if plan.asks or plan.cookies else plan.fixed

    async def headers(self, upstream: Upstream, caller: Caller | None) -> RawHeaders:
        """The headers to send, custom ones included. ``caller`` is None where nobody in particular asks.

        Raises ``Unauthenticated`` when the caller has to bring a token and has none, ``UpstreamCredentialError`` when
        the host or Entra ID gives none.
        """
        plan = self._plan(upstream)
        built = HiddenList(plan.fixed)
        if plan.asks:
            built.append((b"authorization", _bearer(await self._ask(plan, caller))))
        if plan.cookies and caller is not None:
            built.extend(_cookie(plan.cookies, caller.cookies))
        return built

    def after_refusal(self, upstream: Upstream, sent: RawHeaders) -> bool:
        """After an upstream's 401 to ``sent``: may one more try with new ``headers`` succeed?"""
        plan = self._plan(upstream)
        if not plan.asks or upstream.auth_type == "session":
            return False
        if plan.scope:
            return self._entra.invalidate(plan.scope, _token_of(sent))
        return True

    def per_user(self, upstream: Upstream) -> bool:
        """Whether the upstream sees who asks, so that what it answers is one user's own."""
        return self._plan(upstream).own is not None

    def list_scope(self, upstream: Upstream, caller: Caller | None) -> str | None:
        """The ``own_scope`` of one upstream; None too where it does not see who asks."""
        kind = self._plan(upstream).own
        return None if kind is None else self.own_scope(kind, caller)

    def own_kind(self, upstream: Upstream) -> OwnKind | None:
        """What the upstream sees of who asks; None where that is nothing, and its answers are everyone's."""
        return self._plan(upstream).own

    def own_scope(self, kind: OwnKind, caller: Caller | None) -> str | None:
        """The key under which what such upstreams answer to ``caller`` may be kept.

        None where the caller has nothing to ask them with. It is a digest over all that tells callers apart, in full:
        tokens of one issuer begin alike.
        """
        if caller is None:
            return None
        own_token = caller.authorization if kind.token else ""
        if own_token is None:
            return None
        cookies = HiddenList([value.decode() for _, value in _cookie(kind.cookies, caller.cookies)])
        user = caller.user
        told = (user.name, user.email, user.role, *sorted(user.groups)) if kind.identity else ()
        return _digest(HiddenList([user.id, own_token, *told, *cookies]))

    def scope(self, upstream: Upstream, caller: Caller, *, told: bool) -> str:
        """Who is meant when the upstream limits or refuses whoever asks it: empty where it cannot tell callers apart.

        ``told``: whether headers tell it who asks.
        """
        own = self.list_scope(upstream, caller)
        return own or (_digest([caller.user.id]) if told or upstream.tells_user else "")

    async def aclose(self) -> None:
        await self._entra.aclose()

    async def _ask(self, plan: _Plan, caller: Caller | None) -> str:
        if plan.scope:
            return await self._entra.token(plan.scope)
        if plan.upstream.auth_type == "session":
            return _own_token(caller)
        return await _host_token(plan.upstream, caller)

    def _plan(self, upstream: Upstream) -> _Plan:
        return self._plans.get(id(upstream)) or self._new_plan(upstream)

    def _new_plan(self, upstream: Upstream) -> _Plan:
        custom = HiddenDict({name.lower().encode("ascii"): value.encode() for name, value in upstream.headers.items()})
        varying = {name.lower().encode("ascii") for name in upstream.header_templates}
        asks = upstream.auth_type not in _STATIC and b"authorization" not in custom
        cookies = () if b"cookie" in custom else self._forwarded(upstream)
        by_identity = upstream.list_per_user and upstream.tells_user_in_lists
        sees = bool(cookies) or (asks and upstream.auth_type in _PER_USER) or by_identity
        fixed = {**_static_credential(upstream), **custom}
        plan = _Plan(
            upstream,
            tuple((name, value) for name, value in fixed.items() if name not in varying),
            asks=asks,
            scope=default_scope(upstream) if upstream.auth_type == ENTRA else "",
            cookies=cookies,
            own=OwnKind(asks and upstream.auth_type == "session", cookies, by_identity) if sees else None,
        )
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        self._plans[id(upstream)] = plan
        return plan

    def _forwarded(self, upstream: Upstream) -> tuple[str, ...]:
        return tuple(name for name in upstream.forward_cookies if name not in self._private_cookies)


def _static_credential(upstream: Upstream) -> dict[bytes, bytes]:
    key = HiddenText(upstream.api_key.reveal() if upstream.auth_type == "bearer" else "")
    if not key:
        return {}
    if upstream.is_azure:
        return {b"api-key": _checked(key)}
    return {b"authorization": _bearer(key)}


def _own_token(caller: Caller | None) -> str:
    if caller is None or not caller.authorization:
        raise Unauthenticated("This model is called with your own bearer token, and the request has none.")
    return HiddenText(caller.authorization)


async def _host_token(upstream: Upstream, caller: Caller | None) -> str:
    token = await caller.oauth(upstream) if caller is not None and caller.oauth is not None else None
    if not isinstance(token, str) or not token:
        logger.warning("upstream %r: oauth_token gave no token for this user", upstream.name)
        raise UpstreamCredentialError(_NO_CREDENTIAL)
    return HiddenText(token)


def _token_of(headers: RawHeaders) -> HiddenText:
    """What stands behind ``Bearer`` in them."""
    refused = next((value for name, value in headers if name == b"authorization"), b"")
    return HiddenText(refused.removeprefix(b"Bearer "), "ascii")


def _cookie(names: tuple[str, ...], cookies: Mapping[str, str]) -> RawHeaders:
    """Values that would not stay one cookie are left out: frameworks unquote what they parse, line breaks included."""
    pairs = [f"{name}={cookies[name]}" for name in names if _COOKIE_VALUE.fullmatch(cookies.get(name, ";"))]
    return [(b"cookie", "; ".join(pairs).encode())] if pairs else []


def _bearer(token: str) -> bytes:
    return b"Bearer " + _checked(token)


def _checked(token: str) -> bytes:
    """What a host hands over may end in a line break, which would end the header too (RFC 9110, 5.5)."""
    if not token.isascii() or not token.isprintable():
        logger.error("a credential is not one line of ASCII text, so it was not sent")
        raise UpstreamCredentialError(_NO_CREDENTIAL)
    return token.encode()


def _digest(parts: list[str]) -> str:
    """Each part with its length before it, so that no two lists of parts read alike."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(raw))
        digest.update(raw)
    return digest.hexdigest()
