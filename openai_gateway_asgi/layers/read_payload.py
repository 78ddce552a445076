"""The body, once, and what it says."""

from __future__ import annotations

from collections.abc import Sequence

from ..api.endpoints import Endpoint, Kind
from ..bodies.body_rules import (
    content_kind,
    model_id,
    model_in_query,
    refuse_body,
    refused_in_query,
    require_json,
    require_uncompressed,
    routes_in_query,
    wants_stream,
    without_credentials,
)
from ..bodies.findings import NOTHING_FOUND
from ..bodies.json_body import read_json, read_plain
from ..bodies.looks import looks_of
from ..bodies.payload import NOTHING
from ..config import Settings
from ..errors import UnsupportedMediaType
from ..exchange import Exchange
from ..http.asgi import JSON, ASGIApp, Receive, Scope, Send
from ..http.cancellation import ClientWatch
from ..http.pacing import in_turns
from ..http.request_body import Bytes, read_body

SDP = "application/sdp"
BY_MODEL = ("model",)
"""What lists of stored objects are searched by."""


class ReadPayload:
    """Reads the body within the limits of the settings, and what it names.

    From then on ``receive`` carries the disconnect alone, and whatever runs inside is cancelled when the client
    leaves.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self.app = app
        self._limit = settings.json_limit
        self._idle = settings.upload_idle
        self._decode_limit = settings.decode_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        endpoint = exchange.match.endpoint
        if endpoint.kind is Kind.JSON_MODEL:
            require_json(exchange.named)
            if exchange.query:
                _take_query(exchange)
            await self._take_json(exchange, endpoint, await read_body(receive, self._limit, self._idle))
        elif exchange.upload is None:
            await self._take_other(exchange, endpoint, receive)
        if exchange.query:
            exchange.query = without_credentials(exchange.query)
        with ClientWatch(receive, exchange.clock, over=exchange.note_leaving) as watch:
            await self.app(scope, watch.receive, send)

    async def _take_other(self, exchange: Exchange, endpoint: Endpoint, receive: Receive) -> None:
        """Bodies of operations that need none, or that take more than one kind."""
        stored = endpoint.kind is Kind.STORED
        if SDP in endpoint.bodies and content_kind(exchange.named) == SDP.encode():
            await self._take_sdp(exchange, receive)
            return
        _take_query(exchange, but=BY_MODEL if stored else ())
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
        await self._take_json(exchange, endpoint, body)

    async def _take_sdp(self, exchange: Exchange, receive: Receive) -> None:
        """An offer in the session description protocol, whose model stands in the query."""
        require_uncompressed(exchange.named)
        _take_query(exchange, but=BY_MODEL)
        _take_nothing(exchange)
        exchange.bodiless = False
        exchange.tell_type(SDP.encode())
        exchange.model = model_in_query(exchange.query)
        exchange.opaque = b"".join(await read_body(receive, self._limit, self._idle))

    async def _take_json(self, exchange: Exchange, endpoint: Endpoint, body: Sequence[Bytes]) -> None:
        exchange.tell_type(JSON)
        looks = looks_of(endpoint.operation, exchange.config.more_routes)
        if (plain := read_plain(body, looks)) is not None:
            exchange.payload, found = plain, NOTHING_FOUND
        else:
            exchange.payload, found = await in_turns(read_json(body, looks, self._decode_limit), exchange.clock.slices)
        if endpoint.model_at in ("", "model"):
            exchange.model = model_id(exchange.payload, exchange.match.params.get("deployment"))
        else:
            exchange.take_session(endpoint.model_at)
        exchange.take(found)
        exchange.streams = exchange.payload.read("stream", bool) or False


def _take_query(exchange: Exchange, *, but: tuple[str, ...] = ()) -> None:
    for name in routes_in_query(exchange.query, exchange.config.more_routes, but=but):
        if not exchange.config.takes_route(name):
            raise refused_in_query(name)
        exchange.routes += (name,)


def _take_nothing(exchange: Exchange, *, streams: bool = False) -> None:
    exchange.payload, exchange.others, exchange.references = NOTHING, (), ()
    exchange.model = exchange.match.params.get("model", "")
    exchange.streams = streams
    exchange.bodiless = True
