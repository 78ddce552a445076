"""How much of an upload is taken, in bytes and in seconds."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    field: int = MIB
    """Bytes of one field that is no file: these are held in memory."""
    fields: int = 4 * MIB
    """Bytes of all of them together."""
    total: int = 1024 * MIB
    """Bytes of the whole body, framing included. OpenAI takes 512 MB a file."""
    idle: float = 30.0
    """Seconds without a byte, while the gateway waits for one."""
    duration: float = 3600.0
    """Seconds for the whole body: the idle clock never fires on a drip."""
