"""What a call has been found to be, from what the layers left of it."""

from __future__ import annotations

from collections.abc import Iterator

from ..api.endpoints import PASSTHROUGH, Kind
from ..exchange import Exchange
from ..observe.explanation import Decision


def served_model(exchange: Exchange) -> str | None:
    """The public id that is asked for, whether or not it is there."""
    return getattr(exchange, "model", None) or None


def facts(exchange: Exchange) -> Iterator[Decision]:
    """As far as it came."""
    if not hasattr(exchange, "match"):
        return
    endpoint = exchange.match.endpoint
    opened = endpoint.group == PASSTHROUGH
    yield Decision(
        "operation", endpoint.operation, "Settings.passthrough" if opened else "the API's table of operations"
    )
    if hasattr(exchange, "user"):
        role = exchange.user.role
        yield Decision("user", f"{exchange.user.id!r}, role {role}", "the user given")
    if endpoint.kind is Kind.ADMIN or not hasattr(exchange, "model"):
        return
    if exchange.model:
        yield Decision("model asked for", repr(exchange.model), _named_by(exchange))
    resolved = getattr(exchange, "resolved", None)
    if resolved is not None:
        if exchange.bases is not None:
            models = ", ".join([base.model.id for base in exchange.bases])
            yield Decision("preset", f"{resolved.id} leads to {models or 'nothing'}", "GatewayConfig.presets")
        serving = ", ".join([each.upstream.name for each in exchange.all_candidates])
        yield Decision("model", f"{resolved.id}, served by {serving or 'nobody'}", "the upstreams' models")
    if getattr(exchange, "fallbacks", ()):
        yield Decision(
            "fallbacks", ", ".join([route.model.id for route in exchange.fallbacks]), "GatewayConfig.fallbacks"
        )
    if exchange.routes:
        yield Decision("kept to upstreams that take", ", ".join(exchange.routes), "Upstream.route_fields")


def _named_by(exchange: Exchange) -> str:
    if exchange.default is not None:
        return "Settings.default_models" if exchange.default.stated else "the API's default"
    if exchange.match.params.keys() & {"model", "deployment"}:
        return "the path"
    return "the query" if exchange.opaque is not None else "the body"
