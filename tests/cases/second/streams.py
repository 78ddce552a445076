"""Streams of scripted upstreams on real sockets, as two clients see them: one message by message, and the official SDK."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from openai_gateway_asgi import Gateway, Timeouts, UsageRecord
from openai_gateway_asgi.testing import FakeUpstream, wire
from openai_gateway_asgi.testing.answers import DONE, chat_events, responses_events, sse
from openai_gateway_asgi.testing.wire import EVENTS, Call, WireScript, chunked, head
from tests.reliability.gateways import ANN, MODEL, at, make_gateway
from tests.support.asgi import Conversation, Response, ask
from tests.support.servers import serve

PATIENT = Timeouts()
PING = b": ping\n\n"


@dataclass(frozen=True)
class Api:
    """One of the two APIs that stream text: the events of its usual answer, and what its clients ask."""

    name: str
    path: str
    events: list[bytes]
    words: int
    """How many events come before the first that tells something."""
    ask: Mapping[str, Any]

    @property
    def starts(self) -> list[bytes]:
        return self.events[: self.words]

    def told(self, words: int = 2) -> list[bytes]:
        """The events up to so many words."""
        return self.events[: self.words + words]

    @property
    def whole(self) -> bytes:
        return b"".join(self.events)

    def body(self, **fields: Any) -> dict[str, Any]:
        return {"model": MODEL, "stream": True, **self.ask, **fields}


CHAT = Api("chat", "/v1/chat/completions", chat_events({"model": MODEL}), 1, {"messages": [{"role": "user", "content": "Hello?"}]})  # fmt: skip
RESPONSES = Api("responses", "/v1/responses", responses_events({"model": MODEL}), 3, {"input": "Hello?"})
BOTH = (CHAT, RESPONSES)


def stream(*events: bytes, ending: str = "whole", gates: Mapping[int, asyncio.Event] = {}) -> WireScript:
    return wire.sse(*events, ending=ending, gates=gates)


def at_once(*events: bytes, ending: str = "whole") -> WireScript:
    """All events in one packet."""
    return stream(b"".join(events), ending=ending)


def then_pings(*events: bytes, every: float = 0.02, ping: bytes = PING) -> WireScript:
    """The events, and then comments for ever, or another thing that says nothing."""

    async def send(call: Call) -> None:
        await call.read_body()
        await call.send(head(200, (*EVENTS, (b"Transfer-Encoding", b"chunked"))))
        for event in events:
            await call.send(chunked(event))
        while not call.connection.peer_gone.is_set():
            await asyncio.sleep(every)
            await call.send(chunked(ping))

    return send


@dataclass
class Told:
    """A gateway before scripted upstreams."""

    gateway: Gateway
    upstreams: Sequence[FakeUpstream]
    records: list[UsageRecord] = field(default_factory=list)

    async def ask(self, api: Api, **fields: Any) -> Response:
        """One call and its whole answer."""
        return await ask(self.gateway, "POST", api.path, json=api.body(**fields), headers=ANN)

    def talk(self, api: Api, **fields: Any) -> Conversation:
        return Conversation(self.gateway, "POST", api.path, json=api.body(**fields), headers=ANN)

    @property
    def asked(self) -> list[int]:
        """How many requests each upstream has had."""
        return [len(upstream.requests) for upstream in self.upstreams]

    @property
    def outcomes(self) -> list[str]:
        return [str(record.outcome) for record in self.records]

    @contextlib.asynccontextmanager
    async def sdk(self) -> AsyncIterator[AsyncOpenAI]:
        """The official client, through a real server."""
        async with serve(self.gateway) as server:
            http = DefaultAsyncHttpxClient(verify=False, trust_env=False)
            async with AsyncOpenAI(
                base_url=f"{server.url}/v1", api_key="ann", max_retries=0, http_client=http
            ) as client:
                yield client


@contextlib.asynccontextmanager
async def told_by(
    *scripts: WireScript | Sequence[WireScript],
    timeouts: Timeouts = PATIENT,
    settings: Mapping[str, Any] = {},
    fallback: bool = False,
    **options: Any,
) -> AsyncIterator[Told]:
    """One upstream for each script, or list of scripts in turn.

    All serve the one model; with ``fallback`` the last one serves another, which is the model's fallback.
    """
    async with contextlib.AsyncExitStack() as stack:
        upstreams = [
            await stack.enter_async_context(FakeUpstream(wire=[each] if callable(each) else each)) for each in scripts
        ]
        served = [at(upstream, name=f"u{number}", **options) for number, upstream in enumerate(upstreams)]
        if fallback:
            served[-1] = at(upstreams[-1], name="fallback", models=["spare"], **options)
        records: list[UsageRecord] = []
        gateway = make_gateway(
            served,
            records=records,
            timeouts=timeouts,
            settings=settings,
            fallbacks={MODEL: ["spare"]} if fallback else {},
        )
        try:
            yield Told(gateway, upstreams, records)
        finally:
            await gateway.aclose()


async def read(client: AsyncOpenAI, api: Api, *, on_text: Callable[[str], None] = lambda _: None, **fields: Any) -> str:
    """The text that the official client reads."""
    text = ""
    if api is CHAT:
        chunks = await client.chat.completions.create(**api.body(**fields))  # type: ignore[call-overload]
        async for chunk in chunks:
            for choice in chunk.choices or ():  # of an error that it does not know the client makes an empty chunk
                text += choice.delta.content or ""
                on_text(choice.delta.content or "")
    else:
        events = await client.responses.create(**api.body(**fields))  # type: ignore[call-overload]
        async for event in events:
            if event.type == "response.output_text.delta":
                text += event.delta
                on_text(event.delta)
    return text


def error_event_of(body: bytes) -> dict[str, Any]:
    """The gateway's own error event at the end of a stream."""
    name, _, rest = body.rpartition(b"event: error\ndata: ")
    assert rest.endswith(b"\n\n"), body
    data: dict[str, Any] = json.loads(rest)
    assert data["type"] == "error", name
    assert data["error"].keys() == {"message", "type", "param", "code"}
    return data


def usage_chunk() -> bytes:
    return sse({"id": "1", "choices": [], "usage": {"total_tokens": 3}})


__all__ = ["BOTH", "CHAT", "DONE", "PING", "RESPONSES"]
