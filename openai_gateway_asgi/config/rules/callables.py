"""Whether the host's callables can be called as the gateway will call them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ..findings import Finding


class Asked(NamedTuple):
    takes: tuple[str, ...]
    """What it is called with, by position."""
    write: str
    required: bool = False


CALLABLES = {
    "resolve_user": Asked(("request",), "write `async def current_user(request)`, which returns a User or None"),
    "authorize_model": Asked(
        ("user", "model"), "write everyone, admins_only, Grants({...}) or a function (user, model)", required=True
    ),
    "authorize_group": Asked(("user", "group"), "write a function (user, group) that returns True or False"),
    "visible_models": Asked(("user", "models"), "write a function (user, models) that returns some of the models"),
    "oauth_token": Asked(
        ("user", "request", "upstream"), "write a function (user, request, upstream) that returns a token"
    ),
    "session_token": Asked(("user", "request"), "write a function (user, request) that returns a token or None"),
    "describe_model": Asked(
        ("user", "model"), "write a function (user, model) that returns a ModelInfo or None, or map ids to some"
    ),
    "context": Asked(("user", "request"), "write a function (user, request) that returns {'chat_id': ...}"),
    "record_usage": Asked(("record",), "write a function (record)"),
    "find_user": Asked(("id",), "write a function (id) that returns a User or None"),
    "limits": Asked(("user", "model"), "write Limit objects, or a function (user, model) that returns some"),
}


def judge_callable(name: str, call: Any) -> Iterator[Finding]:
    asked = CALLABLES[name]
    if call is None:
        if asked.required:
            yield Finding("not_callable", name, "is None", asked.write)
    elif inspect.iscoroutine(call):
        call.close()
        yield Finding("wrong_kind", name, "is a coroutine: the function was called", "give it without the parentheses")
    elif not callable(call):
        yield Finding("not_callable", name, f"is {_kind(call)}", asked.write)
    elif inspect.isclass(call):
        yield Finding("wrong_kind", name, f"is the class {call.__name__}", f"give an instance, or {asked.write}")
    elif _is_generator(innermost(call)):
        yield Finding("wrong_kind", name, "has a `yield`, so that calling it decides nothing", "return the answer")
    elif (taken := misfit(call, len(asked.takes), _named(name, call))) is not None:
        given = ", ".join(asked.takes)
        yield Finding("wrong_signature", name, f"takes ({taken}) and is called with ({given})", asked.write)
    elif _wraps_async(call):
        yield Finding(
            "async_in_disguise", name, "is a plain function around an `async` one",
            "make it `async def` too, if it returns what is still to be awaited",
        )  # fmt: skip


BY_OPERATION = ("authorize_model", "visible_models")
"""Callables that may ask for the operation too."""


def takes_operation(call: Any) -> bool:
    """Whether a callable has a parameter called ``operation``, which is then given by keyword."""
    try:
        parameter = inspect.signature(call, follow_wrapped=False).parameters.get("operation")
    except (TypeError, ValueError):
        return False
    return parameter is not None and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)


def _named(name: str, call: Any) -> tuple[str, ...]:
    return ("operation",) if name in BY_OPERATION and takes_operation(call) else ()


def innermost(call: Any) -> Any:
    """What a ``functools.partial`` calls in the end, and an object's own ``__call__``."""
    while isinstance(call, functools.partial):
        call = call.func
    return call if inspect.isroutine(call) else type(call).__call__


def misfit(call: Any, count: int, named: Iterable[str] = ()) -> str | None:
    """The parameters' names, if ``call`` does not take ``count`` arguments by position and others by name; else None.

    What wraps another function is looked at itself: it may well add an argument of its own. Callables without a
    readable signature pass.
    """
    try:
        signature = inspect.signature(call, follow_wrapped=False)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*[None] * count, **dict.fromkeys(named))
    except TypeError:
        return ", ".join(map(_spelled, signature.parameters.values()))
    return None


def _spelled(parameter: inspect.Parameter) -> str:
    """The name alone: a default could be anything."""
    match parameter.kind:
        case parameter.VAR_POSITIONAL:
            return f"*{parameter.name}"
        case parameter.VAR_KEYWORD:
            return f"**{parameter.name}"
        case _:
            return parameter.name


def _is_generator(function: Any) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _wraps_async(call: Any) -> bool:
    function = innermost(call)
    inner = inspect.unwrap(function)
    return inner is not function and inspect.iscoroutinefunction(inner) and not inspect.iscoroutinefunction(function)


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
