"""The real ``openai`` package, both its clients, against the gateway on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai._resource import AsyncAPIResource

from openai_gateway_asgi import Upstream
from openai_gateway_asgi.api.endpoints import ENDPOINTS, match
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.answers import WORDS
from tests.support.servers import serve
from tests.surface.sdk_calls import CALLS, ELSEWHERE, HELPERS, METHODS, NOT_IN_SURFACE, REFUSED, Call, methods
from tests.surface.shapes import PAGES, shaped
from tests.surface.world import SOUND, surface

TEXT = "".join(WORDS)
MESSAGES: Any = [{"role": "user", "content": "hi"}]
WHO = {"x-who": "ada"}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # parts of the API are called so by the package


@dataclass
class Clients:
    url: str
    up: FakeUpstream
    plain: openai.AsyncOpenAI
    blocking: openai.OpenAI
    azure: openai.AsyncAzureOpenAI
    blocking_azure: openai.AzureOpenAI

    @property
    def operations(self) -> list[str]:
        """What was asked of the upstream, but for its list of models."""
        found = [match(each.method, tuple(each.path.removeprefix("/v1/").split("/"))) for each in self.up.requests]
        return [each.endpoint.operation for each in found]


@asynccontextmanager
async def clients() -> AsyncIterator[Clients]:
    up = FakeUpstream()
    up.answer("", shaped)
    async with serve(up) as upstream, httpx.AsyncClient(trust_env=False, verify=False) as pool:
        one = Upstream(f"{upstream.url}/v1", name="A", api_key="ka", model_ids=["m", "x1"])
        async with surface(one, transport=None) as gateway, serve(gateway.app) as server:
            options: Any = {
                "api_key": "sk-user",
                "admin_api_key": "sk-admin",
                "max_retries": 0,
                "default_headers": WHO,
                "timeout": 10,
            }
            url = f"{server.url}/openai/v1"
            azure = {**options, "azure_endpoint": server.url, "api_version": "2024-10-21"}
            azure.pop("admin_api_key")
            plain = openai.AsyncOpenAI(base_url=url, http_client=pool, **options)
            azure_client = openai.AsyncAzureOpenAI(http_client=pool, **azure)
            with httpx.Client(trust_env=False, verify=False) as blocking_pool:
                blocking = openai.OpenAI(base_url=url, http_client=blocking_pool, **options)
                blocking_azure = openai.AzureOpenAI(http_client=blocking_pool, **azure)
                yield Clients(url, up, plain, blocking, azure_client, blocking_azure)


SERVED_HERE = ("models.list", "models.retrieve")
# The package cancels a run by a path that the published surface does not have.
UNREACHED = {"listModels", "retrieveModel", "cancelEvalRun"}


async def test_every_method_of_the_asynchronous_client() -> None:
    async def make(call: Call) -> None:
        with naming(call):
            check(await call.on(sdk.plain))

    async with clients() as sdk:
        await asyncio.gather(*map(make, CALLS))

        check_all_reached(sdk)


async def test_every_method_of_the_blocking_client() -> None:
    def make(call: Call) -> None:
        with naming(call):
            check(call.on(sdk.blocking))

    async with clients() as sdk:
        await asyncio.gather(*(asyncio.to_thread(make, call) for call in CALLS))

        check_all_reached(sdk)


@contextmanager
def naming(call: Call) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"in {call}")
        raise


def check(result: Any) -> None:
    if isinstance(getattr(result, "content", None), bytes):
        assert result.content in (SOUND, b"v=0 answer")
    elif isinstance(getattr(result, "data", None), list):
        assert result.data


def check_all_reached(sdk: Clients) -> None:
    assert {endpoint.operation for endpoint in ENDPOINTS} - set(sdk.operations) == UNREACHED
    assert len(sdk.operations) == len(CALLS) - len(SERVED_HERE)


async def test_the_helpers_of_both_clients() -> None:
    """Those that stream, wait until something is done, or send a file in parts."""

    async def run(call: Call) -> None:
        with naming(call):
            helped = call.on(sdk.plain)
            if not hasattr(helped, "__aenter__"):
                assert await helped
                return
            async with helped as stream:
                assert [event async for event in stream]

    def run_blocking(call: Call) -> None:
        with naming(call):
            helped = call.on(sdk.blocking)
            if not hasattr(helped, "__enter__"):
                assert helped
                return
            with helped as stream:
                assert list(stream)

    async with clients() as sdk:
        await asyncio.gather(*map(run, HELPERS))
        of_one = sorted(sdk.operations)
        sdk.up.requests.clear()
        await asyncio.gather(*(asyncio.to_thread(run_blocking, call) for call in HELPERS))
        assert sorted(sdk.operations) == of_one
        assert len(of_one) > len(HELPERS)


async def test_what_the_surface_does_not_have_is_refused_and_no_upstream_hears_of_it() -> None:
    async def make(call: Call) -> None:
        with naming(call), pytest.raises(openai.NotFoundError):
            made = call.on(sdk.plain)
            assert [each async for each in made] if hasattr(made, "__aiter__") else await made

    async with clients() as sdk:
        await asyncio.gather(*map(make, REFUSED))
        assert sdk.up.requests == []


def test_both_clients_have_the_methods_that_are_tried_and_all_that_are_left_out() -> None:
    blocking = set(METHODS)
    assert blocking == {name for name, _ in methods(openai.AsyncOpenAI(api_key="unused"), AsyncAPIResource)}
    for left_out in ELSEWHERE + NOT_IN_SURFACE:
        assert any(name == left_out or name.startswith(left_out + ".") for name in blocking), left_out


async def test_streams_and_their_helpers() -> None:
    async with clients() as sdk:
        client = sdk.plain
        chunks = [
            each async for each in await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        ]
        assert "".join(each.choices[0].delta.content or "" for each in chunks) == TEXT
        async with client.chat.completions.stream(model="m", messages=MESSAGES) as chat:
            assert [event.type async for event in chat][-1] == "content.done"
            assert (await chat.get_final_completion()).choices[0].message.content == TEXT
        async with client.responses.stream(model="m", input="hi") as events:
            assert [event.type async for event in events][-1] == "response.completed"
            assert (await events.get_final_response()).output_text == TEXT
        async with client.responses.stream(response_id="resp_1") as resumed:
            assert (await resumed.get_final_response()).output_text == TEXT
        texts = [each async for each in await client.completions.create(model="m", prompt="p", stream=True)]
        assert "".join(each.choices[0].text for each in texts) == TEXT
        images = [each.type async for each in await client.images.generate(model="m", prompt="p", stream=True)]
        assert images == ["image_generation.partial_image", "image_generation.completed"]
        edits = await client.images.edit(model="m", image=("a.png", b"png"), prompt="p", stream=True)
        assert [each.type async for each in edits] == ["image_edit.partial_image", "image_edit.completed"]
        heard = await client.audio.transcriptions.create(model="m", file=("a.mp3", b"ID3"), stream=True)
        assert [each.type async for each in heard] == ["transcript.text.delta", "transcript.text.done"]


async def test_streams_of_the_blocking_client() -> None:
    def work(client: openai.OpenAI) -> None:
        with client.chat.completions.stream(model="m", messages=MESSAGES) as chat:
            assert chat.get_final_completion().choices[0].message.content == TEXT
        with client.responses.stream(model="m", input="hi") as events:
            assert events.get_final_response().output_text == TEXT
        chunks = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        assert "".join(each.choices[0].delta.content or "" for each in chunks) == TEXT

    async with clients() as sdk:
        await asyncio.to_thread(work, sdk.blocking)


async def test_raw_and_streamed_responses() -> None:
    async with clients() as sdk:
        client = sdk.plain
        raw = await client.chat.completions.with_raw_response.create(model="m", messages=MESSAGES)
        assert raw.status_code == 200
        assert raw.headers["x-gateway-request-id"]
        assert raw.parse().choices[0].message.content == TEXT
        call = await client.realtime.calls.with_raw_response.create(
            sdp="v=0", session={"type": "realtime", "model": "m"}
        )
        assert (call.status_code, call.headers["location"]) == (201, "/openai/v1/realtime/calls/rtc_1")
        async with client.files.with_streaming_response.content("file_1") as content:
            assert b"".join([piece async for piece in content.iter_bytes(100)]) == SOUND
        async with client.audio.speech.with_streaming_response.create(model="m", voice="alloy", input="hi") as spoken:
            assert await spoken.read() == SOUND


async def test_raw_and_streamed_responses_of_the_blocking_client() -> None:
    def work(client: openai.OpenAI) -> None:
        raw = client.chat.completions.with_raw_response.create(model="m", messages=MESSAGES)
        assert raw.headers["x-gateway-request-id"]
        assert raw.parse().choices[0].message.content == TEXT
        with client.files.with_streaming_response.content("file_1") as content:
            assert b"".join(content.iter_bytes(100)) == SOUND

    async with clients() as sdk:
        await asyncio.to_thread(work, sdk.blocking)


async def test_files_from_disk(tmp_path: Path) -> None:
    sound = tmp_path / "söund ;.mp3"
    sound.write_bytes(SOUND * 40)
    async with clients() as sdk:
        await sdk.plain.files.create(file=sound, purpose="batch")
        assert SOUND * 40 in sdk.up.last.body
        with sound.open("rb") as file:
            assert (await sdk.plain.audio.transcriptions.create(model="m", file=file)).text == "hello"
        assert SOUND * 40 in sdk.up.last.body
        with sound.open("rb") as file:
            await asyncio.to_thread(sdk.blocking.images.edit, model="m", image=[file, ("b.png", b"png")], prompt="p")
        assert sdk.up.last.body.count(b'name="image[]"') == 2
        await sdk.plain.uploads.upload_file_chunked(
            file=sound, mime_type="audio/mpeg", purpose="batch", part_size=50_000
        )
        assert sdk.operations[-4:] == ["createUpload", "addUploadPart", "addUploadPart", "completeUpload"]
        await sdk.plain.vector_stores.files.upload_and_poll(vector_store_id="v", file=sound, poll_interval_ms=1)
        assert sdk.operations[-3:] == ["createFile", "createVectorStoreFile", "getVectorStoreFile"]


async def test_pages_follow_one_another() -> None:
    async with clients() as sdk:
        ids = [file.id async for file in sdk.plain.files.list(limit=1)]
        assert ids == [f"item_{number}" for number in range(1, PAGES + 1)]
        assert [each.query for each in sdk.up.requests] == [
            b"limit=1", b"limit=1&after=item_1", b"limit=1&after=item_2"
        ]  # fmt: skip
        listed = await asyncio.to_thread(lambda: [item.id for item in sdk.blocking.conversations.items.list("c")])
        assert listed == ids
        assert [model.id async for model in sdk.plain.models.list()] == ["m", "x1"]


async def test_clients_of_azure() -> None:
    async with clients() as sdk:
        chat = await sdk.azure.chat.completions.create(model="m", messages=MESSAGES)
        assert chat.choices[0].message.content == TEXT
        assert (sdk.up.last.path, sdk.up.last.query) == ("/v1/chat/completions", b"")
        heard = await sdk.azure.audio.transcriptions.create(model="m", file=("a.mp3", b"ID3"))
        assert heard.text == "hello"
        assert (sdk.up.last.path, sdk.up.last.query) == ("/v1/audio/transcriptions", b"")
        await sdk.azure.files.list()
        assert (sdk.up.last.path, sdk.up.last.query) == ("/v1/files", b"")
        assert [each.header("api-key") for each in sdk.up.requests] == [None] * 3
        async with sdk.azure.responses.stream(model="m", input="hi") as events:
            assert (await events.get_final_response()).output_text == TEXT


async def test_the_blocking_client_of_azure() -> None:
    def work(client: openai.AzureOpenAI) -> None:
        assert client.embeddings.create(model="m", input="hi").data
        chunks = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        assert "".join(each.choices[0].delta.content or "" for each in chunks) == TEXT

    async with clients() as sdk:
        await asyncio.to_thread(work, sdk.blocking_azure)
        assert [each.path for each in sdk.up.requests] == ["/v1/embeddings", "/v1/chat/completions"]


async def test_refusals_are_the_exceptions_of_the_package() -> None:
    async with clients() as sdk:
        client = sdk.plain
        with pytest.raises(openai.NotFoundError) as missing:
            await client.chat.completions.create(model="nothing", messages=MESSAGES)
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.NotFoundError):
            await client.with_options(default_headers={"x-who": "una"}).files.list()
        with pytest.raises(openai.BadRequestError) as named:
            await client.with_options(default_headers={"x-who": "una"}).responses.create(
                model="m", input="hi", previous_response_id="r"
            )
        assert named.value.param == "previous_response_id"
        with pytest.raises(openai.NotFoundError):
            await client.get("/organization/projects", cast_to=object)
        assert sdk.up.requests == []
