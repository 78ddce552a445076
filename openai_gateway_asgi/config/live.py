"""The configuration in force in this process, kept up with its store."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from pathlib import PurePath
from time import monotonic
from typing import Any

from ..errors import ConfigError, GatewayBusy, GatewayError
from .store import ConfigStore, GatewayConfig, VersionConflict

CHECK_EVERY = 0.25
"""Seconds between two looks at a shared store: what one process saves is in force in all well within a second."""

PATIENCE = 0.25
"""How long, in seconds, requests wait for one answer of a store that is slow to say whether anything changed."""

FIRST_LOAD = 10.0
"""How long, in seconds, the first request waits for a configuration."""

LOOKING = 10.0
"""How long, in seconds, one look at the store may take; then it has failed, and the next one begins."""

SAVING = 10.0
"""How long, in seconds, a change waits for its store."""

logger = logging.getLogger("openai_gateway_asgi")

Changed = Callable[[GatewayConfig, GatewayConfig, str | None], None]
"""Hears of a change: what was in force, what is, and the id of who saved it here; None where it came from elsewhere."""


class LiveConfig:
    """Gives each request one immutable snapshot. A store that fails leaves the last good one in force."""

    def __init__(
        self,
        store: ConfigStore,
        *,
        adopted: Callable[[GatewayConfig], None],
        changed: Changed = lambda before, after, by: None,
        examine: Callable[[GatewayConfig], object] = lambda config: None,
    ) -> None:
        """``adopted`` is told of every configuration that comes into force, ``changed`` of each but the first.

        ``examine`` raises ``ConfigError`` for one that must not: that is a fault of the store.
        """
        self.store = store
        self.fault: str | None = None
        """What is wrong with the store, None while nothing is."""
        self._adopted = adopted
        self._changed = changed
        self._examine = examine
        self._config: GatewayConfig | None = None
        self._due = float("-inf")
        self._check: asyncio.Task[None] | None = None
        self._asked = float("-inf")
        # The version of what is stored and cannot be read: saving mends it, unless somebody has mended it already.
        self._broken: str | None = None

    @property
    def settled(self) -> GatewayConfig | None:
        """The configuration in force, None while the store is to be looked at first."""
        return self._config if monotonic() < self._due else None

    async def current(self) -> GatewayConfig:
        """Raises ``GatewayError`` where no configuration could ever be read."""
        if (settled := self.settled) is not None:
            return settled
        check = self._checking()
        patience = FIRST_LOAD if self._config is None else max(0.0, self._asked + PATIENCE - monotonic())
        await asyncio.wait({check}, timeout=patience)
        if self._config is None:
            raise GatewayError("The gateway's configuration cannot be read.", code="configuration_unavailable")
        return self._config

    @property
    def known(self) -> GatewayConfig | None:
        """The configuration in force, without looking at the store."""
        return self._config

    async def read(self) -> GatewayConfig:
        """What the store holds. Raises ``ConfigError`` where it cannot be read, or must not be in force."""
        config = _config("load", await self.store.load())
        self._examine(config)
        return config

    async def save(self, config: GatewayConfig, *, replaces: str | None, by: str | None = None) -> GatewayConfig:
        """Keeps ``config`` and puts it in force here at once.

        Raises ``VersionConflict``, ``GatewayBusy`` after ``SAVING``, and ``GatewayError`` where the store fails.
        """
        try:
            async with asyncio.timeout(SAVING):
                saved = _config("save", await self.store.save(config, replaces=self._broken or replaces))
        except TimeoutError as error:
            raise GatewayBusy("The configuration was not stored in time; read it before you try again.") from error
        except (VersionConflict, GatewayError):
            raise
        except Exception as error:
            logger.error("the configuration store failed to keep a configuration: %s", _told(error))
            raise GatewayError("The configuration cannot be stored.", code="configuration_unavailable") from None
        finally:
            self._due = float("-inf")  # what became of a change that was broken off is to be seen
        self._adopt(saved, by)
        return saved

    async def aclose(self) -> None:
        if self._check is not None and self._check.get_loop() is asyncio.get_running_loop():
            self._check.cancel()
            await asyncio.wait({self._check})

    def _checking(self) -> asyncio.Task[None]:
        """The look at the store that is under way, or a new one; requests that leave do not stop it."""
        loop = asyncio.get_running_loop()
        if self._check is None or self._check.done() or self._check.get_loop() is not loop:
            self._check = loop.create_task(self._look())
            self._asked = monotonic()
        return self._check

    async def _look(self) -> None:
        stored = None
        try:
            async with asyncio.timeout(LOOKING):
                stored = _version(await self.store.version())
                if self._config is None or stored != self._config.version:
                    self._adopt(await self.read())
        except Exception as error:
            self._broken = stored if isinstance(error, ConfigError) else None
            self._note(error)
        else:
            self.fault = self._broken = None
        self._due = monotonic() + CHECK_EVERY if self.store.shared or self._config is None else float("inf")

    def _adopt(self, config: GatewayConfig, by: str | None = None) -> None:
        before = self._config
        if before is None or config.version != before.version:
            self._config = config
            if before is not None:
                self._changed(before, config, by)
            self._adopted(config)

    def _note(self, error: Exception) -> None:
        fault = _told(error)
        if fault != self.fault:
            logger.error("the configuration store failed, the last good configuration stays in force: %s", fault)
        self.fault = fault


def _told(error: Exception) -> str:
    """What a store raised and where, without its message: databases' messages repeat what was to be kept, keys too."""
    if isinstance(error, ConfigError):
        return str(error)
    places = traceback.extract_tb(error.__traceback__)
    if not places or isinstance(error, TimeoutError):  # our own clock's
        return type(error).__name__
    place = places[-1]
    return f"{type(error).__name__} in {place.name} ({PurePath(place.filename).name}, line {place.lineno})"


def _config(method: str, given: Any) -> GatewayConfig:
    if not isinstance(given, GatewayConfig):
        raise ConfigError(
            f"store.{method}", f"gave something of type {type(given).__name__}; return a GatewayConfig with its version"
        )
    return given


def _version(given: Any) -> str:
    if not isinstance(given, str):
        raise ConfigError(
            "store.version", f"gave something of type {type(given).__name__}; return the text that load() gives"
        )
    return given
