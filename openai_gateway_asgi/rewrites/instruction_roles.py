"""The role under which a model takes its instructions: ``developer``, as OpenAI's own call it now, or ``system``.

Source: developers.openai.com, API reference, chat messages: "with o1 models and newer, developer messages replace the
previous system messages". Servers that fill a model's own template know ``system`` only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ..bodies.payload import Payload, decode_field
from ..config.upstream import Upstream
from ..errors import InvalidRequest
from .reasoning import is_reasoning_model, takes_no_instructions

NewRoles = Mapping[str, str]

TO_USER: NewRoles = {"system": "user", "developer": "user"}
TO_DEVELOPER: NewRoles = {"system": "developer"}
TO_SYSTEM: NewRoles = {"developer": "system"}

LARGE = 1024 * 1024
"""Bytes of a list of messages, up to which its braces are not counted."""
MOST_BRACES = 100_000
"""In a list of more than ``LARGE`` bytes. With more it is made up, and to read it would keep all other calls waiting:
it is sent as it came. So is one with more than ``MOST_CHANGES`` messages to change."""
MOST_CHANGES = 4_096
"""Messages of one call whose role is changed."""

_DEVELOPER = b'"developer"'
_WINDOW = 1024 * 1024
"""Bytes that are copied and searched in one go; a search of bytes takes half the time of one by a pattern."""
_SPELT = re.compile(rb'("role"\s*:\s*")(system|developer)"')


_NULL = msgspec.Raw(b"null")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode


class _Message(msgspec.Struct, gc=False):
    role: str | None = None


def instruction_roles(payload: Payload, upstream: Upstream, model: str) -> Payload:
    """All instructions under the one role that model and upstream know. Nothing but roles is written anew.

    Raises ``InvalidRequest`` where a reasoning model's messages are missing, and where messages cannot be read.
    """
    raw = payload.searchable("messages")
    if is_reasoning_model(model, upstream.reasoning_models):
        if raw is None or raw == _NULL:
            raise InvalidRequest(
                "A list is missing - at `$.messages`", param="messages", code="missing_required_parameter"
            )
        new = _new_roles(upstream, model)
    elif raw is None or upstream.knows_developer or not _names_developer(raw):
        return payload
    else:
        new = TO_SYSTEM
    raw = payload.readable("messages")
    assert raw is not None, "it has been looked at"
    if _is_made_up(raw):
        return payload
    messages = decode_field("messages", raw, list[_Message | None]) or []
    places = [index for index, message in enumerate(messages) if message is not None and message.role in new]
    if not places or len(places) > MOST_CHANGES:
        return payload
    return payload.edited({"messages": _respelt(raw, new, len(places)) or _rewritten(raw, new, places)})


def _names_developer(raw: msgspec.Raw) -> bool:
    view = memoryview(raw)
    if len(view) <= _WINDOW:
        return bytes(view).rfind(_DEVELOPER) >= 0  # which is twice as fast as to look from the front
    return any(_DEVELOPER in bytes(view[at : at + _WINDOW + len(_DEVELOPER)]) for at in range(0, len(view), _WINDOW))


def _new_roles(upstream: Upstream, model: str) -> NewRoles:
    """A reasoning model's. It is OpenAI's, whoever passes its calls on: who knows no ``developer`` has to say so."""
    if takes_no_instructions(model):
        return TO_USER
    return TO_SYSTEM if upstream.developer_role is False else TO_DEVELOPER


def _is_made_up(raw: msgspec.Raw) -> bool:
    return memoryview(raw).nbytes > LARGE and bytes(raw).count(b"{") > MOST_BRACES


def _respelt(raw: msgspec.Raw, new: NewRoles, wanted: int) -> msgspec.Raw | None:
    """With the roles replaced where they stand; None where they are spelt in a way of their own, or others look alike.

    Inside a text every quote is escaped, so what looks like a role is the key of some object.
    """
    changed = 0

    def replaced(match: re.Match[bytes]) -> bytes:
        nonlocal changed
        role = new.get(match[2].decode())
        if role is None:
            return match[0]
        changed += 1
        return match[1] + role.encode() + b'"'

    respelt = _SPELT.sub(replaced, bytes(raw))
    return msgspec.Raw(respelt) if changed == wanted else None


def _rewritten(raw: msgspec.Raw, new: NewRoles, places: list[int]) -> list[msgspec.Raw | dict[str, Any]]:
    messages: list[Any] = decode_field("messages", raw, list[msgspec.Raw]) or []
    for index in places:
        fields: dict[str, Any] = _fields(messages[index])
        messages[index] = fields | {"role": new[_text(fields["role"])]}
    return messages
