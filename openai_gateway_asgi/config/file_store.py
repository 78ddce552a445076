"""A configuration in a JSON file that all processes of a machine share."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from ..errors import ConfigError
from .document import assemble, read_rows, refuse_unknown, write_document
from .store import GatewayConfig, VersionConflict
from .upstream import Upstream

REVISION = "revision"
NO_FILE = "0"
"""The version where there is no file yet."""


class FileStore:
    """Keeps the configuration, its secrets in clear, in a file that only its owner may read.

    Until the file exists, ``upstreams``, ``enabled`` and ``fallbacks`` are in force. Saving replaces it in one step,
    under a lock in a file beside it (``flock``, so POSIX systems and local file systems). It may be edited by hand: it
    has the form of ``/config``, and a fault in it raises ``ConfigError`` from ``load``.
    """

    shared: bool = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        upstreams: Iterable[Upstream] = (),
        enabled: bool = True,
        fallbacks: Mapping[str, Iterable[str]] = {},
    ) -> None:
        self._path = Path(os.path.realpath(path))
        self._initial = GatewayConfig(enabled, upstreams, fallbacks, version=NO_FILE)

    async def load(self) -> GatewayConfig:
        return await asyncio.to_thread(self._load)

    async def version(self) -> str:
        return await asyncio.to_thread(self._version)

    async def save(self, config: GatewayConfig, *, replaces: str | None) -> GatewayConfig:
        """Also raises ``ConfigError`` when the file cannot be written. Cancelling it does not undo it."""
        return await asyncio.to_thread(self._save, config, replaces)

    def _load(self) -> GatewayConfig:
        content = self._read()
        return self._initial if content is None else self._parse(content)

    def _version(self) -> str:
        return _version_of(self._read())

    def _save(self, config: GatewayConfig, replaces: str | None) -> GatewayConfig:
        # The random revision makes the version, a hash that administrators see, useless for guessing short secrets.
        document = write_document(config) | {REVISION: secrets.token_hex(16)}
        content = msgspec.json.format(msgspec.json.encode(document), indent=2)
        try:
            with self._locked():
                if replaces is not None and replaces != self._version():
                    raise VersionConflict
                self._replace(content)
        except OSError as error:
            raise ConfigError(str(self._path), f"cannot be written: {error.strerror}") from error
        return replace(config, version=_version_of(content))

    def _read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(str(self._path), f"cannot be read: {error.strerror}") from error

    def _parse(self, content: bytes) -> GatewayConfig:
        try:
            document = msgspec.json.decode(content, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ConfigError(str(self._path), "is not a JSON object") from error
        try:
            refuse_unknown(document, (REVISION,))
            return assemble(document, read_rows(document), GatewayConfig(version=_version_of(content)))
        except ConfigError as error:
            raise ConfigError(f"{self._path}: {error.field}", error.problem) from error

    def _replace(self, content: bytes) -> None:
        """Readers see the old file or the new one, also after a crash. ``mkstemp`` gives mode 0600."""
        handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with open(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(handle)
            os.replace(temporary, self._path)
        except BaseException:
            os.unlink(temporary)
            raise
        _sync_directory(self._path.parent)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Not on every system; the rest of the package is.
        import fcntl

        # A file of its own: the configuration's is another one after each save.
        lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _version_of(content: bytes | None) -> str:
    return NO_FILE if content is None else hashlib.sha256(content).hexdigest()[:32]


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
