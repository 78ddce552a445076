"""Chat calls for upstreams that have the Responses API alone, and the other way round."""

from __future__ import annotations

from collections.abc import Awaitable

import msgspec

from ..answers.lacking import lacks_api
from ..api.conversations import OPERATIONS, RESPONSES
from ..errors import UpstreamLacksApi, UpstreamRefused
from ..exchange import Exchange
from ..http.asgi import JSON, ASGIApp, Receive, Scope, Send
from ..http.headers import media_type
from ..translate.repaired import Repaired
from ..translate.translation import Translation
from ..upstream.apis import Apis


class Translate:
    """Says the call in the API of the upstream at hand, and has the answer told in the client's.

    Each attempt is translated anew, from the client's own body. ``event_limit``: bytes of an answer that may be kept.
    """

    def __init__(self, app: ASGIApp, *, apis: Apis, event_limit: int) -> None:
        self.app = app
        self._apis = apis
        self._event_limit = event_limit

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if (translation := exchange.translation) is not None:
            return self._translated(translation, scope, receive, send)
        if exchange.upstream.repair_responses and exchange.match.endpoint.operation == OPERATIONS[RESPONSES]:
            self._repair(exchange)
        return self.app(scope, receive, send)

    def _repair(self, exchange: Exchange) -> None:
        if exchange.streams:
            exchange.stages += (Repaired(limit=self._event_limit),)
        elif "stream" not in exchange.attempt_payload:  # transformers streams where nothing is said
            exchange.attempt_payload = exchange.attempt_payload.edited({"stream": False})

    async def _translated(self, translation: Translation, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        exchange.upstream_match, exchange.attempt_payload = translation.match, translation.take()
        exchange.stages += (translation.back.stage(self._event_limit),)
        try:
            await self.app(scope, receive, send)
        except UpstreamRefused as refused:
            if lacks_api(refused) is not None:
                if exchange.upstream.spoken_for(exchange.upstream_model) is None:
                    self._apis.forget(exchange.upstream.name)
                    exchange.upstream_match = exchange.match  # it was a guess, and a wrong one
                raise _without_api(refused) from None
            raise _in_clients_words(refused, translation) from None


def _without_api(refused: UpstreamRefused) -> UpstreamLacksApi:
    error = UpstreamLacksApi("The upstream lacks the API that the call was translated to.")
    return error if refused.cause is None else error.because(refused.cause)


def _in_clients_words(refused: UpstreamRefused, translation: Translation) -> UpstreamRefused:
    """The same, with the client's own name of the field that is at fault, or none where it wrote no such field."""
    told = _decoded(refused)
    error = told.get("error")
    if not isinstance(error, dict) or not isinstance(param := error.get("param"), str):
        return refused
    said = {**told, "error": {**error, "param": translation.back.param(param)}}
    return refused.with_body(refused.headers, msgspec.json.encode(said), content_type=JSON)


def _decoded(refused: UpstreamRefused) -> dict[str, object]:
    if media_type(refused.content_type) != JSON:
        return {}
    try:
        told = msgspec.json.decode(refused.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
