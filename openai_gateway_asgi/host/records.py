"""What is known of one model call when it is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import msgspec

from ..causes import Cause, Failure
from .usage import Usage, added
from .users import User


class Outcome(StrEnum):
    """How a model call ended."""

    COMPLETED = "completed"
    REJECTED = "rejected"
    """Refused with a 4xx, by the gateway, the host or the upstream."""
    UPSTREAM_FAILED = "upstream_failed"
    FAILED = "failed"
    """The gateway or a callable of the host failed."""
    CLIENT_GONE_BEFORE_FIRST_BYTE = "client_gone_before_first_byte"
    CLIENT_GONE = "client_gone"
    """The client left after something of its answer was told."""
    CANCELLED = "cancelled"
    """The server or the host cancelled the call."""


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One request that was sent to an upstream. Times are in seconds from the arrival of the client's request."""

    number: int
    """From 1, within the call."""
    upstream: str
    """Its name in the configuration."""
    model: str | None
    """The model's id there; None where the call names none."""
    status: int | None
    """What the upstream answered, or would have answered had it not begun with a 200; None where it did not answer."""
    failure: Failure | None
    """Of what kind its failure was. None: it answered, or was not waited for."""
    cause: Cause | None
    """What made it fail; ``abandoned`` where nobody waited for it any more, ``internal`` where the gateway or a filter
    of the host's ended it: both without a ``failure``. None: it answered."""
    began: float
    answered: float | None
    """When the head of the upstream's answer came, None where none did."""
    ended: float
    upstream_request_id: str | None
    """What the upstream's ``x-request-id`` said."""
    usage: Usage | None = None
    """What it used, in one form for every API and provider; None where nobody told."""
    usage_raw: Mapping[str, Any] | None = None
    """The same as the upstream sent it."""
    cost: Decimal | None = None
    """In USD; None where no price is known, which is not 0."""
    cost_source: str | None = None
    """Whose price that is."""


class UsageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One call; given to ``record_usage`` exactly once. Times are in seconds from the request's arrival."""

    request_id: str
    """The gateway's own, which the client got as ``x-gateway-request-id``."""
    upstream_request_id: str | None
    """The ``x-request-id`` of the upstream that answered, or was asked last."""
    operation: str
    """OpenAI's ``operationId``, as ``createChatCompletion``."""
    user: User
    model: str | None
    """The id the client asked for, None where the body was refused before it was read."""
    upstream: str | None
    """The name of the upstream that answered, or was asked last."""
    upstream_model: str | None
    """The id that upstream was asked for."""
    status: int | None
    """The status the client got, None where it left before there was one."""
    outcome: Outcome
    error: str | None
    """The error's code, ``upstream_error`` for one of the upstream's own; None where there was no error."""
    attempts: int
    """How many requests were sent to upstreams."""
    streamed: bool
    """Whether the client got events."""
    first_byte: float | None
    """When something of the answer itself was told; None where nothing was. Comments and a role are nothing yet."""
    total: float
    usage: Usage | None
    """What all attempts used together, in one form for every API and provider; None where nobody told."""
    usage_raw: Mapping[str, Any] | None = None
    """That of the last attempt that told one, as the upstream sent it."""
    cost: Decimal | None = None
    """Of all attempts, in USD; None where the price of one that used something is unknown, which is not 0."""
    cost_source: str | None = None
    """Whose price that is: ``table``, ``callable`` or ``genai-prices`` of the gateway's ``prices``, ``upstream`` where
    it told the cost itself; ``several`` where attempts differ."""
    tries: tuple[AttemptRecord, ...] = ()
    """The requests that were sent, in their order; the last one is what the call came to."""
    served_model: str | None = None
    """The id, at the gateway, of the model that answered or was asked last: another than ``model`` for a fallback."""
    model_label: str | None = None
    """What stands for that model where values must be few, as in metrics: its id, or the pattern of ``model_ids`` that
    routes it, or ``other`` for one that only its caller's own list has. Of a call that was refused: for the one that
    was asked for; None where nobody serves it."""
    commit: Literal["told", "whole"] | None = None
    """Of a stream: ``whole`` where nothing of it was told before it was whole, ``told`` where it went out as it came;
    None where none did."""
    reason: str | None = None
    """Why the call was not served, for operators: ``denied`` and ``unknown`` look the same to the client. None where it
    was. The page on observing has the list."""
    unnamed: bool = False
    """Whether the answer of a preset was too long (1 MiB of JSON) to name it, and named the model behind it."""
    within: str | None = None
    """The ``request_id`` of the call that this one was a part of: a handler of the host's asked it, by ``call.ask``.
    What that call's record says was used has this one's usage in it."""
    preset: str | None = None
    """The preset that was asked for, or that stood in for what was; None where none did. ``served_model`` is the model
    behind it."""
    upstream_operation: str | None = None
    """What the upstream was asked for, where the call was translated: ``createResponse`` of a chat, or the reverse."""
    dropped: tuple[str, ...] = ()
    """What its translation left out, because the upstream is set so, as ``tools[0] (web_search)``."""
    limit: str | None = None
    """Which limit of the gateway's own refused the call: its name, or what it is, as ``60 requests per minute by
    user``."""
    trace_id: str | None = None
    """Of the trace that the call belongs to, 32 hexadecimal digits."""


class Used(NamedTuple):
    """What several attempts used together, and what they cost."""

    usage: Usage | None = None
    raw: Mapping[str, Any] | None = None
    cost: Decimal | None = None
    cost_source: str | None = None


def used_in_all(tries: Sequence[AttemptRecord]) -> Used:
    """Each that told counts, the ones before a fallback as well."""
    if len(tries) == 1:
        (only,) = tries
        return Used(only.usage, only.usage_raw, only.cost, only.cost_source)
    usage, raw, cost = None, None, Decimal(0)
    sources, unknown = dict[str, None](), False
    for each in tries:
        usage, raw = added(usage, each.usage), each.usage_raw or raw
        if each.cost is not None:
            cost += each.cost
            sources[each.cost_source or ""] = None
        elif each.usage is not None:
            unknown = True
    if unknown or not sources:
        return Used(usage, raw)
    return Used(usage, raw, cost, next(iter(sources)) if len(sources) == 1 else "several")
