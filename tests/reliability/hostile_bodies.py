"""Bodies that are made to cost much: each by its name, for a size in bytes that it comes near to.

What is beyond a bound is refused; all others pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tests.reliability.gateways import CHAT

RESPONSES = "/v1/responses"
EMBEDDINGS = "/v1/embeddings"
SPEECH = "/v1/audio/speech"
SECRETS = "/v1/realtime/client_secrets"

MESSAGE = b'{"role":"user","content":"hello there"}'


class Made(NamedTuple):
    path: str
    head: bytes
    """What the body begins with."""
    filling: Callable[[int], bytes]
    """Of about so many bytes."""
    tail: bytes

    def body(self, size: int) -> bytes:
        return self.head + self.filling(size) + self.tail


def repeated(element: bytes, between: bytes = b",") -> Callable[[int], bytes]:
    return lambda size: between.join([element] * (size // (len(element) + len(between))))


def text(characters: bytes) -> Callable[[int], bytes]:
    return lambda size: characters * (size // len(characters))


def numbered(element: bytes) -> Callable[[int], bytes]:
    """``element`` with another number in each place, all of as many digits."""
    first = 1_000_000
    length = len(element % first) + 1
    return lambda size: b",".join([element % number for number in range(first, first + size // length)])


def deep(element: bytes, depth: int = 100) -> Callable[[int], bytes]:
    return lambda size: b"[" * depth + repeated(element)(size) + b"]" * depth


def chat(filling: Callable[[int], bytes], *, model: bytes = b"gpt", first: bytes = b"") -> Made:
    return Made(CHAT, b'{"model":"%b","messages":[%b' % (model, first), filling, b"]}")


def message(characters: bytes) -> Made:
    return Made(CHAT, b'{"model":"gpt","messages":[{"role":"user","content":"', text(characters), b'"}]}')


def beside(head: bytes, filling: Callable[[int], bytes], tail: bytes, *, path: str = CHAT) -> Made:
    """In a field, or fields, of its own."""
    return Made(path, b'{"model":"gpt",' + head, filling, tail + b"}")


PLAIN = message(b"x")
"""What all others are measured against."""

HOSTILE: Mapping[str, Made] = {
    # Texts
    "letters of two bytes": message("ж".encode()),
    "escaped letters": message(b"\\u0436"),
    "lines": message(b"a line of text\\n"),
    "quotes": message(b'\\"'),
    "backslashes": message(b"\\\\"),
    "half a character": Made(CHAT, PLAIN.head, text(b"x"), b'\\ud83d"}]}'),
    "many halves": chat(repeated(b'{"role":"user","content":"\\ud83d"}')),
    "not UTF-8": Made(CHAT, PLAIN.head, text("ж".encode()), b'\xff"}]}'),
    # Many of a kind
    "messages": chat(repeated(MESSAGE)),
    "empty objects": chat(repeated(b"{}")),
    "empty objects beside a word": chat(repeated(b"{}"), first=b'{"file_id":null},'),
    "empty lists beside a word": chat(repeated(b"[]"), first=b'{"file_id":null},'),
    "numbers": beside(b'"input":[', repeated(b"1"), b"]", path=EMBEDDINGS),
    "token arrays": beside(b'"input":[', repeated(b"[" + repeated(b"12345")(6000) + b"]"), b"]", path=EMBEDDINGS),
    "words": beside(b'"input":[', repeated(b'"word"'), b"]", path=EMBEDDINGS),
    "fractions": beside(b'"messages":[],"x":[', repeated(b"0.123456789"), b"]"),
    "numbers on lines of their own": chat(repeated(b"1", b",\n ")),
    "white space": beside(b'"messages":', text(b" "), b"[]"),
    "no end": Made(CHAT, b'{"model":"gpt","messages":[', repeated(MESSAGE), b"}"),
    "depth": beside(b'"messages":[],"x":', lambda size: b"[" * (size // 2) + b"]" * (size // 2), b""),
    "metadata": beside(b'"messages":[],"metadata":{', repeated(b'"a":"b"'), b"}"),
    # Keys
    "fields": beside(b"", numbered(b'"k%d":1'), b""),
    "one field many times": beside(b"", repeated(b'"k":1'), b""),
    "a long name": beside(b'"messages":[],"', text(b"k"), b'":1'),
    "a long key above zeros": beside(
        b'"messages":[{"',
        lambda size: b"k" * (size // 2) + b'":[' + repeated(b"0")(size // 2),
        b'],"file_id":null}]',
    ),
    "a blank key": beside(b'"messages":[{"', text(b" "), b'":1}]'),
    "odd keys": chat(repeated(b'{"A b":1}')),
    "escaped keys": chat(repeated(b'{"\\u0041\\u0042":1}')),
    # Names
    "one model many times": beside(b'"messages":[],"models":[', repeated(b'"gpt"'), b"]"),
    "models": beside(b'"messages":[],"models":[', numbered(b'"m%d"'), b"]"),
    "a long model": Made(CHAT, b'{"model":"', text(b"m"), b'","messages":[]}'),
    "a list for a model": Made(CHAT, b'{"model":[', repeated(b'"gpt"'), b'],"messages":[]}'),
    "files": beside(b'"messages":[],"file_ids":[', repeated(b'"f"'), b"]"),
    "items": beside(
        b'"input":[', repeated(b'{"type":"message","id":"m","role":"user","content":"hi"}'), b"]", path=RESPONSES
    ),
    "an item of quotes": Made(
        RESPONSES,
        b'{"model":"gpt","input":[{"role":"user","content":[{"type":"input_text","text":"',
        text(b'\\"'),
        b'"}]}]}',
    ),
    "an answer of quotes": Made(
        RESPONSES,
        b'{"model":"gpt","input":[{"role":"assistant","content":[{"type":"output_text","text":"',
        text(b'\\"'),
        b'"}]}]}',
    ),
    "instructions of quotes": beside(b'"input":"x","instructions":"', text(b'\\"'), b'"', path=RESPONSES),
    "arguments of quotes": Made(
        CHAT,
        b'{"model":"gpt","messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":'
        b'{"name":"f","arguments":"',
        text(b'\\"'),
        b'"}}]}]}',
    ),
    "items that are none": beside(b'"input":[', repeated(b'"x"'), b"]", path=RESPONSES),
    "tools with a default": beside(
        b'"input":"x","tools":[', repeated(b'{"type":"image_generation"}'), b"]", path=RESPONSES
    ),
    "schemas": beside(
        b'"messages":[],"tools":[', repeated(b'{"type":"function","parameters":{"model":"x"}}'), b"]"
    ),
    # What somebody reads
    "bias": beside(b'"messages":[],"logit_bias":"', repeated(b"1:1"), b'"'),
    "stream": beside(b'"messages":[],"stream":"', text(b"m"), b'"'),
    "speech": beside(b'"voice":"a","input":"', text(b"x"), b'"', path=SPEECH),
    "deep speech": beside(b'"voice":"a","input":', deep(b"{}"), b"", path=SPEECH),
    "session": Made(SECRETS, b'{"session":{"model":"gpt",', numbered(b'"k%d":1'), b"}}"),
    "instructions": Made(SECRETS, b'{"session":{"model":"gpt","instructions":"', text(b"x"), b'"}}'),
    "messages of a reasoning model": chat(repeated(MESSAGE), model=b"o3", first=b'{"role":"system","content":"x"},'),
    "systems": chat(repeated(b'{"role":"system","content":"x"}'), model=b"o3"),
    "longer systems": chat(repeated(b'{"role":"system","content":"' + b'\\"' * 1000 + b'"}'), model=b"o3"),
    "deep systems": Made(
        CHAT, b'{"model":"o3","messages":[{"role":"system","content":', deep(b"1"), b"}]}"
    ),
}  # fmt: skip

MADE_TO_HOLD = (
    "empty objects beside a word", "bias", "fields", "deep speech", "deep systems", "one model many times", "quotes",
)  # fmt: skip
"""Those of the usual run."""
