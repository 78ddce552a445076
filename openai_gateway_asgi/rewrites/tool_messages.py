"""Tool messages whose content is a list, for upstreams that take text only. Off unless an upstream asks for it."""

from __future__ import annotations

import msgspec

from ..bodies.outline import Fields
from ..bodies.payload import Payload, decode_field
from ..config.upstream import Upstream


class _Part(msgspec.Struct):
    type: str = ""
    text: str | None = None


def flat_tool_content(payload: Payload, upstream: Upstream, _model: str) -> Payload:
    """With ``flatten_tool_content=True`` such a list becomes its texts, one per line, without its other parts."""
    if not upstream.flatten_tool_content:
        return payload
    raw = payload.readable("messages")
    messages = None if raw is None else decode_field("messages", raw, list[msgspec.Raw])
    if not messages:
        return payload
    flat = [_flattened(f"messages[{index}]", message) for index, message in enumerate(messages)]
    changed = any(new is not old for new, old in zip(flat, messages, strict=True))
    return payload.edited({"messages": flat}) if changed else payload


def _flattened(where: str, message: msgspec.Raw) -> msgspec.Raw | dict[str, msgspec.Raw | str]:
    fields = decode_field(where, message, Fields)
    if fields is None or "role" not in fields or "content" not in fields:
        return message
    content = fields["content"]
    if memoryview(content)[0] != ord("[") or decode_field(f"{where}.role", fields["role"], str) != "tool":
        return message
    parts = decode_field(f"{where}.content", content, list[_Part]) or []
    texts = (part.text for part in parts if part.type in ("text", "input_text") and part.text)
    return {**fields, "content": "\n".join(texts)}
