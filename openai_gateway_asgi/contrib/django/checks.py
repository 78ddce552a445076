"""System checks: ``manage.py check`` tells what the gateway would, or did, when it was made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from django.db import connections

from ...errors import ConfigError
from . import installed

HOW_TO_NAME = (
    'In the settings, OPENAI_GATEWAY = "mysite.asgi.application" names what mount() returned, or the module that has '
    "the gateway."
)


def check_gateways(app_configs: Any = None, **options: Any) -> list[CheckMessage]:
    """The errors that keep the site's gateways from starting, or their warnings."""
    try:
        found = installed.gateways()
    except ConfigError as error:
        return list(_errors(error))
    except Exception as error:
        return [
            Error(
                f"{installed.place()[0]} cannot be imported: {type(error).__name__}: {error}",
                hint=HOW_TO_NAME,
                id="openai_gateway.E002",
            )
        ]
    if not found:
        where = installed.place()[0]
        return [Warning(f"No gateway was found in {where}.", hint=HOW_TO_NAME, id="openai_gateway.W001")]
    return []


def check_orm_threads(app_configs: Any = None, **options: Any) -> list[CheckMessage]:
    """Threads of the gateway's own cannot see a database that is one connection's memory."""
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


def _errors(error: ConfigError) -> Iterator[CheckMessage]:
    yield Error(f"{error.field}: {error.problem}", id="openai_gateway.E001")
