"""Whether an upstream's 404 says that it has no such API, and not that it lacks what was asked for."""

from __future__ import annotations

import re
from enum import Enum

from ..errors import GatewayError, UpstreamRefused
from . import error_names as names

_MODEL = re.compile(names.MODEL_PHRASE, re.DOTALL)
_PATHS = ("v1/responses", "v1/chat/completions")
_OF_ROUTES = re.compile(
    r"\b(?:(?:4\d\d |file |page |resource |path )*not found\W*$|route|url|endpoint|path|cannot post|said no more)\b"
    r"|/responses|/chat/completions"
)
"""FastAPI, Go, nginx, llama.cpp, Azure; Kong, OpenAI, Groq, Express; an answer without a body."""


class Lacking(Enum):
    AT_ALL = "the path is not there"
    FOR_MODEL = "the model is not served by it"


def lacks_api(error: GatewayError) -> Lacking | None:
    """None where it says something else. OpenAI names the paths where a model is served by one of them alone."""
    cause = error.cause
    if not isinstance(error, UpstreamRefused) or error.status != 404 or cause is None or cause.what != "status":
        return None
    words = cause.message.lower()
    if any(path in words for path in _PATHS) and cause.param in (None, "model") and "model" in words:
        return Lacking.FOR_MODEL
    called = {(name or "").lower() for name in (cause.code, cause.type)}
    if cause.param is not None or called & names.MODEL_NAMES or _MODEL.search(words):
        return None
    return Lacking.AT_ALL if _OF_ROUTES.search(words) else None
