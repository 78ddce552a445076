"""The official SDK reading a stream: what its accumulators make of translated events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import httpx
import openai


def sse(events: Iterable[dict[str, Any]], *, named: bool, done: bool) -> bytes:
    lines = []
    for event in events:
        name = f"event: {event['type']}\n" if named else ""
        lines.append(f"{name}data: {json.dumps(event)}\n\n")
    return "".join([*lines, "data: [DONE]\n\n" if done else ""]).encode()


def reading(body: bytes) -> openai.OpenAI:
    """A client whose every call is answered with this stream."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    http = httpx.Client(transport=httpx.MockTransport(answer))
    return openai.OpenAI(base_url="http://up.test/v1", api_key="k", http_client=http, max_retries=0)


def final_response(events: list[dict[str, Any]]) -> Any:
    """What ``responses.stream`` gathers."""
    with reading(sse(events, named=True, done=False)) as client:
        with client.responses.stream(model="m", input="hi") as stream:
            return stream.get_final_response()


def final_completion(chunks: list[dict[str, Any]]) -> Any:
    """What ``chat.completions.stream`` gathers."""
    with reading(sse(chunks, named=False, done=True)) as client:
        with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "hi"}]) as stream:
            return stream.get_final_completion()
