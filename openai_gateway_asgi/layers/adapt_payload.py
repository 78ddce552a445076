"""The request as this attempt's upstream wants it."""

from __future__ import annotations

from ..asgi import ASGIApp, Receive, Scope, Send
from ..errors import InvalidRequest
from ..exchange import Exchange
from ..rewrites.apply import adapt
from ..rewrites.azure import azure_path, azure_query


class AdaptPayload:
    """Rewrites a copy of the payload, and the path, for the upstream at hand; the next attempt starts afresh."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        upstream, model, match = exchange.upstream, exchange.upstream_model, exchange.match
        if exchange.others and upstream.prefix_id:
            raise InvalidRequest("Models of this upstream can be named in `model` only.", code="invalid_field")
        exchange.upstream_payload = adapt(exchange.payload, upstream, match.endpoint.operation, model)
        if upstream.is_azure:
            exchange.upstream_path, ours = azure_path(upstream, match.path, model)
            exchange.upstream_query = azure_query(exchange.query, ours)
        else:
            exchange.upstream_path, exchange.upstream_query = match.path, exchange.query
        await self.app(scope, receive, send)
