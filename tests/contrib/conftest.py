"""Everything here runs beside one Django site."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contrib import site

site.set_up()


@pytest.fixture(autouse=True)
async def _an_empty_site() -> AsyncIterator[None]:
    yield
    await site.forget_everyone()
