"""Answers of an OpenAI-compatible upstream: how they are put together, and believable ones for its usual routes."""

from __future__ import annotations

import base64
import json as jsonlib
import struct
from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass, field
from typing import Any

CREATED = 1_700_000_000
VECTOR = (0.25, -0.5, 0.125)
WORDS = ("Hello", " from", " upstream", ".")
SPEECH = b"ID3" + bytes(range(256))
USAGE = {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11}
RESPONSES_USAGE = {"input_tokens": 7, "output_tokens": 4, "total_tokens": 11}

Chunks = Iterable[bytes] | AsyncIterable[bytes]
HeaderPairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an upstream answers; each chunk is sent (and read) on its own.

    Chunks from an async iterable may wait for one another; an iterator or generator serves one request only.
    """

    chunks: Chunks = ()
    status: int = 200
    headers: HeaderPairs = field(default_factory=list)


def json_answer(data: Any, status: int = 200, headers: HeaderPairs | None = None) -> Answer:
    """One JSON document with its content-length."""
    return bytes_answer(jsonlib.dumps(data).encode(), "application/json", status, headers)


def bytes_answer(
    body: bytes, content_type: str = "application/octet-stream", status: int = 200, headers: HeaderPairs | None = None
) -> Answer:
    """A body in one piece, with its content-length."""
    own = [("content-type", content_type), ("content-length", str(len(body)))]
    return Answer([body], status, own + (headers or []))


def error_answer(
    status: int, message: str = "No.", *, code: str | None = None, headers: HeaderPairs | None = None
) -> Answer:
    """An error in OpenAI's shape."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return json_answer({"error": error}, status, headers)


def stream_answer(chunks: Chunks, headers: HeaderPairs | None = None) -> Answer:
    """A ``text/event-stream`` of exactly these chunks, which need not be whole events."""
    return Answer(chunks, 200, [("content-type", "text/event-stream; charset=utf-8"), *(headers or [])])


def sse(data: Any, event: str | None = None) -> bytes:
    """One server-sent event; ``data`` is JSON-encoded unless it is a ``str``."""
    text = data if isinstance(data, str) else jsonlib.dumps(data)
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {text}\n\n".encode()


DONE = sse("[DONE]")


def model_entry(model: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(model, dict):
        return model
    return {"id": model, "object": "model", "created": CREATED, "owned_by": "upstream"}


def models(entries: Iterable[str | dict[str, Any]]) -> Answer:
    return json_answer({"object": "list", "data": [model_entry(entry) for entry in entries]})


def chat(request: dict[str, Any]) -> Answer:
    """``/chat/completions``, whole or streamed as the request says."""
    if request.get("stream"):
        return stream_answer(chat_events(request))
    message = {"role": "assistant", "content": "".join(WORDS)}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return json_answer({**_chat_frame(request, "chat.completion"), "choices": [choice], "usage": USAGE})


def chat_events(request: dict[str, Any]) -> list[bytes]:
    """The events of a streamed chat answer: role, words, finish, usage if asked for, ``[DONE]``."""
    frame = _chat_frame(request, "chat.completion.chunk")
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}, *({"content": word} for word in WORDS)]
    events = [sse({**frame, "choices": [{"index": 0, "delta": d, "finish_reason": None}]}) for d in deltas]
    events.append(sse({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
    if (request.get("stream_options") or {}).get("include_usage"):
        events.append(sse({**frame, "choices": [], "usage": USAGE}))
    return [*events, DONE]


def _chat_frame(request: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": CREATED, "model": request.get("model")}


def completions(request: dict[str, Any]) -> Answer:
    frame = {"id": "cmpl-1", "object": "text_completion", "created": CREATED, "model": request.get("model")}
    if request.get("stream"):
        choices = [[{"index": 0, "text": word, "finish_reason": None}] for word in WORDS]
        return stream_answer([*(sse({**frame, "choices": choice}) for choice in choices), DONE])
    choice = {"index": 0, "text": "".join(WORDS), "finish_reason": "stop", "logprobs": None}
    return json_answer({**frame, "choices": [choice], "usage": USAGE})


def embeddings(request: dict[str, Any]) -> Answer:
    inputs = request.get("input")
    count = len(inputs) if isinstance(inputs, list) and inputs and not isinstance(inputs[0], int) else 1
    packed = base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
    vector = packed if request.get("encoding_format") == "base64" else VECTOR
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(count)]
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    return json_answer({"object": "list", "model": request.get("model"), "data": data, "usage": usage})


def moderations(request: dict[str, Any]) -> Answer:
    result = {"flagged": False, "categories": {"violence": False}, "category_scores": {"violence": 0.001}}
    return json_answer({"id": "modr-1", "model": request.get("model"), "results": [result]})


def responses(request: dict[str, Any]) -> Answer:
    """``/responses``, whole or streamed as the request says."""
    if request.get("stream"):
        return stream_answer(responses_events(request))
    return json_answer(_response(request, "completed", [_output("".join(WORDS), "completed")]))


def responses_events(request: dict[str, Any]) -> list[bytes]:
    """From ``response.created`` to ``response.completed``, without a ``[DONE]``, as OpenAI's own API ends."""
    part = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    whole = "".join(WORDS)
    done = _response(request, "completed", [_output(whole, "completed")])
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response(request, "in_progress", [])},
        {"type": "response.output_item.added", "output_index": 0, "item": _output(None, "in_progress")},
        {"type": "response.content_part.added", **part, "part": _text("")},
        *({"type": "response.output_text.delta", **part, "delta": word, "logprobs": []} for word in WORDS),
        {"type": "response.output_text.done", **part, "text": whole, "logprobs": []},
        {"type": "response.content_part.done", **part, "part": _text(whole)},
        {"type": "response.output_item.done", "output_index": 0, "item": _output(whole, "completed")},
        {"type": "response.completed", "response": done},
    ]
    return [sse({**event, "sequence_number": n}, event["type"]) for n, event in enumerate(events)]


def _response(request: dict[str, Any], status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "model": request.get("model"),
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": RESPONSES_USAGE if status == "completed" else None,
    }


def _output(text: str | None, status: str) -> dict[str, Any]:
    content = [] if text is None else [_text(text)]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": content}


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def speech(request: dict[str, Any]) -> Answer:
    return bytes_answer(SPEECH, "audio/mpeg")
