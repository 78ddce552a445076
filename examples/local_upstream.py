"""A small OpenAI-compatible server: an upstream to try things against, with no key, no model and no network.

    python examples/local_upstream.py --port 9101 --models tiny-chat,tiny-embed

It lists its models, answers chats and Responses (whole, or streamed word by word), embeds and moderates. The words
are made up, but the same question always gets the same answer. Any API key will do.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import re
import struct
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

MODELS = ("tiny-chat", "tiny-embed", "tiny-secret")
SSE = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
PAUSE = 0.03  # seconds between two pieces: slow enough to see an answer being streamed


async def list_models(request: Request) -> Response:
    models = [{"id": model, "object": "model", "created": 0, "owned_by": "local"} for model in request.app.state.models]
    return JSONResponse({"object": "list", "data": models})


async def chat(request: Request) -> Response:
    body = await read(request)
    words = reply(body["model"], last_text(body.get("messages", [])))
    frame = {"id": "chatcmpl-local", "created": int(time.time()), "model": body["model"]}
    usage = {"prompt_tokens": 9, "completion_tokens": len(words), "total_tokens": 9 + len(words)}
    if body.get("stream"):
        include_usage = (body.get("stream_options") or {}).get("include_usage")
        return StreamingResponse(chat_chunks(frame, words, usage if include_usage else None), headers=SSE)
    message = {"role": "assistant", "content": "".join(words)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return JSONResponse({**frame, "object": "chat.completion", "choices": [choice], "usage": usage})


async def chat_chunks(frame: dict[str, Any], words: list[str], usage: dict[str, int] | None) -> AsyncIterator[str]:
    def chunk(choices: list[dict[str, Any]], **more: Any) -> str:
        return event({**frame, "object": "chat.completion.chunk", "choices": choices, **more})

    yield chunk([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
    for word in words:
        await asyncio.sleep(PAUSE)
        yield chunk([{"index": 0, "delta": {"content": word}, "finish_reason": None}])
    yield chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    if usage is not None:
        yield chunk([], usage=usage)
    yield "data: [DONE]\n\n"


async def responses(request: Request) -> Response:
    body = await read(request)
    given = body.get("input", "")
    words = reply(body["model"], given if isinstance(given, str) else last_text(given))
    if body.get("stream"):
        return StreamingResponse(response_events(body["model"], words), headers=SSE)
    return JSONResponse(response(body["model"], words))


async def response_events(model: str, words: list[str]) -> AsyncIterator[str]:
    part = {"item_id": "msg_local", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": response(model, [], "in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": output_message([], "in_progress")},
        {"type": "response.content_part.added", **part, "part": output_text([])},
        *({"type": "response.output_text.delta", **part, "delta": word, "logprobs": []} for word in words),
        {"type": "response.output_text.done", **part, "text": "".join(words), "logprobs": []},
        {"type": "response.content_part.done", **part, "part": output_text(words)},
        {"type": "response.output_item.done", "output_index": 0, "item": output_message(words)},
        {"type": "response.completed", "response": response(model, words)},
    ]
    for number, data in enumerate(events):
        await asyncio.sleep(PAUSE)
        yield event({**data, "sequence_number": number}, data["type"])


async def embeddings(request: Request) -> Response:
    body = await read(request)
    given = body.get("input", "")
    texts = given if isinstance(given, list) else [given]
    vectors = [embedding(text, body.get("encoding_format", "float")) for text in texts]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return JSONResponse({"object": "list", "model": body["model"], "data": data, "usage": usage})


async def moderations(request: Request) -> Response:
    given = (await request.json()).get("input", "")
    texts = given if isinstance(given, list) else [given]
    results = [{"flagged": "attack" in str(text), "categories": {}, "category_scores": {}} for text in texts]
    return JSONResponse({"id": "modr-local", "model": "local-moderation", "results": results})


async def read(request: Request) -> dict[str, Any]:
    """The JSON body, which names a model that we have."""
    try:
        body = await request.json()
    except ValueError:
        raise HTTPException(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise HTTPException(400, "You must provide a model parameter.")
    if body["model"] not in request.app.state.models:
        raise HTTPException(404, f"The model `{body['model']}` does not exist or you do not have access to it.")
    return body


def last_text(messages: list[dict[str, Any]]) -> str:
    """The text of the last message, whose content is a string or a list of parts."""
    content = messages[-1].get("content") if messages else ""
    return " ".join(part.get("text", "") for part in content) if isinstance(content, list) else content or ""


def reply(model: str, question: str) -> list[str]:
    """A made-up answer, cut into words that keep the space before them."""
    asked = f'You said "{question}".' if question else "You said nothing."
    return re.findall(r" ?[^ ]+", f"{asked} This is {model}, answering one word at a time.")


def response(model: str, words: list[str], status: str = "completed") -> dict[str, Any]:
    return {
        "id": "resp_local",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "model": model,
        "output": [output_message(words)] if words else [],
        "usage": {"input_tokens": 9, "output_tokens": len(words), "total_tokens": 9 + len(words)} if words else None,
    }


def output_message(words: list[str], status: str = "completed") -> dict[str, Any]:
    content = [output_text(words)] if words else []
    return {"id": "msg_local", "type": "message", "role": "assistant", "status": status, "content": content}


def output_text(words: list[str]) -> dict[str, Any]:
    return {"type": "output_text", "text": "".join(words), "annotations": []}


def embedding(text: object, encoding: str) -> list[float] | str:
    """Numbers between -1 and 1 that depend on nothing but the text; in base64, as 32-bit floats, for the SDK."""
    numbers = [byte / 127.5 - 1 for byte in hashlib.sha256(str(text).encode()).digest()[:8]]
    return base64.b64encode(struct.pack("<8f", *numbers)).decode() if encoding == "base64" else numbers


def event(data: dict[str, Any], name: str = "") -> str:
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(data)}\n\n"


async def refuse(request: Request, error: Exception) -> Response:
    """Every refusal in OpenAI's shape."""
    assert isinstance(error, HTTPException)
    code = "model_not_found" if error.status_code == 404 and "model" in error.detail else None
    detail = {"message": error.detail, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": detail}, error.status_code)


def create_app(models: Iterable[str] = MODELS) -> Starlette:
    routes = [
        Route("/v1/models", list_models),
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/responses", responses, methods=["POST"]),
        Route("/v1/embeddings", embeddings, methods=["POST"]),
        Route("/v1/moderations", moderations, methods=["POST"]),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: refuse})
    app.state.models = tuple(models)
    return app


app = create_app()


def main() -> None:
    import uvicorn  # only to run: the app itself needs no server

    parser = argparse.ArgumentParser(description="A small OpenAI-compatible server that needs no key and no network.")
    parser.add_argument("--port", type=int, default=9101)
    parser.add_argument("--models", default=",".join(MODELS), help="comma-separated ids (default: %(default)s)")
    options = parser.parse_args()
    uvicorn.run(create_app(options.models.split(",")), host="127.0.0.1", port=options.port)


if __name__ == "__main__":
    main()
