"""One structured line in the log per call, and one per request that became none."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Mapping
from decimal import Context
from hashlib import sha256
from typing import Any, Literal

from msgspec import to_builtins

from ..errors import GatewayError
from ..exchange import Exchange
from ..host.notices import shown
from ..host.observers import trace_id_of
from ..host.records import AttemptRecord, UsageRecord
from .fields import value

logger = logging.getLogger("openai_gateway_asgi")

Users = Literal["id", "hash", "none"]

_written = Context().to_sci_string
"""As ``str`` writes a ``Decimal``, which has each task make a context of its own first."""

DIGITS = 16
"""Hexadecimal, of a user's id as it is shown where it must not be."""


class _Kept(threading.local):
    """Of each thread its own, for as long as it lives: a later one may get its number, but not its name."""

    template: dict[str, Any] | None = None


_kept = _Kept()


def _forget() -> None:
    """Of the thread that forked, the only one in the new process: the number of its process has changed."""
    _kept.template = None


if hasattr(os, "register_at_fork"):  # nowhere else can a process fork
    os.register_at_fork(after_in_child=_forget)


def is_logged() -> bool:
    return logger.isEnabledFor(logging.INFO)


def log_call(record: UsageRecord, users: Users = "id") -> None:
    """Its fields are an attribute of the log record too, ``call``. Never bodies or tokens.

    What others chose (users' ids, models, names) is quoted where it could be taken for more than one value or line.
    """
    user = shown_user(record.user.id, users)
    first_byte = "-" if record.first_byte is None else f"{record.first_byte:.3f}"
    text = (
        f"{record.request_id} {record.operation} user={value(user)} model={value(record.model)} "
        f"upstream={value(record.upstream)} status={record.status} outcome={record.outcome} "
        f"attempts={record.attempts} first_byte={first_byte} total={record.total:.3f}"
    )
    if record.error is not None or record.reason is not None:
        text += f" error={value(record.error)} reason={value(record.reason)}"
    if record.trace_id is not None:
        text += f" trace_id={record.trace_id}"
    logger.handle(_line(text, "call", _mapping(record, user)))


def log_refusal(exchange: Exchange, error: GatewayError, users: Users = "id") -> None:
    """The line of a request that has no record: nobody is known to have asked, or nothing was called."""
    if not is_logged():
        return
    user = shown_user(exchange.user.id, users) if hasattr(exchange, "user") else None
    path, reason = shown(exchange.scope["path"]), error.reason or error.code or error.type
    fields = {
        "request_id": exchange.request_id,
        "method": exchange.method,
        "path": path,
        "user": user,
        "status": error.status,
        "error": error.code,
        "reason": reason,
        "trace_id": trace_id_of(exchange.named),
    }
    text = (
        f"{exchange.request_id} refused {value(exchange.method)} path={value(path)} user={value(user)} "
        f"status={error.status} error={value(error.code)} reason={value(reason)}"
    )
    logger.handle(_line(text, "refusal", {name: each for name, each in fields.items() if each is not None}))


def shown_user(id: str, users: Users) -> str:
    """Who asks, as the settings want it in the log."""
    if users == "id":
        return id
    return "hidden" if users == "none" else sha256(id.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


def _mapping(record: UsageRecord, user: str) -> dict[str, Any]:
    """Plain values, so that any formatter of JSON and OpenTelemetry's handler take them; what is None is left out.

    What nearly every call has is put together at once, the rest looked at one by one: this is paid by each call.
    """
    fields = _known(
        {
            "request_id": record.request_id,
            "operation": record.operation,
            "user": user,
            "outcome": f"{record.outcome}",
            "attempts": record.attempts,
            "streamed": record.streamed,
            "total": record.total,
            "tries": [_attempt(each) for each in record.tries],
            "model": record.model,
            "upstream": record.upstream,
            "served_model": record.served_model,
            "upstream_model": record.upstream_model,
            "status": record.status,
            "first_byte": record.first_byte,
        }
    )
    if record.usage is not None:
        fields["usage"] = to_builtins(record.usage)
    if record.cost is not None:
        fields["cost"] = _written(record.cost)
        fields["cost_source"] = record.cost_source
    if record.upstream_request_id is not None:
        fields["upstream_request_id"] = record.upstream_request_id
    if record.within is not None:
        fields["within"] = record.within
    if record.trace_id is not None:
        fields["trace_id"] = record.trace_id
    if record.error is not None:
        fields["error"] = record.error
    if record.reason is not None:
        fields["reason"] = record.reason
    if record.limit is not None:
        fields["limit"] = record.limit
    return fields


def _attempt(attempt: AttemptRecord) -> dict[str, Any]:
    fields = _known(
        {
            "number": attempt.number,
            "upstream": attempt.upstream,
            "began": attempt.began,
            "ended": attempt.ended,
            "model": attempt.model,
            "status": attempt.status,
            "answered": attempt.answered,
        }
    )
    if attempt.upstream_request_id is not None:
        fields["upstream_request_id"] = attempt.upstream_request_id
    if attempt.failure is not None:
        fields["failure"] = attempt.failure.name.lower()
    if (cause := attempt.cause) is not None:
        fields["kind"] = cause.what
        fields["cause"] = cause.message or cause.error or cause.what
    return fields


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    """Without what is None."""
    return {name: each for name, each in fields.items() if each is not None} if None in fields.values() else fields


def _line(text: str, name: str, fields: Mapping[str, Any]) -> logging.LogRecord:
    """As ``logger.info()`` would make it, without its search for caller, thread and process, which cost half of a line.

    A host that has its own kind of log records gets that.
    """
    if logging.getLogRecordFactory() is not logging.LogRecord:
        return logger.makeRecord(logger.name, logging.INFO, __file__, 0, text, (), None, "log_call", {name: fields})
    template = _kept.template
    if template is None:
        template = _kept.template = _template()
    now = time.time()
    line = logging.LogRecord.__new__(logging.LogRecord)
    line.__dict__ = of_line = template.copy()  # which is four times as fast as to put it together
    of_line["msg"], of_line[name] = text, fields
    of_line["created"], of_line["msecs"] = now, float(int(now % 1 * 1000))
    of_line["relativeCreated"] += (now - template["created"]) * 1000
    if "taskName" in template:  # since Python 3.12
        of_line["taskName"] = _task_name()
    return line


def _task_name() -> str | None:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop runs
        return None
    return None if task is None else task.get_name()


def _template() -> dict[str, Any]:
    return logging.LogRecord(logger.name, logging.INFO, __file__, 0, "", (), None, "log_call").__dict__
