"""Rules about what the host gave when it made the gateway."""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware

from ..file_store import FileStore
from ..findings import Finding
from ..settings import Settings
from .callables import CALLABLES, innermost, judge_callable, misfit
from .setup import Setup

HostRule = Callable[[Setup], Iterator[Finding]]

_LAYER = "write a class that takes the next app, Middleware(cls, ...), or a function (app) that returns an app"
_STORE_METHODS: dict[str, tuple[int, tuple[str, ...]]] = {
    "load": (0, ()),
    "version": (0, ()),
    "save": (1, ("replaces",)),
}


def settings_are_settings(setup: Setup) -> Iterator[Finding]:
    given: Any = setup.settings
    if not isinstance(given, Settings):
        yield Finding("invalid_settings", "settings", _what(given), "write Settings(...)")


def callables(setup: Setup) -> Iterator[Finding]:
    for name in CALLABLES:
        yield from judge_callable(name, setup.callables.get(name))


def layers(setup: Setup) -> Iterator[Finding]:
    given = setup.layers
    if not isinstance(given, Iterable):
        yield Finding("invalid_layer", "layers", _what(given), "write a list of layers")
        return
    for index, layer in enumerate(given):
        field = f"layers.{index}"
        if isinstance(layer, Middleware):
            yield from _layer(field, layer.cls, 1 + len(layer.args), layer.kwargs)
        else:
            yield from _layer(field, layer, 1, {})


def _layer(field: str, layer: Any, count: int, options: Mapping[str, Any]) -> Iterator[Finding]:
    if not callable(layer):
        yield Finding("invalid_layer", field, _what(layer), _LAYER)
    elif inspect.iscoroutinefunction(innermost(layer)) and not inspect.isclass(layer):
        yield Finding("invalid_layer", field, "is an ASGI application itself", _LAYER)
    elif (taken := misfit(layer, count, options)) is not None:
        yield Finding("invalid_layer", field, f"takes ({taken})", _LAYER)
    elif inspect.isclass(layer) and issubclass(layer, BaseHTTPMiddleware):
        yield Finding(
            "layer_buffers", field, "is built on BaseHTTPMiddleware, behind which a cut answer can look whole",
            "write it as a plain ASGI class",
        )  # fmt: skip


def transport(setup: Setup) -> Iterator[Finding]:
    given = setup.transport
    if given is None or isinstance(given, _transports()):
        return
    yield Finding(
        "invalid_transport", "transport", _what(given),
        "give an httpx.AsyncBaseTransport, such as httpx.AsyncHTTPTransport() or httpx.MockTransport(handler)",
    )  # fmt: skip


def _transports() -> tuple[type, ...]:
    """The classes of transports. Whoever has a transport of httpx2 has imported it."""
    successor = sys.modules.get("httpx2")
    return (httpx.AsyncBaseTransport, *((successor.AsyncBaseTransport,) if successor else ()))


def speech_cache(setup: Setup) -> Iterator[Finding]:
    given = setup.speech_cache
    if given is None:
        return
    if inspect.isclass(given) or not all(callable(_method(given, name)) for name in ("get", "set")):
        write = "give a cache of aiocache, as SimpleMemoryCache()"
        yield Finding("invalid_speech_cache", "speech_cache", _what(given), write)


def store(setup: Setup) -> Iterator[Finding]:
    given = setup.store
    if inspect.isclass(given):
        yield Finding("invalid_store", "upstreams", _what(given), "give a list, or an instance")
        return
    has = [name for name in _STORE_METHODS if callable(_method(given, name))]
    if not has:
        return
    for name in _STORE_METHODS:
        if name not in has:
            yield Finding("invalid_store", f"upstreams.{name}", "is missing", "write what ConfigStore asks for")
        elif not inspect.iscoroutinefunction(innermost(getattr(given, name))):
            yield Finding("invalid_store", f"upstreams.{name}", "is a plain function", f"write `async def {name}`")
        elif (taken := misfit(getattr(given, name), *_STORE_METHODS[name])) is not None:
            yield Finding("invalid_store", f"upstreams.{name}", f"takes ({taken})", "write what ConfigStore asks for")
    if inspect.iscoroutinefunction(innermost(_method(given, "peek"))):
        yield Finding("invalid_store", "upstreams.peek", "is `async`", "write a plain function, or none")
    if not isinstance(getattr(given, "shared", None), bool):
        yield Finding(
            "invalid_store", "upstreams.shared", "is neither True nor False",
            "say whether other processes see what is saved",
        )  # fmt: skip


def file_store(setup: Setup) -> Iterator[Finding]:
    if isinstance(setup.store, FileStore):
        yield from _file("FileStore.path", setup.store.path)


def _file(field: str, path: Path) -> Iterator[Finding]:
    folder = path.parent
    if not folder.is_dir():
        yield Finding("store_unwritable", field, f"is in {folder}, which is no directory", "create that first")
    elif path.is_dir():
        yield Finding("store_unwritable", field, f"is {path}, a directory", "write the path of a file in it")
    elif (problem := _problem_of_writing(folder)) is not None:
        seen = f"is in {folder}, where this process cannot write: {problem}"
        if os.access(path, os.R_OK):
            yield Finding("store_read_only", field, seen, "if updates are wanted, let it write there")
        else:
            yield Finding("store_unwritable", field, seen, "let it write there, or write another path")


def _problem_of_writing(folder: Path) -> str | None:
    """Found by trying, with a file that is never to be seen: permissions alone say nothing of a read-only mount."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror


def settings_and_callables(setup: Setup) -> Iterator[Finding]:
    settings = setup.settings
    if not isinstance(settings, Settings):
        return
    if settings.bypass_model_access:
        yield Finding(
            "model_access_bypassed", "settings.bypass_model_access", "is on: every user may use every model",
            "leave it out, unless that is meant",
        )  # fmt: skip
    if settings.verify_tls is False:
        yield Finding(
            "tls_not_verified", "settings.verify_tls", "is off: anybody can answer in an upstream's place",
            "name a file of CA certificates, or set it for single upstreams",
        )  # fmt: skip


def _what(given: Any) -> str:
    return f"is the class {given.__name__}" if inspect.isclass(given) else f"is of type {type(given).__name__}"


def _method(value: Any, name: str) -> Any:
    return getattr(value, name, None)


HOST_RULES: tuple[HostRule, ...] = (
    settings_are_settings,
    callables,
    layers,
    transport,
    speech_cache,
    store,
    file_store,
    settings_and_callables,
)
