"""How speech is kept."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

import msgspec

from ..config import Settings
from ..http.threads import in_own_thread
from .memory import BoundedMemoryCache

VERSION = "1"
"""Goes into every entry: another form of it is another number."""

PATIENCE = 0.25
"""How long, in seconds, a backend may take; after that the speech is made anew."""

OFF_LOOP = 256 * 1024
"""Longer speech, in bytes, is written and read in a thread: 8 MiB take 50 ms."""

QUIET = 60.0
"""A backend that is down is reported this often at most, in seconds."""

logger = logging.getLogger("openai_gateway_asgi")


@dataclass(frozen=True, slots=True)
class Spoken:
    """Complete audio and its type."""

    content_type: bytes
    audio: bytes


class SpeechCache:
    """Any aiocache backend, made harmless: one that fails, hangs or returns rubbish is a miss."""

    def __init__(self, backend: Any | None, settings: Settings) -> None:
        self._backend = BoundedMemoryCache(settings.speech_cache_bytes) if backend is None else backend
        self._lifetime = settings.speech_cache_lifetime
        self._reported = float("-inf")

    async def get(self, key: str) -> Spoken | None:
        try:
            async with asyncio.timeout(PATIENCE):
                entry = await self._backend.get(key)
        except Exception as error:
            self._report(error)
            return None
        if isinstance(entry, str | bytes) and len(entry) > OFF_LOOP:
            return await in_own_thread("read-speech", partial(_read, entry))
        return None if entry is None else _read(entry)

    async def put(self, key: str, spoken: Spoken) -> None:
        long = len(spoken.audio) > OFF_LOOP
        entry = await in_own_thread("write-speech", partial(_written, spoken)) if long else _written(spoken)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._backend.set(key, entry, ttl=self._lifetime)
        except Exception as error:
            self._report(error)

    def _report(self, error: Exception) -> None:
        if monotonic() - self._reported > QUIET:
            self._reported = monotonic()
            logger.warning("the speech cache's backend failed (%s); speech is made anew", type(error).__name__)


def _written(spoken: Spoken) -> str:
    """Text, because every serializer of aiocache's keeps text as it is; some corrupt bytes."""
    digest = hashlib.sha256(spoken.audio).hexdigest()
    audio = base64.b64encode(spoken.audio).decode("ascii")
    return msgspec.json.encode([VERSION, spoken.content_type.decode("latin-1"), digest, audio]).decode()


def _read(entry: Any) -> Spoken | None:
    try:
        version, content_type, digest, encoded = msgspec.json.decode(entry, type=tuple[str, str, str, str])
        audio = base64.b64decode(encoded, validate=True)
    except (TypeError, ValueError, msgspec.MsgspecError):
        return None
    if (
        version != VERSION
        or hashlib.sha256(audio).hexdigest() != digest
        or not is_audio(content_type.encode("latin-1"))
    ):
        return None
    return Spoken(content_type.encode("latin-1"), audio)


def is_audio(content_type: bytes) -> bool:
    kind = content_type.lower()
    return kind.startswith((b"audio/", b"application/octet-stream"))
