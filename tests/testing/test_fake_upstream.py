"""The fake upstream does what its script says: over sockets, in process, and from a thread of its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import httpx
import openai
import pytest

from openai_gateway_asgi.testing import FakeUpstream, Script

HELLO = [{"role": "user", "content": "hi"}]


@pytest.fixture(params=["sockets", "in process"])
async def fake(request: pytest.FixtureRequest) -> AsyncIterator[tuple[FakeUpstream, openai.AsyncOpenAI]]:
    async with AsyncExitStack() as stack:
        upstream = FakeUpstream()
        if request.param == "sockets":
            await stack.enter_async_context(upstream)
            transport, url = httpx.AsyncHTTPTransport(), f"{upstream.url}/v1"
        else:
            transport, url = upstream.transport(), "http://fake.test/v1"
        http = await stack.enter_async_context(httpx.AsyncClient(transport=transport))
        yield upstream, openai.AsyncOpenAI(base_url=url, api_key="k", http_client=http, max_retries=0)


Fake = tuple[FakeUpstream, openai.AsyncOpenAI]


async def streamed(client: openai.AsyncOpenAI, model: str = "m") -> str:
    """What was said; a fault in the middle is raised with it."""
    said = ""
    stream = await client.chat.completions.create(model=model, messages=HELLO, stream=True)
    try:
        async for chunk in stream:
            said += chunk.choices[0].delta.content or ""
    except Exception as error:
        error.add_note(said)
        raise
    return said


async def test_what_a_model_says_is_said_by_the_script(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("wise", text="to be or not")
    upstream.script(text="anything else")

    assert await streamed(client, "wise") == "to be or not"
    assert await streamed(client, "other") == "anything else"
    answer = await client.responses.create(model="wise", input="hi")
    assert answer.output_text == "to be or not"
    assert upstream.last.model == "wise"


async def test_scripts_are_taken_in_turn_and_the_last_for_ever(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("m", Script(status=503, message="busy"), Script(text="fine"))

    with pytest.raises(openai.InternalServerError, match="busy"):
        await streamed(client)
    assert [await streamed(client), await streamed(client)] == ["fine", "fine"]


async def test_an_error_has_its_status_code_and_headers(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("m", status=429, code="rate_limit_exceeded", retry_after=7)

    with pytest.raises(openai.RateLimitError) as caught:
        await streamed(client)
    assert (caught.value.code, caught.value.response.headers["retry-after"]) == ("rate_limit_exceeded", "7")


@pytest.mark.parametrize("fault", ["cut_after", "reset_after"])
async def test_a_stream_breaks_behind_so_many_words(fake: Fake, fault: str) -> None:
    upstream, client = fake
    upstream.script("m", text="one two three four", **{fault: 2})

    with pytest.raises((httpx.HTTPError, openai.APIError)) as caught:
        await streamed(client)
    if fault == "cut_after":  # a reset drops what was not read yet
        assert caught.value.__notes__ == ["one two"]


async def test_a_stream_stalls_behind_so_many_words_until_its_client_leaves(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("m", text="one two three", stall_after=1)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await streamed(client)
    await upstream.until_closed_early()


async def test_an_event_in_the_middle_may_be_malformed(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("m", text="one two three", malformed_after=2)

    with pytest.raises(ValueError) as caught:
        await streamed(client)
    assert caught.value.__notes__ == ["one two"]


async def test_an_error_event_in_the_middle(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("m", text="one two three", error_after=1, message="overheated")

    with pytest.raises(openai.APIError, match="overheated") as caught:
        await streamed(client)
    assert caught.value.__notes__ == ["one"]


@pytest.mark.parametrize(
    ("status", "kind"), [(500, "server_error"), (503, "server_error"), (400, "invalid_request_error")]
)
async def test_errors_are_of_the_types_that_openai_gives_them(fake: Fake, status: int, kind: str) -> None:
    upstream, client = fake
    upstream.script("m", status=status, message="no")

    with pytest.raises(openai.APIStatusError) as caught:
        await client.with_options(max_retries=0).responses.create(model="m", input="hi")
    assert caught.value.type == kind


async def test_a_streamed_completion_says_why_it_ends_and_what_it_used(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("m", text="one two", finish_reason="length")

    stream = await client.completions.create(
        model="m", prompt="hi", stream=True, stream_options={"include_usage": True}
    )
    *words, last, usage = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].text for chunk in words) == "one two"
    assert [chunk.choices[0].finish_reason for chunk in (*words, last)] == [*[None] * len(words), "length"]
    assert usage.usage is not None
    assert usage.choices == []


async def test_a_model_that_is_silent_answers_nothing(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("m", silence=True)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await streamed(client)


async def test_one_that_refuses_ends_the_connection(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("m", refuse=True)

    with pytest.raises(openai.APIConnectionError):
        await streamed(client)


async def test_tools_are_called_in_both_apis(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("m", tool_calls=[("weather", {"city": "Oslo"})])

    chat = await client.chat.completions.create(model="m", messages=HELLO)
    response = await client.responses.create(model="m", input="hi")

    call = (chat.choices[0].message.tool_calls or [])[0]
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("weather", '{"city": "Oslo"}')
    assert [item.type for item in response.output] == ["function_call"]


async def test_json_may_stop_in_its_middle(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("m", cut_after=0)

    with pytest.raises(openai.APIConnectionError):
        await client.chat.completions.create(model="m", messages=HELLO)


def test_a_test_without_an_event_loop_enters_it_with_with() -> None:
    with FakeUpstream(["a-model"]) as upstream:
        upstream.script("a-model", text="from a thread")
        with openai.OpenAI(base_url=f"{upstream.url}/v1", api_key="k") as client:
            assert [model.id for model in client.models.list()] == ["a-model"]
            answer = client.chat.completions.create(model="a-model", messages=HELLO)
    assert answer.choices[0].message.content == "from a thread"
    assert upstream.last.header("authorization") == "Bearer k"


async def test_a_path_may_have_its_own_script_whatever_the_model(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("/embeddings", status=503, message="full")

    with pytest.raises(openai.InternalServerError, match="full"):
        await client.embeddings.create(model="m", input="hi")
    assert await streamed(client) == "Hello from upstream."


async def test_embeddings_are_as_many_as_the_inputs(fake: Fake) -> None:
    _, client = fake
    answer = await client.embeddings.create(model="m", input=["a", "b"])
    assert [item.embedding for item in answer.data] == [[0.25, -0.5, 0.125]] * 2


async def test_files_are_kept_listed_read_and_deleted(fake: Fake) -> None:
    upstream, client = fake

    kept = await client.files.create(file=("notes.txt", b"to be or not"), purpose="user_data")
    assert (kept.filename, kept.bytes, kept.purpose) == ("notes.txt", 12, "user_data")
    assert upstream.last.form == {"purpose": "user_data"}
    assert upstream.last.files["file"].content == b"to be or not"
    assert [file.id async for file in await client.files.list()] == [kept.id]
    assert (await client.files.retrieve(kept.id)).filename == "notes.txt"
    assert (await client.files.content(kept.id)).content == b"to be or not"
    assert (await client.files.delete(kept.id)).deleted
    with pytest.raises(openai.NotFoundError, match=kept.id):
        await client.files.retrieve(kept.id)


async def test_a_first_event_may_be_slow(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("m", first_event_after=0.05)
    began = asyncio.get_running_loop().time()
    assert await streamed(client) == "Hello from upstream."
    assert asyncio.get_running_loop().time() - began >= 0.05


async def test_usage_is_as_the_script_says(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("m", usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})
    answer = await client.chat.completions.create(model="m", messages=HELLO)
    assert answer.usage is not None
    assert answer.usage.total_tokens == 3


async def test_a_request_is_told_in_typed_values(fake: Fake) -> None:
    upstream, client = fake
    await streamed(client, "wise")
    last = upstream.last
    assert (last.method, last.path, last.model, last.stream, last.messages) == (
        "POST",
        "/v1/chat/completions",
        "wise",
        True,
        HELLO,
    )


@pytest.mark.parametrize(("finish", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
async def test_a_response_thinks_and_ends_as_the_script_says(fake: Fake, finish: str, why: str) -> None:
    upstream, client = fake
    upstream.script("m", reasoning="Hm.", text="So", finish_reason=finish)
    answer = await client.responses.create(model="m", input="hi")
    stream = await client.responses.create(model="m", input="hi", stream=True)
    *said, last = [event async for event in stream]
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    assert last.type == "response.incomplete"
    for response in (answer, last.response):
        assert response.status == "incomplete"
        assert response.incomplete_details is not None
        assert response.incomplete_details.reason == why
    assert [item.type for item in last.response.output] == ["reasoning", "message"]
    done = [(event.output_index, event.item.type) for event in said if event.type == "response.output_item.done"]
    assert done == [(0, "reasoning"), (1, "message")]


async def test_a_cut_is_counted_from_the_first_event_that_says_something(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("m", tool_calls=[("f", {}), ("g", {})], cut_after=1)
    kinds = []
    with pytest.raises((openai.APIConnectionError, httpx.RemoteProtocolError)):
        async for event in await client.responses.create(model="m", input="hi", stream=True):
            kinds.append(event.type)
    assert kinds == ["response.created", "response.output_item.added", "response.function_call_arguments.delta"]


async def test_a_client_that_gives_up_waiting_has_left(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("m", silence=True)
    waiting = asyncio.create_task(client.chat.completions.create(model="m", messages=HELLO))
    await upstream.until_requests(1)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await upstream.until_closed_early()
    assert upstream.open_answers == 0


async def test_as_an_application_it_can_be_silent_and_end_the_connection_too() -> None:
    upstream = FakeUpstream()
    transport = httpx.ASGITransport(upstream)
    async with httpx.AsyncClient(transport=transport, base_url="http://fake.test/v1") as http:
        upstream.script("m", refuse=True)
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post("/chat/completions", json={"model": "m"})
        upstream.script("m", silence=True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await http.post("/chat/completions", json={"model": "m"})
    assert upstream.open_answers == 0


def test_a_script_is_written_in_one_way_or_the_other() -> None:
    with pytest.raises(TypeError, match="either Scripts or cut_after"):
        FakeUpstream().script("m", Script(text="a"), cut_after=3)


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (lambda fake: fake.script("m", "Hello"), "text="),
        (lambda fake: fake.script("m", txt="Hello"), "txt"),
        (lambda fake: fake.script("m", status=5), "from 100 to 599"),
        (lambda fake: fake.script("m", cut_after=-1), "cut_after=-1"),
        (lambda fake: fake.script("m", event_every=-0.1), "event_every=-0.1"),
        (lambda fake: fake.script("m", tool_calls=["weather"]), "pairs"),
        (lambda fake: fake.answer("/files", {"id": "file-1"}), "json_answer"),
        (lambda fake: fake.answer("/files"), "nothing"),
    ],
)
def test_a_mistake_in_a_script_is_told_where_it_is_written(mistake: Callable[[FakeUpstream], None], told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(told)):
        mistake(FakeUpstream())


async def test_a_model_that_a_form_names_has_its_script_too(fake: Fake) -> None:
    upstream, client = fake
    upstream.script("hears", text="to be or not")
    upstream.script("paints", status=503)

    sound = ("a.mp3", b"\xff\xfb")
    assert (await client.audio.transcriptions.create(model="hears", file=sound)).text == "to be or not"
    assert upstream.last.model == "hears"
    with pytest.raises(openai.InternalServerError):
        await client.images.edit(model="paints", prompt="a cat", image=("a.png", b"\x89PNG"))


async def test_images_are_as_many_as_are_asked_for_and_transcripts_in_the_form_that_is(fake: Fake) -> None:
    _, client = fake
    picture, sound = ("a.png", b"\x89PNG"), ("a.mp3", b"\xff\xfb")
    made = await client.images.generate(model="m", prompt="a cat", n=3)
    edited = await client.images.edit(model="m", prompt="a cat", image=picture, n=2)
    assert [len(each.data or ()) for each in (made, edited)] == [3, 2]

    text: object = await client.audio.transcriptions.create(model="m", file=sound, response_format="text")
    verbose = await client.audio.transcriptions.create(model="m", file=sound, response_format="verbose_json")
    events = await client.audio.transcriptions.create(model="m", file=sound, stream=True)
    assert (text, verbose.duration) == ("Hello from upstream.", 1.5)
    assert [event.type async for event in events] == [*["transcript.text.delta"] * 4, "transcript.text.done"]
