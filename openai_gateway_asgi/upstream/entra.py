"""Microsoft Entra ID tokens from azure-identity, without ever blocking the event loop.

The synchronous ``DefaultAzureCredential`` is used, in threads: its asynchronous twin belongs to one event loop and
breaks on the next. Importing, building and calling it block for hundreds of milliseconds each, so all three happen in
the thread. What runs there is shared through a ``concurrent.futures.Future``, which any event loop can wait for: one
token request, however many callers on however many loops.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock, Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..config.upstream import Upstream
from ..errors import UpstreamCredentialError
from ..hidden import HiddenText
from ..http.threads import in_own_thread

if TYPE_CHECKING:
    from azure.core.credentials import AccessTokenInfo
    from azure.identity import DefaultAzureCredential

FOUNDRY_SCOPE = "https://ai.azure.com/.default"
CLASSIC_SCOPE = "https://cognitiveservices.azure.com/.default"
SOVEREIGN_SCOPES = {
    ".azure.us": "https://cognitiveservices.azure.us/.default",
    ".azure.cn": "https://cognitiveservices.azure.cn/.default",
}

DEADLINE = 10.0
"""Seconds that a token may take to be fetched."""
BETWEEN_RENEWALS = 30.0
"""Seconds at least between two fetches of a token that is still good."""
FAILURE_KEPT = 0.5
"""Seconds for which whoever asks is told that the last fetch failed."""

_EARLY = 300.0  # azure-core's own margin: with less life left it asks its endpoint on every call
_STUCK = 0.75  # who waits longer than this for a fetch asks anew: the endpoint may be back, and that fetch still hang
_IN_FLIGHT = 5.0  # a token must outlive the way to the upstream
_UNOBTAINABLE = "The gateway could not obtain a credential for the upstream of this model."
_TOKEN_LIKE = re.compile(r"[\w.~+=-]{40,}")

logger = logging.getLogger("openai_gateway_asgi")


def default_scope(upstream: Upstream) -> str:
    """The scope to ask a token for: the upstream's ``token_scope``, else by cloud and kind of path.

    The v1 API and Foundry projects belong to Azure AI Foundry, everything else to Cognitive Services
    (learn.microsoft.com, "Azure OpenAI in Azure AI Foundry Models v1 API"). Sovereign clouds know the latter only.
    """
    if upstream.token_scope:
        return upstream.token_scope
    url = urlsplit(upstream.base_url)
    for suffix, scope in SOVEREIGN_SCOPES.items():
        if (url.hostname or "").endswith(suffix):
            return scope
    is_foundry = upstream.is_azure_v1 or url.path.startswith("/api/projects/")
    return FOUNDRY_SCOPE if is_foundry else CLASSIC_SCOPE


@dataclass(frozen=True, slots=True)
class _Obtained:
    """What azure-identity gave, which it shows whole."""

    token: HiddenText
    expires_on: int
    refresh_on: int | None

    @classmethod
    def of(cls, info: AccessTokenInfo) -> _Obtained:
        return cls(HiddenText(info.token), info.expires_on, info.refresh_on)


@dataclass(frozen=True, slots=True)
class _Token:
    text: HiddenText
    fetched: float
    """On the monotonic clock, as are ``refresh`` and ``expires``: the wall clock may jump back."""
    refresh: float
    expires: float
    expires_on: float
    """On the wall clock: the monotonic one stands still while a machine sleeps."""


@dataclass(slots=True, eq=False)
class _Fetch:
    deadline: float
    stuck: float
    """From then on it is not waited for."""
    generation: int
    done: Future[None]


@dataclass(slots=True)
class _Slot:
    """What is known about one scope."""

    token: _Token | None = None
    fetch: _Fetch | None = None
    retry_at: float = float("-inf")
    """Until then no early refresh is tried."""
    failed_until: float = float("-inf")


class EntraTokens:
    """Tokens by scope: one credential, one cache, safe from any thread and event loop.

    A token is renewed in the background before it expires, and used as long as it is valid if that fails. Times are in
    seconds: ``deadline`` bounds a fetch, ``min_interval`` lies between two early refreshes, ``failure_ttl`` is how long
    a failure is remembered. Which identity is used is for azure-identity's own environment variables to say
    (``AZURE_CLIENT_ID``, ``AZURE_AUTHORITY_HOST``, ``AZURE_TOKEN_CREDENTIALS``, ...).
    """

    def __init__(
        self,
        *,
        deadline: float = DEADLINE,
        min_interval: float = BETWEEN_RENEWALS,
        failure_ttl: float = FAILURE_KEPT,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deadline = deadline
        self._min_interval = min_interval
        self._failure_ttl = failure_ttl
        self._wall = wall
        self._monotonic = monotonic
        self._slots: dict[str, _Slot] = {}
        self._lock = Lock()  # guards the slots and the generation; never held while anything blocks
        self._credential: DefaultAzureCredential | None = None
        self._building = Lock()  # guards the credential; taken in worker threads only
        self._built = 0
        self._generation = 0  # a fetch that starts after it rose gets a new credential

    async def token(self, scope: str) -> str:
        """A token that is valid now. Raises ``UpstreamCredentialError`` when none can be had within the deadline."""
        until = self._monotonic() + self._deadline
        while True:
            with self._lock:
                slot = self._slots.setdefault(scope, _Slot())
                now = self._monotonic()
                if slot.token is not None and self._is_valid(slot.token, now):
                    if now >= slot.token.refresh and now >= slot.retry_at:
                        self._fetch(scope, slot, now)
                    return slot.token.text
                fetch = None if now < slot.failed_until or now > until else self._required_fetch(scope, slot, now)
            if fetch is None or not await self._ended(scope, fetch, until):
                # Without the usual x-should-retry: false, because a token endpoint may be back in a moment.
                raise UpstreamCredentialError(_UNOBTAINABLE, headers=())

    def invalidate(self, scope: str, refused: str) -> bool:
        """Forgets the token that an upstream refused. True when asking again may give a different one.

        azure-identity has no forced refresh, so a new credential is built. A token younger than ``min_interval`` is
        kept: then it is the permission that is missing, and fetching would only be repeated for every call.
        """
        with self._lock:
            slot = self._slots.get(scope)
            if slot is None or slot.token is None or slot.token.text != refused:
                return True
            if self._monotonic() < slot.token.fetched + self._min_interval:
                return False
            slot.token = None
            slot.fetch = None
            self._generation += 1
            return True

    async def aclose(self) -> None:
        """Closes the credential's connections. Tokens already fetched stay usable."""
        await in_own_thread("entra-close", self._close_credential)

    def _is_valid(self, token: _Token, now: float) -> bool:
        return now < token.expires - _IN_FLIGHT and self._wall() < token.expires_on - _IN_FLIGHT

    def _required_fetch(self, scope: str, slot: _Slot, now: float) -> _Fetch:
        """By a new credential where a token has expired: the old one's cache goes by the wall clock alone."""
        if slot.fetch is not None and now >= slot.fetch.stuck:
            slot.fetch = None
        elif slot.fetch is None and slot.token is not None:
            self._generation += 1
        return self._fetch(scope, slot, now)

    def _fetch(self, scope: str, slot: _Slot, now: float) -> _Fetch:
        """The fetch under way, or a new one in a thread of its own; called with the lock held."""
        fetch = slot.fetch
        if fetch is None or now >= fetch.deadline:
            fetch = _Fetch(now + self._deadline, now + _STUCK, self._generation, Future())
            fetch.done.set_running_or_notify_cancel()  # so that a waiter who leaves cannot cancel it
            # Not the loop's thread pool: hung endpoints would fill it, and it is waited for at exit.
            Thread(target=self._work, args=(scope, slot, fetch), name="entra-token", daemon=True).start()
            slot.fetch = fetch
            slot.retry_at = now + self._min_interval
        return fetch

    async def _ended(self, scope: str, fetch: _Fetch, until: float) -> bool:
        """Waits for the fetch, or until it is stuck; whether there is time left to look what came of it."""
        try:
            async with asyncio.timeout(min(fetch.stuck, until) - self._monotonic()):
                await asyncio.wrap_future(fetch.done)
        except TimeoutError:
            if self._monotonic() >= until:
                self._abandon(scope, fetch)
                return False
        return True

    def _abandon(self, scope: str, fetch: _Fetch) -> None:
        """A thread cannot be stopped: leave it to its own time-outs, and let the next caller start anew."""
        with self._lock:
            slot = self._slots[scope]
            if slot.fetch is not fetch:
                return
            slot.fetch = None
            self._remember_failure(slot)
        logger.error("No Entra ID token for %s within %.1f s", scope, self._deadline)

    def _work(self, scope: str, slot: _Slot, fetch: _Fetch) -> None:
        """In the thread: ask, store, tell everyone who waits."""
        token: _Token | None = None
        try:
            token = self._ask(scope, fetch.generation)
        except Exception as error:
            detail = _TOKEN_LIKE.sub("[...]", str(error))
            logger.error("No Entra ID token for %s: %s: %s", scope, type(error).__name__, detail)
        finally:
            self._store(slot, fetch, token)

    def _ask(self, scope: str, generation: int) -> _Token:
        started = self._monotonic()
        return self._measured(_Obtained.of(self._credential_of(generation).get_token_info(scope)), started)

    def _credential_of(self, generation: int) -> DefaultAzureCredential:
        with self._building:
            if self._credential is None or self._built < generation:
                from azure.identity import DefaultAzureCredential

                # A thread that hangs must end by itself. Bad answers are not tried again there: azure-core would
                # sleep for as long as their Retry-After says.
                self._credential = DefaultAzureCredential(
                    retry_total=1,
                    retry_status=0,
                    connection_timeout=self._deadline,
                    read_timeout=self._deadline,
                    process_timeout=math.ceil(self._deadline),
                )
                self._built = generation
            return self._credential

    def _measured(self, info: _Obtained, fetched: float) -> _Token:
        """The token on our clocks. Raises ``ValueError`` when it is of no use."""
        wall = self._wall()
        life = info.expires_on - wall
        if life <= _IN_FLIGHT:
            raise ValueError("the token had expired when it arrived; is this machine's clock right?")
        wait = life - min(_EARLY, life / 2)
        if info.refresh_on is not None:
            wait = min(wait, info.refresh_on - wall)
        return _Token(info.token, fetched, fetched + wait, fetched + life, info.expires_on)

    def _store(self, slot: _Slot, fetch: _Fetch, token: _Token | None) -> None:
        """A token of an older fetch serves those who wait for a newer one. The failure of an older fetch is ignored."""
        with self._lock:
            current, is_current = slot.fetch, slot.fetch is fetch
            if is_current:
                slot.fetch = None
            if token is None:
                if is_current:
                    self._remember_failure(slot)
            elif self._supersedes(token, slot.token):
                slot.token = token
            for ended in {fetch, current} if token is not None else {fetch}:
                if ended is not None and not ended.done.done():
                    ended.done.set_result(None)

    def _supersedes(self, token: _Token, kept: _Token | None) -> bool:
        if kept is None or not self._is_valid(kept, self._monotonic()):
            return True
        # The same token again is the credential's cache speaking. It is not measured anew: the wall clock may have
        # been set back since.
        return token.fetched >= kept.fetched and token.text != kept.text

    def _remember_failure(self, slot: _Slot) -> None:
        """Called with the lock held. The credential goes too: MSAL answers later calls with the failure it keeps."""
        slot.failed_until = self._monotonic() + self._failure_ttl
        self._generation += 1

    def _close_credential(self) -> None:
        with self._building:
            credential, self._credential = self._credential, None
        if credential is not None:
            credential.close()
