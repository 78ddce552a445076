"""Finds gateways in an application: mounted, wrapped in middleware, or used by a route of the host's own.

Nothing is called. What an object holds is read from its ``__dict__``, so that no property of the host's runs.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

from ..gateway import Gateway

MOST = 50_000
"""Objects that are looked at: what is nearer comes first, and gateways are near."""

_PLAIN = (str, bytes, int, float, complex, type(None), type, ModuleType)


def gateways_in(root: Any) -> list[Gateway]:
    """Every gateway that is reached from ``root``, each once, the nearest first."""
    found: list[Gateway] = []
    seen = {id(root)}
    waiting = deque([root])
    for _ in range(MOST):
        if not waiting:
            break
        thing = waiting.popleft()
        if _is(thing, Gateway):
            found.append(thing)
            continue
        for child in _children(thing):
            if id(child) not in seen and not _is(child, *_PLAIN):
                seen.add(id(child))
                waiting.append(child)
    return found


def _children(thing: Any) -> Iterator[Any]:
    if _is(thing, dict):
        yield from list(thing.values())
    elif _is(thing, list, tuple, set, frozenset, deque):
        yield from list(thing)
    elif _is(thing, functools.partial):
        yield from (thing.func, *thing.args, *thing.keywords.values())
    elif _is(thing, MethodType):
        yield from (thing.__self__, thing.__func__)
    elif _is(thing, FunctionType):
        yield from _of_function(thing)
    try:
        yield from list(object.__getattribute__(thing, "__dict__").values())
    except AttributeError:
        return


def _of_function(function: FunctionType) -> Iterator[Any]:
    """What it closes over, and the gateways among the globals that it names."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue
    names = function.__code__.co_names
    for name in names:
        value = function.__globals__.get(name)
        if _is(value, Gateway):
            yield value
        elif _is(value, ModuleType):
            yield from (each for each in map(vars(value).get, names) if _is(each, Gateway))


def _is(thing: Any, *kinds: type) -> bool:
    """By its type alone: a proxy of the host's would be asked by ``isinstance``, and may raise."""
    return issubclass(type(thing), kinds)
