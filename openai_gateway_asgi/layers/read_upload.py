"""Multipart bodies: opened until the model is known, and streamed from then on."""

from __future__ import annotations

from collections.abc import Awaitable

from ..api.endpoints import Endpoint, Kind
from ..bodies.body_rules import (
    OTHER_ROUTES,
    check_model_id,
    content_kind,
    models_within,
    refuse_routes_in_query,
    require_uncompressed,
    session_model,
)
from ..bodies.multipart import Limits, Rules, Shares, Upload
from ..bodies.payload import NOTHING, Payload, raw_object
from ..bodies.stored_references import IN_FORMS, references
from ..config import Settings
from ..errors import InvalidRequest
from ..exchange import Exchange
from ..host.groups import Groups
from ..http.arrival import Arrival
from ..http.asgi import ASGIApp, Receive, Scope, Send

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
        refuse_routes_in_query(exchange.query)
        content_type = exchange.named.get(b"content-type", b"")
        with Arrival(receive, exchange.clock) as arrival:
            rules = await arrival.awaited(self._rules(exchange, endpoint))
            upload = await Upload.open(arrival.onward, content_type, rules, self._shares.of(exchange.user.id))
            try:
                _take(exchange, endpoint, upload)
                await self.app(scope, upload.receive, send)
            finally:
                await upload.aclose()

    async def _rules(self, exchange: Exchange, endpoint: Endpoint) -> Rules:
        refused = OTHER_ROUTES | {"models"}
        for name, group in IN_FORMS.items():
            if not await self._groups.allows(exchange.user, group):
                refused |= {name}
        if endpoint.model_at == "model":
            return Rules(wanted="model", refused=refused, limits=self._limits)
        wanted = SESSION if endpoint.model_at else None
        return Rules(wanted, SESSION_LIMIT, refused | {"model"}, self._limits)


def _is_form(endpoint: Endpoint, exchange: Exchange) -> bool:
    return endpoint.multipart and content_kind(exchange.named) == b"multipart/form-data"


def _take(exchange: Exchange, endpoint: Endpoint, upload: Upload) -> None:
    exchange.upload = upload
    exchange.payload, exchange.others, exchange.references, exchange.model = NOTHING, (), (), ""
    exchange.streams = upload.field("stream") in YES
    if endpoint.model_at == "model":
        _take_model(exchange, upload.field("model"))
    elif endpoint.model_at and (session := upload.field(SESSION)) is not None:
        _take_session(exchange, endpoint, session)


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


def _take_session(exchange: Exchange, endpoint: Endpoint, session: bytes) -> None:
    exchange.payload = payload = Payload({SESSION: raw_object(session)})
    exchange.model_at, exchange.model = session_model(payload, endpoint.model_at)
    exchange.others = tuple([id for id in models_within(payload) if id != exchange.model])
    exchange.references = references(payload, payload.telling, endpoint.operation)
