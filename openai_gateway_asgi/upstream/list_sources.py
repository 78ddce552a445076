"""One upstream's list, for everyone or for one caller: what is known of it, and how long that holds."""

from __future__ import annotations

import asyncio
from time import monotonic

from ..config import Settings
from ..config.model_ids import ModelIds
from ..errors import GatewayError
from ..models import Gap, Listing
from ..models.listing import asks_upstream
from ..models.prefix import upstream_id
from .own_lists import KeptListings

UNKNOWN_FOR = 60.0
"""Seconds, from when a list is first missed, in which it may still come: its models are not said to be unknown yet."""


class Source:
    """One upstream's list. ``kept`` is there where it is one caller's own."""

    __slots__ = (
        "_loaded",
        "_missed",
        "_refusal",
        "_settings",
        "_wanted",
        "due",
        "failed",
        "fault",
        "kept",
        "listing",
        "named",
        "outdated",
        "task",
        "upstream",
    )

    def __init__(self, named: Listing, settings: Settings, kept: KeptListings | None = None) -> None:
        """``named`` are the models that ``model_ids`` name."""
        self.named = named
        self.upstream = named.upstream
        self.kept = kept
        self.listing: Listing | None = None
        self.due = float("-inf")
        self.failed = False
        self.fault: str | None = None
        """Why it failed when it was asked for last, in words; None where it did not."""
        self.outdated = False
        self.task: asyncio.Task[None] | None = None
        self._loaded = float("-inf")
        self._missed: float | None = None
        self._refusal: GatewayError | None = None
        self._settings = settings
        self._wanted = ModelIds(self.upstream.model_ids)
        if not asks_upstream(self.upstream):
            self.listing = named
            self.due = self._loaded = float("inf")

    @property
    def is_first(self) -> bool:
        """Whether it has never been loaded, or tried."""
        return self.listing is None and not self.failed

    def may_serve(self, id: str) -> bool:
        """Whether the public ``id`` could be one of its models, whatever its list turns out to hold."""
        own = upstream_id(self.upstream.prefix_id, id)
        return own is not None and (not self._wanted or own in self._wanted)

    def begin(self) -> None:
        """It is being asked for. What its caller lacked may be there now: then it is as if it had not failed."""
        if self._refusal is not None:
            self._refusal = None
            self.failed = False

    def store(self, listing: Listing, *, outdated: bool) -> None:
        self.listing = listing
        self.failed = False
        self.fault = None
        self.outdated = outdated
        self._missed = None
        self._loaded = monotonic()
        self.due = self._loaded + self._settings.model_list_lifetime

    def fail(self, fault: str, *, outdated: bool, refusal: GatewayError | None = None) -> None:
        """``fault`` says why, in words; ``refusal`` is what its caller is to be told, where it failed for want of the
        caller\'s own credential."""
        self.failed, self.fault = True, fault
        self.outdated = outdated
        self._refusal = refusal
        self.due = monotonic() + self._settings.model_list_retry

    def outdate(self) -> None:
        """Still good for calls, but asked for anew before it is shown; what is under way was asked too early."""
        if asks_upstream(self.upstream):
            self.outdated = True
            self.task = None

    def usable(self, now: float) -> Listing | None:
        """The list, unless it is so old that its models cannot be vouched for."""
        limit = self._loaded + self._settings.model_list_lifetime + self._settings.model_list_stale
        return self.listing if now <= limit else None

    def gap(self, now: float) -> Gap | None:
        """What is to be said of it while its list is not there; nothing where ``model_ids`` leave nothing open."""
        if self._wanted or self.usable(now) is not None:
            return None
        if self._missed is None:
            self._missed = now
        return Gap(self.upstream, self._missed + UNKNOWN_FOR, self._refusal)

    def state(self, now: float) -> str:
        if self.usable(now) is None:
            return "failed" if self.failed else "unknown"
        return "stale" if self.failed or now > self.due else "ok"
