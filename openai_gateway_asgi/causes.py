"""Why an attempt at an upstream failed, as plain data."""

from __future__ import annotations

from enum import Enum


class Failure(Enum):
    """How an attempt failed, before anything was told. What is done about each stands in ``upstream/failures.py``."""

    RATE_LIMITED_BRIEFLY = "429 with a short retry-after"
    RATE_LIMITED = "429"
    OVERLOADED = "502, 503, 504 or 529"
    SERVER_ERROR = "any other 5xx, or an error of no known status inside a 200"
    CUT = "the connection broke before the answer"
    REFUSED = "no connection"
    UNREACHED = "no connection in time"
    TIMEOUT = "no answer in time"
    BUSY = "the gateway's own limit for this upstream"
    CREDENTIAL = "401: the upstream refuses the credential, or there is none"
    ACCOUNT = "402, 403 or insufficient_quota: the upstream refuses the account"
    UNABLE = "this upstream cannot take this call: 408, 413 by tokens per minute, 424, 498, 499, 404 for the model"
    REDIRECT = "a redirect, which is not followed"
    CONTEXT_LENGTH = "too long for the model"
    CONTENT = "refused for its content"
    CALLER = "any other 4xx"
