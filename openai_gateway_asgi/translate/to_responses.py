"""What an upstream that speaks Chat Completions says, as a Responses client is told it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UpstreamError
from ..http.stages import too_long
from .chat_answer import failure_of
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
        self._stream = ResponsesStream(frame, custom_tools=tools.customs, spaces=tools.spaces)

    def events(self, events: bytes) -> bytes:
        stream = self._stream
        comments, events = comments_apart(events)
        told = [comments]
        for value in values_in(events):
            if error := value.get("error"):
                said = {"message": error} if isinstance(error, str) else error
                told.append(named_event(stream.error(failure_of({"error": said}))))
                break
            told += [named_event(event) for event in stream.feed(value)]
        if stream.kept > self._limit:
            raise too_long(self._limit, "an answer")
        return b"".join(told)

    def next_number(self) -> int:
        return self._stream.next_number

    async def end(self) -> bytes:
        return b"".join([named_event(event) for event in self._stream.end()])

    async def answer(self, body: bytes) -> bytes:
        completion = decoded(body)
        if not isinstance(completion, dict):
            raise UpstreamError("The upstream's answer is no chat completion.")
        return encode(self._response(completion))

    def _response(self, completion: Mapping[str, Any]) -> dict[str, Any]:
        return response_of(completion, self._frame, custom_tools=self._tools.customs, spaces=self._tools.spaces)

    def lets_pass(self) -> bool:
        return False
