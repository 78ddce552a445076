"""Multipart bodies: opened until the model is known, and streamed from then on."""

from __future__ import annotations

from collections.abc import Awaitable, Generator

import msgspec

from ..api.endpoints import Endpoint, Kind
from ..api.route_fields import KNOWN, Routes
from ..bodies.body_rules import content_kind, refused_in_query, require_uncompressed, routes_in_query
from ..bodies.findings import Findings, check_model_id
from ..bodies.form_values import named_in
from ..bodies.json_body import look_through
from ..bodies.looks import Looks, looks_of
from ..bodies.multipart import Limits, Rules, Shares, Upload
from ..bodies.named_fields import IN_FORMS, OF_STORED
from ..bodies.payload import NOTHING, Payload
from ..bodies.zones import NO_NAMES
from ..config import GatewayConfig, Settings
from ..config.model_ids import MAX_ID
from ..errors import InvalidRequest
from ..exchange import Exchange
from ..host.groups import Groups
from ..http.arrival import Arrival
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..http.pacing import in_turns

SESSION = "session"
SESSION_LIMIT = 256 * 1024
"""Bytes of the JSON that describes a realtime session; its instructions and tools are in it."""
YES = (b"true", b"True", b"1")


class ReadUpload:
    """Opens the form of operations that take one; whoever leaves, and however, it is closed.

    A form can be sent again until more than a mebibyte of it has gone; then the call has no further attempt.
    """

    def __init__(self, app: ASGIApp, *, groups: Groups, settings: Settings) -> None:
        self.app = app
        self._groups = groups
        self._limits = Limits(total=settings.upload_limit, idle=settings.upload_idle)
        self._shares = Shares(settings.spool_per_user)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        endpoint = exchange.match.endpoint
        if endpoint.kind is Kind.JSON_MODEL or not _is_form(endpoint, exchange):
            return self.app(scope, receive, send)
        return self._open(exchange, scope, receive, send)

    async def _open(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = exchange.match.endpoint
        require_uncompressed(exchange.named)
        for name in routes_in_query(exchange.query, exchange.config.more_routes):
            raise refused_in_query(name)
        content_type = exchange.named.get(b"content-type", b"")
        with Arrival(receive, exchange.clock) as arrival:
            rules = await arrival.awaited(self._rules(exchange, endpoint))
            upload = await Upload.open(arrival.onward, content_type, rules, self._shares.of(exchange.user.id))
            try:
                await _take(exchange, endpoint, upload)
                await self.app(scope, upload.receive, send)
            finally:
                await upload.aclose()

    async def _rules(self, exchange: Exchange, endpoint: Endpoint) -> Rules:
        closed = frozenset([group for group in OF_STORED if not await self._groups.allows(exchange.user, group)])
        names = {name for name, group in IN_FORMS.items() if group in closed}
        wanted, longest = _wanted(endpoint)
        refused = _Refused(exchange.config, names if wanted == "model" else names | {"model"})
        looks = looks_of(endpoint.operation, exchange.config.more_routes)
        return Rules(wanted, longest, refused, _Values(refused, closed, looks), self._limits)


class _Refused:
    """Names of fields that a form must not have. One that may reach some upstreams only is among them: for which of
    them the form is, is not known when it comes."""

    def __init__(self, config: GatewayConfig, names: set[str]) -> None:
        self._config = config
        self._names = names | {"models", "extra_body"}
        self._routes = Routes(config.more_routes)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        if name in self._names or name.endswith(("_model", "_models")):
            return True
        if name not in KNOWN and name not in self._routes:
            return False
        return any(upstream.enabled and upstream.refuses_route(name) for upstream in self._config.upstreams)


class _Values:
    """JSON in the fields. What else it may name cannot be asked of anybody while the form is on its way, so models are
    refused with the rest."""

    def __init__(self, refused: _Refused, closed: frozenset[str], looks: Looks) -> None:
        self._refused = refused
        self._closed = closed
        self._looks = looks

    def __call__(self, name: str, value: bytes) -> None:
        found = named_in(name, value, self._looks)
        places = [
            *found.models.values(),
            *(place for route, place in found.routes.items() if route in self._refused),
            *(place for group, place in found.groups.items() if group in self._closed),
        ]
        if places:
            raise InvalidRequest(
                f"The field `{places[0]}` in the form's JSON is not taken: it names what the gateway decides, or what "
                "is not open to you here.",
                param=str(places[0]),
                code="invalid_field",
            )


def _wanted(endpoint: Endpoint) -> tuple[str | None, int]:
    """The field that decides, and the bytes it may have."""
    if endpoint.model_at == "model":
        return "model", MAX_ID
    return (SESSION, SESSION_LIMIT) if endpoint.model_at else (None, 0)


def _is_form(endpoint: Endpoint, exchange: Exchange) -> bool:
    return endpoint.multipart and content_kind(exchange.named) == b"multipart/form-data"


async def _take(exchange: Exchange, endpoint: Endpoint, upload: Upload) -> None:
    exchange.upload = upload
    exchange.payload, exchange.others, exchange.references, exchange.model = NOTHING, (), (), ""
    exchange.streams = upload.field("stream") in YES
    if endpoint.model_at == "model":
        _take_model(exchange, upload.field("model"))
    elif endpoint.model_at and (session := upload.field(SESSION)) is not None:
        await _take_session(exchange, endpoint, session)


def _take_model(exchange: Exchange, field: bytes | None) -> None:
    deployment = exchange.match.params.get("deployment")
    if field is None:
        if deployment is not None:
            raise exchange.lacking_model()  # a field can be replaced on the way, and none added
        return
    model = field.decode()
    check_model_id(model)
    if deployment not in (None, model):
        raise InvalidRequest("`model` is not the model that the path names.", param="model", code="invalid_value")
    exchange.model = model


async def _take_session(exchange: Exchange, endpoint: Endpoint, session: bytes) -> None:
    exchange.payload, found = await in_turns(_read_session(exchange, endpoint, session), exchange.clock.slices)
    exchange.take_session(endpoint.model_at)
    exchange.take(found)


def _read_session(
    exchange: Exchange, endpoint: Endpoint, session: bytes
) -> Generator[None, None, tuple[Payload, Findings]]:
    """A session is JSON as a whole body is, and means what it would mean in one."""
    yield from Payload.reading([session], NO_NAMES, Findings())
    payload, found = Payload({SESSION: msgspec.Raw(session)}), Findings()
    yield from look_through(payload, looks_of(endpoint.operation, exchange.config.more_routes), found)
    found.check()
    return payload, found
