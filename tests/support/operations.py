"""What something costs in instructions, which time cannot say without noise."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any


def operations(run: Callable[[], object]) -> int:
    """How many bytecode instructions it takes, our own and the library's."""
    count = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    gc.disable()  # a collection calls back into whoever listens for it
    try:
        for _ in range(2):  # CPython 3.12 tells of instructions from the second time on
            count = 0
            sys.settrace(trace)
            run()
            sys.settrace(None)
    finally:
        sys.settrace(None)
        gc.enable()
    return count
