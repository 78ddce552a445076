"""The body, once."""

from __future__ import annotations

from ..asgi import ASGIApp, Receive, Scope, Send, read_body
from ..bodies import model_id, other_models, refuse_other_routes, refuse_routes_in_query, require_json
from ..endpoints import Kind
from ..errors import NotServed
from ..exchange import Exchange
from ..interrupts import ClientWatch
from ..payload import Payload


class ReadPayload:
    """Reads the JSON body within ``limit`` bytes; from then on ``receive`` carries the disconnect alone.

    Whatever runs inside is cancelled when the client leaves.
    """

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self.app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        endpoint = exchange.match.endpoint
        if endpoint.kind is not Kind.JSON_MODEL or endpoint.group or endpoint.model_at != "model":
            raise NotServed("This gateway does not serve this part of the API.")
        require_json(exchange.headers)
        if exchange.query:
            refuse_routes_in_query(exchange.query)
        payload = Payload.parse(await read_body(receive, self._limit))
        refuse_other_routes(payload)
        exchange.payload = payload
        exchange.model = model_id(payload, exchange.match.params.get("deployment"))
        exchange.others = other_models(payload, endpoint.operation)
        exchange.streams = payload.read("stream", bool) or False
        with ClientWatch(receive, over=lambda: exchange.finished) as watch:
            await self.app(scope, watch.receive, send)
