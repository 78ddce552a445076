from __future__ import annotations

import pytest

from openai_gateway_asgi.speech import memory
from openai_gateway_asgi.speech.memory import BoundedMemoryCache


async def test_what_was_kept_is_found() -> None:
    cache = BoundedMemoryCache(10)
    assert await cache.get("a") is None
    assert await cache.set("a", "12345") is True
    assert await cache.get("a") == "12345"


async def test_what_was_used_longest_ago_goes_first() -> None:
    cache = BoundedMemoryCache(10)
    for key in "ab":
        await cache.set(key, "12345")
    await cache.get("a")
    await cache.set("c", "1234")
    assert [await cache.get(key) for key in "abc"] == ["12345", None, "1234"]


async def test_a_new_value_makes_room_of_the_old_one() -> None:
    cache = BoundedMemoryCache(10)
    await cache.set("a", "12345")
    await cache.set("b", "12345")
    await cache.set("a", "54321")
    assert (await cache.get("a"), await cache.get("b")) == ("54321", "12345")


async def test_there_are_no_more_than_so_many_however_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_ENTRIES", 2)
    cache = BoundedMemoryCache(1000)
    for key in "abc":
        await cache.set(key, "1")
    assert [await cache.get(key) for key in "abc"] == [None, "1", "1"]


@pytest.mark.parametrize("limit", [0, 4])
async def test_what_is_larger_than_everything_is_not_kept_and_pushes_nothing_out(limit: int) -> None:
    cache = BoundedMemoryCache(limit)
    await cache.set("a", "1" * limit)
    assert await cache.set("b", "12345") is False
    assert (await cache.get("a"), await cache.get("b")) == ("1" * limit, None)


async def test_a_value_lives_as_long_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(memory, "monotonic", lambda: now)
    cache = BoundedMemoryCache(10)
    await cache.set("a", "1", ttl=5)
    await cache.set("b", "2")
    now = 104.9
    assert await cache.get("a") == "1"
    now = 105.0
    assert (await cache.get("a"), await cache.get("b")) == (None, "2")
