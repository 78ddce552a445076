"""The objects of the Responses API, as strict readers require them: the response, and its items."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import asdict

from .fields import Raw, encode, raw
from .shapes import object_of, objects_of, said_in, text_of

AN_ITEM = 256
"""Bytes that an item of a stream counts for what is kept, beside what is said in it."""

ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""What a response repeats of its request, and what stands there where the request said nothing."""
ECHOED_NAMES = frozenset(ECHOED)
Echoed = msgspec.defstruct("Echoed", [(name, Raw, raw(value)) for name, value in ECHOED.items()], gc=False)
"""The same with the bytes of each value, for what a request says."""
_ECHOED = asdict(Echoed())


_bits = random.getrandbits


def new_id(kind: str) -> str:
    """``resp``, ``msg``, ``fc``, ``ctc`` and ``rs`` are OpenAI's own prefixes."""
    return f"{kind}_{_bits(128):032x}"  # tells items apart, guards nothing


class Frame(msgspec.Struct, gc=False):
    """What all events of one response repeat."""

    request: Mapping[str, Raw]
    """What is repeated of the client's own body (``ECHOED``), as far as it says something."""
    model: str
    id: str = msgspec.field(default_factory=partial(new_id, "resp"))
    created: int = 0
    service_tier: str | None = None

    def response(
        self,
        status: str,
        output: list[dict[str, Any]],
        *,
        usage: Mapping[str, Any] | None = None,
        incomplete: str | None = None,
        error: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        response = {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": error,
            "incomplete_details": {"reason": incomplete} if incomplete else None,
            "model": self.model,
            "output": output,
            "usage": usage,
            **ECHOED,
            **self.request,
            "store": False,
        }
        if self.service_tier is not None:
            response["service_tier"] = self.service_tier
        return response

    def repeated(self) -> bytes:
        """What is repeated of the request, as members of an object."""
        return encode({**_ECHOED, **self.request})[1:-1]


def text_part(
    text: str | Raw, annotations: list[Any] | None = None, logprobs: list[Any] | None = None
) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": annotations or [], "logprobs": logprobs or []}


def refusal_part(refusal: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": refusal}


def message_item(id: str, content: list[dict[str, Any]], status: str = "completed") -> dict[str, Any]:
    return {"id": id, "type": "message", "role": "assistant", "status": status, "content": content}


def reasoning_item(id: str, text: str | None, status: str = "completed") -> dict[str, Any]:
    summary = [] if text is None else [{"type": "summary_text", "text": text}]
    return {"id": id, "type": "reasoning", "summary": summary, "encrypted_content": None, "status": status}


def call_item(
    id: str,
    call_id: str,
    name: str,
    said: str,
    status: str = "completed",
    *,
    custom: bool = False,
    space: str = "",
    extra: Any = None,
) -> dict[str, Any]:
    """A tool that is called; ``said`` are its arguments, or the input of a custom one. ``extra``: what the server wants
    back with it."""
    item = {"id": id, "type": "custom_tool_call" if custom else "function_call", "call_id": call_id, "name": name}
    if space:
        item["namespace"] = space
    if extra:
        item["extra_content"] = extra
    return item | {"input" if custom else "arguments": said, "status": status}


INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""The finish reasons of a chat with which an answer is not whole."""


def ending(finish: Any) -> tuple[str, str | None]:
    """The status of a response, and why it is incomplete, by the finish reason of a chat."""
    reason = INCOMPLETE.get(text_of(finish))
    return ("incomplete", reason) if reason else ("completed", None)


def url_citation(annotation: Mapping[str, Any]) -> dict[str, Any] | None:
    """A citation of a page as Responses has it: flat."""
    inner = annotation.get("url_citation")
    return {"type": "url_citation", **_NO_PLACE, **inner} if isinstance(inner, dict) else None


_NO_PLACE = {"start_index": 0, "end_index": 0, "url": "", "title": ""}
"""What readers require of a citation, and some servers leave out."""


def logprobs_of(choice: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of a chat's text, with what readers of Responses require of each."""
    entries = objects_of(object_of(choice.get("logprobs")).get("content"))
    return [
        {**_with_bytes(each), "top_logprobs": [_with_bytes(top) for top in objects_of(each.get("top_logprobs"))]}
        for each in entries
    ]


def _with_bytes(entry: dict[str, Any]) -> dict[str, Any]:
    if isinstance(entry.get("bytes"), list):
        return entry
    return {**entry, "bytes": list(text_of(entry.get("token")).encode("utf-8", "replace"))}


def thought_of(message: Mapping[str, Any]) -> str | None:
    """What the model thought, in the spellings that servers use: two fields, some use both at once, or, with Mistral,
    parts of the content."""
    for name in ("reasoning_content", "reasoning"):
        text = message.get(name)
        if isinstance(text, str) and text:
            return text
    content = message.get("content")
    if not isinstance(content, list):
        return None
    return "".join([said_in(part.get("thinking")) for part in objects_of(content)]) or None
