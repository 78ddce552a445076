"""What the host's ``context`` says of a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from .hooks import Hook
from .users import User

Context = Hook[[User, Request], Mapping[str, str]]


async def asked_facts(context: Context, user: User, request: Request) -> Mapping[str, str]:
    """By their keys, as texts; what is None is not there. Raises ``HostFailure`` where it is no mapping."""
    given: Any = await context(user, request)
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise context.failed(f"returned {type(given).__name__}; return a mapping, as {{'chat_id': '...'}}")
    return {key: str(value) for key, value in given.items() if value is not None}
