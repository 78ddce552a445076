"""Reasoning models: which ids name one."""

from __future__ import annotations

import functools
import re

from ..config.model_ids import ModelIds

# Fine-tuned models, and Bedrock's "[region.]openai."; OpenRouter's "openai/" is the path before the last segment.
_QUALIFIER = re.compile(r"ft:|(?:[a-z0-9-]+\.)?openai\.")

# Two digits end at 19, so that gpt-50 (a name others give to small models) is none. gpt-5-chat does not reason:
# it takes a temperature, as its successors do not.
_FAMILY = re.compile(r"(?!gpt-5-chat)(?:o(?:[1-9]|1[0-9])|gpt-(?:[5-9]|1[0-9]))(?![^\W_])")

# The only two that refuse both "system" and "developer".
_WITHOUT_INSTRUCTIONS = ("o1-mini", "o1-preview")


@functools.lru_cache(maxsize=4096)
def is_reasoning_model(upstream_id: str, overrides: tuple[str, ...] | None) -> bool:
    """Whether the id names an OpenAI reasoning model: the o series, GPT-5 and later.

    ``overrides`` (ids, ``*`` as a wildcard, any case) decide alone where they are not None.
    """
    if overrides is not None:
        return upstream_id.lower() in ModelIds(map(str.lower, overrides))
    return _FAMILY.match(bare(upstream_id)) is not None


def takes_no_instructions(upstream_id: str) -> bool:
    """Whether the model refuses the roles ``system`` and ``developer`` both."""
    return bare(upstream_id).startswith(_WITHOUT_INSTRUCTIONS)


def bare(upstream_id: str) -> str:
    """The model's own name, in lower case, without who provides or tuned it."""
    return _QUALIFIER.sub("", upstream_id.lower().rpartition("/")[2], count=1)
