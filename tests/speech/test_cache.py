from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from aiocache import SimpleMemoryCache
from aiocache.base import BaseCache
from aiocache.serializers import JsonSerializer, NullSerializer, PickleSerializer, StringSerializer

from openai_gateway_asgi.config import Settings
from openai_gateway_asgi.speech import cache as cache_module
from openai_gateway_asgi.speech.cache import SpeechCache, Spoken, is_audio
from tests.cases.gateways import BrokenCache

SPOKEN = Spoken(b"audio/mpeg", bytes(range(256)))


def speech_cache(backend: Any = None, **settings: Any) -> SpeechCache:
    return SpeechCache(backend, Settings(**settings))


@pytest.mark.parametrize("serializer", [NullSerializer, StringSerializer, JsonSerializer, PickleSerializer])
async def test_speech_survives_every_serializer(serializer: Any) -> None:
    cache = speech_cache(SimpleMemoryCache(serializer=serializer()))
    assert await cache.get("k") is None
    await cache.put("k", SPOKEN)
    assert await cache.get("k") == SPOKEN


async def test_by_default_it_is_kept_in_memory() -> None:
    cache = speech_cache()
    await cache.put("k", SPOKEN)
    assert await cache.get("k") == SPOKEN


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        "rubbish",
        7,
        {"a": 1},
        "[]",
        '["0", "audio/mpeg", "x", "aWQz"]',
        '["1", "audio/mpeg", "wrong digest", "aWQz"]',
        '["1", "audio/mpeg", "x", "no base 64"]',
        # complete and true to its digest, but no audio
        '["1", "text/html", "9e78b43ea00edcac8299e0cc8df7f6f913078171335f733a21d5d911b6999132", "SGFsbG8="]',
    ],
)
async def test_what_was_not_written_by_us_is_a_miss(entry: Any) -> None:
    backend = SimpleMemoryCache()
    await backend.set("k", entry)
    assert await speech_cache(backend).get("k") is None


async def test_a_backend_that_is_down_is_a_miss_and_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    cache = speech_cache(BrokenCache())
    for _ in range(3):
        await cache.put("k", SPOKEN)
        assert await cache.get("k") is None
    (warning,) = caplog.records
    assert (warning.levelno, "ConnectionError" in warning.getMessage()) == (logging.WARNING, True)


class Hanging(BaseCache):  # type: ignore[misc]  # aiocache ships no types
    async def _get(self, key: str, encoding: str | None = None, _conn: Any = None) -> Any:
        await asyncio.Event().wait()

    async def _set(self, key: str, value: Any, ttl: Any = None, _cas_token: Any = None, _conn: Any = None) -> Any:
        await asyncio.Event().wait()


async def test_a_backend_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "PATIENCE", 0.01)
    cache = speech_cache(Hanging())
    await cache.put("k", SPOKEN)
    assert await cache.get("k") is None


class Flaky(SimpleMemoryCache):  # type: ignore[misc]  # aiocache ships no types
    down = True

    async def _get(self, key: str, encoding: str | None = None, _conn: Any = None) -> Any:
        if self.down:
            raise ConnectionError
        return await super()._get(key, encoding, _conn)


async def test_a_backend_that_is_back_is_used_at_once() -> None:
    backend = Flaky()
    cache = speech_cache(backend)
    await cache.put("k", SPOKEN)
    assert await cache.get("k") is None
    backend.down = False
    assert await cache.get("k") == SPOKEN


async def test_the_lifetime_is_the_settings() -> None:
    seen: list[object] = []

    class Noting(SimpleMemoryCache):  # type: ignore[misc]  # aiocache ships no types
        async def _set(self, key: str, value: Any, ttl: Any = None, _cas_token: Any = None, _conn: Any = None) -> Any:
            seen.append(ttl)

    await speech_cache(Noting(), speech_cache_lifetime=60.0).put("k", SPOKEN)
    await speech_cache(Noting()).put("k", SPOKEN)
    assert seen == [60.0, None]


@pytest.mark.parametrize(
    ("kind", "audio"),
    [
        (b"audio/mpeg", True),
        (b"Audio/WAV; rate=1", True),
        (b"application/octet-stream", True),
        (b"application/json", False),
        (b"text/html", False),
        (b"", False),
    ],
)
def test_audio_is_told_by_its_type(kind: bytes, audio: bool) -> None:
    assert is_audio(kind) is audio
