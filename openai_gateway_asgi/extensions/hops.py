"""The ids that a call may come by, for patterns of filters."""

from __future__ import annotations

from ..exchange import Exchange


def hops(exchange: Exchange) -> tuple[str, ...]:
    """The one that was asked for, those behind it, and those of every fallback that is permitted; empty where a stored
    object brings the model."""
    if not exchange.model:
        return ()
    if exchange.bases is None and not (exchange.fallbacks or exchange.others or exchange.implied or exchange.asked):
        return exchange.hops
    ids = [exchange.asked, exchange.model, *exchange.others, *exchange.implied, *exchange.hops]
    if exchange.resolved is not None:
        ids.append(exchange.resolved.id)
    ids += [route.model.id for route in exchange.fallbacks]
    ids += [id for way in exchange.ways_on for id in way.hops]
    return tuple(dict.fromkeys(filter(None, ids)))
