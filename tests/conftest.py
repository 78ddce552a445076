"""Every test starts from a clean environment and must leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from pytest_asyncio import is_async_test

from tests.support.certificates import trust_a_stranger_alone
from tests.support.leaks import Holdings, leaks_of_process, settled_leaks

trust_a_stranger_alone()

# Generated cases are the same in every run, and how fast the machine is just now decides nothing.
settings.register_profile(
    "tests", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")

_PREFIXES = ("OPENAI_", "AZURE_", "IDENTITY_", "MSI_", "AIOHTTP_", "ENABLE_OPENAI_", "MODELS_CACHE_")
_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    gc.disable()  # of what collecting makes next to nothing is garbage: looking for it took a quarter of the time
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed
    return report


def pytest_make_parametrize_id(val: object) -> str | None:
    """Processes that share the tests must call them the same, and each makes temporary files of its own."""
    if isinstance(val, str) and val.startswith(tempfile.gettempdir()):
        return "file" + os.path.splitext(val)[1]
    return None


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith(_PREFIXES) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _nothing_left_behind(_clean_environment: None, request: pytest.FixtureRequest) -> Iterator[None]:
    gc.freeze()  # so that collections until the end look at this test's objects only: 1 ms instead of 300
    if is_async_test(request.node):
        request.getfixturevalue("_loop_left_clean")
        yield
        return
    before = Holdings.of_process()
    yield
    left = leaks_of_process(before)
    gc.unfreeze()
    _complain(request, left)


@pytest.fixture
def loop_errors() -> list[dict[str, Any]]:
    """The contexts given to the loop's exception handler. A test that provokes some takes them out again."""
    return []


@pytest.fixture
async def _loop_left_clean(request: pytest.FixtureRequest, loop_errors: list[dict[str, Any]]) -> AsyncIterator[None]:
    asyncio.get_running_loop().set_exception_handler(lambda _, context: loop_errors.append(context))
    before = Holdings.of_loop()
    yield
    left = await settled_leaks(before)
    gc.collect()  # a failed task that nobody asked reports itself when it is collected
    gc.unfreeze()
    await asyncio.sleep(0)
    _complain(request, left + [f"loop error {context!r}" for context in loop_errors])


def _complain(request: pytest.FixtureRequest, left: list[str]) -> None:
    """Fails the test; one that has failed already says why itself, and may well have left things."""
    if left and not request.node.stash.get(_failed, False):
        pytest.fail("left behind:\n  " + "\n  ".join(left), pytrace=False)
