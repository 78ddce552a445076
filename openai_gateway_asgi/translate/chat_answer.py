"""A whole Responses answer as a chat completion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import UpstreamError
from .response_objects import new_id
from .shapes import arguments_of, object_of, objects_of, seconds_of, text_of
from .usage import chat_usage

FAILED_STATUS = {"rate_limit_exceeded": 429, "server_error": 500}
"""Of a response that failed, by its code (openai-openapi: ResponseErrorCode); pictures and prompts that are refused are
400, everything else is 500."""

REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}


class ResponseFailed(Exception):
    """The response says that it failed: with this status, and this error in OpenAI's shape."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.status = status
        self.error = error


def chat_completion(
    response: Mapping[str, Any], *, structured: bool = False, model: str = "", old: bool = False
) -> dict[str, Any]:
    """The chat completion of a response. ``model`` is named where it names none.
    ``structured``: JSON was asked for, so that the last message alone counts. ``old``: it was asked with ``functions``,
    whose answers have one ``function_call``.

    Raises ``ResponseFailed`` for one that failed and ``UpstreamError`` for one that is not over.
    """
    check_over(response)
    parts = _spoken(response, structured=structured)
    message = _message(response, parts)
    calls = message.get("tool_calls")
    if old and calls:
        first = message.pop("tool_calls")[0]
        message["function_call"] = first[first["type"]]
    usage = response.get("usage")
    return completion(
        text_of(response.get("id")) or new_id("chatcmpl"),
        seconds_of(response.get("created_at")),
        response.get("model") or model,
        message,
        finish_reason(response, called=bool(calls), old=old),
        logprobs=chat_logprobs([entry for part in parts for entry in objects_of(part.get("logprobs"))]),
        usage=chat_usage(usage) if isinstance(usage, dict) else None,
        **{name: response.get(name) for name in CARRIED},
    )


CARRIED = ("service_tier", "metadata", "moderation")


def completion(
    id: str,
    created: int,
    model: str,
    message: Mapping[str, Any],
    finish: str,
    *,
    usage: Mapping[str, Any] | None,
    logprobs: Any = None,
    **carried: Any,
) -> dict[str, Any]:
    """The one object that a chat client gets. What is not known of it is left out."""
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish}
    told: dict[str, Any] = {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
    }
    if usage is not None:
        told["usage"] = usage
    for name, value in carried.items():
        if value is not None:
            told[name] = value
    return told


def check_over(response: Mapping[str, Any]) -> None:
    status = response.get("status")
    if status == "failed" or isinstance(response.get("error"), dict):
        error = failure_of(response)
        code = str(error["code"] or "")
        known = 400 if code == "invalid_prompt" or "image" in code else 500
        raise ResponseFailed(FAILED_STATUS.get(code, known), error)
    if status not in (None, "completed", "incomplete") or not isinstance(response.get("output"), list):
        raise UpstreamError("The upstream's answer is not over, or is no response.")


def failure_of(response: Mapping[str, Any]) -> dict[str, Any]:
    """The error of a response that failed, in OpenAI's shape."""
    said = response.get("error")
    error = said if isinstance(said, dict) else {}
    message = text_of(error.get("message")) or "The upstream failed to answer."
    return {
        "message": message,
        "type": text_of(error.get("type")) or "upstream_error",
        "param": None,
        "code": text_of(error.get("code")) or None,
    }


def failure_in(event: Mapping[str, Any]) -> dict[str, Any]:
    """The same of an event that says so."""
    if event.get("type") == "response.failed":
        return failure_of(object_of(event.get("response")))
    error = event.get("error")
    if isinstance(error, str):
        return failure_of({"error": {"message": error}})
    return failure_of({"error": error if isinstance(error, dict) else event})


def finish_reason(response: Mapping[str, Any], *, called: bool, old: bool = False) -> str:
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return REASONS.get(str(reason), "length")
    return "stop" if not called else "function_call" if old else "tool_calls"


def tool_call(item: Mapping[str, Any]) -> dict[str, Any]:
    """A call that the model makes, whole."""
    id = text_of(item.get("call_id")) or new_id("call")
    if item.get("type") == "custom_tool_call":
        custom = {"name": text_of(item.get("name")), "input": text_of(item.get("input"))}
        return {"id": id, "type": "custom", "custom": custom}
    function = {"name": text_of(item.get("name")), "arguments": arguments_of(item.get("arguments"))}
    return {"id": id, "type": "function", "function": function}


def citation(annotation: Mapping[str, Any]) -> dict[str, Any] | None:
    """A citation of a page as chat has it; chat knows no other annotation."""
    if annotation.get("type") != "url_citation":
        return None
    inner = {name: annotation[name] for name in ("start_index", "end_index", "url", "title") if name in annotation}
    return {"type": "url_citation", "url_citation": inner}


CALLS = ("function_call", "custom_tool_call")


def _spoken(response: Mapping[str, Any], *, structured: bool) -> list[dict[str, Any]]:
    """The parts of what it says; where JSON was asked for, of its last message alone."""
    spoken = [item for item in objects_of(response["output"]) if item.get("type") == "message"]
    return [part for item in (spoken[-1:] if structured else spoken) for part in objects_of(item.get("content"))]


def _message(response: Mapping[str, Any], parts: list[dict[str, Any]]) -> dict[str, Any]:
    items = objects_of(response["output"])
    texts = [text_of(part.get("text")) for part in parts if part.get("type") == "output_text"]
    refusals = [text_of(part.get("refusal")) for part in parts if part.get("type") == "refusal"]
    calls = [tool_call(item) for item in items if item.get("type") in CALLS]
    silent = (refusals or calls) and not any(texts)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if silent else "".join(texts),
        "refusal": "".join(refusals) or None,
    }
    reasoning = "\n\n".join(text for item in items if item.get("type") == "reasoning" for text in _thoughts(item))
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = calls
    annotations = [found for part in parts for each in objects_of(part.get("annotations")) if (found := citation(each))]
    if annotations:
        message["annotations"] = annotations
    return message


def _thoughts(item: Mapping[str, Any]) -> Iterator[str]:
    parts = objects_of(item.get("summary")) or objects_of(item.get("content"))
    return (text for part in parts if (text := text_of(part.get("text"))))


def chat_logprobs(entries: Any) -> dict[str, Any] | None:
    """As a choice has them; None where there are none. Streams of Responses tell no bytes."""
    content = [
        {
            "bytes": None,
            **each,
            "top_logprobs": [{"bytes": None, **top} for top in objects_of(each.get("top_logprobs"))],
        }
        for each in objects_of(entries)
    ]
    return {"content": content, "refusal": None} if content else None
