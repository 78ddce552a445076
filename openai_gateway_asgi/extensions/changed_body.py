"""A body that the host's own code has changed, read as a client's would be."""

from __future__ import annotations

from ..bodies.findings import check_model_id
from ..bodies.json_body import read_json
from ..bodies.looks import looks_of
from ..bodies.payload import Payload
from ..errors import HostFailure, InvalidRequest
from ..exchange import Exchange
from ..host.hooks import logger
from ..http.pacing import in_turns

TOP = ("model",)


async def take_changes(exchange: Exchange, changed: Payload, decode_limit: int) -> bool:
    """Takes it over; whether it names another model than before, or other things that are to be checked.

    Raises ``HostFailure`` for what no request may say.
    """
    before = _named(exchange)
    looks = looks_of(exchange.match.endpoint.operation, exchange.config.more_routes)
    body = [bytes(piece) for piece in changed.pieces()]
    try:
        exchange.payload, found = await in_turns(read_json(body, looks, decode_limit), exchange.clock.slices)
        named = model_in(exchange, exchange.payload)
        if named and named != exchange.model:
            check_model_id(named)
            exchange.asked = exchange.asked or exchange.model
            exchange.model, exchange.model_at, exchange.default = named, TOP, None
        exchange.take(found)
    except InvalidRequest as error:
        logger.error("the application made a body that no request may have: %s", error.message)
        raise HostFailure("The application failed while it handled this request.") from error
    exchange.routes = tuple(dict.fromkeys(exchange.routes))
    if _named(exchange) == before:
        return False
    exchange.implied, exchange.withheld = (), None  # found anew with the rest
    return True


def model_in(exchange: Exchange, payload: Payload) -> str | None:
    """The model that a body names at its top, where it is looked for there."""
    return payload.read("model", str) if exchange.model_at in ((), TOP) else None


def _named(exchange: Exchange) -> tuple[object, ...]:
    return (exchange.model, exchange.others, exchange.references, exchange.routes, exchange.unnamed)
