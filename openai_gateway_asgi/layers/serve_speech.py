"""Text to speech, from the cache where it has been spoken before."""

from __future__ import annotations

from collections.abc import Awaitable
from math import inf
from time import monotonic

from ..answers.relay import client_stalled
from ..config import Settings
from ..exchange import KEY, Exchange
from ..http.asgi import ASGIApp, Message, Receive, Scope, Send, respond
from ..http.cancellation import Deadline
from ..speech.cache import SpeechCache, Spoken, is_audio, speech_key
from ..speech.shared import SharedAnswer
from ..upstream.credentials import Credentials

SPEECH = "createSpeech"


class ServeSpeech:
    """Answers ``POST /audio/speech`` from the cache, or streams it to all who ask for the same while storing it.

    Access has been checked before. Only complete audio is stored; callers that leave stop the upstream's call when
    they were the last.
    """

    def __init__(self, app: ASGIApp, *, cache: SpeechCache, credentials: Credentials, settings: Settings) -> None:
        self.app = app
        self._cache = cache
        self._credentials = credentials
        self._limit = settings.speech_entry_bytes
        self._send_timeout = settings.send_timeout
        self._under_way: dict[tuple[str, ...], SharedAnswer] = {}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if exchange.match.endpoint.operation != SPEECH or exchange.payload.read("stream_format", str) == "sse":
            return self.app(scope, receive, send)
        return self._serve(exchange, scope, receive, send)

    async def _serve(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        key = speech_key(exchange.payload, exchange.candidates, self._scope(exchange))
        spoken = await self._cache.get(key)
        if spoken is not None:
            await respond(send, 200, spoken.audio, content_type=spoken.content_type)
            return
        # A fallback may answer as well, and not everyone is allowed the same ones.
        place = (key, *(route.model.id for route in exchange.fallbacks))
        answer = self._under_way.get(place)
        if answer is not None and answer.joinable:
            await self._follow(answer, exchange, send)
        else:
            await self._lead(place, exchange, scope, receive, send)

    async def _lead(
        self, place: tuple[str, ...], exchange: Exchange, scope: Scope, receive: Receive, send: Send
    ) -> None:
        own = exchange.fork()
        own.shared = True
        answer = SharedAnswer(self._limit)

        async def call(shared_send: Send) -> None:
            async def noting(message: Message) -> None:
                own.committed = True
                await shared_send(message)

            await self.app({**scope, KEY: own}, receive, noting)
            if own.served is own.resolved:
                await self._store(place[0], answer)

        def ended() -> None:
            if self._under_way.get(place) is answer:
                del self._under_way[place]

        self._under_way[place] = answer
        answer.run(call, ended)
        try:
            await self._follow(answer, exchange, send)
        finally:
            exchange.learn(own)

    async def _follow(self, answer: SharedAnswer, exchange: Exchange, send: Send) -> None:
        """A caller that takes no bytes is given up: the others would wait for it in the end."""
        with Deadline(exchange.clock) as deadline:

            async def in_time(message: Message) -> None:
                deadline.move(monotonic() + self._send_timeout, client_stalled)
                await send(message)
                deadline.move(inf, client_stalled)

            await answer.follow(in_time)

    async def _store(self, key: str, answer: SharedAnswer) -> None:
        whole = answer.whole()
        if whole is None or whole[0]["status"] != 200:
            return
        start, audio = whole
        headers = dict(start["headers"])
        content_type = headers.get(b"content-type", b"")
        if audio and is_audio(content_type) and not _is_disguised(headers):
            await self._cache.put(key, Spoken(content_type, audio))

    def _scope(self, exchange: Exchange) -> str:
        scopes = [self._credentials.list_scope(c.upstream, exchange.caller) or "" for c in exchange.candidates]
        return "|".join(scopes)


def _is_disguised(headers: dict[bytes, bytes]) -> bool:
    """Whether the bytes are compressed, or were of a risky type that has been made a plain download."""
    if b"content-encoding" in headers:
        return True
    return b"content-disposition" in headers and not headers[b"content-type"].lower().startswith(b"audio/")
