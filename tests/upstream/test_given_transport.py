"""``transport=`` takes transports of httpx and httpx2: what crosses, what streams, what leaves when the client does, what fails."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import httpx2
import pytest

from openai_gateway_asgi import ConfigError, Gateway, Upstream, User, everyone
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import refusing_url
from openai_gateway_asgi.upstream.given_transport import given_transport
from openai_gateway_asgi.upstream.httpx2_transport import Httpx2Transport

CHAT = {"model": "gpt-small", "messages": [{"role": "user", "content": "hi"}]}


def gateway(upstream: Upstream, transport: httpx.AsyncBaseTransport | httpx2.AsyncBaseTransport) -> Gateway:
    return Gateway([upstream], resolve_user=lambda request: User("ada"), authorize_model=everyone, transport=transport)


@pytest.fixture(params=[httpx2, httpx], ids=["httpx2", "httpx"])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[tuple[FakeUpstream, httpx.AsyncClient]]:
    """A gateway whose calls leave through the library's own connections."""
    async with FakeUpstream() as fake, request.param.AsyncHTTPTransport() as transport:
        ours = httpx.ASGITransport(gateway(fake.upstream, transport))
        async with httpx.AsyncClient(transport=ours, base_url="http://app.test/v1") as client:
            yield fake, client


async def test_a_call_crosses_with_its_headers_query_and_body(served: tuple[FakeUpstream, httpx.AsyncClient]) -> None:
    fake, client = served

    answer = await client.post("/chat/completions?a=%7E%20b", json=CHAT)

    assert answer.json()["choices"][0]["message"]["content"] == "Hello from upstream."
    assert fake.last.json() == CHAT
    assert fake.last.header("authorization") == "Bearer fake-key"
    assert fake.last.query == b"a=%7E%20b"
    assert fake.last.header_values("host") == [f"127.0.0.1:{fake.port}"]


async def test_a_stream_and_an_upload_cross(served: tuple[FakeUpstream, httpx.AsyncClient]) -> None:
    fake, client = served

    answer = await client.post("/chat/completions", json={**CHAT, "stream": True})
    form = {"data": {"model": "gpt-small"}, "files": {"file": ("a.wav", b"RIFF" * 1000)}}
    text = await client.post("/audio/transcriptions", **form)

    assert answer.text.endswith("data: [DONE]\n\n")
    assert text.json() == {"text": "Hello from upstream."}
    assert fake.last.files["file"].content == b"RIFF" * 1000


async def test_a_cut_stream_ends_in_an_error_event(served: tuple[FakeUpstream, httpx.AsyncClient]) -> None:
    fake, client = served
    fake.script("gpt-small", cut_after=2)

    answer = await client.post("/chat/completions", json={**CHAT, "stream": True})

    assert '"error"' in answer.text
    assert "[DONE]" not in answer.text


async def test_an_upstream_that_is_not_there_is_a_502() -> None:
    async with httpx2.AsyncHTTPTransport() as transport:
        with refusing_url() as url:
            upstream = Upstream(f"{url}/v1", api_key="k", model_ids=["gpt-small"])
            ours = httpx.ASGITransport(gateway(upstream, transport))
            async with httpx.AsyncClient(transport=ours, base_url="http://app.test/v1") as client:
                answer = await client.post("/chat/completions", json=CHAT)

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unavailable")


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (httpx2.ConnectTimeout("slow"), httpx.ConnectTimeout),
        (httpx2.ConnectError("refused"), httpx.ConnectError),
        (httpx2.ReadError("reset"), httpx.ReadError),
        (httpx2.RemoteProtocolError("cut"), httpx.RemoteProtocolError),
        (httpx2.LocalProtocolError("no header"), httpx.LocalProtocolError),
        (type("Own", (httpx2.ProxyError,), {})("of a kind of one's own"), httpx.ProxyError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
async def test_a_failure_is_the_one_of_the_same_name(raised: Exception, expected: type[Exception]) -> None:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise raised

    request = httpx.Request("GET", "http://models.test/v1")
    with pytest.raises(expected, match=str(raised)) as caught:
        await Httpx2Transport(httpx2.MockTransport(fail)).handle_async_request(request)
    assert caught.type is expected
    assert caught.value.__cause__ is raised


async def test_leaving_closes_the_answer_of_the_upstream() -> None:
    async with FakeUpstream() as fake, httpx2.AsyncHTTPTransport() as transport:
        fake.script("gpt-small", stall_after=1)
        request = httpx.Request("POST", f"{fake.url}/v1/chat/completions", json={**CHAT, "stream": True})
        response = await Httpx2Transport(transport).handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        await anext(aiter(response.stream))
        await response.stream.aclose()
        await fake.until_closed_early()


def test_one_of_httpx_is_taken_as_it_is() -> None:
    given = httpx.MockTransport(lambda request: httpx.Response(200))
    assert given_transport(given) is given
    assert given_transport(None) is None


def test_a_transport_without_async_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"AsyncBaseTransport"):
        gateway(Upstream("https://models.test/v1", api_key="k"), httpx2.HTTPTransport())  # type: ignore[arg-type]
