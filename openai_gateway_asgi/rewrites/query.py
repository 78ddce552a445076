"""The query that an upstream gets: the client's own and the upstream's fixed one."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from ..config.query_rules import is_dated
from ..config.upstream import Upstream
from ..hidden import HiddenBytes

_VERSION = b"api-version"


def upstream_query(upstream: Upstream, client_query: bytes) -> bytes:
    """The client's query string as it was sent, but for names that the upstream's fixed query has, and then that.

    An api-version of the client's crosses to Azure's v1 addresses alone, and there only one that they can know
    (``preview``): dates are what Azure's SDK adds for the classic API, and to others it says nothing at all.
    """
    if not upstream.fixed_query and b"version" not in client_query:
        return client_query
    kept = [pair for pair in client_query.split(b"&") if pair and _crosses(upstream, pair)]
    return HiddenBytes(b"&".join([*kept, upstream.fixed_query] if upstream.fixed_query else kept))


def _crosses(upstream: Upstream, pair: bytes) -> bool:
    quoted, _, value = pair.partition(b"=")
    name = unquote_to_bytes(quoted.replace(b"+", b" ")).lower()
    if name in upstream.fixed_names:
        return False
    if name != _VERSION:
        return True
    return upstream.is_azure and upstream.is_azure_v1 and not is_dated(unquote_to_bytes(value).decode("latin-1"))
