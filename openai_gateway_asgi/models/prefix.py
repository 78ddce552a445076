"""The ids of models: ``<prefix>.<id>`` for clients, ``<id>`` for the upstream that serves it."""

from __future__ import annotations


def public_id(prefix: str, upstream_id: str) -> str:
    """The id that clients see; without a prefix the upstream's own."""
    return f"{prefix}.{upstream_id}" if prefix else upstream_id


def upstream_id(prefix: str, public_id: str) -> str | None:
    """The id that the upstream knows, or None when ``public_id`` does not carry the prefix and an id behind it.

    Only the leading prefix comes off: with ``pa``, ``pa.pa.b`` is the upstream's ``pa.b``.
    """
    if not prefix:
        return public_id or None
    rest = public_id.removeprefix(f"{prefix}.")
    return rest if rest and rest != public_id else None
