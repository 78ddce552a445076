"""What is known of one model call when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

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
    """The client left after the first byte of its answer."""
    CANCELLED = "cancelled"
    """The server or the host cancelled the call."""


class UsageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One model call; given to ``record_usage`` exactly once. Times are in seconds from the request's arrival."""

    request_id: str
    upstream_request_id: str | None
    operation: str
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
    """The error's code where there was one."""
    attempts: int
    streamed: bool
    first_byte: float | None
    total: float
    usage: Mapping[str, Any] | None
    """Token counts as the upstream sent them."""
