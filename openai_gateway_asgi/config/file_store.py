"""A configuration in a JSON file that all processes of a machine share."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from ..errors import ConfigError, GatewayBusy
from ..hidden import HiddenBytes
from ..http.threads import in_own_thread
from .document import assemble, decode_document, read_rows, refuse_unknown, write_document
from .store import GatewayConfig, Presets, VersionConflict
from .upstream import Upstream
from .whole_file import Locked, replace_file, tidy, writing

REVISION = "revision"
NO_FILE = "0"
"""The version where there is no file yet."""
GONE = "gone"
"""The version of a file that this process has read and that is there no more."""

PATIENCE = 4.0
"""Seconds that whoever else is saving is waited for, and as many that writing may take."""
READERS = 8
"""Threads that may hang in the file; whoever comes then is told so at once."""
LOOK_AGAIN = 0.05
"""Seconds between two looks whether the other one is done."""


class FileStore:
    """Keeps the configuration, its secrets in clear, in a file that only its owner may read.

    Until the file exists, ``upstreams``, ``enabled``, ``fallbacks`` and ``presets`` are in force; a file that was there
    and is gone is a fault, as one that cannot be read is. Saving replaces it in one step, under a lock in a file beside
    it (``flock``, so POSIX systems and local file systems). It may be edited by hand: it has the form of ``/config``,
    and a fault in it raises ``ConfigError`` from ``load``.
    """

    shared: bool = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        upstreams: Iterable[Upstream] = (),
        enabled: bool = True,
        fallbacks: Mapping[str, Iterable[str]] = {},
        presets: Presets = (),
    ) -> None:
        self._path = Path(os.path.realpath(_checked(path)))
        self._initial = GatewayConfig(enabled, upstreams, fallbacks, version=NO_FILE, presets=presets)
        self._was_there = False
        # Held by the one thread that saves: one that hangs is joined by no other.
        self._saving = threading.Lock()
        self._reading = threading.BoundedSemaphore(READERS)
        tidy(self._path)

    @property
    def path(self) -> Path:
        """Where the file is, links resolved."""
        return self._path

    def peek(self) -> GatewayConfig:
        """What ``load`` gives, read at once: for the look at everything when a gateway is made."""
        try:
            return self._load()
        except ConfigError as error:
            fault = ConfigError(error.field, error.problem)
        raise fault  # a new one: the frames that the other came through hold the file's content

    async def load(self) -> GatewayConfig:
        return await in_own_thread("configuration", self._load)

    async def version(self) -> str:
        return await in_own_thread("configuration", self._version)

    async def save(self, config: GatewayConfig, *, replaces: str | None) -> GatewayConfig:
        """Also raises ``ConfigError`` when the file cannot be written, and ``GatewayBusy`` after ``PATIENCE``.

        What began to be written when it is cancelled, or out of patience, may be written all the same.
        """
        save = partial(self._save_alone, config, replaces)
        until = monotonic() + PATIENCE
        while True:
            try:
                if not self._saving.locked():
                    async with asyncio.timeout(PATIENCE):
                        return await in_own_thread("configuration", save)
            except Locked:
                pass
            except TimeoutError as error:
                raise _busy("The configuration was not stored in time; read it before you try again.") from error
            if monotonic() > until:
                raise _busy("Another process is changing the configuration; try again in a moment.")
            await asyncio.sleep(LOOK_AGAIN)

    def _load(self) -> GatewayConfig:
        content = self._read()
        if content is not None:
            return self._parse(content)
        if self._was_there:
            raise ConfigError(str(self._path), "is gone; put it back, or save the configuration anew")
        return self._initial

    def _version(self) -> str:
        content = self._read()
        if content is None:
            return GONE if self._was_there else NO_FILE
        return _version_of(content)

    def _save_alone(self, config: GatewayConfig, replaces: str | None) -> GatewayConfig:
        if not self._saving.acquire(blocking=False):
            raise Locked
        try:
            return self._save(config, replaces)
        finally:
            self._saving.release()

    def _save(self, config: GatewayConfig, replaces: str | None) -> GatewayConfig:
        # The random revision makes the version, a hash that administrators see, useless for guessing short secrets.
        document = write_document(config)
        document[REVISION] = secrets.token_hex(16)
        content = HiddenBytes(msgspec.json.format(msgspec.json.encode(document), indent=2))
        try:
            with writing(self._path):
                if replaces is not None and replaces != self._version():
                    raise VersionConflict
                replace_file(self._path, content)
        except OSError as error:
            raise ConfigError(str(self._path), f"cannot be written: {error.strerror}") from error
        self._was_there = True
        return replace(config, version=_version_of(content))

    def _read(self) -> bytes | None:
        """The file's content, None where there is no file."""
        if not self._reading.acquire(blocking=False):
            raise ConfigError(str(self._path), "cannot be read: the disk does not answer")
        try:
            return self._content()
        finally:
            self._reading.release()

    def _content(self) -> bytes | None:
        try:
            content = HiddenBytes(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(str(self._path), f"cannot be read: {error.strerror}") from error
        self._was_there = True
        return content

    def _parse(self, content: bytes) -> GatewayConfig:
        document = decode_document(content)
        if document is None:
            raise ConfigError(str(self._path), "is not a JSON object")
        try:
            refuse_unknown(document, (REVISION,))
            return assemble(document, read_rows(document), GatewayConfig(version=_version_of(content)))
        except ConfigError as error:
            raise ConfigError(f"{self._path}: {error.field}", error.problem) from error


def _checked(path: Any) -> str | os.PathLike[str]:
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ConfigError("FileStore.path", 'must be a path; write FileStore("/var/lib/app/gateway.json")')
    return path


def _version_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _busy(message: str) -> GatewayBusy:
    return GatewayBusy(message, headers=((b"retry-after", b"1"),))
