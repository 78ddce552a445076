"""Answers of an OpenAI-compatible upstream: how they are put together, and believable ones for its usual routes."""

from __future__ import annotations

import base64
import json as jsonlib
import struct
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

CREATED = 1_700_000_000
VECTOR = (0.25, -0.5, 0.125)
WORDS = ("Hello", " from", " upstream", ".")
SPEECH = b"ID3" + bytes(range(256))
USAGE = {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11}
RESPONSES_USAGE = {"input_tokens": 7, "output_tokens": 4, "total_tokens": 11}

Ending = Literal["whole", "cut", "reset", "open"]
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
    ending: Ending = "whole"
    """How the connection goes on behind the chunks: ``cut`` closes it in the middle of the answer, ``reset`` resets it,
    ``open`` sends nothing more and keeps it."""


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
    kind = "server_error" if status >= 500 else "invalid_request_error"
    error = {"message": message, "type": kind, "param": None, "code": code}
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


@dataclass(frozen=True, slots=True)
class Says:
    """What a model says: its text in pieces, its tool calls as names and arguments, its reasoning, its usage."""

    words: tuple[str, ...] = WORDS
    tool_calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    reasoning: str | None = None
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    """None: a believable one in the words of the operation."""

    @property
    def text(self) -> str:
        return "".join(self.words)

    @property
    def finish(self) -> str:
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")


def chat(request: dict[str, Any], says: Says = Says()) -> Answer:
    """``/chat/completions``, whole or streamed as the request says."""
    if request.get("stream"):
        return stream_answer(chat_events(request, says))
    message: dict[str, Any] = {"role": "assistant", "content": None if says.tool_calls else says.text}
    if says.reasoning is not None:
        message["reasoning_content"] = says.reasoning
    if says.tool_calls:
        message["tool_calls"] = _chat_tool_calls(says)
    choice = {"index": 0, "message": message, "finish_reason": says.finish, "logprobs": None}
    usage = USAGE if says.usage is None else says.usage
    return json_answer({**_chat_frame(request, "chat.completion"), "choices": [choice], "usage": usage})


def chat_events(request: dict[str, Any], says: Says = Says()) -> list[bytes]:
    """The events of a streamed chat answer: role, words, finish, usage if asked for, ``[DONE]``."""
    frame = _chat_frame(request, "chat.completion.chunk")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if says.reasoning is not None:
        deltas.append({"reasoning_content": says.reasoning})
    if says.tool_calls:
        deltas += [{"tool_calls": [{"index": n, **call}]} for n, call in enumerate(_chat_tool_calls(says))]
    else:
        deltas += [{"content": word} for word in says.words]
    events = [sse({**frame, "choices": [{"index": 0, "delta": d, "finish_reason": None}]}) for d in deltas]
    events.append(sse({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": says.finish}]}))
    if (request.get("stream_options") or {}).get("include_usage"):
        events.append(sse({**frame, "choices": [], "usage": USAGE if says.usage is None else says.usage}))
    return [*events, DONE]


def _chat_tool_calls(says: Says) -> list[dict[str, Any]]:
    return [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": jsonlib.dumps(arguments)}}
        for n, (name, arguments) in enumerate(says.tool_calls)
    ]


def _chat_frame(request: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": CREATED, "model": request.get("model")}


def completions(request: dict[str, Any], says: Says = Says()) -> Answer:
    """``/completions``, whole or streamed as the request says."""
    frame = {"id": "cmpl-1", "object": "text_completion", "created": CREATED, "model": request.get("model")}
    usage = USAGE if says.usage is None else says.usage
    if request.get("stream"):
        texts: list[tuple[str, str | None]] = [*((word, None) for word in says.words), ("", says.finish)]
        choices = [{"index": 0, "text": text, "finish_reason": finish, "logprobs": None} for text, finish in texts]
        events = [sse({**frame, "choices": [choice]}) for choice in choices]
        if (request.get("stream_options") or {}).get("include_usage"):
            events.append(sse({**frame, "choices": [], "usage": usage}))
        return stream_answer([*events, DONE])
    choice = {"index": 0, "text": says.text, "finish_reason": says.finish, "logprobs": None}
    return json_answer({**frame, "choices": [choice], "usage": usage})


def embeddings(request: dict[str, Any], says: Says = Says()) -> Answer:
    inputs = request.get("input")
    count = len(inputs) if isinstance(inputs, list) and inputs and not isinstance(inputs[0], int) else 1
    packed = base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
    vector = packed if request.get("encoding_format") == "base64" else VECTOR
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(count)]
    usage = {"prompt_tokens": 7, "total_tokens": 7} if says.usage is None else says.usage
    return json_answer({"object": "list", "model": request.get("model"), "data": data, "usage": usage})


def moderations(request: dict[str, Any], says: Says = Says()) -> Answer:
    result = {"flagged": False, "categories": {"violence": False}, "category_scores": {"violence": 0.001}}
    return json_answer({"id": "modr-1", "model": request.get("model"), "results": [result]})


def responses(request: dict[str, Any], says: Says = Says()) -> Answer:
    """``/responses``, whole or streamed as the request says."""
    if request.get("stream"):
        return stream_answer(responses_events(request, says))
    return json_answer(_response(request, _status(says), _outputs(says), says))


def responses_events(request: dict[str, Any], says: Says = Says()) -> list[bytes]:
    """From ``response.created`` to the final event, without a ``[DONE]``, as OpenAI's own API ends."""
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response(request, "in_progress", [], says)}
    ]
    before = _reasoning(says)
    for item in before:
        events += _reasoning_events(item)
    if says.tool_calls:
        for index, item in enumerate(_outputs(says)[len(before) :], len(before)):
            place = {"item_id": item["id"], "output_index": index}
            begun = {**item, "arguments": "", "status": "in_progress"}
            arguments = item["arguments"]
            events += [
                {"type": "response.output_item.added", "output_index": index, "item": begun},
                {"type": "response.function_call_arguments.delta", **place, "delta": arguments},
                {"type": "response.function_call_arguments.done", **place, "arguments": arguments},
                {"type": "response.output_item.done", "output_index": index, "item": item},
            ]
    else:
        place = {"output_index": len(before)}
        part = {"item_id": "msg_1", **place, "content_index": 0}
        events += [
            {"type": "response.output_item.added", **place, "item": _output(None, "in_progress")},
            {"type": "response.content_part.added", **part, "part": _text("")},
            *({"type": "response.output_text.delta", **part, "delta": word, "logprobs": []} for word in says.words),
            {"type": "response.output_text.done", **part, "text": says.text, "logprobs": []},
            {"type": "response.content_part.done", **part, "part": _text(says.text)},
            {"type": "response.output_item.done", **place, "item": _output(says.text, _status(says))},
        ]
    status = _status(says)
    events.append({"type": f"response.{status}", "response": _response(request, status, _outputs(says), says)})
    return [sse({**event, "sequence_number": n}, event["type"]) for n, event in enumerate(events)]


CUT_SHORT = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""The finish reasons of a chat that make a response incomplete, and why it is then."""


def _status(says: Says) -> str:
    return "incomplete" if says.finish_reason in CUT_SHORT else "completed"


def _reasoning(says: Says) -> list[dict[str, Any]]:
    if says.reasoning is None:
        return []
    return [{"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": says.reasoning}]}]


def _reasoning_events(item: dict[str, Any]) -> list[dict[str, Any]]:
    at = {"item_id": item["id"], "output_index": 0, "summary_index": 0}
    (part,) = item["summary"]
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "summary": []}},
        {"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}},
        {"type": "response.reasoning_summary_text.delta", **at, "delta": part["text"]},
        {"type": "response.reasoning_summary_text.done", **at, "text": part["text"]},
        {"type": "response.reasoning_summary_part.done", **at, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
    ]


def _outputs(says: Says) -> list[dict[str, Any]]:
    before = _reasoning(says)
    if not says.tool_calls:
        return [*before, _output(says.text, _status(says))]
    return before + [
        {
            "type": "function_call",
            "id": f"fc_{n}",
            "call_id": f"call_{n}",
            "name": name,
            "arguments": jsonlib.dumps(arguments),
            "status": "completed",
        }
        for n, (name, arguments) in enumerate(says.tool_calls)
    ]


def _response(request: dict[str, Any], status: str, output: list[dict[str, Any]], says: Says) -> dict[str, Any]:
    usage = RESPONSES_USAGE if says.usage is None else says.usage
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "incomplete_details": {"reason": CUT_SHORT[says.finish]} if status == "incomplete" else None,
        "model": request.get("model"),
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None if status == "in_progress" else usage,
    }


def _output(text: str | None, status: str) -> dict[str, Any]:
    content = [] if text is None else [_text(text)]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": content}


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def speech(request: dict[str, Any], says: Says = Says()) -> Answer:
    return bytes_answer(SPEECH, "audio/mpeg")


def transcription(request: dict[str, Any], says: Says = Says()) -> Answer:
    """A text, as ``response_format`` wants it, or events where the request says ``stream``."""
    kind = request.get("response_format")
    if request.get("stream") in (True, "true"):
        deltas = [{"type": "transcript.text.delta", "delta": word} for word in says.words]
        done = {"type": "transcript.text.done", "text": says.text}
        return stream_answer([sse(event, event["type"]) for event in (*deltas, done)])
    if kind in ("text", "srt", "vtt"):
        return bytes_answer(says.text.encode(), "text/plain; charset=utf-8")
    detail = {"task": "transcribe", "language": "english", "duration": 1.5} if kind == "verbose_json" else {}
    return json_answer({**detail, "text": says.text})


def images(request: dict[str, Any], says: Says = Says()) -> Answer:
    """As many as ``n`` says, up to the API's 10."""
    image, wanted = {"b64_json": base64.b64encode(b"PNG").decode()}, str(request.get("n", 1))
    count = int(wanted) if wanted in map(str, range(1, 11)) else 1
    return json_answer({"created": CREATED, "data": [image] * count})


def default(path: str, request: dict[str, Any], says: Says = Says()) -> Answer:
    """What the operation at the end of ``path`` answers; a 404 where there is none."""
    fitting = [end for end in OPERATIONS if fits(end, path)]
    if not fitting:
        return error_answer(404, f"Unknown path {path}.", code="not_found")
    return OPERATIONS[max(fitting, key=len)](request, says)


def fits(path: str, actual: str) -> bool:
    """Whether a request's path is ``path``, or ends with it."""
    return actual == path or actual.endswith(path.removeprefix("/v1"))


OPERATIONS: Mapping[str, Callable[[dict[str, Any], Says], Answer]] = {
    "/chat/completions": chat,
    "/completions": completions,
    "/embeddings": embeddings,
    "/moderations": moderations,
    "/responses": responses,
    "/audio/speech": speech,
    "/audio/transcriptions": transcription,
    "/audio/translations": transcription,
    "/images/generations": images,
    "/images/edits": images,
    "/images/variations": images,
}
