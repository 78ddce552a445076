"""The body, once, and what it says."""

from __future__ import annotations

from ..api.endpoints import Endpoint, Kind
from ..bodies.body_rules import (
    content_kind,
    model_id,
    model_in_query,
    models_within,
    other_models,
    refuse_body,
    refuse_other_routes,
    refuse_routes_in_query,
    require_json,
    require_uncompressed,
    session_model,
    wants_stream,
    without_credentials,
)
from ..bodies.payload import NOTHING, Payload
from ..bodies.stored_references import references
from ..errors import UnsupportedMediaType
from ..exchange import Exchange
from ..http.asgi import JSON, ASGIApp, Receive, Scope, Send
from ..http.cancellation import ClientWatch
from ..http.request_body import read_body

SDP = "application/sdp"
MODEL = (b"model",)


class ReadPayload:
    """Reads the body within ``limit`` bytes, and ``idle`` seconds between its pieces.

    From then on ``receive`` carries the disconnect alone, and whatever runs inside is cancelled when the client
    leaves.
    """

    def __init__(self, app: ASGIApp, *, limit: int, idle: float) -> None:
        self.app = app
        self._limit = limit
        self._idle = idle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        endpoint = exchange.match.endpoint
        if endpoint.kind is Kind.JSON_MODEL:
            require_json(exchange.named)
            if exchange.query:
                refuse_routes_in_query(exchange.query)
            _take_json(exchange, endpoint, await read_body(receive, self._limit, self._idle))
        elif exchange.upload is None:
            await self._take_other(exchange, endpoint, receive)
        if exchange.query:
            exchange.query = without_credentials(exchange.query)
        with ClientWatch(receive, exchange.clock, over=lambda: exchange.finished) as watch:
            await self.app(scope, watch.receive, send)

    async def _take_other(self, exchange: Exchange, endpoint: Endpoint, receive: Receive) -> None:
        """Bodies of operations that need none, or that take more than one kind."""
        stored = endpoint.kind is Kind.STORED
        if SDP in endpoint.bodies and content_kind(exchange.named) == SDP.encode():
            await self._take_sdp(exchange, receive)
            return
        # The lists of stored objects are searched by model.
        refuse_routes_in_query(exchange.query, but=MODEL if stored else ())
        if exchange.method in ("GET", "HEAD"):
            refuse_body(exchange.named)
            _take_nothing(exchange, streams=endpoint.can_stream and wants_stream(exchange.query))
            return
        body = await read_body(receive, self._limit, self._idle)
        if stored and not any(body):
            _take_nothing(exchange)
            return
        require_json(exchange.named)
        if endpoint.bodies and not endpoint.json:
            raise UnsupportedMediaType(
                f"Send the request body as `Content-Type: {' or '.join(endpoint.bodies)}`.", param="content-type"
            )
        _take_json(exchange, endpoint, body)

    async def _take_sdp(self, exchange: Exchange, receive: Receive) -> None:
        """An offer in the session description protocol, whose model stands in the query."""
        require_uncompressed(exchange.named)
        refuse_routes_in_query(exchange.query, but=MODEL)
        _take_nothing(exchange)
        exchange.bodiless = False
        exchange.tell_type(SDP.encode())
        exchange.model = model_in_query(exchange.query)
        exchange.opaque = b"".join(await read_body(receive, self._limit, self._idle))


def _take_json(exchange: Exchange, endpoint: Endpoint, body: list[bytes]) -> None:
    exchange.tell_type(JSON)
    exchange.payload = payload = Payload.parse(*body)
    telling = payload.telling
    refuse_other_routes(telling)
    if endpoint.model_at in ("", "model"):
        exchange.model = model_id(payload, telling, exchange.match.params.get("deployment"))
    else:
        exchange.model_at, exchange.model = session_model(payload, endpoint.model_at)
    exchange.others = other_models(payload, endpoint.operation)
    if endpoint.group or exchange.model_at != ("model",):
        exchange.others += tuple([id for id in models_within(payload) if id != exchange.model])
    exchange.references = references(payload, telling, endpoint.operation)
    exchange.streams = payload.read("stream", bool) or False


def _take_nothing(exchange: Exchange, *, streams: bool = False) -> None:
    exchange.payload, exchange.others, exchange.references = NOTHING, (), ()
    exchange.model = exchange.match.params.get("model", "")
    exchange.streams = streams
    exchange.bodiless = True
