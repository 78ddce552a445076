"""Calls that say texts and nothing else, as most do: said in the other API without being taken to pieces.

Whatever is otherwise is left to the general way (``responses_items``, ``chat_messages``), which says the same of these.
Texts keep their bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from ..bodies.outline import Fields
from .fields import NULL, QUOTE, Raw, is_text

MOST = 64
"""Messages of a call that is said without being taken to pieces."""
LONGEST = 64 * 1024
"""Bytes of its list of messages."""
_FEW = msgspec.Meta(min_length=1, max_length=MOST)
_ONE_TEXT: tuple[str, ...] = ("input",)
_OF_INPUT = tuple([f"input[{number}]" for number in range(MOST)])
_OF_MESSAGES = tuple([f"messages[{number}]" for number in range(MOST)])


class Said(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["user", "system"]
    content: str


class Asked(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["user", "system", "developer"]
    content: Raw


_read_input = msgspec.json.Decoder(Annotated[list[Said], _FEW]).decode
_read_messages = msgspec.json.Decoder(Annotated[list[Asked], _FEW]).decode
_ITEMS = {
    role: b'{"type":"message","role":"%b","content":[{"type":"input_text","text":%%b}]}' % role.encode()
    for role in ("user", "system", "developer")
}


def plain_messages(fields: Fields) -> tuple[Raw, Sequence[str]] | None:
    """The messages of a chat that an input and its instructions are, and where in the client's body each stands,
    ``messages_of`` for short; None where they say more than texts of users and of the system."""
    said, places = fields.get("input", NULL), _ONE_TEXT
    view = memoryview(said)
    if view[0] == QUOTE:
        said = Raw(b'[{"role":"user","content":%b}]' % said)
    elif len(view) > LONGEST:
        return None
    else:
        try:
            places = _OF_INPUT[: len(_read_input(said))]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
    first = fields.get("instructions")
    if first is None or first == NULL:
        return said, places
    if not is_text(first):
        return None
    return Raw(b'[{"role":"system","content":%b},%b' % (first, bytes(said)[1:])), ("instructions", *places)


def plain_items(fields: Fields) -> tuple[Raw, Sequence[str]] | None:
    """The input items that messages are, and where in the client's body each stands, ``items_of`` for short; None where
    they say more than texts of users and instructions."""
    said = fields.get("messages", NULL)
    if len(memoryview(said)) > LONGEST:
        return None
    try:
        messages = _read_messages(said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    items = []
    for message in messages:
        content = message.content
        if memoryview(content)[0] != QUOTE:
            return None
        items.append(_ITEMS[message.role] % content)
    return Raw(b"[%b]" % b",".join(items)), _OF_MESSAGES[: len(items)]
