"""What a debugger, an error tracker or ``capture_locals`` could print: the local variables of all frames of ours."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import openai_gateway_asgi

PACKAGE = str(Path(openai_gateway_asgi.__file__).parent)
PLAYED = str(Path(PACKAGE) / "testing")
"""What plays an upstream in tests shows what it got."""
ENGINE = ("aiohttp", "httpx", "yarl", "multidict", "msgspec", "starlette")
"""Libraries that ours hand secrets to."""

_QUIET = (StopIteration, StopAsyncIteration, GeneratorExit)


@dataclass
class Shown:
    """What was found to show ``secret``, one line each. Frames of the libraries count where ours have called them."""

    secret: str
    places: set[str] = field(default_factory=set)
    looked: int = 0

    def look_at(self, frame: FrameType | None) -> None:
        """At this frame and all that called it."""
        called: list[FrameType] = []
        while frame is not None:
            if _is_ours(frame.f_code.co_filename):
                for each in (*called, frame):
                    self._look_into(each)
                called = []
            elif _is_engine(frame.f_code.co_filename):
                called.append(frame)
            frame = frame.f_back

    def look_at_error(self, error: BaseException) -> None:
        """At all that a traceback with local variables tells of it, causes and contexts included."""
        told: traceback.TracebackException | None
        pending = [told := traceback.TracebackException.from_exception(error, capture_locals=True)]
        while pending:
            told = pending.pop()
            ours = False
            for frame in told.stack:
                ours = ours or _is_ours(frame.filename)
                if ours:
                    self._note(frame.filename, frame.name, frame.locals or {})
            pending += [other for other in (told.__cause__, told.__context__) if other is not None]
        errors = [error]
        while errors:
            one = errors.pop()
            self._note(
                "an exception", type(one).__name__, {"repr": _repr(one), "str": str(one), "args": repr(one.args)}
            )
            errors += [other for other in (one.__cause__, one.__context__) if other is not None]

    def look_at_tasks(self) -> None:
        """At everything that waits on this event loop."""
        for task in asyncio.all_tasks():
            waiting: Any = task.get_coro()
            while waiting is not None:
                frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
                if frame is not None and _is_ours(frame.f_code.co_filename):
                    self._look_into(frame)
                waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)

    def look_at_objects(self) -> None:
        """At everything of ours that is alive."""
        for each in gc.get_objects():
            module = getattr(type(each), "__module__", None)
            if isinstance(module, str) and module.startswith("openai_gateway_asgi") and ".testing" not in module:
                self.looked += 1
                if self.secret in _repr(each):
                    self.places.add(f"an object: {type(each).__qualname__}")

    def _look_into(self, frame: FrameType) -> None:
        shown = {name: _repr(value) for name, value in list(frame.f_locals.items())}
        self._note(frame.f_code.co_filename, frame.f_code.co_name, shown)

    def _note(self, where: str, what: str, shown: Mapping[str, str]) -> None:
        self.looked += 1
        self.places |= {f"{where}: {what}: {name}" for name, text in shown.items() if self.secret in text}


@contextlib.contextmanager
def every_raise(shown: Shown) -> Iterator[None]:
    """Looks at all frames wherever anything is raised in the block, on this thread, handled or not."""

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "call":
            frame.f_trace_lines = False
            filename = frame.f_code.co_filename
            return trace if _is_ours(filename) or _is_engine(filename) else None
        if event == "exception" and not issubclass(argument[0], _QUIET):
            shown.look_at(frame)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def _is_ours(filename: str) -> bool:
    return filename.startswith(PACKAGE) and not filename.startswith(PLAYED)


def _is_engine(filename: str) -> bool:
    return filename == "<string>" or any(f"/{library}/" in filename for library in ENGINE)


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # of what is half made
        return ""
