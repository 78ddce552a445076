"""Model ids with wildcards: ``*`` stands for any run of characters, everything else for itself."""

from __future__ import annotations

import re
from collections.abc import Iterable

Patterns = tuple[re.Pattern[str], ...]

MAX_ID = 256
"""Characters of the longest id."""


def is_pattern(text: str) -> bool:
    return "*" in text


def compile_patterns(texts: Iterable[str]) -> Patterns:
    return tuple(re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL) for text in texts)


def matches(patterns: Patterns, text: str) -> bool:
    return any(pattern.fullmatch(text) for pattern in patterns)
