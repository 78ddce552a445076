"""Why an attempt at an upstream failed, as plain data: of what kind, and what made it so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

LONGEST_MESSAGE = 300
"""Characters; an upstream's message may repeat what it was asked."""


class Failure(Enum):
    """How an attempt failed, before anything was told. What is done about each stands in ``upstream/failures.py``."""

    RATE_LIMITED = "429 that does not say for how long"
    RATE_LIMITED_BRIEFLY = "429 that asks for 2 s at most"
    RATE_LIMITED_LONGER = "429 that asks for longer"
    OVERLOADED = "502, 503, 504 or 529"
    SERVER_ERROR = "any other 5xx, an error of no known status inside a 200, an answer that is none"
    CUT = "the connection broke"
    REFUSED = "no connection"
    UNREACHED = "no connection in time"
    TIMEOUT = "no answer in time"
    SLOW = "nothing within `failover_after`"
    BUSY = "the gateway's own limit for it, or it is being left alone"
    NO_CREDENTIAL = "no credential for it"
    CREDENTIAL = "401, or a 400 that refuses the key"
    ACCOUNT = "402, 403 or `insufficient_quota`"
    UNABLE = "408, 410, 424, 498, 499, 404 for the model or the path, 413 for the tokens per minute"
    REDIRECT = "a redirect"
    CONTEXT_LENGTH = "too long for the model"
    CONTENT = "refused for its content"
    CALLER = "any other 4xx"


@dataclass(frozen=True, slots=True)
class Cause:
    """What made an attempt fail. For operators only: clients never see it.

    Plain values, nothing of an exception: it may be kept for as long as anybody likes.
    """

    what: str
    """``status``, ``in_band``, ``redirect``, ``dns``, ``tls``, ``connect``, ``network``, ``http``, ``timeout``, ..."""
    error: str = ""
    """The exception's class, where there was one."""
    errno: int | None = None
    status: int | None = None
    """What the upstream answered, or would have answered had it not begun with a 200."""
    type: str | None = None
    param: str | None = None
    code: str | None = None
    """These three as the upstream's error has them."""
    message: str = ""
    """In words, on one line: the upstream's, the TLS library's, the resolver's. An upstream's may repeat a prompt."""
    location: str = ""
    """Where a redirect pointed, without query and user."""


def one_line(text: str) -> str:
    """A message as ``Cause`` keeps it."""
    text = text[: 2 * LONGEST_MESSAGE]
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:LONGEST_MESSAGE]
