"""Whole answers that are one text and nothing else, as nearly all are: told without being taken to pieces.

Whatever is otherwise is left to the general functions (``chat_answer``, ``responses_answer``), which say the same of
these, some five times slower. The text keeps its bytes, and is not looked into.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from .chat_answer import completion
from .fields import Raw, is_text
from .response_objects import Frame, message_item, new_id, text_part
from .usage import chat_counts, responses_counts

_EMPTY = msgspec.Meta(max_length=0)
Nothing = Annotated[list[Any], _EMPTY] | Annotated[str, _EMPTY] | None
Seconds = int | float


class Part(msgspec.Struct, gc=False):
    type: Literal["output_text"]
    text: Raw
    annotations: Nothing = None
    logprobs: Nothing = None


class Said(msgspec.Struct, tag="message", gc=False):
    content: Annotated[list[Part], msgspec.Meta(min_length=1, max_length=1)]


class Thought(msgspec.Struct, tag="reasoning", gc=False):
    summary: Nothing = None
    content: Nothing = None


class UsageOfResponse(msgspec.Struct, gc=False):
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_tokens_details: dict[str, Any] = {}
    output_tokens_details: dict[str, Any] = {}


class Response(msgspec.Struct, gc=False):
    id: Annotated[str, msgspec.Meta(min_length=1)]
    created_at: Seconds
    status: Literal["completed"]
    output: Annotated[list[Said | Thought], msgspec.Meta(min_length=1, max_length=2)]
    model: str = ""
    error: None = None
    usage: UsageOfResponse | None = None
    service_tier: Any = None
    metadata: Any = None
    moderation: Any = None


class Message(msgspec.Struct, gc=False):
    content: Raw
    refusal: Nothing = None
    annotations: Nothing = None
    tool_calls: Nothing = None
    function_call: None = None
    reasoning_content: Nothing = None
    reasoning: Nothing = None


class Choice(msgspec.Struct, gc=False):
    message: Message
    finish_reason: Literal["stop"] | None = None
    logprobs: None = None


class Details(msgspec.Struct, gc=False):
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


NO_DETAILS = Details()


class UsageOfChat(msgspec.Struct, gc=False):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None


class Completion(msgspec.Struct, gc=False):
    created: Seconds
    choices: Annotated[list[Choice], msgspec.Meta(min_length=1)]
    usage: UsageOfChat | None = None
    service_tier: str | None = None


_read_response = msgspec.json.Decoder(Response).decode
_read_completion = msgspec.json.Decoder(Completion).decode


def plain_completion(body: bytes, model: str) -> dict[str, Any] | None:
    """The chat completion of a response, ``chat_completion`` for short; None where it says more than one text."""
    try:
        response = _read_response(body)
        _check_utf8(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    *thoughts, said = response.output
    if not isinstance(said, Said) or (thoughts and isinstance(thoughts[0], Said)):
        return None
    text, usage = said.content[0].text, response.usage
    if not is_text(text):
        return None
    return completion(
        response.id,
        int(response.created_at),
        response.model or model,
        {"role": "assistant", "content": text, "refusal": None},
        "stop",
        usage=None if usage is None else _chat_usage(usage),
        service_tier=response.service_tier,
        metadata=response.metadata,
        moderation=response.moderation,
    )


def plain_response(body: bytes, frame: Frame) -> dict[str, Any] | None:
    """The response of a chat completion, ``response_of`` for short; None where it says more than one text."""
    try:
        completion = _read_completion(body)
        _check_utf8(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    text, usage = completion.choices[0].message.content, completion.usage
    if not is_text(text):
        return None
    frame.created, frame.service_tier = int(completion.created), completion.service_tier
    output = [message_item(new_id("msg"), [text_part(text)])]
    return frame.response("completed", output, usage=None if usage is None else _responses_usage(usage))


def _check_utf8(body: bytes) -> None:
    """The decoder does not look into what it keeps raw."""
    if not body.isascii():
        body.decode()


def _chat_usage(usage: UsageOfResponse) -> dict[str, Any]:
    return chat_counts(
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        usage.input_tokens_details,
        usage.output_tokens_details,
    )


def _responses_usage(usage: UsageOfChat) -> dict[str, Any]:
    read, written = usage.prompt_tokens_details or NO_DETAILS, usage.completion_tokens_details or NO_DETAILS
    return responses_counts(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        read.cached_tokens,
        read.cache_write_tokens,
        written.reasoning_tokens,
    )
