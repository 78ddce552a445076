"""Chat calls for upstreams that have the Responses API alone, and the other way round."""

from __future__ import annotations

from collections.abc import Awaitable

from ..api.conversations import OPERATIONS, RESPONSES
from ..exchange import Exchange
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..translate.repaired import Repaired


class Translate:
    """Says the call in the API of the upstream at hand, and has the answer told in the client's.

    Each attempt is translated anew, from the client's own body; what becomes of a refusal is told by whoever makes the
    attempts (``answers/translated_refusals.py``). ``event_limit``: bytes of an answer that may be kept.
    """

    def __init__(self, app: ASGIApp, *, event_limit: int) -> None:
        self.app = app
        self._event_limit = event_limit

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if (translation := exchange.translation) is not None:
            exchange.upstream_match, exchange.attempt_payload = translation.match, translation.take()
            exchange.stages += (translation.back.stage(self._event_limit),)
        elif exchange.upstream.repair_responses and exchange.match.endpoint.operation == OPERATIONS[RESPONSES]:
            self._repair(exchange)
        return self.app(scope, receive, send)

    def _repair(self, exchange: Exchange) -> None:
        if exchange.streams:
            exchange.stages += (Repaired(limit=self._event_limit),)
        elif "stream" not in exchange.attempt_payload:  # transformers streams where nothing is said
            exchange.attempt_payload = exchange.attempt_payload.edited({"stream": False})
