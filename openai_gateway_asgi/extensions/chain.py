"""Which models of the host's own are answering the call at hand, each asked by the one before it."""

from __future__ import annotations

from contextvars import ContextVar

from ..errors import LoopDetected

DEEPEST = 8
"""Handlers that one call may go through."""

_answering: ContextVar[tuple[str, ...]] = ContextVar("openai_gateway_asgi.answering", default=())


def enter(id: str) -> None:
    """From now on, in the task at hand and all that it starts, this model answers. Raises ``LoopDetected``."""
    chain = check(id)
    _answering.set((*chain, id))


def check(id: str) -> tuple[str, ...]:
    """Those that are answering. Raises ``LoopDetected`` where this one is among them, or they are too many."""
    chain = _answering.get()
    if id in chain or len(chain) >= DEEPEST:
        how = "asks itself" if id in chain else f"is asked through more than {DEEPEST} others"
        raise _Loop(f"The model `{id}` {how}.")
    return chain


class _Loop(LoopDetected):
    host_advice = "a model of the host's own was asked, through others, by itself: its handler has to stop somewhere."
