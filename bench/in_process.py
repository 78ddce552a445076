"""What a call costs in microseconds, in one process: the ASGI callable over a transport that sends nothing.

``python -m bench.in_process [--against COMMIT] [--rounds N] [--profile NAME]``: no sockets, no server, no second
process, so that a microsecond can be seen. CPU time of this thread; the least of each round's batches counts, because
whatever else runs can only make it more. With ``--against`` the same loop runs in a checkout of the other commit, in
turns. This file runs there as well, so it imports nothing of the bench that a commit may not have.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent
BATCHES = 12
EVENTS = 200
MODELS = 100

ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "model-0",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 120}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 120, "total_tokens": 220},
    }
).encode()


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "model-0"}
    return b"data: " + json.dumps({**chunk, "choices": [choice]}).encode() + b"\n\n"


def _stream(events: int) -> list[bytes]:
    words = [_event({"content": f"word{number} "}) for number in range(events)]
    return [_event({"role": "assistant", "content": ""}), *words, _event({}, "stop"), b"data: [DONE]\n\n"]


def _with_null(event: bytes) -> bytes:
    return event.replace(b"}\n\n", b', "usage": null}\n\n')


STREAM, LONG_STREAM = _stream(EVENTS), _stream(3 * EVENTS)


def _response(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part] if text else [],
    }
    usage = {"input_tokens": 100, "output_tokens": 120, "total_tokens": 220}
    frame = {"id": "resp_1", "object": "response", "created_at": 1700000000, "model": "model-0", "status": "completed"}
    return {**frame, "output": [item], "usage": usage}


def _named(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def _response_stream(events: int) -> list[bytes]:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
    texts = [_named("response.output_text.delta", sequence_number=n, delta=f"word{n} ", **place) for n in range(events)]
    begun = _response("")
    return [
        _named("response.created", response={**begun, "output": []}),
        _named("response.output_item.added", output_index=0, item=begun["output"][0]),
        *texts,
        _named("response.completed", response=_response("word " * events)),
    ]


RESPONSE_ANSWER = json.dumps(_response("word " * 120)).encode()
RESPONSE_STREAM, LONG_RESPONSE_STREAM = _response_stream(EVENTS), _response_stream(3 * EVENTS)


class Pieces(httpx.AsyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class NullTransport(httpx.AsyncBaseTransport):
    """Answers at once: events where ``stream`` stands in the body, JSON elsewhere. With ``nulls`` it writes them into
    events as OpenAI does that is asked for its usage."""

    def __init__(self, *, nulls: bool = False) -> None:
        self._streams = [[_with_null(event) for event in each] if nulls else each for each in (STREAM, LONG_STREAM)]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        body = b"".join([piece async for piece in request.stream])
        responses = request.url.path.endswith("/responses")
        if b'"stream":true' in body.replace(b" ", b""):
            streams = (RESPONSE_STREAM, LONG_RESPONSE_STREAM) if responses else self._streams
            stream = streams[b"a long one" in body]
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Pieces(stream))
        answer = RESPONSE_ANSWER if responses else ANSWER
        headers = {"content-type": "application/json", "content-length": str(len(answer))}
        return httpx.Response(200, headers=headers, stream=Pieces([answer]))


class Onlooker:
    """Looks on at every call and does nothing."""

    def call_started(self, call: Any) -> Any:
        return self

    def attempt_started(self, attempt: Any) -> dict[str, str]:
        return {}

    def attempt_ended(self, attempt: Any) -> None:
        pass

    def finished(self, record: Any) -> None:
        pass


def profiles() -> dict[str, Callable[[], Any]]:
    """The gateways that can be measured, by name: ``full`` is the one that the README quotes."""
    from openai_gateway_asgi import Gateway, Grant, Grants, Settings, Upstream, User, everyone

    ada = User("42", name="Ada Lovelace", email="ada@example.com", groups={"staff", "research"})
    grants = {f"model-{i}": Grant(groups={"staff"}) if i % 2 else Grant(public=True) for i in range(MODELS)}

    def full() -> Any:
        return Gateway(
            [
                Upstream(
                    "http://upstream.test/v1",
                    api_key="upstream-key",
                    name=f"upstream-{number}",
                    model_ids=[f"model-{i}" for i in range(number, MODELS, 20)],
                )
                for number in range(20)
            ],
            resolve_user=lambda request: ada,
            authorize_model=Grants(grants),
            record_usage=lambda record: None,
            settings=Settings(forward_user_info=True),
            transport=NullTransport(),
        )

    def plain() -> Any:
        upstream = Upstream("http://upstream.test/v1", api_key="upstream-key", model_ids=["model-0"])
        return Gateway([upstream], resolve_user=lambda _: ada, authorize_model=everyone, transport=NullTransport())

    def speaking(api: str) -> Any:
        upstream = Upstream("http://upstream.test/v1", api_key="upstream-key", model_ids=["model-0"], api=api)
        return Gateway([upstream], resolve_user=lambda _: ada, authorize_model=everyone, transport=NullTransport())

    def one(*, nulls: bool = False, **options: Any) -> Any:
        upstream = Upstream("http://upstream.test/v1", api_key="upstream-key", model_ids=["model-0"], **options)
        return Gateway(
            [upstream], resolve_user=lambda _: ada, authorize_model=everyone, transport=NullTransport(nulls=nulls)
        )

    def unasked() -> Any:
        """Streams are not asked for their usage."""
        return one(stream_usage="never")

    def nulls() -> Any:
        """They are, and every event has to be mended."""
        return one(nulls=True)

    def with_options(**options: Any) -> Any:
        upstream = Upstream("http://upstream.test/v1", api_key="upstream-key", model_ids=["model-0"])
        return Gateway(
            [upstream], resolve_user=lambda _: ada, authorize_model=everyone, transport=NullTransport(), **options
        )

    def recorded() -> Any:
        return with_options(record_usage=lambda record: None)

    def priced() -> Any:
        from openai_gateway_asgi import Price

        prices = {f"model-{i}": Price(input="2.50", output="10", cached="1.25") for i in range(MODELS)}
        return with_options(record_usage=lambda record: None, prices=prices)

    def limited() -> Any:
        from openai_gateway_asgi import Limit

        limits = [
            Limit(requests=10**9, per="minute", by="user"),
            Limit(tokens=10**12, per="minute", by=("user", "model")),
            Limit(concurrent=1000, by="user"),
        ]
        return with_options(record_usage=lambda record: None, limits=limits)

    def preset(**values: Any) -> Any:
        """In front of the same model, so that the calls are the same."""
        from openai_gateway_asgi import Preset

        return with_options(presets=[Preset("model-0", **values)])

    def shaped() -> Any:
        params = {"temperature": 0, "max_tokens": 500, "seed": 7}
        return preset(system="You help {user.name}.", params=params, locked=["temperature"])

    def identity() -> Any:
        key, stamp = "0123456789abcdef" * 2, {"safety_identifier": "{user.id}"}
        return one(headers={"X-User": "{user.name}"}, identity="jwt", identity_key=key, stamp=stamp)

    def observed() -> Any:
        gateway = plain()
        gateway.observe(Onlooker())
        return gateway

    def prometheus() -> Any:
        from openai_gateway_asgi.contrib.prometheus import metrics_app

        gateway = plain()
        metrics_app(gateway)
        return gateway

    def otel() -> Any:
        """Of the API alone: nothing is set that would take spans or metrics."""
        from openai_gateway_asgi.contrib.opentelemetry import instrument

        gateway = plain()
        instrument(gateway)
        return gateway

    def otel_sdk() -> Any:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        from openai_gateway_asgi.contrib.opentelemetry import instrument

        gateway = plain()
        spans = TracerProvider()
        spans.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
        instrument(gateway, spans, MeterProvider([InMemoryMetricReader()]))
        return gateway

    def filtered(models: str) -> Any:
        from openai_gateway_asgi import Filter

        upstream = Upstream("http://upstream.test/v1", api_key="upstream-key", model_ids=["model-0"])
        filter = Filter(
            models, before=lambda call: None, event=lambda call, event: event, after=lambda call, answer: None
        )
        transport = NullTransport()
        return Gateway(
            [upstream], resolve_user=lambda _: ada, authorize_model=everyone, transport=transport, filters=[filter]
        )

    return {
        "full": full,
        "plain": plain,
        "to-responses": lambda: speaking("responses"),
        "plain-responses": plain,
        "own-api": lambda: speaking("chat"),
        "to-chat": lambda: speaking("chat"),
        "unasked": unasked,
        "nulls": nulls,
        "recorded": recorded,
        "priced": priced,
        "limited": limited,
        "alias": preset,
        "preset": shaped,
        "identity": identity,
        "observed": observed,
        "prometheus": prometheus,
        "otel": otel,
        "otel-sdk": otel_sdk,
        "filter-of-others": partial(filtered, "other-*"),
        "filter": partial(filtered, "*"),
    }


SAID_IN = {"plain-responses": "input", "to-chat": "input"}
"""Of profiles whose client calls ``/responses``: where its body says something."""


def _body(*, stream: bool, user: str = "someone", said: str = "messages") -> bytes:
    messages = [
        {"role": "system", "content": "You are a helpful assistant. " * 12},
        {"role": "user", "content": "What does a call cost? " * 20},
    ]
    body = {"model": "model-0", "stream": stream, "temperature": 0.7, "user": user, said: messages}
    return json.dumps(body).encode()


async def _call(app: Callable[..., Awaitable[None]], body: bytes, told: Callable[[bytes], None] | None = None) -> None:
    """One call; ``told`` gets what is sent of the answer's body."""
    path = "/responses" if b'"input"' in body else "/chat/completions"
    headers = [
        (b"host", b"app.test"),
        (b"authorization", b"Bearer sk-user"),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("app.test", 80),
        "state": {},
    }
    status = 0
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)
        if told is not None:
            told(message.get("body", b""))

    await app(scope, receive, send)
    if status != 200:
        raise RuntimeError(f"the call was answered with {status}")


async def _least(app: Callable[..., Awaitable[None]], body: bytes, calls: int) -> float:
    """Microseconds of CPU time per call, in the best of the batches."""
    best = float("inf")
    for _ in range(BATCHES):
        begin = time.thread_time_ns()
        for _ in range(calls):
            await _call(app, body)
        best = min(best, (time.thread_time_ns() - begin) / calls / 1000)
    return best


async def _first_word(app: Callable[..., Awaitable[None]], body: bytes) -> float:
    """Microseconds of CPU time from the call to the sending of the first event that tells something, at best."""
    best = float("inf")
    for _ in range(BATCHES * 10):
        begin, seen = time.thread_time_ns(), b""

        def told(data: bytes, begin: int = begin) -> None:
            nonlocal seen, best
            if b"word0" not in seen:
                seen += data
                if b"word0" in seen:
                    best = min(best, (time.thread_time_ns() - begin) / 1000)

        await _call(app, body, told)
    return best


def _log_to_nowhere() -> None:
    logger = logging.getLogger("openai_gateway_asgi")
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.StreamHandler(open(os.devnull, "w")))  # noqa: SIM115 - open as long as the process
    logger.propagate = False


async def measure(profile: str) -> dict[str, float]:
    app = profiles()[profile]()
    said = SAID_IN.get(profile, "messages")
    small = await _least(app, _body(stream=False, said=said), 200)
    stream = await _least(app, _body(stream=True, said=said), 10)
    long = await _least(app, _body(stream=True, user="a long one", said=said), 10)
    first = await _first_word(app, _body(stream=True, said=said))
    await app.aclose()
    event = (long - stream) / (len(LONG_STREAM) - len(STREAM))
    return {"small call": small, "stream": stream, "event": event, "first word": first}


def _run(directory: Path, profile: str) -> dict[str, float]:
    command = [sys.executable, "-P", str(Path(__file__).resolve()), "--once", "--profile", profile]
    env = {**os.environ, "PYTHONPATH": str(directory)}
    ran = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(ran.stdout)
    return figures


def _compare(places: dict[str, Path], profile: str, rounds: int) -> None:
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in places}
    for number in range(rounds):
        for name in list(places)[:: -1 if number % 2 else 1]:
            seen[name].append(_run(places[name], profile))
    first, *others = places
    for figure in seen[first][0]:
        shown = "  ".join(f"{name} {statistics.median(each[figure] for each in seen[name]):8.2f} us" for name in places)
        added = [
            f"{statistics.median(a[figure] - b[figure] for a, b in zip(seen[first], seen[other], strict=True)):+.2f} us"
            for other in others
        ]
        print(f"{figure:12}{shown}  {' '.join(added)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.in_process", description=__doc__)
    parser.add_argument("--against", metavar="COMMIT", help="the same at another commit, in turns")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--profile", default="full", help="which gateway: full, plain, observed, ...")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.once:
        _log_to_nowhere()
        print(json.dumps(asyncio.run(measure(asked.profile))))
    elif asked.against:
        from bench.against import checkout

        with checkout(asked.against) as (commit, there):
            _compare({"here": ROOT, commit: there}, asked.profile, asked.rounds)
    else:
        _compare({"here": ROOT}, asked.profile, asked.rounds)


if __name__ == "__main__":
    main()
