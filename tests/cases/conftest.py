from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.cases.world import World

MakeWorld = Callable[..., World]


@pytest.fixture
async def make_world() -> AsyncIterator[MakeWorld]:
    """``World(...)``, closed when the test is over."""
    made: list[World] = []

    def make(*arguments: Any, **options: Any) -> World:
        made.append(World(*arguments, **options))
        return made[-1]

    yield make
    for world in made:
        await world.aclose()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """Two upstreams, and everyone may use every model."""
    return make_world()
