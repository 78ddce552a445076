from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from aiocache import SimpleMemoryCache
from aiocache.base import BaseCache
from aiocache.serializers import JsonSerializer, NullSerializer, PickleSerializer, StringSerializer

from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.config import Settings, Upstream
from openai_gateway_asgi.errors import InvalidRequest
from openai_gateway_asgi.models import Candidate
from openai_gateway_asgi.speech import cache as cache_module
from openai_gateway_asgi.speech.cache import SpeechCache, Spoken, is_audio, speech_key
from tests.cases.gateways import BrokenCache

SPOKEN = Spoken(b"audio/mpeg", bytes(range(256)))
HERE = [Candidate(Upstream("http://a/v1"), "tts")]


def key(body: bytes, candidates: list[Candidate] = HERE, scope: str = "") -> str:
    return speech_key(Payload.parse(body), candidates, scope)


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


def test_the_key_is_a_sha256_under_our_name() -> None:
    prefix, _, digest = key(b'{"model":"m","input":"x"}').partition(":")
    assert prefix == "speech"
    assert len(bytes.fromhex(digest)) == 32


def test_the_spelling_of_a_body_does_not_change_its_key() -> None:
    assert key(b'{"model":"m","input":"x","speed":1.50}') == key(b'{ "speed":1.5, "input":"\\u0078", "model":"other" }')


@pytest.mark.parametrize(
    "other",
    [
        {"body": b'{"model":"m","input":"y"}'},
        {"body": b'{"model":"m","input":"x","voice":null}'},
        {"scope": "user"},
        {"candidates": [Candidate(Upstream("http://a/v1"), "tts-hd")]},
        {"candidates": [Candidate(Upstream("http://b/v1"), "tts")]},
        {"candidates": HERE * 2},
    ],
)
def test_whatever_decides_the_sound_is_in_the_key(other: dict[str, Any]) -> None:
    same: dict[str, Any] = {"body": b'{"model":"m","input":"x"}'}
    assert key(**{**same, **other}) != key(**same)


def test_a_body_that_cannot_be_read_is_a_400() -> None:
    with pytest.raises(InvalidRequest):
        key(b'{"model":"m","input":' + b"9" * 5000 + b"}")


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
