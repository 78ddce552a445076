"""Input that is texts and nothing else, as of most calls: said in a chat without being taken to pieces.

Whatever is otherwise is left to the general way (``responses_items``), which says the same of this. The bytes of the
input are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from ..bodies.outline import Fields
from .fields import NULL, QUOTE, Raw, is_text

MOST = 64
"""Messages of an input that is said without being taken to pieces."""
LONGEST = 64 * 1024
"""Bytes of one: its texts are decoded, to see that they are some."""
_ONE_TEXT: tuple[str, ...] = ("input",)
_PLACES = tuple([f"input[{number}]" for number in range(MOST)])


class Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["user", "system"]
    content: str


_read = msgspec.json.Decoder(Annotated[list[Message], msgspec.Meta(min_length=1, max_length=MOST)]).decode


def plain_messages(fields: Fields) -> tuple[Raw, Sequence[str]] | None:
    """The messages that an input and its instructions are, and where in the client's body each stands, ``messages_of``
    for short; None where they say more than texts of users and of the system."""
    said, places = fields.get("input", NULL), _ONE_TEXT
    view = memoryview(said)
    if view[0] == QUOTE:
        said = Raw(b'[{"role":"user","content":%b}]' % said)
    elif len(view) > LONGEST:
        return None
    else:
        try:
            places = _PLACES[: len(_read(said))]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
    first = fields.get("instructions")
    if first is None or first == NULL:
        return said, places
    if not is_text(first):
        return None
    return Raw(b'[{"role":"system","content":%b},%b' % (first, bytes(said)[1:])), ("instructions", *places)
