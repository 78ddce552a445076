"""The instruments of the other tests, tested: each must see what it is there to see."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from openai_gateway_asgi.testing import (
    Answer,
    FakeRequest,
    FakeUpstream,
    answers,
    error_answer,
    json_answer,
    stream_answer,
)
from openai_gateway_asgi.testing.answers import sse
from tests.support.asgi import Conversation, Lint, ask
from tests.support.cost import a_loop, assert_costs, spent, turns_of_loop
from tests.support.leaks import Holdings, lasting, leaks_of_process, open_sockets, settled_leaks, stall_watch
from tests.support.servers import free_port, serve, serve_program, serve_workers

START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
END: dict[str, Any] = {"type": "http.response.body", "body": b"end"}
MORE: dict[str, Any] = {"type": "http.response.body", "body": b"more", "more_body": True}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers each piece of the body as it comes; ends when the body does."""
    await send(START)
    while (message := await receive())["type"] == "http.request":
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})
        if not more:
            return


async def until_gone(scope: Scope, receive: Receive, send: Send) -> None:
    """Never answers; returns when the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
    """Never answers, never listens."""
    await asyncio.Event().wait()


def sends(*messages: dict[str, Any]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


# --- the conversation


async def test_a_conversation_goes_message_by_message() -> None:
    async with Conversation(echo, "POST", "/", body=None) as talk:
        assert (await talk.receive_start()).status == 200
        assert await talk.quiet()
        talk.send_body(b"one")
        assert await talk.receive_chunk() == b"one"
        assert talk.running
        talk.send_body(b"two", more=False)
        assert await talk.receive_chunk() == b"two"
        assert await talk.receive_chunk() is None
        await talk.ended()


async def test_a_whole_answer_has_status_headers_and_body() -> None:
    start = {**START, "status": 201, "headers": [(b"x-one", b"1")]}
    answer = await ask(sends(start, MORE, END))
    assert (answer.status, answer.header("X-One"), answer.header("x-two"), answer.text) == (201, "1", None, "moreend")


async def test_json_is_sent_with_its_length_and_type() -> None:
    async with Conversation(echo, "POST", "/", json={"a": 1}) as talk:
        assert (await talk.whole()).json() == {"a": 1}
        assert dict(talk.scope["headers"]) == {b"content-type": b"application/json", b"content-length": b"8"}


async def test_receive_blocks_after_the_body_until_the_client_leaves() -> None:
    async with Conversation(until_gone) as talk:
        assert await talk.quiet()
        assert talk.running
        talk.disconnect()
        await talk.ended()
        assert [message["type"] for message in talk.received] == ["http.request", "http.disconnect"]


async def test_receive_tells_of_the_end_of_the_answer_as_servers_do() -> None:
    heard = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(END)
        heard.append(await receive())

    await ask(app)
    assert heard == [{"type": "http.disconnect"}]


async def test_what_is_sent_to_a_client_that_left_is_dropped() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await until_gone(scope, receive, send)
        await send(START)
        await send(END)

    async with Conversation(app) as talk:
        talk.disconnect()
        await talk.ended()
        assert talk.late == [START, END]


async def test_without_reading_ahead_each_send_waits_for_its_reader() -> None:
    done = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in (START, MORE, END):
            await send(message)
            done.append(message)

    async with Conversation(app, read_ahead=False) as talk:
        await talk.quiet()
        assert done == []
        await talk.receive_start()
        await talk.quiet()
        assert done == [START]
        talk.disconnect()
        await talk.ended()


async def test_an_exception_of_the_app_reaches_the_test_that_reads() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        raise ValueError("broken")

    async with Conversation(app) as talk:
        await talk.receive_start()
        with pytest.raises(ValueError, match="broken"):
            await talk.receive_chunk()


async def test_an_exception_of_the_app_reaches_the_test_that_does_not_read() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await until_gone(scope, receive, send)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        async with Conversation(app):
            pass


async def test_an_app_that_ignores_the_disconnect_fails_its_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.asgi.PATIENCE", 0.05)
    with pytest.raises(AssertionError, match="still running"):
        async with Conversation(deaf):
            pass


async def test_waiting_for_a_silent_app_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.asgi.PATIENCE", 0.05)
    async with Conversation(until_gone) as talk:
        with pytest.raises(AssertionError, match="sent nothing"):
            await talk.receive_start()


@pytest.mark.parametrize(
    ("options", "path", "raw_path", "query"),
    [
        ({"path": "/a%2Fb?x=1"}, "/a/b", b"/a%2Fb", b"x=1"),
        ({"path": "/v1", "root_path": "/openai"}, "/openai/v1", b"/openai/v1", b""),
        ({"path": "/v1", "raw_path": b"/other", "query": b"y"}, "/v1", b"/other", b"y"),
    ],
)
def test_scopes_are_as_uvicorn_makes_them(options: dict[str, Any], path: str, raw_path: bytes, query: bytes) -> None:
    scope = Conversation(echo, **options).scope
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw_path, query)


# --- lint


@pytest.mark.parametrize(
    ("app", "broken"),
    [
        (sends(MORE), "before the start"),
        (sends(START, START), "started twice"),
        (sends(START, END, END), "after the end"),
        (sends(START), "without completing"),
        (sends(), "without an answer"),
        (sends({**START, "status": "200"}), "status is '200'"),
        (sends({**START, "headers": [(b"X-Up", b"")]}), "lower case"),
        (sends({**START, "headers": [("x", "y")]}), "bytes"),
        (sends({**START, "headers": [(b"x", b"a\r\nb: c")]}), "control characters"),
        (sends({**START, "headers": [(b"transfer-encoding", b"chunked")]}), "framing"),
        (sends({**START, "headers": [(b"content-length", b"1")] * 2}), "several content-lengths"),
        (sends({**START, "headers": [(b"content-length", b"2")]}, END), "more body"),
        (sends({**START, "headers": [(b"content-length", b"9")]}, END), "3 bytes of body"),
        (sends(START, {**END, "body": "text"}), "body is str"),
        (sends({"type": "websocket.accept"}), "websocket.accept"),
    ],
)
async def test_lint_fails_an_app_that_breaks_a_rule(app: ASGIApp, broken: str) -> None:
    with pytest.raises(AssertionError, match=broken):
        await ask(app)


async def test_lint_fails_an_app_that_swallows_the_failure() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(END)
        with contextlib.suppress(AssertionError):
            await send(END)

    with pytest.raises(AssertionError, match="after the end"):
        await ask(app)


@pytest.mark.parametrize("key", ["path", "state", "new"])
async def test_lint_fails_an_app_that_writes_into_its_scope(key: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if key == "state":
            scope["state"]["user"] = 1
        else:
            scope[key] = "/x"
        await sends(START, END)(scope, receive, send)

    with pytest.raises(AssertionError, match=key):
        await ask(app)
    assert (await ask(app, strict=False)).status == 200


async def test_lint_fails_an_app_that_receives_twice_at_a_time() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        first = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        try:
            await receive()
        finally:
            first.cancel()

    with pytest.raises(AssertionError, match="while another call waits"):
        await ask(app)


async def test_lint_fails_what_outlives_its_request() -> None:
    kept: list[Send] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kept.append(send)
        await sends(START, END)(scope, receive, send)

    await ask(app)
    with pytest.raises(AssertionError, match="after the app had returned"):
        await kept[0](END)


async def test_lint_fails_a_server_that_sends_body_after_the_body() -> None:
    async with Conversation(Lint(until_gone), "POST", body=None) as talk:
        talk.send_body(b"end", more=False)
        talk.send_body(b"once more")
        with pytest.raises(AssertionError, match="the server sent body after the end"):
            await talk.ended()


async def test_lint_as_a_layer_lets_a_correct_app_pass() -> None:
    assert (await ask(Lint(echo), "POST", body=b"hello")).body == b"hello"


# --- the recorder


def a_client(recorder: FakeUpstream, host: str = "a") -> AsyncOpenAI:
    http = httpx.AsyncClient(transport=recorder.transport())
    return AsyncOpenAI(base_url=f"http://{host}/v1", api_key="sk-test", http_client=http, max_retries=0)


async def test_the_sdk_understands_every_default_answer() -> None:
    recorder = FakeUpstream()
    async with a_client(recorder) as client:
        assert [model.id async for model in client.models.list()] == ["gpt-small", "gpt-large"]
        ask_chat = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        chat = await client.chat.completions.create(**ask_chat)
        assert chat.choices[0].message.content == "Hello from upstream."
        vectors = await client.embeddings.create(model="m", input=["a", "b"])
        assert [tuple(item.embedding) for item in vectors.data] == [answers.VECTOR] * 2
        assert (await client.completions.create(model="m", prompt="p")).choices[0].text == "Hello from upstream."
        assert not (await client.moderations.create(input="x")).results[0].flagged
        assert (await client.responses.create(model="m", input="x")).output_text == "Hello from upstream."
        spoken = await client.audio.speech.create(model="m", voice="alloy", input="x")
        assert spoken.content == answers.SPEECH
        with pytest.raises(Exception, match="Unknown path"):
            await client.batches.list()


async def test_the_sdk_understands_the_default_streams() -> None:
    recorder = FakeUpstream()
    messages = [{"role": "user", "content": "hi"}]
    options = {"model": "m", "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    async with a_client(recorder) as client:
        chunks = [chunk async for chunk in await client.chat.completions.create(**options)]
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello from upstream."
        assert chunks[-1].usage.total_tokens == 11
        events = [event async for event in await client.responses.create(model="m", input="x", stream=True)]
        assert events[0].type == "response.created"
        assert events[-1].response.output_text == "Hello from upstream."
        async with client.responses.stream(model="m", input="x") as stream:
            assert (await stream.get_final_response()).output_text == "Hello from upstream."
    assert (recorder.open_answers, recorder.closed_early) == (0, [])


async def test_requests_are_recorded_byte_for_byte() -> None:
    recorder = FakeUpstream()
    request = httpx.Request(
        "POST", "http://a:9/v1/x%2Fy?q=%20", headers=[("X-Twice", "1"), ("x-twice", "2")], content=b'{"a": 1.0}'
    )
    response = await recorder.transport().handle_async_request(request)
    await response.aclose()
    seen = recorder.last
    assert (seen.method, seen.raw_path, seen.query, seen.body) == ("POST", b"/v1/x%2Fy", b"q=%20", b'{"a": 1.0}')
    assert (b"X-Twice", b"1") in seen.headers
    assert seen.header_values("x-twice") == ["1", "2"]
    assert seen.json() == {"a": 1.0}
    assert seen.host == "a"


async def test_the_end_of_a_path_finds_its_answer_and_the_longest_wins() -> None:
    recorder = FakeUpstream()
    recorder.answer("/completions", json_answer("short"))
    recorder.answer("/chat/completions", json_answer("long"))
    async with httpx.AsyncClient(transport=recorder.transport(), base_url="http://a") as client:
        assert (await client.post("/openai/deployments/d/chat/completions")).json() == "long"
        assert (await client.post("/v1/completions")).json() == "short"
    assert len(recorder.calls("/completions")) == 2
    assert len(recorder.calls("/v1/chat/completions")) == 1


async def test_answers_come_in_turn_and_the_last_stays() -> None:
    async def slow_down(request: FakeRequest) -> Answer:
        return error_answer(429, headers=[("retry-after", "1")])

    recorder = FakeUpstream()
    recorder.answer("/v1/models", slow_down, error_answer(500), lambda request: json_answer(request.method))
    async with httpx.AsyncClient(transport=recorder.transport(), base_url="http://a/v1") as client:
        assert [(await client.get("/models")).status_code for _ in range(4)] == [429, 500, 200, 200]


async def test_what_an_answer_raises_the_transport_raises() -> None:
    def refuse(request: FakeRequest) -> Answer:
        raise httpx.ConnectError("refused")

    recorder = FakeUpstream()
    recorder.answer("/v1/models", refuse)
    async with httpx.AsyncClient(transport=recorder.transport()) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://a/v1/models")
    assert (recorder.open_answers, recorder.closed_early) == (0, [])


async def test_one_transport_plays_several_hosts() -> None:
    recorder = FakeUpstream()
    recorder.host("a").models = ["only-a"]
    recorder.host("b").answer("/v1/models", error_answer(503))
    async with httpx.AsyncClient(transport=recorder.transport()) as client:
        assert (await client.get("http://a/v1/models")).json()["data"][0]["id"] == "only-a"
        assert (await client.get("http://b:8080/v1/models")).status_code == 503
        assert (await client.get("http://c/v1/models")).json()["data"][0]["id"] == "gpt-small"
    assert [len(seen.requests) for seen in (recorder, recorder.host("a"), recorder.host("b"))] == [3, 1, 1]


def endless(closed: list[str]) -> AsyncIterator[bytes]:
    async def events() -> AsyncIterator[bytes]:
        try:
            yield sse({"n": 1})
            await asyncio.Event().wait()
        finally:
            closed.append("closed")

    return events()


async def test_an_answer_closed_early_is_recorded_and_its_source_ended() -> None:
    recorder, closed = FakeUpstream(), []
    recorder.answer("/v1/models", lambda request: stream_answer(endless(closed)))
    async with httpx.AsyncClient(transport=recorder.transport()) as client:
        async with client.stream("GET", "http://a/v1/models") as response:
            assert await anext(response.aiter_raw()) == sse({"n": 1})
            assert recorder.open_answers == 1
    assert (recorder.open_answers, recorder.closed_early, closed) == (0, [recorder.last], ["closed"])


async def test_a_request_cancelled_before_its_answer_is_recorded_as_closed_early() -> None:
    async def never(request: FakeRequest) -> Answer:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    recorder = FakeUpstream()
    recorder.answer("/v1/models", never)
    async with httpx.AsyncClient(transport=recorder.transport()) as client:
        call = asyncio.create_task(client.get("http://a/v1/models"))
        await recorder.until_requests(1)
        call.cancel()
        await recorder.until_closed_early()
        await asyncio.gather(call, return_exceptions=True)
    assert recorder.open_answers == 0


async def test_as_an_app_the_recorder_notices_that_its_client_left() -> None:
    recorder, closed = FakeUpstream(), []
    recorder.answer("/v1/models", lambda request: stream_answer(endless(closed)))
    async with Conversation(recorder, "GET", "/v1/models", headers={"host": "a"}) as talk:
        await talk.receive_start()
        assert await talk.receive_chunk() == sse({"n": 1})
        talk.disconnect()
        await recorder.until_closed_early()
    assert (recorder.open_answers, closed) == (0, ["closed"])


async def test_as_an_app_the_recorder_answers_in_full() -> None:
    recorder = FakeUpstream(["m"])
    answer = await ask(recorder, "GET", "/v1/models", headers={"host": "a:80"})
    assert answer.json()["data"][0]["id"] == "m"
    assert (recorder.last.host, recorder.open_answers, recorder.closed_early) == ("a", 0, [])


# --- servers


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_an_app_is_served_over_real_sockets(http: Any) -> None:
    recorder = FakeUpstream()
    async with serve(recorder, http=http) as server:
        async with AsyncOpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0) as client:
            stream = await client.chat.completions.create(model="m", messages=[], stream=True)
            words = [chunk.choices[0].delta.content async for chunk in stream]
    assert words == ["", "Hello", " from", " upstream", ".", None]
    assert (recorder.last.method, recorder.last.raw_path) == ("POST", b"/v1/chat/completions")
    assert (recorder.open_answers, recorder.closed_early) == (0, [])


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_a_client_that_leaves_a_real_socket_is_noticed(http: Any) -> None:
    recorder, closed = FakeUpstream(), []
    recorder.answer("/v1/models", lambda request: stream_answer(endless(closed)))
    async with serve(recorder, http=http) as server, httpx.AsyncClient() as client:
        async with client.stream("GET", server.url + "/v1/models") as response:
            await anext(response.aiter_raw())
        await recorder.until_closed_early()
    assert closed == ["closed"]


async def test_the_root_path_is_the_servers_to_set() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send({**END, "body": f"{scope['root_path']} {scope['path']}".encode()})

    async with serve(app, root_path="/proxy", lifespan="off") as server, httpx.AsyncClient() as client:
        assert (await client.get(server.url + "/x")).text == "/proxy /proxy/x"


async def test_a_server_stops_at_once_with_a_stream_under_way() -> None:
    recorder, closed = FakeUpstream(), []
    recorder.answer("/v1/models", lambda request: stream_answer(endless(closed)))
    async with httpx.AsyncClient() as client, contextlib.AsyncExitStack() as serving:
        server = await serving.enter_async_context(serve(recorder))
        request = client.build_request("GET", server.url + "/v1/models")
        response = await client.send(request, stream=True)
        async with lasting(0, 1):
            await serving.aclose()
        assert closed == ["closed"]
        with pytest.raises(httpx.TransportError):
            await response.aread()


async def test_a_server_stops_in_spite_of_an_app_that_does_not_listen() -> None:
    called = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        called.set()
        await deaf(scope, receive, send)

    async with serve(app, lifespan="off") as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await called.wait()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_the_lifespan_is_run_and_a_refusal_to_start_is_an_error() -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for kind in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{kind}"
            seen.append(kind)
            await send({"type": f"lifespan.{kind}.complete"})

    async with serve(app, lifespan="on"):
        assert seen == ["startup"]
    assert seen == ["startup", "shutdown"]
    with pytest.raises(RuntimeError, match="refused to start"):
        async with serve(sends(START), lifespan="on"):
            pass


async def test_several_workers_serve_one_port_and_are_gone_afterwards() -> None:
    async with serve_workers("tests.support.apps:process_id", workers=2) as program:
        async with httpx.AsyncClient() as client:
            answer = await client.get(program.url)
        assert int(answer.text) in program.worker_pids
        assert len(program.worker_pids) == 2
    for pid in program.worker_pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_program_with_a_port_of_its_own_is_waited_for() -> None:
    port = free_port()
    command = ("python", "-m", "http.server", str(port), "--bind", "127.0.0.1")
    async with serve_program(*command, port=port) as program, httpx.AsyncClient() as client:
        assert (await client.get(program.url + "/tests/")).status_code == 200
        await program.until(lambda output: "GET /tests/" in output)
        program.terminate()
        assert await program.process.wait() == -signal.SIGTERM


async def test_a_program_that_ends_early_fails_with_its_output() -> None:
    with pytest.raises(AssertionError, match="no such luck"):
        async with serve_program("python", "-c", "raise SystemExit('no such luck')"):
            pass


# --- leaks


async def test_a_socket_left_open_is_seen() -> None:
    before, count = Holdings.of_loop(), open_sockets()
    left = socket.create_server(("127.0.0.1", 0))
    assert open_sockets() == count + 1
    assert [line.partition(":")[0] for line in leaks_of_process(before)] == ["socket"]
    left.close()
    assert await settled_leaks(before) == []


async def test_a_file_left_open_is_seen(tmp_path: Any) -> None:
    before = Holdings.of_loop()
    with (tmp_path / "left").open("w"):
        assert leaks_of_process(before) == [str(tmp_path / "left")]


async def test_a_task_left_running_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.leaks.SETTLE_SECONDS", 0.0)
    before = Holdings.of_loop()
    task = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
    assert "forgotten" in (await settled_leaks(before))[0]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_ends_in_its_own_time_is_not_a_leak() -> None:
    before = Holdings.of_loop()
    task = asyncio.create_task(asyncio.sleep(0.01))
    assert await settled_leaks(before) == []
    assert task.done()


async def test_an_error_that_nobody_asked_for_is_collected(loop_errors: list[dict[str, Any]]) -> None:
    async def fail() -> None:
        raise ValueError("unheard")

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    assert ["exception was never retrieved" in context["message"] for context in loop_errors] == [True]
    loop_errors.clear()


def test_the_environment_brings_no_configuration() -> None:
    assert not [name for name in os.environ if name.startswith("OPENAI_") or name.lower().endswith("_proxy")]


async def test_a_stall_is_measured() -> None:
    async with stall_watch() as stalls:
        time.sleep(0.05)  # noqa: ASYNC251 - the fault to be seen
    assert stalls.lost >= stalls.longest >= 0.04
    assert stalls.loops * spent(a_loop) < stalls.longest


async def test_starlette_may_write_into_its_scope() -> None:
    async def hello(request: Any) -> PlainTextResponse:
        return PlainTextResponse("hello")

    assert (await ask(Starlette(routes=[Route("/", hello)]), strict=False)).text == "hello"


async def test_what_takes_too_long_or_not_long_enough_is_told() -> None:
    async with lasting(0.02, 0.5):
        await asyncio.sleep(0.02)
    for least, less_than in ((0, 0.02), (5, 10)):
        with pytest.raises(AssertionError):
            async with lasting(least, less_than):
                await asyncio.sleep(0.2)


async def test_what_costs_too_much_is_told_and_who_waits_is_seen() -> None:
    assert_costs(a_loop, at_most=3)
    with pytest.raises(AssertionError, match="times as much"):
        assert_costs(lambda: [a_loop() for _ in range(20)], at_most=3)
    assert await turns_of_loop(lambda: asyncio.sleep(0)) < 5
    assert await turns_of_loop(lambda: asyncio.sleep(0.05)) > 50
