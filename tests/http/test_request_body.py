"""Reading a request's body: all of it, not too much, and not for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openai_gateway_asgi.errors import ClientDisconnected, PayloadTooLarge, RequestTimeout
from openai_gateway_asgi.http import request_body
from openai_gateway_asgi.http.asgi import Message, Receive
from openai_gateway_asgi.http.request_body import read_body


def part(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


END = part(b"", more=False)
GONE: Message = {"type": "http.disconnect"}


def given(*messages: Message) -> Receive:
    """They come one by one, each a turn of the loop after it was asked for, and then nothing does."""
    waiting = iter(messages)

    async def receive() -> Message:
        await asyncio.sleep(0)
        return next(waiting, None) or await asyncio.Future[Message]()

    return receive


async def test_the_body_is_what_came_in_all() -> None:
    assert await read_body(given(part(b"a"), part(b""), part(b"bc"), END), 3, 1) == [b"a", b"", b"bc", b""]
    assert await read_body(given(part(b"abc", more=False)), 3, 1) == [b"abc"]
    assert await read_body(given({"type": "http.request"}), 3, 1) == [b""]


def test_a_body_that_is_there_is_read_without_waiting_or_a_timer() -> None:
    async def receive() -> Message:
        return part(b"abc", more=False)

    reading = read_body(receive, 3, 1)
    with pytest.raises(StopIteration) as over:  # and this is no event loop
        reading.send(None)
    assert over.value.value == [b"abc"]


async def test_more_than_the_limit_is_refused() -> None:
    with pytest.raises(PayloadTooLarge):
        await read_body(given(part(b"abc"), part(b"d")), 3, 1)


async def test_a_client_that_leaves_ends_it() -> None:
    with pytest.raises(ClientDisconnected):
        await read_body(given(part(b"abc"), GONE), 3, 1)


@pytest.mark.parametrize("come", [(), (part(b"a"),), (part(b"a"), part(b"b"))])
async def test_a_body_that_stalls_is_given_up(come: tuple[Message, ...]) -> None:
    with pytest.raises(RequestTimeout):
        await read_body(given(*come), 3, 0.01)


async def test_only_the_wait_for_the_next_piece_counts() -> None:
    begun = asyncio.get_running_loop().time()

    async def receive() -> Message:
        await asyncio.sleep(0.03)  # what is tested is the time that passes
        return part(b"a", more=asyncio.get_running_loop().time() < begun + 0.2)

    assert len(await read_body(receive, 100, 0.15)) > 3


async def test_cancelling_it_cancels_what_it_waits_for() -> None:
    ended: list[str] = []

    async def receive() -> Message:
        try:
            return await asyncio.Future[Message]()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            ended.append("receive")
            raise

    async def read() -> None:
        await read_body(receive, 3, 1)

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert ended == ["receive"]


class Foreign:
    """An awaitable as servers in other languages have it: an iterator, and no coroutine."""

    def __init__(self, message: Message) -> None:
        self._message = message
        self._waited = False

    def __await__(self) -> Foreign:
        return self

    def __iter__(self) -> Foreign:
        return self

    def __next__(self) -> None:
        if self._waited:
            raise StopIteration(self._message)
        self._waited = True


async def test_whatever_can_be_awaited_may_come_from_a_server() -> None:
    messages = [part(b"a"), END]

    def receive() -> Any:
        return Foreign(messages.pop(0))

    assert await read_body(receive, 3, 1) == [b"a", b""]


async def test_a_body_that_drips_has_an_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "LONGEST", 0.05)

    async def receive() -> Message:
        await asyncio.sleep(0.01)  # what is tested is the time that passes
        return part(b"a")

    with pytest.raises(RequestTimeout):
        await read_body(receive, 1_000, 5)
