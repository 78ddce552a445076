"""Case 280: whose uploads are written to disk, when, and how much of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from openai_gateway_asgi import Gateway, Settings, Upstream, User, everyone
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import Call, answer
from tests.reliability.clients import Client, request
from tests.reliability.gateways import assert_error, trust
from tests.support.asgi import Conversation, Response, ask
from tests.support.leaks import Holdings
from tests.support.servers import serve

MIB = 1024 * 1024
PATH = "/v1/audio/transcriptions"
KIND = "multipart/form-data; boundary=x"
MODEL = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'
END = b"--x--\r\n"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are made, but for the one with the certificate, which is there already."""
    trust()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def on_disk(directory: Path) -> list[int]:
    """The sizes of the temporary files that are open; none of them has a name."""
    assert os.listdir(directory) == []
    sizes = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{number}").startswith(str(directory)):
                sizes.append(os.stat(f"/proc/self/fd/{number}").st_size)
    return sizes


def file_first(size: int) -> bytes:
    return FILE + bytes(size) + b"\r\n" + MODEL + END


def model_first(size: int) -> bytes:
    return MODEL + FILE + bytes(size) + b"\r\n" + END


def by_token(request: Request) -> User | None:
    name = request.headers.get("authorization", "").removeprefix("Bearer ")
    return User(name) if name else None


def make_gateway(
    upstreams: list[Upstream] | None = None, *, recorder: FakeUpstream | None = None, **options: Any
) -> Gateway:
    own = upstreams or [Upstream("http://a/v1", model_ids=["m"])]
    settings = Settings(retries=0, verify_tls=trust(), **options.pop("settings", {}))
    transport = None if recorder is None else recorder.transport()
    given = {"resolve_user": by_token, "authorize_model": everyone, **options}
    return Gateway(own, settings=settings, transport=transport, **given)


def talk(gateway: Gateway, user: str = "ann") -> Conversation:
    return Conversation(
        gateway, "POST", PATH, body=None, headers={"content-type": KIND, "authorization": f"Bearer {user}"}
    )


async def upload(gateway: Gateway, body: bytes, user: str = "ann") -> Response:
    return await ask(
        gateway, "POST", PATH, body=body, headers={"content-type": KIND, "authorization": f"Bearer {user}"}
    )


async def settled(turns: int = 50) -> None:
    for _ in range(turns):
        await asyncio.sleep(0.002)


# Whose


@pytest.mark.parametrize("found", [None, User("ann")])
async def test_case_280_nothing_is_written_before_the_host_has_named_the_user(
    found: User | None, directory: Path
) -> None:
    gate = asyncio.Event()

    async def resolve_user(request: Request) -> User | None:
        await gate.wait()
        return found

    recorder = FakeUpstream()
    gateway = make_gateway(recorder=recorder, resolve_user=resolve_user)
    async with talk(gateway) as conversation:
        for _ in range(64):
            conversation.send_body(FILE if not _ else bytes(MIB // 16))
        await settled()
        taken = sum(len(message.get("body", b"")) for message in conversation.received)
        assert on_disk(directory) == []
        assert taken <= MIB + MIB // 16  # nor does a stranger fill the memory
        gate.set()
        if found is None:
            assert (await conversation.whole()).status == 401
            assert on_disk(directory) == []
        else:
            await settled()
            assert sum(on_disk(directory)) > 2 * MIB
            conversation.send_body(b"\r\n" + MODEL + END, more=False)
            assert (await conversation.whole()).status == 200
            assert recorder.last.body.count(bytes(63 * MIB // 16)) == 1
    await gateway.aclose()


# When


@pytest.mark.parametrize("piece", [100, 65_536])
async def test_case_280_the_first_mebibyte_stays_in_memory_until_the_model_is_known(
    piece: int, directory: Path
) -> None:
    gateway = make_gateway(recorder=FakeUpstream())
    async with talk(gateway) as conversation:
        conversation.send_body(FILE)
        sent = len(FILE)
        while sent + piece <= MIB:
            conversation.send_body(bytes(piece))
            sent += piece
        await settled()
        assert sum(len(message["body"]) for message in conversation.received) == sent
        assert on_disk(directory) == []
        conversation.send_body(bytes(MIB))
        await settled()
        assert len(on_disk(directory)) == 1
    await settled(5)
    assert on_disk(directory) == []
    await gateway.aclose()


# How much


async def test_case_280_one_user_fills_no_more_than_the_bound_and_others_are_served(directory: Path) -> None:
    limit = 4 * MIB
    gateway = make_gateway(recorder=FakeUpstream(), settings={"spool_per_user": limit})
    flood = [talk(gateway) for _ in range(20)]
    async with contextlib.AsyncExitStack() as stack:
        for conversation in flood:
            await stack.enter_async_context(conversation)
            conversation.send_body(FILE)
            for _ in range(24):  # a file whose model never comes
                conversation.send_body(bytes(MIB // 16))
        await settled()
        refused = [conversation for conversation in flood if not conversation.running]
        held = sum(on_disk(directory))
        assert 0 < held <= limit
        assert len(refused) >= 20 - limit // MIB

        error = assert_error(await refused[0].whole(), 429, "rate_limit_exceeded")
        assert "model" in error["message"]
        assert (await upload(gateway, file_first(3 * MIB), user="ben")).status == 200
        assert (await upload(gateway, model_first(3 * MIB), user="ben")).status == 200
        assert (await upload(gateway, file_first(MIB // 2))).status == 200  # what fits into memory needs no room
    await settled(5)
    assert on_disk(directory) == []
    assert (await upload(gateway, file_first(3 * MIB))).status == 200
    await gateway.aclose()


class Stubborn:
    """An upstream that reads no body before it is told to."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        await self.reads.wait()
        await answer()(call)


@contextlib.asynccontextmanager
async def stubborn(limit: int) -> AsyncIterator[tuple[Gateway, Stubborn, FakeUpstream]]:
    play = Stubborn()
    async with FakeUpstream(wire=[play]) as upstream, FakeUpstream(wire=[answer()]) as healthy:
        given = [
            Upstream(f"{upstream.url}/v1", name="slow", model_ids=["m"]),
            Upstream(f"{healthy.url}/v1", name="well", model_ids=["n"]),
        ]
        gateway = make_gateway(given, settings={"spool_per_user": limit})
        yield gateway, play, upstream
        await gateway.aclose()


async def test_case_280_behind_an_upstream_that_does_not_read_a_user_is_held_back_at_the_bound(
    directory: Path,
) -> None:
    limit, size = 3 * MIB, 24 * MIB
    async with stubborn(limit) as (gateway, play, upstream), serve(gateway) as server:
        clients = [await Client.to(server) for _ in range(4)]
        body = model_first(size)
        whole = request(body, path=PATH, content_type=KIND.encode(), close=True)
        sending = [asyncio.create_task(client.send(whole)) for client in clients]
        await upstream.until_requests(4, within=5)
        for _ in range(20):
            await asyncio.sleep(0.05)
            assert sum(on_disk(directory)) <= limit
        assert not all(each.done() for each in sending)
        other = await ask(
            gateway,
            "POST",
            PATH,
            body=file_first(2 * MIB).replace(b"\r\n\r\nm\r\n", b"\r\n\r\nn\r\n"),
            headers={"content-type": KIND, "authorization": "Bearer ben"},
        )
        assert other.status == 200

        play.reads.set()
        answers = await asyncio.gather(*(client.rest(within=20) for client in clients))
        assert all(b" 200 " in each[:20] for each in answers)
        assert [len(each.body) > size and each.body.count(bytes(size)) == 1 for each in upstream.requests] == [True] * 4
        await asyncio.gather(*sending)
        for client in clients:
            await client.close()
    assert on_disk(directory) == []


async def test_case_280_nothing_is_left_of_a_user_who_is_gone(directory: Path) -> None:
    before = Holdings.of_process()
    gateway = make_gateway(recorder=FakeUpstream(), settings={"spool_per_user": 2 * MIB})
    for _ in range(5):
        async with talk(gateway) as conversation:
            conversation.send_body(FILE)
            conversation.send_body(bytes(2 * MIB - 1000))
            await settled(10)
            assert len(on_disk(directory)) == 1
        await settled(5)
    assert Holdings.of_process().left_since(before) == []
    await gateway.aclose()
