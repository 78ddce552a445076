"""Text to speech, from the cache where it has been spoken before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from math import inf
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from ..config import Settings
from ..config.settings import MIB
from ..exchange import KEY, Exchange
from ..http.asgi import ASGIApp, Message, PrivateScope, RawHeaders, Receive, Scope, Send
from ..http.cancellation import Deadline
from ..http.headers import AllowList, named_headers
from ..http.loop_guard import NAME as HOPS
from ..http.whole_answers import client_stalled, respond
from ..models import Candidate
from ..speech.cache import SpeechCache, Spoken, is_audio
from ..speech.shared import Room, SharedAnswer
from ..speech.shared_request import LONGEST, digest, sent_headers, served_by, shared_headers, speech_key
from ..upstream.credentials import Credentials

SPEECH = "createSpeech"


AT_ONCE = 8
"""So many of the longest entries may speech under way keep in memory; what comes besides is heard, but not joined."""


class ServeSpeech:
    """Answers ``POST /audio/speech`` from the cache, or streams it to all who ask for the same while storing it.

    Access has been checked before. Only complete audio is stored; callers that leave stop the upstream's call when
    they were the last.
    """

    def __init__(self, app: ASGIApp, *, cache: SpeechCache, credentials: Credentials, settings: Settings) -> None:
        self.app = app
        self._cache = cache
        self._credentials = credentials
        self._forwarded = AllowList(settings.forwarded_headers)
        self._tells_who_asks = settings.forward_user_info
        self._limit = settings.speech_entry_bytes
        self._room = Room(AT_ONCE * max(settings.speech_entry_bytes, MIB))
        self._send_timeout = settings.send_timeout
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedAnswer]] = WeakKeyDictionary()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if exchange.match.endpoint.operation != SPEECH or not _is_shared(exchange):
            return self.app(scope, receive, send)
        return self._serve(exchange, scope, receive, send)

    async def _serve(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        headers = shared_headers(self._forwarded.select(exchange.headers, exchange.named))
        candidates = exchange.candidates
        key = speech_key(
            exchange.payload, candidates, query=exchange.query, headers=headers, scope=self._scope(exchange, candidates)
        )
        if key is None:
            await self.app(scope, receive, send)
            return
        spoken = await self._cache.get(key)
        if spoken is not None:
            told: RawHeaders = []
            if exchange.reservation is not None:
                exchange.reservation.tell(told)
            await respond(
                send, 200, spoken.audio, told,
                within=self._send_timeout, clock=exchange.clock, content_type=spoken.content_type,
            )  # fmt: skip
            return
        place = digest([key, self._fallbacks(exchange)])
        under_way = self._loops.setdefault(exchange.clock.loop, {})  # tasks belong to their loop
        answer = under_way.get(place)
        if answer is None or not answer.joinable:
            own = _fork(exchange, headers)
            answer = under_way[place] = SharedAnswer(self._limit, self._room)
            ended = partial(_forget, under_way, place, answer)
            self._run(answer, key, own, PrivateScope(scope).with_(**{KEY: own}), receive, ended=ended)
            try:
                await self._follow(answer, exchange, send)
            finally:
                exchange.learn(own)
        else:
            await self._follow(answer, exchange, send)

    def _run(
        self, answer: SharedAnswer, key: str, own: Exchange, scope: Scope, receive: Receive, ended: Callable[[], None]
    ) -> None:
        async def call(shared_send: Send) -> None:
            async def noting(message: Message) -> None:
                own.head_sent = True
                await shared_send(message)

            await self.app(scope, receive, noting)
            if own.served is own.first_asked:
                await self._store(key, answer)

        answer.run(call, ended)

    async def _follow(self, answer: SharedAnswer, exchange: Exchange, send: Send) -> None:
        """A caller that takes no bytes is given up: the others would wait for it in the end."""
        exchange.attempt_began = monotonic()
        with Deadline(exchange.clock) as deadline:

            async def in_time(message: Message) -> None:
                if message["type"] == "http.response.start" and exchange.reservation is not None:
                    message = {**message, "headers": exchange.reservation.told_in(message["headers"])}
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

    def _fallbacks(self, exchange: Exchange) -> list[Any]:
        """They may answer as well: not everyone is allowed the same ones, nor is who asks the same to all of them."""
        return [
            [
                route.model.id,
                served_by(way.candidates, exchange.query),
                self._scope(exchange, way.candidates),
            ]
            for route in (*(exchange.bases or ())[1:], *exchange.fallbacks)
            for way in route.ways
        ]

    def _scope(self, exchange: Exchange, candidates: Sequence[Candidate]) -> str:
        """Whom the upstreams see asking."""
        scopes = [self._credentials.list_scope(each.upstream, exchange.caller) or "" for each in candidates]
        if self._tells_who_asks:
            user = exchange.user
            scopes.append(digest([user.id, user.name, user.email, user.role]))
        return "|".join(scopes)


def _is_shared(exchange: Exchange) -> bool:
    """Events are not kept, nor is a text that takes long to compare."""
    payload = exchange.payload
    ways = (way for route in exchange.fallbacks for way in route.ways)
    asked = (*exchange.all_candidates, *(candidate for way in ways for candidate in way.candidates))
    if any(candidate.upstream.tells_user for candidate in asked):
        return False  # it hears who asks
    if exchange.streams or payload.read("stream_format", str) == "sse":
        return False
    return sum(map(len, payload.pieces())) <= LONGEST


def _fork(exchange: Exchange, headers: RawHeaders) -> Exchange:
    """The call as it is made for all who ask for it: facts about one of them, as a chat's id, stay behind."""
    own = exchange.fork()
    own.shared = True
    own.headers = sent_headers(headers)
    own.named = named_headers(own.headers + [pair for pair in exchange.headers if pair[0] == HOPS])
    own.context = {}
    return own


def _forget(under_way: dict[str, SharedAnswer], place: str, answer: SharedAnswer) -> None:
    if under_way.get(place) is answer:
        del under_way[place]


def _is_disguised(headers: dict[bytes, bytes]) -> bool:
    """Whether the bytes are compressed, or were of a risky type that has been made a plain download."""
    if b"content-encoding" in headers:
        return True
    return b"content-disposition" in headers and not headers[b"content-type"].lower().startswith(b"audio/")
