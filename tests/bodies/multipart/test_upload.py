"""The way from the client to the upstream: what is read when, what stops it, and what is left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from openai_gateway_asgi.bodies.multipart import Edits, Part, PartEnd, Rules, Share, Shares, Upload
from openai_gateway_asgi.bodies.multipart.upload import KEPT, LOOK_AHEAD
from openai_gateway_asgi.errors import (
    ClientDisconnected,
    GatewayBusy,
    GatewayError,
    InvalidRequest,
    PayloadTooLarge,
    RequestTimeout,
)
from tests.bodies.multipart.forms import (
    CONTENT_TYPE,
    FILE,
    FILE_HEAD,
    MODEL,
    Client,
    cut,
    field,
    form,
    read,
    rules,
    send_through,
    share,
)
from tests.support.leaks import Holdings

MIB = 1024 * 1024
TOO_LONG = 5.0
BIG_FILE = (FILE_HEAD, b"sound " * (MIB // 2))
MODEL_FIRST = form(MODEL, BIG_FILE)
MODEL_LAST = form(BIG_FILE, MODEL)
HALF = len(MODEL_FIRST) // 2


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are made, and nothing else is."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def spooled(directory: Path) -> int:
    """The number of temporary files this process has open. None of them may have a name."""
    assert os.listdir(directory) == []
    return sum(link.startswith(str(directory)) for link in Holdings.of_process().descriptors)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def open_upload(client: Client, by: Rules | None = None, of: Share | None = None) -> Upload:
    return await Upload.open(client.receive, CONTENT_TYPE, by or rules(), of or share())


async def until(ready: asyncio.Event) -> None:
    async with asyncio.timeout(TOO_LONG):
        await ready.wait()


@pytest.mark.parametrize("parts", [(MODEL, FILE), (FILE, MODEL)], ids=["model first", "model last"])
@pytest.mark.parametrize("size", [1, 9, 1000])
async def test_the_model_is_found_on_either_side_of_the_file(parts: tuple[tuple[bytes, bytes], ...], size: int) -> None:
    upload = await open_upload(Client(cut(form(*parts), size)))
    try:
        assert upload.field("model") == b"whisper-1"
        assert upload.field("language") is None
        body = b"".join([piece async for piece in upload.body()])
    finally:
        await upload.aclose()

    assert read([body], upload.content_type.partition(b"boundary=")[2]) == read([form(*parts)])


async def test_the_fields_before_the_file_are_known() -> None:
    fields = field("stream", b"false"), field("stream", b"true"), MODEL, field("language", b"")
    upload = await open_upload(Client([form(*fields, BIG_FILE)[:HALF]], ends=False))

    assert (upload.field("stream"), upload.field("language")) == (b"true", b"")
    await upload.aclose()


async def test_all_fields_of_a_short_form_are_known() -> None:
    upload = await open_upload(Client(cut(form(MODEL, FILE, field("stream", b"true")), 20)))

    assert upload.field("stream") == b"true"
    await upload.aclose()


async def test_a_form_without_a_file_is_read_whole() -> None:
    parts = (MODEL, field("prompt", b"a cat"))

    body, boundary = await send_through(cut(form(*parts), 3))

    assert read([body], boundary) == read([form(*parts)])


async def test_an_endpoint_without_a_model_streams_from_the_first_file_on() -> None:
    whole = form(field("purpose", b"batch"), BIG_FILE, field("purpose", b"other"))
    upload = await open_upload(Client([whole[:HALF]], ends=False), rules(wanted=None))

    assert upload.field("purpose") == b"batch"
    await upload.aclose()


async def test_another_field_can_be_the_wanted_one() -> None:
    session = b'{"model": "gpt-realtime"}' + b" " * 1000
    upload = await open_upload(
        Client([form(field("sdp", b"v=0\r\n"), field("session", session))]),
        Rules(wanted="session", wanted_limit=2000, refused=("model",)),
    )

    assert upload.field("session") == session
    await upload.aclose()


async def test_what_follows_the_model_flows_before_the_client_has_sent_all() -> None:
    start, rest = MODEL_FIRST[:HALF], MODEL_FIRST[HALF:]
    client = Client([start], ends=False)
    upload = await open_upload(client)
    body = upload.body()

    first = await anext(body)
    client.send(rest, more=False)
    whole = first + b"".join([piece async for piece in body])
    await upload.aclose()

    assert b"sound sound" in first
    assert read([whole], upload.content_type.partition(b"boundary=")[2]) == read([MODEL_FIRST])


async def test_a_file_before_the_model_waits_on_disk_and_nowhere_else(directory: Path) -> None:
    client = Client(cut(MODEL_LAST, 65536))

    upload = await open_upload(client)
    assert spooled(directory) == 1
    body = b"".join([piece async for piece in upload.body()])
    await upload.aclose()

    assert read([body], upload.content_type.partition(b"boundary=")[2]) == read([MODEL_LAST])
    assert spooled(directory) == 0


async def test_a_client_is_held_back_while_the_upstream_does_not_read(directory: Path) -> None:
    client = Client(cut(MODEL_FIRST, 65536))
    upload = await open_upload(client)

    await turns()

    assert client.taken <= LOOK_AHEAD + 3 * 65536
    assert spooled(directory) == 0
    await upload.aclose()


@pytest.mark.parametrize(
    "late", [MODEL, field("model[]", b"x"), field("MODEL", b"x"), (MODEL[0] + b"; filename=x", b"")]
)
async def test_another_model_behind_the_file_breaks_the_call_off(late: tuple[bytes, bytes]) -> None:
    sent: list[bytes] = []

    with pytest.raises(InvalidRequest, match="model"):
        await send_through(cut(form(MODEL, BIG_FILE, late), 65536), sent=sent)

    assert len(b"".join(sent)) > 2 * MIB
    assert not b"".join(sent).endswith(b"--\r\n")


async def test_a_small_upload_can_be_sent_again_from_wherever_it_was_left() -> None:
    whole = form(MODEL, FILE)
    upload = await open_upload(Client(cut(whole, 20)))
    left = upload.body()
    await anext(left)
    await left.aclose()

    assert upload.repeatable
    sent = b"".join([piece async for piece in upload.body(Edits({"model": b"other"}))])
    third = b"".join([piece async for piece in upload.body()])
    await upload.aclose()

    boundary = upload.content_type.partition(b"boundary=")[2]
    assert read([third], boundary) == read([whole])
    assert sent == third.replace(MODEL[1], b"other", 1)


async def test_one_that_is_large_is_sent_once() -> None:
    upload = await open_upload(Client(cut(MODEL_FIRST, 65536)))
    assert upload.repeatable
    sent = 0
    async for piece in upload.body():
        sent += len(piece)
        assert upload.repeatable or sent > KEPT - 65536

    assert not upload.repeatable
    with pytest.raises(RuntimeError):
        await anext(upload.body())
    await upload.aclose()


async def test_what_is_kept_to_be_sent_again_counts_as_the_users() -> None:
    shares = Shares(MIB)
    upload = await open_upload(Client([form(MODEL, FILE)]), of=shares.of("ann"))
    await drain(upload.body())
    assert shares.held()["ann"] == len(form(MODEL, FILE))

    upload.settle()
    assert shares.held() == {}
    await upload.aclose()


async def test_an_upload_that_stalls_before_the_model_is_a_408() -> None:
    client = Client([MODEL_LAST[:100]], ends=False)

    with pytest.raises(RequestTimeout) as raised:
        await open_upload(client, rules(idle=0.02))

    assert raised.value.status == 408


async def test_an_upload_that_stalls_on_its_way_is_a_408() -> None:
    upload = await open_upload(Client([MODEL_FIRST[:HALF]], ends=False), rules(idle=0.02))
    body = upload.body()
    assert b"sound" in await anext(body)

    with pytest.raises(RequestTimeout):
        await drain(body)
    await upload.aclose()


async def test_what_failed_first_is_what_the_body_raises() -> None:
    client = Client(cut(MODEL_FIRST, 65536), ends=False)
    upload = await open_upload(client, rules(total=MIB))
    client.leave()
    await until(upload.disconnected)

    with pytest.raises(PayloadTooLarge):
        await drain(upload.body())
    await upload.aclose()


async def test_an_upload_that_drips_for_ever_is_a_408() -> None:
    client = Client([], ends=False)

    async def receive() -> dict[str, object]:
        await asyncio.sleep(0.001)
        return {"type": "http.request", "body": b"", "more_body": True}

    with pytest.raises(RequestTimeout):
        await Upload.open(receive, CONTENT_TYPE, rules(idle=1.0, duration=0.03), share())
    assert client.taken == 0


async def test_the_idle_clock_stands_while_the_upstream_does_not_read() -> None:
    pieces = list(cut(MODEL_FIRST, 65536))
    upload = await open_upload(Client(pieces), rules(idle=0.02))
    await asyncio.sleep(0.06)

    body = b"".join([piece async for piece in upload.body()])

    assert len(body) > len(MODEL_FIRST)
    await upload.aclose()


async def test_an_upload_over_its_limit_is_a_413_one_chunk_late_at_most() -> None:
    client = Client(cut(MODEL_FIRST, 65536))
    upload = await open_upload(client, rules(total=MIB))

    with pytest.raises(PayloadTooLarge):
        async for _ in upload.body():
            pass

    assert client.taken <= MIB + 65536
    await upload.aclose()


async def test_a_client_that_leaves_before_the_model_ends_the_call(directory: Path) -> None:
    client = Client(cut(MODEL_LAST[: 3 * MIB], 65536), ends=False)
    client.leave()

    with pytest.raises(ClientDisconnected):
        await open_upload(client)

    assert spooled(directory) == 0


async def test_a_client_that_leaves_half_way_ends_the_body_and_tells_the_watcher() -> None:
    client = Client(cut(MODEL_FIRST[:MIB], 65536), ends=False)
    client.leave()
    upload = await open_upload(client)

    with pytest.raises(ClientDisconnected):
        async for _ in upload.body():
            pass

    assert (await upload.receive())["type"] == "http.disconnect"
    await upload.aclose()


async def test_a_client_that_leaves_is_noticed_behind_all_it_sent_while_the_upstream_does_not_read(
    directory: Path,
) -> None:
    client = Client(cut(MODEL_FIRST[:-100], 65536), ends=False)
    client.leave()
    upload = await open_upload(client)
    body = upload.body()
    await anext(body)

    await until(upload.disconnected)

    with pytest.raises(ClientDisconnected):
        await anext(body)
    assert spooled(directory) == 1
    await upload.aclose()
    assert spooled(directory) == 0


async def test_a_client_that_leaves_during_the_answer_is_noticed() -> None:
    client = Client([form(MODEL, FILE)])
    upload = await open_upload(client)
    async for _ in upload.body():
        pass
    waiting = asyncio.create_task(upload.receive())
    await turns()
    assert not waiting.done()

    client.leave()

    assert (await asyncio.wait_for(waiting, TOO_LONG))["type"] == "http.disconnect"
    await upload.aclose()


async def test_an_upstream_that_stood_still_gets_every_byte_in_order() -> None:
    original = form(MODEL, (FILE_HEAD, os.urandom(4 * MIB)))
    client = Client(cut(original, 65536))
    upload = await open_upload(client)
    pieces = []
    async for piece in upload.body():
        pieces.append(piece)
        if len(pieces) in (1, 3):
            # Long enough to count as standing still, so that what comes meanwhile goes to disk.
            await asyncio.sleep(0.3)
    await upload.aclose()

    assert read(pieces, upload.content_type.partition(b"boundary=")[2]) == read([original])


async def test_a_failing_server_fails_the_body() -> None:
    messages: Iterator[bytes] = iter([MODEL_FIRST[:HALF]])

    async def receive() -> dict[str, object]:
        for body in messages:
            return {"type": "http.request", "body": body, "more_body": True}
        raise OSError("the server broke")

    upload = await Upload.open(receive, CONTENT_TYPE, rules(), share())

    with pytest.raises(OSError, match="the server broke"):
        async for _ in upload.body():
            pass
    await upload.aclose()


async def test_a_disk_without_room_is_a_503(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(directory / "missing"))

    with pytest.raises(GatewayBusy) as raised:
        await open_upload(Client(cut(MODEL_LAST, 65536)))

    assert str(directory) not in raised.value.message


@pytest.mark.parametrize("after", [1, 5, 17, 18, 19, 20, 30, 40, 60])
async def test_cancelling_at_any_moment_leaves_nothing(after: int) -> None:
    async def call() -> None:
        upload = await open_upload(Client(cut(MODEL_LAST, 65536), ends=False))
        try:
            async for _ in upload.body():
                pass
        finally:
            await upload.aclose()

    task = asyncio.create_task(call())
    await turns(after)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_closing_is_complete_even_when_it_is_cancelled(directory: Path) -> None:
    upload = await open_upload(Client(cut(MODEL_LAST, 65536)))
    await turns()  # all has come, and it listens for the client's leaving
    closing = asyncio.create_task(upload.aclose())
    await asyncio.sleep(0)
    closing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await closing
    assert spooled(directory) == 0
    await upload.aclose()


async def test_closing_frees_whoever_still_waits_for_the_body() -> None:
    upload = await open_upload(Client([MODEL_FIRST[:HALF]], ends=False))
    waiting = asyncio.create_task(drain(upload.body()))
    await turns()

    await upload.aclose()

    with pytest.raises(ClientDisconnected):
        await waiting


async def drain(body: AsyncIterator[bytes]) -> None:
    async for _ in body:
        pass


async def test_an_error_in_the_first_piece_opens_nothing() -> None:
    with pytest.raises(GatewayError):
        await open_upload(Client([b"nonsense" * 10]))


async def test_parts_without_a_type_have_none_upstream() -> None:
    body, boundary = await send_through([form((FILE[0].partition(b"\r\n")[0], b"x"), MODEL)])

    assert read([body], boundary)[:3] == [Part("file", "a.mp3"), b"x", PartEnd()]
