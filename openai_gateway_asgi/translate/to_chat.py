"""What an upstream that speaks Responses says, as a chat client is told it."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from functools import cached_property
from typing import Any

import msgspec

from ..errors import UpstreamError, UpstreamRefused
from ..http.asgi import JSON
from ..http.pacing import others_after
from ..http.stages import too_long
from .chat_answer import ResponseFailed, chat_completion
from .chat_stream import ChatStream, StreamFailed
from .fields import NULL, is_text
from .plain import plain_completion
from .wire import DONE, comments_apart, data_in, decoded, encode, only_data

TEXT = "response.output_text.delta"

KEPT = 1024 * 1024
"""Bytes of a stream's citations that are kept where nothing else is said."""

_UNSAID = (msgspec.Raw(), msgspec.Raw(b"[]"), msgspec.Raw(b"null"))


class TextTold(msgspec.Struct, gc=False):
    type: str = ""
    delta: msgspec.Raw = NULL
    logprobs: msgspec.Raw = _UNSAID[0]
    error: msgspec.Raw = _UNSAID[0]


_decode_text = msgspec.json.Decoder(TextTold).decode


class ToChat:
    """A stage of one attempt (``http/stages.py``)."""

    def __init__(
        self, *, include_usage: bool, structured: bool, model: str = "", old: bool = False, limit: int = KEPT
    ) -> None:
        """``include_usage``: the client asked for it. ``structured``: it asked for JSON. ``old``: it asked with
        ``functions``. ``model`` is named where the upstream names none. ``limit``: bytes of a stream's citations."""
        self._include_usage = include_usage
        self._limit = limit
        self._structured = structured
        self._model = model
        self._old = old
        self._around: tuple[bytes, ...] = ()
        """What a chunk of text has before and behind it; empty while that is not known, or differs."""

    @cached_property
    def _stream(self) -> ChatStream:
        return ChatStream(
            include_usage=self._include_usage, structured=self._structured, model=self._model, old=self._old
        )

    def events(self, events: bytes) -> bytes:
        if (data := only_data(events)) is not None and (text := self._text_of(data)) is not None:
            self._stream.text_in_deltas = True
            return text
        comments, events = comments_apart(events)
        told = [comments]
        try:
            for data in data_in(events):
                text = self._text_of(data)
                if text is not None:
                    self._stream.text_in_deltas = True
                    told.append(text)
                elif isinstance(value := decoded(data), dict):
                    told += self._told(value)
        except StreamFailed as failed:
            if failed.shown:
                told.append(b"data: %b\n\n" % encode({"error": failed.error}))
        return b"".join(told)

    def _text_of(self, data: bytes) -> bytes | None:
        """The chunk of an event that tells text and nothing else, as nearly all do: its text keeps its bytes."""
        if not self._around:
            return None
        try:
            event = _decode_text(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if event.type != TEXT or event.logprobs not in _UNSAID or event.error not in _UNSAID:
            return None
        return b"%b%b%b" % (self._around[0], event.delta, self._around[1]) if is_text(event.delta) else None

    def _told(self, value: dict[str, Any]) -> Iterator[bytes]:
        stream = self._stream
        if stream.over:
            return
        for chunk in stream.feed(value):
            yield b"data: %b\n\n" % encode(chunk)
        if stream.kept > self._limit:
            raise too_long(self._limit, "an answer")
        self._around = stream.around_text()
        if stream.over:
            yield DONE

    async def end(self) -> bytes:
        if not self._stream.over:
            raise UpstreamError("The upstream's stream ended without its final event.")
        return b""

    def answer(self, body: bytes) -> bytes | Awaitable[bytes]:
        plain = plain_completion(body, self._model)
        return self._answer_in_turns(body) if plain is None else plain

    async def _answer_in_turns(self, body: bytes) -> bytes:
        await others_after(len(body))
        response = decoded(body)
        await others_after(len(body))
        if not isinstance(response, dict):
            raise UpstreamError("The upstream's answer is no response.")
        try:
            return encode(chat_completion(response, structured=self._structured, model=self._model, old=self._old))
        except ResponseFailed as failed:
            raise UpstreamRefused(failed.status, (), encode({"error": failed.error}), content_type=JSON) from None

    def lets_pass(self) -> bool:
        return False
