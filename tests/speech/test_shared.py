from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from openai_gateway_asgi.errors import ResponseAborted, UpstreamTimeout
from openai_gateway_asgi.http.asgi import Message, Send
from openai_gateway_asgi.speech.shared import PIECE, Room, SharedAnswer

START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"audio/mpeg")]}
Call = Callable[[Send], Coroutine[Any, Any, None]]


def body(data: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


class Listener:
    """A caller's ``send``; with a ``gate`` it takes nothing until the gate opens."""

    def __init__(self, gate: asyncio.Event | None = None) -> None:
        self.messages: list[Message] = []
        self._gate = gate

    async def send(self, message: Message) -> None:
        if self._gate is not None:
            await self._gate.wait()
        self.messages.append(message)

    @property
    def heard(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def over(self) -> bool:
        return bool(self.messages) and not self.messages[-1].get("more_body", True)


def speaks(*pieces: bytes, gate: asyncio.Event | None = None) -> Call:
    """Sends the pieces, waiting for the gate after the first."""

    async def call(send: Send) -> None:
        await send(START)
        for number, piece in enumerate(pieces):
            if number == 1 and gate is not None:
                await gate.wait()
            await send(body(piece))
        await send(body(b"", more=False))

    return call


def running(call: Call, limit: int = 100, room: Room | None = None) -> tuple[SharedAnswer, asyncio.Event]:
    answer, ended = SharedAnswer(limit, room or Room(10_000)), asyncio.Event()
    answer.run(call, ended.set)
    return answer, ended


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_everyone_hears_all_of_it_from_the_beginning() -> None:
    gate = asyncio.Event()
    answer, ended = running(speaks(b"one ", b"two", gate=gate))
    early, late = Listener(), Listener()
    first = asyncio.create_task(answer.follow(early.send))
    await turns()
    assert early.heard == b"one "
    second = asyncio.create_task(answer.follow(late.send))
    await turns()
    assert late.heard == b"one "
    gate.set()
    await asyncio.gather(first, second)
    assert early.heard == late.heard == b"one two"
    assert early.over
    assert late.over
    await ended.wait()
    assert answer.whole() == (START, b"one two")


async def test_each_listener_may_change_its_own_headers() -> None:
    answer, _ = running(speaks(b"x"))
    one, two = Listener(), Listener()
    await asyncio.gather(answer.follow(one.send), answer.follow(two.send))
    one.messages[0]["headers"].append((b"x", b"y"))
    assert two.messages[0]["headers"] == START["headers"] == [(b"content-type", b"audio/mpeg")]


async def test_it_goes_on_until_its_last_listener_leaves() -> None:
    gate = asyncio.Event()
    answer, ended = running(speaks(b"one", b"two", gate=gate))
    leaving = [asyncio.create_task(answer.follow(Listener().send)) for _ in range(2)]
    await turns()
    leaving[0].cancel()
    await turns()
    assert not ended.is_set()
    assert answer.joinable
    leaving[1].cancel()
    await asyncio.wait(leaving)
    assert not answer.joinable  # at once: nobody may join what is being stopped
    await ended.wait()
    assert answer.whole() is None


async def test_what_is_done_after_the_last_word_is_not_cut_off_when_the_listeners_go() -> None:
    stored = asyncio.Event()

    async def call(send: Send) -> None:
        await speaks(b"x")(send)
        await turns(50)
        stored.set()

    answer, ended = running(call)
    await answer.follow(Listener().send)
    await ended.wait()
    assert stored.is_set()


async def test_a_failure_is_everyones() -> None:
    failure = UpstreamTimeout("late")

    async def fails(send: Send) -> None:
        await turns()
        raise failure

    answer, ended = running(fails)
    results = await asyncio.gather(*(answer.follow(Listener().send) for _ in range(3)), return_exceptions=True)
    assert results == [failure] * 3
    assert not answer.joinable
    await ended.wait()


async def test_an_answer_that_stops_in_the_middle_is_a_failure() -> None:
    async def stops(send: Send) -> None:
        await send(START)
        await send(body(b"half"))

    answer, _ = running(stops)
    listener = Listener()
    with pytest.raises(ResponseAborted):
        await answer.follow(listener.send)
    assert listener.heard == b"half"
    assert not listener.over
    assert answer.whole() is None


async def test_what_is_too_long_to_keep_is_still_heard_but_cannot_be_joined() -> None:
    pieces = [bytes([65 + n]) * 4 for n in range(10)]
    gate = asyncio.Event()
    answer, ended = running(speaks(*pieces, gate=gate), limit=10)
    listener = Listener()
    following = asyncio.create_task(answer.follow(listener.send))
    await turns()
    assert answer.joinable
    gate.set()
    await following
    assert listener.heard == b"".join(pieces)
    assert not answer.joinable
    await ended.wait()
    assert answer.whole() is None


async def test_beyond_the_limit_the_call_waits_for_its_slowest_listener() -> None:
    pieces = [bytes([65 + n]) * 4 for n in range(10)]
    sent = 0

    async def call(send: Send) -> None:
        nonlocal sent
        await begin.wait()
        await send(START)
        for piece in pieces:
            await send(body(piece))
            sent += 1
        await send(body(b"", more=False))

    begin, gate = asyncio.Event(), asyncio.Event()
    answer, _ = running(call, limit=10)
    quick, slow = Listener(), Listener(gate)
    following = [asyncio.create_task(answer.follow(listener.send)) for listener in (quick, slow)]
    await turns()
    begin.set()
    await turns(100)
    assert sent <= 3
    gate.set()
    await asyncio.gather(*following)
    assert quick.heard == slow.heard == b"".join(pieces)


async def test_all_answers_together_keep_no_more_than_there_is_room_for() -> None:
    room = Room(3 * (PIECE + 4))
    gates = [asyncio.Event() for _ in range(3)]
    answers = [running(speaks(b"1234", b"5678", b"9", gate=gate), room=room)[0] for gate in gates]
    listeners = [Listener() for _ in answers]
    following = [asyncio.create_task(answer.follow(each.send)) for answer, each in zip(answers, listeners, strict=True)]
    await turns()
    assert [answer.joinable for answer in answers] == [True] * 3
    assert room.left == 0
    gates[0].set()
    await following[0]
    assert [answer.joinable for answer in answers] == [False, True, True]
    assert room.left == PIECE + 4, "what it had taken is for others"
    gates[1].set()
    gates[2].set()
    await asyncio.gather(*following)
    await turns()
    assert [each.heard for each in listeners] == [b"123456789"] * 3
    assert room.left == 3 * (PIECE + 4)


async def test_an_answer_that_is_over_leaves_its_room_when_its_last_listener_has_heard_it() -> None:
    room, gate = Room(1000), asyncio.Event()
    answer, ended = running(speaks(b"one", b"two"), room=room)
    slow = asyncio.create_task(answer.follow(Listener(gate).send))
    await answer.follow(Listener().send)
    await ended.wait()
    assert answer.joinable
    assert room.left == 1000 - 2 * PIECE - 6
    gate.set()
    await slow
    await turns()
    assert room.left == 1000


@pytest.mark.parametrize("leaves", [True, False])
async def test_an_answer_that_fails_or_is_left_leaves_its_room(leaves: bool) -> None:
    room, gate = Room(1000), asyncio.Event()

    async def call(send: Send) -> None:
        await send(START)
        await send(body(b"one"))
        await gate.wait()
        raise UpstreamTimeout("late")

    answer, ended = running(call, room=room)
    following = asyncio.create_task(answer.follow(Listener().send))
    await turns()
    assert room.left < 1000
    if leaves:
        following.cancel()
    gate.set()
    await asyncio.gather(following, return_exceptions=True)
    await ended.wait()
    await turns()
    assert room.left == 1000
