from __future__ import annotations

import httpx
import pytest

from openai_gateway_asgi.upstream.request_body import Body
from openai_gateway_asgi.upstream.request_head import outgoing

WHOLE = b"one, two"
PIECES = (b"one", memoryview(b", "), b"two")


@pytest.mark.parametrize("pieces", [(WHOLE,), PIECES])
async def test_a_body_gives_the_same_bytes_as_often_as_it_is_asked(pieces: tuple[bytes | memoryview, ...]) -> None:
    body = Body(*pieces)
    assert body.length == len(WHOLE)
    for _ in range(2):
        assert b"".join(body) == b"".join([piece async for piece in body]) == WHOLE


async def test_any_transport_can_send_it() -> None:
    async def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=await request.aread())

    answer = await httpx.MockTransport(echo).handle_async_request(
        httpx.Request("POST", "http://up", stream=Body(*PIECES))
    )
    assert await answer.aread() == WHOLE


def test_ours_gets_the_very_pieces() -> None:
    made = outgoing(httpx.Request("POST", "http://up", stream=Body(*PIECES)))
    assert made.body is not None
    assert [piece is given for piece, given in zip(made.body, PIECES, strict=True)] == [True] * 3
    assert b"\r\nContent-Length: 8\r\n" in made.head
