"""A JSON body and what it names, in one reading.

A generator, whose ``yield`` is a turn for others: small bodies have none.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence

from ..http.pacing import at_once
from ..http.request_body import Bytes
from .findings import Findings
from .long_texts import LONG
from .looks import Looks
from .outline import check_utf8, split
from .payload import PLAIN_FIELDS, Payload
from .scanner import Scanner

USUAL_FIELDS = frozenset(
    """audio dimensions encoding_format include input instructions logit_bias logprobs messages modalities
    parallel_tool_calls prediction reasoning reasoning_effort response_format safety_identifier service_tier
    stream_options text thinking tool_choice tools top_k top_logprobs truncation verbosity web_search_options""".split()
)
"""Names that mean nothing by themselves, whatever stands in such a field."""


def read_plain(body: Sequence[Bytes], looks: Looks) -> Payload | None:
    """A small body that came in one piece and names nothing but its model, as most do; None for any other.

    Raises ``InvalidRequest`` as ``read_json`` does, which takes every body.
    """
    data = body[0]
    if len(body) > 1 or len(data) > 2 * LONG:
        return None
    if not data.isascii():
        at_once(check_utf8(data))
    fields = split(data)
    if fields is None:
        return None
    for name, raw in fields.items():
        if name in PLAIN_FIELDS:
            continue
        look = looks.of(name)
        if look.named or not (name in looks.known or name in USUAL_FIELDS):
            return None
        value = bytes(raw)
        if value[:1] in b"[{" and look.worth_a_walk(value):
            return None
    return Payload(fields, came=len(data))


def read_json(body: Sequence[Bytes], looks: Looks, limit: int) -> Generator[None, None, tuple[Payload, Findings]]:
    """``body`` is in the pieces in which it came; ``limit`` is the setting ``decode_limit``.

    Raises ``InvalidRequest`` for anything that is not one strict UTF-8 JSON object, for more than the bounds allow, and
    for names in another spelling.
    """
    found = Findings()
    payload, walked = yield from Payload.reading(body, looks.zone, found, limit)
    if not walked:
        yield from look_through(payload, looks, found)
    found.check()
    return payload, found


def look_through(payload: Payload, looks: Looks, found: Findings) -> Generator[None, None, None]:
    """What the fields name, of a payload that has not been walked through."""
    for name, raw in payload.outline.items():
        if name in PLAIN_FIELDS:
            continue
        data, look = bytes(raw), looks.of(name)
        zone = None
        if look.named or not (name in looks.known or name in USUAL_FIELDS):
            key = name.encode() if name.isascii() and name.isidentifier() else json.dumps(name)[1:-1].encode()
            zone = Scanner(data, found, name, payload.texts).look_at(key, looks.zone, 0)
        if data[:1] not in b"[{":
            continue
        hidden = payload.texts is not None and payload.texts.in_keys(data)
        if zone is not None or hidden or look.worth_a_walk(data):
            scanner = Scanner(data, found, name, payload.texts)
            yield from scanner.walk(0, zone or scanner.look_at(name.encode(), looks.zone, 0) or looks.zone.below)
