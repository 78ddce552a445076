from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from typing import Any

import pytest
from fastapi import HTTPException as FastAPIException
from starlette.exceptions import HTTPException

from openai_gateway_asgi.errors import GatewayError, HostFailure, HostRefusal, RateLimited
from openai_gateway_asgi.host.hooks import Hook, in_thread


def hook(call: Any, *, slow: float = 60) -> Hook[..., Any]:
    return Hook("authorize_model", call, slow=slow)


class AsyncCallable:
    async def __call__(self, value: int) -> int:
        return value + 1


class SyncCallable:
    def __call__(self, value: int) -> int:
        return value + 1

    async def method(self, value: int) -> int:
        return value + 1


async def later(value: int) -> int:
    await asyncio.sleep(0)
    return value + 1


@pytest.mark.parametrize(
    ("call", "is_async"),
    [
        (lambda value: value + 1, False),
        (later, True),
        (functools.partial(later), True),
        (functools.partial(AsyncCallable()), True),
        (AsyncCallable(), True),
        (SyncCallable(), False),
        (SyncCallable().method, True),
        (in_thread(lambda value: value + 1), True),
    ],
)
async def test_any_kind_of_callable_will_do(call: Any, is_async: bool) -> None:
    assert hook(call).is_async is is_async
    assert await hook(call)(1) == 2


def raising(error: BaseException, *, is_async: bool) -> Hook[..., Any]:
    def fail() -> None:
        raise error

    async def fail_later() -> None:
        raise error

    return hook(fail_later if is_async else fail)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_gateway_error_passes_as_it_is(is_async: bool) -> None:
    error = RateLimited("Slow down.", headers=((b"retry-after", b"3"),))
    with pytest.raises(RateLimited) as caught:
        await raising(error, is_async=is_async)()
    assert caught.value is error


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "message", "type", "code"),
    [
        (HTTPException(401, "Sign in."), 401, "Sign in.", "authentication_error", "unauthenticated"),
        (FastAPIException(403, "No."), 403, "No.", "permission_error", "permission_denied"),
        (HTTPException(404), 404, "Not Found", "invalid_request_error", "not_found"),
        (HTTPException(429, "Slow down."), 429, "Slow down.", "rate_limit_error", "rate_limit_exceeded"),
        (HTTPException(402, "Pay."), 402, "Pay.", "invalid_request_error", None),
        (HTTPException(503, "Later."), 503, "Later.", "server_error", None),
    ],
)
async def test_an_exception_with_a_status_becomes_that_status(
    error: Exception, status: int, message: str, type: str, code: str | None, is_async: bool
) -> None:
    with pytest.raises(HostRefusal) as caught:
        await raising(error, is_async=is_async)()
    refusal = caught.value
    assert (refusal.status, refusal.detail()) == (
        status,
        {"message": message, "type": type, "param": None, "code": code},
    )


class _WithStatus(Exception):
    def __init__(self, status_code: Any) -> None:
        self.status_code = status_code


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret"),
        TimeoutError("secret"),
        _WithStatus(200),
        _WithStatus(302),
        _WithStatus(999),
        _WithStatus("403"),
    ],
)
async def test_anything_else_is_logged_and_becomes_a_500(
    error: Exception, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(HostFailure) as caught:
        await raising(error, is_async=is_async)()
    assert caught.value.status == 500
    assert "secret" not in caught.value.message
    (record,) = caplog.records
    assert (record.levelno, record.exc_info is not None) == (logging.ERROR, True)
    assert "authorize_model" in record.message


async def test_cancellation_is_nobodys_failure() -> None:
    asked = asyncio.Event()

    async def hangs() -> None:
        asked.set()
        await asyncio.Event().wait()

    call = asyncio.ensure_future(hook(hangs)())
    await asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


@pytest.mark.parametrize("is_async", [False, True])
async def test_that_something_else_was_cancelled_is_the_hosts_failure(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as work that several callers wait for, of whom one left: this call was not cancelled, and has an answer."""
    with pytest.raises(HostFailure) as caught:
        await raising(asyncio.CancelledError(), is_async=is_async)()
    assert caught.value.status == 500
    assert "waited for something that was cancelled" in caplog.text


async def test_a_plain_function_that_returns_an_awaitable_is_a_500_and_leaves_no_warning() -> None:
    with pytest.raises(GatewayError) as caught:
        await hook(lambda: later(1))()
    assert caught.value.status == 500
    assert "async def" in str(caught.value.__cause__)


async def test_a_function_that_blocks_earns_one_warning_by_name(caplog: pytest.LogCaptureFixture) -> None:
    slow = hook(lambda: time.sleep(0.002), slow=0.001)
    for _ in range(3):
        await slow()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "authorize_model=in_thread(...)" in caplog.text


async def test_what_does_not_block_earns_none(caplog: pytest.LogCaptureFixture) -> None:
    async def waits() -> None:
        await asyncio.sleep(0.005)

    await hook(waits, slow=0.001)()
    await hook(in_thread(time.sleep), slow=0.001)(0.005)
    await hook(lambda: None)()
    assert caplog.records == []


async def test_in_thread_runs_elsewhere_and_keeps_name_arguments_and_exceptions() -> None:
    def where(value: int, *, more: int = 0) -> tuple[int, str]:
        if value < 0:
            raise ValueError("negative")
        return value + more, threading.current_thread().name

    threaded = in_thread(where)
    total, thread = await threaded(1, more=2)
    assert total == 3
    assert thread != threading.current_thread().name
    assert threaded.__name__ == "where"
    with pytest.raises(ValueError, match="negative"):
        await threaded(-1)
