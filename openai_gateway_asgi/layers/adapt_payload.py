"""The request as this attempt's upstream wants it."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace

from ..api.endpoints import upstream_path
from ..bodies.body_rules import with_model_in_query
from ..bodies.multipart import Addition, Edits, Sending, Upload
from ..bodies.nested_fields import with_text_at
from ..bodies.payload import Payload
from ..errors import InvalidRequest
from ..exchange import Exchange
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..rewrites.apply import adapt
from ..rewrites.azure import azure_path
from ..rewrites.query import upstream_query
from ..upstream.request_body import NO_BODY, Body
from ..upstream.stamping import Stamping

TOP = ("model",)


class AdaptPayload:
    """Rewrites a copy of the payload, and the path, for the upstream at hand; the next attempt starts afresh.

    Of what is not JSON only the model's name is rewritten, wherever it stands.
    """

    def __init__(self, app: ASGIApp, *, stamping: Stamping) -> None:
        self.app = app
        self._stamping = stamping

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        upstream, model = exchange.upstream, exchange.upstream_model
        if exchange.others and upstream.prefix_id:
            raise InvalidRequest(
                f"`{exchange.others[0]}` can be named in `model` only: to its upstream it has another id than here.",
                param="model",
                code="invalid_field",
            )
        match, query = exchange.upstream_match, exchange.query
        path = match.path
        if exchange.bodiless:
            exchange.upstream_body = NO_BODY
            if "model" in match.params:
                path = upstream_path(match.endpoint, {"model": model})
        elif exchange.upload is not None:
            edits = exchange.form_edits
            if upstream.stamp and model:
                edits = self._stamping.in_form(edits, upstream, match.endpoint.operation, exchange.variables)
            exchange.upstream_body = _form(exchange, exchange.upload, edits, model)
        elif exchange.opaque is not None:
            exchange.upstream_body = Body(exchange.opaque)
            query = with_model_in_query(query, model)
        else:
            exchange.upstream_body = self._json(exchange, model)
        if upstream.is_azure:
            path = azure_path(upstream, path, model)
        exchange.upstream_path = path
        exchange.upstream_query = upstream_query(upstream, query) if query else upstream.fixed_query
        return self.app(scope, receive, send)

    def _json(self, exchange: Exchange, model: str) -> Body:
        upstream, operation = exchange.upstream, exchange.upstream_match.endpoint.operation
        adapted = _adapted(exchange, operation, model)
        if upstream.stamp and model:
            adapted = self._stamping.stamped(adapted, upstream, operation, exchange.user, exchange.variables)
        return Body(*adapted.pieces())


def _adapted(exchange: Exchange, operation: str, model: str) -> Payload:
    payload, upstream = exchange.attempt_payload, exchange.upstream
    if not exchange.model_at:
        return adapt(payload, upstream, operation, model, named=False)
    if exchange.model_at != TOP:
        payload, model = with_text_at(payload, exchange.model_at, model), ""
    return adapt(payload, upstream, operation, model)


def _form(exchange: Exchange, upload: Upload, edits: Edits, model: str) -> Sending:
    """The model is a field of its own, or stands in one that is JSON, as in ``session``."""
    if not model or not exchange.model_at:
        return Sending(upload, edits)
    field, value = exchange.model_at[0], model.encode()
    if exchange.model_at != TOP:
        value = bytes(with_text_at(exchange.payload, exchange.model_at, model).fields[field])
    if exchange.default is not None:  # nothing names it yet
        return Sending(upload, replace(edits, add=(*edits.add, Addition(field, value))))
    return Sending(upload, replace(edits, replace={field: value}))
