"""What an upstream that speaks Chat Completions says, as a Responses client is told it."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from functools import cached_property
from typing import Any

from ..errors import UpstreamError
from ..http.pacing import others_after
from ..http.stages import too_long
from .chat_answer import failure_of
from .plain import plain_response
from .response_objects import Frame
from .responses_answer import response_of
from .responses_stream import ResponsesStream
from .responses_tools import ChatTools
from .wire import comments_apart, decoded, encode, named_event, values_in


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
        stream = self._stream
        comments, events = comments_apart(events)
        told = [comments]
        for value in values_in(events):
            if error := value.get("error"):
                said = {"message": error} if isinstance(error, str) else error
                told.append(named_event(stream.error(failure_of({"error": said}))))
                break
            text = _text_alone(value)
            place = stream.say(text) if text else None
            if place is None:
                told += [named_event(event) for event in stream.feed(value)]
            else:
                told.append(_TEXT_EVENT % (*place, encode(text)))
        if stream.kept > self._limit:
            raise too_long(self._limit, "an answer")
        return b"".join(told)

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
    b'data: {"type":"response.output_text.delta","sequence_number":%d,"item_id":"%b","output_index":%d,'
    b'"content_index":%d,"delta":%b,"logprobs":[]}\n\n'
)


def _text_alone(chunk: Mapping[str, Any]) -> str | None:
    """The text of a chunk that tells nothing else, as nearly all do."""
    choices = chunk.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or chunk.get("usage"):
        return None
    choice = choices[0]
    if not isinstance(choice, dict) or choice.get("finish_reason") or choice.get("logprobs") or choice.get("index"):
        return None
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return None
    for name, value in delta.items():
        if value and name not in ("content", "role"):
            return None
    text = delta.get("content")
    return text if isinstance(text, str) else None
