"""The ORM in threads of the gateway's: side by side, on connections that are kept, and closed in the end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgi_lifespan import LifespanManager
from django.contrib.auth.models import Group
from django.contrib.auth.models import User as Account
from django.core.asgi import get_asgi_application
from django.core.exceptions import BadRequest, ImproperlyConfigured, PermissionDenied, SuspiciousOperation
from django.db import OperationalError, connection, connections
from django.http import Http404
from starlette.types import Receive, Scope, Send

from openai_gateway_asgi import Gateway, Upstream, User, everyone
from openai_gateway_asgi.contrib.django import mount, orm_safe, resolve_django_user
from openai_gateway_asgi.contrib.django.orm import own_threads
from openai_gateway_asgi.contrib.django.orm_threads import OrmThreads
from openai_gateway_asgi.testing import FakeUpstream
from tests.contrib.site import sign_in
from tests.support.asgi import ask

NAMED = "openai_gateway orm"


@pytest.fixture
async def threads() -> AsyncIterator[OrmThreads]:
    """Four, and in force."""
    threads = OrmThreads(4)
    token = own_threads.set(threads)
    yield threads
    own_threads.reset(token)
    await asyncio.to_thread(threads.close)
    assert alive() == []


def alive() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAMED]


class Together:
    """A call that ends only when as many as are expected are in it."""

    def __init__(self, parties: int) -> None:
        self._barrier = threading.Barrier(parties, timeout=5)

    def __call__(self) -> int:
        Group.objects.count()
        self._barrier.wait()
        return threading.get_ident()


async def test_calls_run_side_by_side(threads: OrmThreads) -> None:
    call = orm_safe(Together(4))

    assert len(set(await asyncio.gather(*[call() for _ in range(4)]))) == 4


async def test_no_more_threads_than_asked_for_and_no_more_than_needed(threads: OrmThreads) -> None:
    ident = orm_safe(threading.get_ident)
    assert len({await ident() for _ in range(20)}) == 1

    await asyncio.gather(*[orm_safe(lambda: time.sleep(0.001))() for _ in range(50)])

    assert len(alive()) <= 4


def connected() -> int:
    connection.ensure_connection()
    return id(connection.connection)


async def test_a_connection_is_kept_from_call_to_call(threads: OrmThreads) -> None:
    first = await orm_safe(connected)()

    assert [await orm_safe(connected)() for _ in range(3)] == [first] * 3


async def test_a_connection_past_its_age_is_not_used_again(threads: OrmThreads) -> None:
    held: list[Any] = []

    def held_connection() -> None:
        connection.ensure_connection()
        held.append(connection.connection)

    before = connections["default"].settings_dict["CONN_MAX_AGE"]
    try:
        connections["default"].settings_dict["CONN_MAX_AGE"] = 1
        await orm_safe(held_connection)()
        await orm_safe(lambda: setattr(connection, "close_at", time.monotonic() - 1))()
        await orm_safe(held_connection)()
    finally:
        connections["default"].settings_dict["CONN_MAX_AGE"] = before

    assert held[0] is not held[1]


async def test_a_connection_that_broke_is_not_used_again(threads: OrmThreads) -> None:
    held: list[Any] = []

    def breaking() -> None:
        connection.ensure_connection()
        held.append(connection.connection)
        connection.is_usable = lambda: False  # SQLite's own always says True
        Group.objects.raw("SELECT nothing FROM nowhere")[0]

    with pytest.raises(OperationalError):
        await orm_safe(breaking)()
    await orm_safe(lambda: (connection.ensure_connection(), held.append(connection.connection)))()

    assert held[0] is not held[1]


async def test_a_transaction_left_open_is_not_carried_on(threads: OrmThreads) -> None:
    def left_open() -> int:
        connection.set_autocommit(False)
        Group.objects.create(name="half")
        return id(connection.connection)

    await orm_safe(left_open)()

    assert await orm_safe(lambda: (connection.get_autocommit(), Group.objects.count()))() == (True, 0)


async def test_an_idle_thread_closes_its_connections_and_ends() -> None:
    threads = OrmThreads(2, idle=0.02)
    token = own_threads.set(threads)
    closed: list[Any] = []
    try:

        def watched() -> None:
            connection.ensure_connection()
            closing = connection.close
            connection.close = lambda: (closed.append(threading.get_ident()), closing())

        await orm_safe(watched)()
        (thread,) = alive()
        await asyncio.to_thread(thread.join, 5)

        assert alive() == []
        assert closed == [thread.ident]
        assert await orm_safe(Group.objects.count)() == 0  # and another takes its place
    finally:
        own_threads.reset(token)
        await asyncio.to_thread(threads.close)


async def test_a_call_that_is_cancelled_before_it_began_never_runs() -> None:
    threads = OrmThreads(1)
    token = own_threads.set(threads)
    go_on, ran = threading.Event(), list[str]()
    try:
        first = asyncio.create_task(orm_safe(lambda: go_on.wait(5))())
        second = asyncio.create_task(orm_safe(lambda: ran.append("second"))())
        await asyncio.sleep(0.01)  # both are with the threads
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        go_on.set()
        assert await first is True
        assert await orm_safe(lambda: "third")() == "third"
    finally:
        own_threads.reset(token)
        await asyncio.to_thread(threads.close)

    assert ran == []


@pytest.mark.parametrize("in_own", [True, False])
async def test_what_a_callable_raises_comes_out(threads: OrmThreads, in_own: bool) -> None:
    own_threads.set(threads if in_own else None)
    with pytest.raises(Account.DoesNotExist):
        await orm_safe(Account.objects.get)(username="nobody")
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(orm_safe(lambda: next(iter(())))(), 5)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PermissionDenied("Not you."), 403),
        (Http404("Not there."), 404),
        (BadRequest("Not so."), 400),
        (SuspiciousOperation("Not so."), 400),
        (PermissionDenied(), 403),
    ],
)
@pytest.mark.parametrize("orm_threads", [1, 2])
async def test_djangos_own_refusals_keep_their_status(error: Exception, status: int, orm_threads: int) -> None:
    @orm_safe
    def authorize_model(user: User, model: object) -> bool:
        raise error

    gateway = Gateway(
        [Upstream("http://upstream.test/v1", model_ids=["m"])],
        resolve_user=lambda request: User("ada"),
        authorize_model=authorize_model,
    )
    site = mount(gateway, "/llm", inside=gateway, orm_threads=orm_threads)
    async with LifespanManager(site):
        answer = await ask(site, "POST", "/llm/v1/chat/completions", json={"model": "m", "messages": []})

    assert answer.status == status
    assert answer.json()["error"]["message"] == (str(error) or "The application refused this request.")


# Mounted


async def test_the_sites_callables_run_in_the_mounts_threads_and_end_with_it() -> None:
    """Until the server is told that the shutdown is complete, for then it may end the process."""
    upstream, together = FakeUpstream(["m"]), Together(3)

    @orm_safe
    def may_use(user: User, model: object) -> bool:
        return together() != threading.main_thread().ident

    gateway = Gateway(
        [Upstream("http://upstream.test/v1", model_ids=["m"])],
        resolve_user=resolve_django_user,
        authorize_model=may_use,
        transport=upstream.transport(),
    )
    site = mount(gateway, "/llm", inside=get_asgi_application(), orm_threads=3)
    left: list[threading.Thread] = []

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def watching(message: Any) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                left.extend(alive())
            await send(message)

        await site(scope, receive, watching)

    headers = {"cookie": f"sessionid={await sign_in('ada')}", "sec-fetch-site": "same-origin"}
    async with LifespanManager(watched):
        for _ in range(2):
            answers = await asyncio.gather(*[chat(watched, headers) for _ in range(3)])
            assert [answer.status for answer in answers] == [200] * 3
        assert 1 < len(alive()) <= 3
    assert left == alive() == []

    assert (await chat(mount(gateway, "/llm", inside=gateway), {})).status == 401


async def chat(site: Any, headers: dict[str, str]) -> Any:
    return await ask(site, "POST", "/llm/v1/chat/completions", json={"model": "m", "messages": []}, headers=headers)


async def test_beside_the_gateway_djangos_own_thread_is_as_ever() -> None:
    seen: list[object] = []

    async def django(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(own_threads.get())
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    gateway = Gateway([], authorize_model=everyone)
    await ask(mount(gateway, "/llm", inside=django, orm_threads=8), "GET", "/")

    assert seen == [None]
    assert own_threads.get() is None


@pytest.mark.parametrize("number", [0, -1, True, "8", 2.0, None])
def test_the_number_of_threads_is_one(number: Any) -> None:
    gateway = Gateway([], authorize_model=everyone)
    with pytest.raises(ImproperlyConfigured, match="orm_threads"):
        mount(gateway, "/llm", inside=gateway, orm_threads=number)
