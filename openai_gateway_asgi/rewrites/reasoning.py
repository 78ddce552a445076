"""Reasoning models: which ids name one, and the role under which they take their instructions."""

from __future__ import annotations

import functools
import re

import msgspec

from ..bodies.payload import Fields, Payload, decode_field
from ..config.model_ids import ModelIds
from ..config.upstream import Upstream
from ..errors import InvalidRequest

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
    return _FAMILY.match(_bare(upstream_id)) is not None


def first_role(payload: Payload, upstream: Upstream, model: str) -> Payload:
    """The first message's role ``system`` becomes ``developer``, or ``user`` for o1-mini and o1-preview.

    Only that role is written anew. Raises ``InvalidRequest`` where the messages are missing.
    """
    if not is_reasoning_model(model, upstream.reasoning_models):
        return payload
    messages = payload.read("messages", list[msgspec.Raw])
    if messages is None:
        raise InvalidRequest("A list is missing - at `$.messages`", param="messages", code="missing_required_parameter")
    message = _system_message(messages)
    if message is None:
        return payload
    role = "user" if _bare(model).startswith(_WITHOUT_INSTRUCTIONS) else "developer"
    return payload.edited({"messages": [{**message, "role": role}, *messages[1:]]})


def _bare(upstream_id: str) -> str:
    return _QUALIFIER.sub("", upstream_id.lower().rpartition("/")[2], count=1)


def _system_message(messages: list[msgspec.Raw]) -> Fields | None:
    if not messages:
        return None
    message = decode_field("messages[0]", messages[0], Fields)
    if message is None or "role" not in message:
        return None
    return message if decode_field("messages[0].role", message["role"], str) == "system" else None
