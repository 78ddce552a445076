"""Token counts, as the upstream sent them: looked for once, at the end of the answer."""

from __future__ import annotations

import json
from typing import Any

_KEY = b'"usage"'
_decoder = json.JSONDecoder()


def read_usage(tail: bytes) -> dict[str, Any] | None:
    """The last ``usage`` object in the last bytes of an answer, be it JSON or events.

    Inside a JSON string the key's quotes would be escaped, so a text that talks about usage is never taken for it.
    """
    found = tail.rfind(_KEY)
    if found < 0:
        return None
    value = tail[found + len(_KEY) :].lstrip()
    if not value.startswith(b":"):
        return None
    try:
        usage, _ = _decoder.raw_decode(value[1:].decode("utf-8", "replace").lstrip())
    except (ValueError, RecursionError):
        return None
    return usage if isinstance(usage, dict) else None
