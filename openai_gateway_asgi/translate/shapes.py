"""What an upstream sent, as far as it is of the kind that it should be: anything may stand anywhere."""

from __future__ import annotations

from typing import Any


def object_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def objects_of(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def count_of(value: Any) -> int:
    return value if isinstance(value, int) else 0


def said_in(content: Any) -> str:
    """The text of a message or a delta; some servers give it in parts."""
    if isinstance(content, list):
        return "".join([text_of(part.get("text")) for part in objects_of(content)])
    return text_of(content)
