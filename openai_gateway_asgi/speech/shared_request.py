"""A call whose answer several callers hear: what it carries, and what makes two of them the same call.

Whatever an upstream could answer to is in the key, or is not sent. So nothing that one caller sends beside the text
shapes what another one hears.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from ..bodies.payload import Payload
from ..config import Defaults, Preset, Upstream
from ..config.header_rules import CREDENTIALS
from ..errors import InvalidRequest
from ..http.asgi import JSON, RawHeaders
from ..http.headers import AllowList
from ..models import Candidate, Via
from ..rewrites.query import upstream_query

VERSION = "2"
"""Goes into every key: another form of it is another number."""

LONGEST = 64 * 1024
"""Bytes of a body whose answer is shared: a page of text has 3,000. What is longer is spoken for its caller alone."""

_OF_ONE_CALL = AllowList(
    """content-type idempotency-key if-* range traceparent tracestate user-agent x-client-request-id
    x-stainless-*""".split()
)
"""Headers that are about one caller's one call. They are not sent for others: a range or a condition asks for a part, a
key or an id may be refused, and so may a client that its upstream does not like."""

SAME_SOUND = frozenset(
    """api api_key auth_type connection_type drop_hosted_tools enabled forward_cookies identity identity_header
    identity_key images_in_tools keepalive list_per_user max_concurrency model_ids name on_leave prefix_id priority
    proxy query repair_responses reports_cost stamp stream_usage tags timeouts token_scope verify_tls weight""".split()
)
"""Fields of an upstream in which two may differ and speak alike. Who asks is in the scope, ``query`` in the query."""


def shared_headers(forwarded: RawHeaders) -> RawHeaders:
    """What goes upstream of the headers that may cross; all of it belongs to the key."""
    return [pair for pair in forwarded if not _OF_ONE_CALL.select([pair], {})]


def sent_headers(shared: RawHeaders) -> RawHeaders:
    return [(b"content-type", JSON), *shared]


def speech_key(
    payload: Payload, candidates: Sequence[Candidate], *, query: bytes = b"", headers: RawHeaders = [], scope: str = ""
) -> str | None:
    """SHA-256 over what decides the sound: the model and where it runs, and every other field in canonical form.

    ``scope`` keeps callers apart whose upstream sees who asks. None where the body cannot be compared, because it gives
    a name twice: some read the first value, others the last.
    """
    try:
        said = {name: json.loads(bytes(raw), object_pairs_hook=_object) for name, raw in payload.fields.items()}
    except _NamedTwice:
        return None
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The request body cannot be read.", code="invalid_json") from error
    said.pop("model", None)
    return "speech:" + digest([served_by(candidates, query), _text(headers), scope, said])


def served_by(candidates: Sequence[Candidate], query: bytes) -> list[Any]:
    """Who is asked, and for what, in the order in which they are."""
    return [
        [
            _address(each.upstream),
            each.model_id,
            _text_of(upstream_query(each.upstream, query)),
            *_set(each.via),
        ]
        for each in candidates
    ]


def _set(via: Via | None) -> list[Any]:
    """What presets and defaults set."""
    if via is None:
        return []
    entries: list[Preset | Defaults] = [*via.presets, *via.defaults]
    return [[dict(each.params), each.locked] for each in entries]


def _text_of(query: bytes) -> str:
    return query.decode("latin-1")


def digest(parts: Sequence[Any]) -> str:
    whole = json.dumps([VERSION, *parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()


def _address(upstream: Upstream) -> dict[str, Any]:
    """All that an upstream's answer could depend on, but for its credentials."""
    said = {spec.name: getattr(upstream, spec.name) for spec in fields(upstream) if spec.name not in SAME_SOUND}
    said["headers"] = {name: value for name, value in upstream.headers.items() if name.lower() not in CREDENTIALS}
    return said


def _text(headers: RawHeaders) -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]


class _NamedTwice(Exception):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said = dict(pairs)
    if len(said) != len(pairs):
        raise _NamedTwice
    return said
