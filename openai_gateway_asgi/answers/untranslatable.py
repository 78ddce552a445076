"""What an upstream said that would take too long to translate: all other calls would wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from ..errors import UpstreamError
from ..exchange import Exchange
from ..http.pacing import in_turns
from .too_much import KEPT_AS_WRITTEN, LIGHT, too_much_in


def check_of(exchange: Exchange) -> Callable[[bytes], Awaitable[None]] | None:
    """What looks at an answer, or at a long event, before it is translated; None where nothing is."""
    return None if exchange.translation is None else partial(_refuse_too_much, exchange)


async def _refuse_too_much(exchange: Exchange, said: bytes) -> None:
    if len(said) > LIGHT and (many := await in_turns(too_much_in(said, KEPT_AS_WRITTEN), exchange.clock.slices)):
        raise UpstreamError(f"The upstream sent {many}, which is more than the gateway translates.")
