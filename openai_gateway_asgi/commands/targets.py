"""``module:name``, as servers write it, and the gateways that are behind it."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
import traceback
from types import ModuleType
from typing import Any

from ..errors import ConfigError
from ..gateway import Gateway
from .search import gateways_in

USUAL = ("gateway", "app", "application", "create_app", "make_app")
"""Names that are looked at where the target has none."""


class NothingThere(Exception):
    """The target leads to no gateway; the text says why."""


def gateways_of(target: str, folder: str) -> list[Gateway]:
    """Every gateway that the target leads to, at least one.

    Raises ``NothingThere``, and ``ConfigError`` where one of the host's gateways does when it is made.
    """
    name, _, path = target.partition(":")
    sys.path.insert(0, os.path.abspath(folder))
    module = _imported(name)
    if path:
        return _gateways(target, _attribute(module, path))
    for usual in USUAL:
        if hasattr(module, usual):
            return _gateways(f"{name}:{usual}", getattr(module, usual))
    raise NothingThere(f"{name} has none of {', '.join(USUAL)}; write {name}:name of what to check")


def _imported(name: str) -> ModuleType:
    if name.endswith(".py") or "/" in name:
        dotted = name.removesuffix(".py").strip("./").replace("/", ".")
        raise NothingThere(f"{name} is a file; write its module, as {dotted}:app")
    try:
        return importlib.import_module(name)
    except ConfigError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise NothingThere(
                f"there is no module {error.name}; run this where it can be imported, or write --app-dir"
            ) from error
        raise NothingThere(f"importing {name} failed: {_last_line(error)}") from error
    except (Exception, SystemExit) as error:
        raise NothingThere(f"importing {name} failed: {_last_line(error)}") from error


def _attribute(module: ModuleType, path: str) -> Any:
    found: Any = module
    for name in path.removesuffix("()").split("."):
        if not hasattr(found, name):
            where = module.__name__ if found is module else path
            raise NothingThere(f"{where} has no {name}{_hint(module)}")
        found = getattr(found, name)
    return found


def _gateways(target: str, thing: Any) -> list[Gateway]:
    """Those in ``thing``, or in what it makes if it is a function without arguments."""
    found = gateways_in(thing)
    if not found and _is_factory(thing):
        thing = _made(target, thing)
        found = gateways_in(thing)
    if not found:
        raise NothingThere(f"{target} is of type {type(thing).__name__}, and there is no Gateway in it")
    return found


def _is_factory(thing: Any) -> bool:
    if not callable(thing) or inspect.isclass(thing):
        return False
    try:
        inspect.signature(thing).bind()
    except (TypeError, ValueError):
        return False
    return True


def _made(target: str, factory: Any) -> Any:
    try:
        made = factory()
        return asyncio.run(_awaited(made)) if inspect.isawaitable(made) else made
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise NothingThere(f"calling {target} failed: {_last_line(error)}") from error


async def _awaited(made: Any) -> Any:
    return await made


def _last_line(error: BaseException) -> str:
    """What was raised, and where."""
    text = traceback.format_exception_only(error)[-1].strip()
    places = traceback.extract_tb(error.__traceback__)
    return f"{text} ({places[-1].filename}, line {places[-1].lineno})" if places else text


def _hint(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if not name.startswith("_") and isinstance(value, Gateway)]
    return f"; it has {', '.join(names)}" if names else ""
