"""What an upstream's failure says, as the client may read it: without what the upstream was sent to know the gateway
by, and without the names that stand behind a preset."""

from __future__ import annotations

from ..errors import UpstreamError
from ..exchange import Exchange
from ..upstream.sent_secrets import Secrets
from .error_model_names import names_behind, with_preset_named
from .redaction import events_without_secrets, without_secrets


def error_for_client(error: UpstreamError, exchange: Exchange) -> UpstreamError:
    """What the attempt at hand failed with: the same one where there is nothing to hide."""
    return with_preset_named(without_secrets(error, _sent(exchange)), exchange)


def events_for_client(events: bytes, exchange: Exchange, *, failed: bool) -> bytes:
    """Whole events; ``failed`` says that the last one tells of an error."""
    if not failed and events.rfind(b'"error"') < 0:
        return events
    clean = events_without_secrets(events, _sent(exchange))
    names = names_behind(exchange) if failed else None
    return clean if names is None else names.in_last_event(clean)


def _sent(exchange: Exchange) -> Secrets:
    return Secrets.sent(exchange.upstream, exchange.upstream_headers)
