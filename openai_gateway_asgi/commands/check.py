"""``check``: what the rules say to a host's gateway, without serving anything."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import Any

from ..config import Finding
from ..errors import ConfigError
from ..gateway import Gateway
from .targets import NothingThere, gateways_of

FINE, FAULTY, NOTHING = 0, 1, 2

PATIENCE = 10.0
"""Seconds for a store to say what it holds."""


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "check",
        help="judge a gateway's configuration",
        description="Prints the errors and warnings of every gateway in an application. Exit status: 0 without errors, "
        "1 with some, 2 where there is nothing to check.",
    )
    parser.add_argument(
        "target", help="module:name of a gateway, an application that has one, or a function that makes one of them"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings, too")
    parser.add_argument("--app-dir", default=".", metavar="DIR", help="where modules are looked for first (default: .)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    # They are printed here; without a handler of the host's they would be on stderr a second time.
    logging.getLogger("openai_gateway_asgi").addHandler(logging.NullHandler())
    errors: list[ConfigError] = []
    warnings: list[Finding] = []
    try:
        for gateway in gateways_of(arguments.target, arguments.app_dir):
            warnings += asyncio.run(judged(gateway))
    except ConfigError as error:
        errors = [error, *error.others]
    except NothingThere as problem:
        print(f"nothing to check: {problem}", file=sys.stderr)
        return NOTHING
    for each in errors:
        print(f"error    {each.field} [{each.code}]: {each.problem}")
    for warning in warnings:
        print(f"warning  {warning.field} [{warning.code}]: {warning.seen}; {warning.instead}")
    print(f"{arguments.target}: {_count(errors, 'error')}, {_count(warnings, 'warning')}")
    return FAULTY if errors or (warnings and arguments.strict) else FINE


async def judged(gateway: Gateway) -> Sequence[Finding]:
    """The warnings. Raises ``ConfigError`` for errors, and for a store that says nothing."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await gateway.check()
    except ConfigError:
        raise
    except TimeoutError:
        raise ConfigError("store", f"gave no configuration in {PATIENCE:.0f} s; look at what it waits for") from None
    except Exception as error:
        raise ConfigError("store", f"gave no configuration: {type(error).__name__}; look at it first") from error
    finally:
        await gateway.aclose()


def _count(found: Sequence[object], name: str) -> str:
    return f"{len(found) or 'no'} {name}{'' if len(found) == 1 else 's'}"
