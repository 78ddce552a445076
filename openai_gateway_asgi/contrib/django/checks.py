"""System checks: ``manage.py check`` tells what the gateway would, or did, when it was made."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import async_to_sync
from django.core.checks import CheckMessage, Error, Warning
from django.db import connections

from ...commands.check import judged
from ...errors import ConfigError
from ...gateway import Gateway
from . import installed

logger = logging.getLogger("openai_gateway_asgi")

HOW_TO_NAME = (
    'In the settings, OPENAI_GATEWAY = "mysite.asgi.application" names what mount() returned, or the module that has '
    "the gateway."
)


def check_gateways(app_configs: Any = None, **options: Any) -> list[CheckMessage]:
    """The errors that keep the site's gateways from starting, or their warnings."""
    try:
        with _told_once():
            found = installed.gateways()
    except ConfigError as error:
        return list(_errors(error))
    except Exception as error:
        return [
            Error(
                f"{installed.place()[0]} cannot be imported: {type(error).__name__}: {error}",
                hint=HOW_TO_NAME,
                id="openai_gateway.E001",
            )
        ]
    if not found:
        where = installed.place()[0]
        return [Warning(f"No gateway was found in {where}.", hint=HOW_TO_NAME, id="openai_gateway.W001")]
    return [message for gateway in found for message in _of(gateway)]


def check_orm_threads(app_configs: Any = None, **options: Any) -> list[CheckMessage]:
    """A database in memory belongs to one connection: threads of the gateway's own cannot see it."""
    try:
        mounted = installed.mounted()
    except Exception:  # told by the other check
        return []
    if mounted is None or mounted.threads is None:
        return []
    return [
        Warning(
            f"The database {alias!r} lives in the memory of one connection, and mount(orm_threads=...) uses several.",
            hint="Leave orm_threads out, or keep the database in a file.",
            id="openai_gateway.W002",
        )
        for alias in connections
        if connections[alias].vendor == "sqlite" and connections[alias].is_in_memory_db()
    ]


@contextmanager
def _told_once() -> Iterator[None]:
    """What a gateway logs when it is made, the checks tell. Where nobody handles the log it would be on stderr, too."""
    handler = logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _of(gateway: Gateway) -> Iterator[CheckMessage]:
    try:
        warnings = async_to_sync(judged)(gateway)
    except ConfigError as error:
        yield from _errors(error)
        return
    for each in warnings:
        yield Warning(f"{each.field} {each.seen}.", hint=each.instead, id=f"openai_gateway.{each.code}")


def _errors(error: ConfigError) -> Iterator[CheckMessage]:
    for each in (error, *error.others):
        yield Error(f"{each.field}: {each.problem}", id=f"openai_gateway.{each.code}")
