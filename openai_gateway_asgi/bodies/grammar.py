"""The grammar of JSON (RFC 8259) as patterns that match from one place of interest to the next.

Runs of short texts and of numbers are crossed inside a pattern. What stands inside a text is not looked at but for its
end, which is the same for every reader, whatever else is in it.
"""

from __future__ import annotations

import re
from typing import Any

from ..http.request_body import Bytes

REACH = 64 * 1024
"""Bytes that one match may look at; white space and numbers longer than this are no JSON that anybody means."""
_RUN = 400
"""Elements of a list that one match crosses."""

_WS = rb"[ \t\n\r]*+"
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?"
_OTHER = _NUMBER + rb"|true|false|null"
_SCALAR = rb'(?:"[^"\\\x00-\x1f]{0,64}+"|' + _OTHER + rb")"

# The groups say what was met; those that a pattern cannot meet are in it as what never matches.
OBJECT, LIST, END, KEY, ODD_KEY, TEXT, MORE, LAST = range(1, 9)
_NEVER = rb"(?!)"
_MEMBER = rb'(?:"([A-Za-z0-9_.$-]{1,64}+)"' + _WS + rb':|("))'


def _pattern(inner: bytes) -> Any:
    return re.compile(_WS + rb"(?:" + inner + rb")").match


FIRST_KEY = _pattern(_NEVER + rb"()()|(\})|" + _MEMBER)
NEXT_KEY = _pattern(_NEVER + rb"()()|(\})|," + _WS + _MEMBER)
VALUE = _pattern(rb"(\{)|(\[)|" + _SCALAR + _WS + rb"(?:(\})|," + _WS + _MEMBER + rb')|(")')
_ELEMENTS = (
    rb"(?>(?:%(scalar)b%(ws)b,%(ws)b){0,%(run)d})(?:(\{)|(\[)|%(scalar)b%(ws)b(\])|%(never)b()()|"
    rb'(")|(?=[-0-9tfn])())' % {b"scalar": _SCALAR, b"ws": _WS, b"run": _RUN, b"never": _NEVER}
)
FIRST_ELEMENT = _pattern(_ELEMENTS + rb"|(\])")
AFTER_COMMA = _pattern(_ELEMENTS)
NEXT_ELEMENT = _pattern(rb"," + _WS + rb"(?:" + _ELEMENTS + rb")|(\])")
# The same for lists whose elements are looked at one by one.
_EACH = rb"(\{)|(\[)|" + _NEVER + rb'()()()|(")|(' + _OTHER + rb")"
FIRST_OF_EACH = _pattern(_EACH + rb"|(\])")
NEXT_OF_EACH = _pattern(rb"," + _WS + rb"(?:" + _EACH + rb")|(\])")
COLON = re.compile(_WS + rb":").match
START = re.compile(_WS + rb"(?:(\{)|(\[)|(\")|(null)|" + _OTHER + rb")").match
WHITE = re.compile(_WS)
PLAIN_KEY = re.compile(rb"[a-z0-9_.$-]+").fullmatch
_TEXT_PARTS = re.compile(rb'(?>(?:[^"\\]++|\\.)*)', re.DOTALL)
EMPTY = re.compile(_WS + rb'(?:""|\[' + _WS + rb"\]|\{" + _WS + rb"\})").match


def in_text(data: Bytes, at: int, end: int) -> int:
    """Where the whole characters of a text end: at its quote, or before ``end``."""
    met = _TEXT_PARTS.match(data, at, end)
    assert met is not None, "it matches nothing as well"
    return met.end()
