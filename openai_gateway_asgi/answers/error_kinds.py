"""Of what kind an error is that an upstream said."""

from __future__ import annotations

import re
from collections.abc import Set

from ..causes import Failure
from . import error_names as names

SEARCHED = 4096
"""Characters of a message in which phrases are looked for."""

_BY_STATUS = {
    401: Failure.CREDENTIAL,
    402: Failure.ACCOUNT,
    403: Failure.ACCOUNT,
    408: Failure.UNABLE,
    410: Failure.UNABLE,  # NVIDIA: the model has reached its end of life
    424: Failure.UNABLE,
    429: Failure.RATE_LIMITED,
    498: Failure.UNABLE,  # Groq: no capacity for this tier
    499: Failure.UNABLE,
    502: Failure.OVERLOADED,
    503: Failure.OVERLOADED,
    504: Failure.OVERLOADED,
    529: Failure.OVERLOADED,  # Anthropic
}
_NEVER_TOO_LONG = (401, 402, 403, 429)
_MODEL_MISSING = re.compile(names.MODEL_PHRASE, re.DOTALL)
_NO_MODEL = re.compile(names.MODEL_MESSAGE)
_NO_KEY = re.compile(names.CREDENTIAL_MESSAGE)
_PER_MINUTE = re.compile(names.TOO_LARGE_PER_MINUTE)


def kind_of(status: int, named: bool, called: Set[str], words: str) -> Failure:
    """Names tell more than phrases, and phrases more than the status.

    ``named``: whether the upstream gave a status at all. ``called`` are the error's names, ``words`` its message. Of a
    5xx the names alone are believed: its message may repeat what was asked. Only of a context that is too long servers
    tell with a 500.
    """
    words = words[:SEARCHED].lower()
    believed = status < 500 or not named
    if called & names.CONTENT_NAMES or (believed and _has(words, names.CONTENT_PHRASES)):
        return Failure.CONTENT
    if called & names.ACCOUNT_NAMES or (believed and _has(words, names.ACCOUNT_PHRASES)):
        return Failure.ACCOUNT
    if status == 400 and _NO_KEY.match(words):
        return Failure.CREDENTIAL
    if "too large" in words and _PER_MINUTE.search(words):
        return Failure.UNABLE
    if called & names.CONTEXT_LENGTH_NAMES:
        return Failure.CONTEXT_LENGTH
    if (believed or status == 500) and status not in _NEVER_TOO_LONG and _has(words, names.CONTEXT_LENGTH_PHRASES):
        return Failure.CONTEXT_LENGTH
    if _lacks_model(status, called, words) or (status in (404, 405) and words.strip(" .") in names.NO_SUCH_ROUTE):
        return Failure.UNABLE
    if not named:
        return Failure.SERVER_ERROR
    return _BY_STATUS.get(status) or (Failure.SERVER_ERROR if status >= 500 else Failure.CALLER)


def _lacks_model(status: int, called: Set[str], words: str) -> bool:
    if status == 404:
        return bool(called & names.MODEL_NAMES or _MODEL_MISSING.search(words))
    return status == 400 and bool(called & names.MODEL_NAMES or _NO_MODEL.match(words))


def _has(words: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in words for phrase in phrases)
