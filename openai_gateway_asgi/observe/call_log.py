"""One structured line in the log per model call."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import threading
import time
from collections.abc import Mapping
from typing import Any

from ..host.observers import NO_HEADERS, AttemptFacts, CallFacts
from ..host.records import AttemptRecord, UsageRecord

logger = logging.getLogger("openai_gateway_asgi")

_PLAIN = re.compile(r"(?!None$)[!#-<>-\[\]-~]+")  # visible ASCII but for quotes, equals signs and backslashes


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


class CallLog:
    """The observer that writes the line."""

    def call_started(self, call: CallFacts) -> CallLog:
        return self

    def attempt_started(self, attempt: AttemptFacts) -> Mapping[str, str]:
        return NO_HEADERS

    def attempt_ended(self, attempt: AttemptRecord) -> None:
        pass

    def finished(self, record: UsageRecord) -> None:
        log_call(record)


def log_call(record: UsageRecord) -> None:
    """Its fields are an attribute of the log record too, ``call``. Never bodies or tokens.

    What others chose (users' ids, models, names) is quoted where it could be taken for more than one value or line.
    """
    first_byte = "-" if record.first_byte is None else f"{record.first_byte:.3f}"
    text = (
        f"{record.request_id} {record.operation} user={_value(record.user.id)} model={_value(record.model)} "
        f"upstream={_value(record.upstream)} status={record.status} outcome={record.outcome} "
        f"attempts={record.attempts} first_byte={first_byte} total={record.total:.3f}"
    )
    logger.handle(_line(text, record))


def _value(text: str | None) -> str | None:
    if text is None or _PLAIN.fullmatch(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return (
        quoted
        if quoted.isprintable()
        else "".join([char if char.isprintable() else ascii(char)[1:-1] for char in quoted])
    )


def _line(text: str, record: UsageRecord) -> logging.LogRecord:
    """As ``logger.info()`` would make it, without its search for caller, thread and process, which cost half of a line.

    A host that has its own kind of log records gets that.
    """
    if logging.getLogRecordFactory() is not logging.LogRecord:
        return logger.makeRecord(logger.name, logging.INFO, __file__, 0, text, (), None, "log_call", {"call": record})
    template = _kept.template
    if template is None:
        template = _kept.template = _template()
    now = time.time()
    line = logging.LogRecord.__new__(logging.LogRecord)
    line.__dict__ = {
        **template,
        "msg": text,
        "call": record,
        "created": now,
        "msecs": float(int(now % 1 * 1000)),
        "relativeCreated": template["relativeCreated"] + (now - template["created"]) * 1000,
    }
    if "taskName" in template and (task := asyncio.current_task()) is not None:
        line.__dict__["taskName"] = task.get_name()
    return line


def _template() -> dict[str, Any]:
    return logging.LogRecord(logger.name, logging.INFO, __file__, 0, "", (), None, "log_call").__dict__
