"""What an upstream that speaks Chat Completions says, as a Responses client is told it."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec

from ..errors import UpstreamError
from ..http.pacing import others_after
from ..http.stages import too_long
from .chat_answer import failure_in
from .plain import OneText, plain_response
from .response_objects import Frame
from .responses_answer import response_of
from .responses_stream import ResponsesStream
from .responses_tools import ChatTools
from .wire import comments_apart, data_in, decoded, encode, named_event, only_data


class ToResponses:
    """A stage of one attempt (``http/stages.py``)."""

    def __init__(self, frame: Frame, tools: ChatTools, *, limit: int) -> None:
        """``limit``: bytes that are kept of what was said, for the final event repeats it."""
        self._frame = frame
        self._tools = tools
        self._limit = limit

    @cached_property
    def _stream(self) -> ResponsesStream:
        return ResponsesStream(self._frame, custom_tools=self._tools.customs, spaces=self._tools.spaces)

    def events(self, events: bytes) -> bytes:
        if (data := only_data(events)) is not None and (text := self._text_of(data)) is not None:
            return text
        stream = self._stream
        comments, events = comments_apart(events)
        told = [comments]
        for data in data_in(events):
            if (text := self._text_of(data)) is not None:
                told.append(text)
                continue
            value = decoded(data)
            if not isinstance(value, dict):
                continue
            if value.get("error"):
                told.append(named_event(stream.error(failure_in(value))))
                break
            told += [named_event(event) for event in stream.feed(value)]
        if stream.kept > self._limit:
            raise too_long(self._limit, "an answer")
        return b"".join(told)

    def _text_of(self, data: bytes) -> bytes | None:
        """The event of a chunk that goes on with a text and tells nothing else, as nearly all do."""
        stream = self._stream
        if not (place := stream.place_of_text):
            return None
        try:
            text = _read_text(data).choices[0].delta.content
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        number = stream.say(text)
        if stream.kept > self._limit:
            raise too_long(self._limit, "an answer")
        return _TEXT_EVENT % (number, place, encode(text))

    def next_number(self) -> int:
        return self._stream.next_number

    async def end(self) -> bytes:
        told = []
        for event in self._stream.end():
            told.append(named_event(event))
            await others_after(self._stream.kept)
        return b"".join(told)

    def answer(self, body: bytes) -> bytes | Awaitable[bytes]:
        plain = plain_response(body, self._frame)
        return self._answer_in_turns(body) if plain is None else plain

    async def _answer_in_turns(self, body: bytes) -> bytes:
        await others_after(len(body))
        completion = decoded(body)
        await others_after(len(body))
        if not isinstance(completion, dict):
            raise UpstreamError("The upstream's answer is no chat completion.")
        return encode(self._response(completion))

    def _response(self, completion: Mapping[str, Any]) -> dict[str, Any]:
        return response_of(completion, self._frame, custom_tools=self._tools.customs, spaces=self._tools.spaces)

    def lets_pass(self) -> bool:
        return False


_TEXT_EVENT = (
    b"event: response.output_text.delta\n"
    b'data: {"type":"response.output_text.delta","sequence_number":%d,%b,"delta":%b,"logprobs":[]}\n\n'
)


class _Delta(OneText, gc=False, kw_only=True):
    content: Annotated[str, msgspec.Meta(min_length=1)]


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta
    index: Literal[0] | None = 0
    finish_reason: Literal[""] | None = None
    logprobs: None = None


class _Text(msgspec.Struct, gc=False):
    """A chunk that tells a text alone."""

    choices: Annotated[list[_Choice], msgspec.Meta(min_length=1, max_length=1)]
    usage: Annotated[dict[str, Any], msgspec.Meta(max_length=0)] | None = None
    error: None = None


_read_text = msgspec.json.Decoder(_Text).decode
