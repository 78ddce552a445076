"""What an upstream sent, as far as it is of the kind that it should be: anything may stand anywhere."""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def object_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def objects_of(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def count_of(value: Any) -> int:
    """Some servers write every number with a point."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else 0
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def seconds_of(value: Any) -> int:
    """When an answer was made; now where it does not say so."""
    known = isinstance(value, int | float) and abs(value) <= sys.float_info.max
    return int(value) if known else int(time.time())


def arguments_of(value: Any) -> str:
    """Those of a call: a text, which is JSON; some servers send the object itself."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def said_in(content: Any) -> str:
    """The text of a message or a delta; some servers give it in parts."""
    if isinstance(content, list):
        return "".join([text_of(part.get("text")) for part in objects_of(content)])
    return text_of(content)
