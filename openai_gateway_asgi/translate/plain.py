"""Whole answers that are one text and nothing else, as nearly all are: told without being taken to pieces.

Whatever is otherwise is left to the general functions (``chat_answer``, ``responses_answer``), which say the same of
these, some five times slower. The text keeps its bytes, and is not looked into.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from ..bodies.outline import Fields
from .fields import NULL, QUOTE, Raw
from .response_objects import Frame, new_id
from .wire import encode

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
    input_tokens: int
    output_tokens: int
    total_tokens: int = 0
    input_tokens_details: Fields = {}
    output_tokens_details: Fields = {}
    prompt_tokens_details: None = None
    completion_tokens_details: None = None


class Response(msgspec.Struct, gc=False):
    id: Annotated[str, msgspec.Meta(min_length=1)]
    created_at: Seconds
    status: Literal["completed"]
    output: Annotated[list[Said | Thought], msgspec.Meta(min_length=1, max_length=2)]
    model: str = ""
    error: None = None
    usage: UsageOfResponse | None = None
    service_tier: Raw = NULL
    metadata: Raw = NULL
    moderation: Raw = NULL


class OneText(msgspec.Struct, gc=False, kw_only=True):
    """A message, or a delta of one, that has nothing beside its ``content``."""

    refusal: Nothing = None
    annotations: Nothing = None
    tool_calls: Nothing = None
    function_call: None = None
    reasoning_content: Nothing = None
    reasoning: Nothing = None


class Message(OneText, gc=False, kw_only=True):
    content: Raw


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
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int = 0
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None
    input_tokens_details: None = None
    output_tokens_details: None = None


class Completion(msgspec.Struct, gc=False):
    created: Seconds
    choices: Annotated[list[Choice], msgspec.Meta(min_length=1)]
    usage: UsageOfChat | None = None
    service_tier: str | None = None


_read_response = msgspec.json.Decoder(Response).decode
_read_completion = msgspec.json.Decoder(Completion).decode


def plain_completion(body: bytes, model: str) -> bytes | None:
    """The chat completion of a response, ``chat_completion`` for short; None where it says more than one text."""
    try:
        response = _read_response(body)
        if not body.isascii():
            body.decode()  # the decoder does not look into what it keeps raw
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    *thoughts, said = response.output
    if not isinstance(said, Said) or (thoughts and isinstance(thoughts[0], Said)):
        return None
    text, usage = said.content[0].text, response.usage
    if memoryview(text)[0] != QUOTE:
        return None
    more = b"" if usage is None else _chat_usage(usage)
    carried = response.service_tier, response.metadata, response.moderation
    if carried != _NOTHING:
        more += b"".join([b',"%b":%b' % pair for pair in zip(_CARRIED, carried, strict=True) if pair[1] != NULL])
    return _COMPLETION % (encode(response.id), response.created_at, encode(response.model or model), text, more)


_COMPLETION = (
    b'{"id":%b,"object":"chat.completion","created":%d,"model":%b,"choices":[{"index":0,"message":'
    b'{"role":"assistant","content":%b,"refusal":null},"logprobs":null,"finish_reason":"stop"}]%b}'
)
"""``chat_completion`` with one text, written at once."""
_CARRIED = b"service_tier", b"metadata", b"moderation"
_NOTHING = NULL, NULL, NULL


def plain_response(body: bytes, frame: Frame) -> bytes | None:
    """The response of a chat completion, ``response_of`` for short; None where it says more than one text."""
    try:
        completion = _read_completion(body)
        if not body.isascii():
            body.decode()  # the decoder does not look into what it keeps raw
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    text, usage, tier = completion.choices[0].message.content, completion.usage, completion.service_tier
    if memoryview(text)[0] != QUOTE:
        return None
    return _RESPONSE % (
        frame.id.encode(),
        completion.created,
        encode(frame.model),
        new_id("msg").encode(),
        text,
        b"null" if usage is None else _responses_usage(usage),
        frame.repeated(),
        b"" if tier is None else b',"service_tier":%b' % encode(tier),
    )


_RESPONSE = (
    b'{"id":"%b","object":"response","created_at":%d,"status":"completed","error":null,"incomplete_details":null,'
    b'"model":%b,"output":[{"id":"%b","type":"message","role":"assistant","status":"completed","content":['
    b'{"type":"output_text","text":%b,"annotations":[],"logprobs":[]}]}],"usage":%b,%b,"store":false%b}'
)
"""``Frame.response`` with one text, written at once."""
_OF_CHAT = (
    b',"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
    b'"prompt_tokens_details":%b,"completion_tokens_details":%b}'
)
_OF_RESPONSE = (
    b'{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d},'
    b'"output_tokens":%d,"output_tokens_details":{"reasoning_tokens":%d},"total_tokens":%d}'
)


def _chat_usage(usage: UsageOfResponse) -> bytes:
    return _OF_CHAT % (
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens or usage.input_tokens + usage.output_tokens,
        encode(usage.input_tokens_details),
        encode(usage.output_tokens_details),
    )


def _responses_usage(usage: UsageOfChat) -> bytes:
    read, written = usage.prompt_tokens_details or NO_DETAILS, usage.completion_tokens_details or NO_DETAILS
    return _OF_RESPONSE % (
        usage.prompt_tokens,
        read.cached_tokens,
        read.cache_write_tokens,
        usage.completion_tokens,
        written.reasoning_tokens,
        usage.total_tokens or usage.prompt_tokens + usage.completion_tokens,
    )
