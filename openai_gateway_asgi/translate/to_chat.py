"""What an upstream that speaks Responses says, as a chat client is told it."""

from __future__ import annotations

from ..errors import UpstreamError, UpstreamRefused
from ..http.asgi import JSON
from .chat_answer import ResponseFailed, chat_completion
from .chat_stream import ChatStream, StreamFailed
from .wire import DONE, comments_apart, decoded, encode, values_in


class ToChat:
    """A stage of one attempt (``http/stages.py``)."""

    def __init__(self, *, include_usage: bool, structured: bool) -> None:
        """``include_usage``: the client asked for it. ``structured``: it asked for JSON."""
        self._stream = ChatStream(include_usage=include_usage, structured=structured)
        self._structured = structured

    def events(self, events: bytes) -> bytes:
        stream = self._stream
        comments, events = comments_apart(events)
        told = [comments]
        try:
            for value in values_in(events):
                told += [b"data: %b\n\n" % encode(chunk) for chunk in stream.feed(value)]
                if stream.over:
                    told.append(DONE)
                    break
        except StreamFailed as failed:
            if failed.shown:
                told.append(b"data: %b\n\n" % encode({"error": failed.error}))
        return b"".join(told)

    async def end(self) -> bytes:
        if not self._stream.over:
            raise UpstreamError("The upstream's stream ended without its final event.")
        return b""

    async def answer(self, body: bytes) -> bytes:
        response = decoded(body)
        if not isinstance(response, dict):
            raise UpstreamError("The upstream's answer is no response.")
        try:
            return encode(chat_completion(response, structured=self._structured))
        except ResponseFailed as failed:
            raise UpstreamRefused(failed.status, (), encode({"error": failed.error}), content_type=JSON) from None

    def lets_pass(self) -> bool:
        return False
