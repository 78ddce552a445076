"""Values in lines of the log: each is one word, whatever others chose to be called."""

from __future__ import annotations

import json
import re
from functools import lru_cache

_PLAIN = re.compile(r"(?!None$)[!#-<>-\[\]-~]+")  # visible ASCII but for quotes, equals signs and backslashes


MOST_KEPT = 256
"""Values whose spelling is kept: names of models and upstreams come again and again."""


@lru_cache(maxsize=MOST_KEPT)
def value(text: str | None) -> str | None:
    """Quoted where it could be taken for more than one value or line."""
    if text is None or _PLAIN.fullmatch(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return (
        quoted
        if quoted.isprintable()
        else "".join([char if char.isprintable() else ascii(char)[1:-1] for char in quoted])
    )
