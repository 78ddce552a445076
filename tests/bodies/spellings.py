"""Bodies that name something somewhere, spelt in all the ways that one reader or another understands."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.bodies import oracle

MODELS = ("model", "models", "draft_model", "analysis_models")
VALUES = (
    b'"secret"', b'"\\u0073ecret"', b'"m1"', b'["secret"]', b'["m1","secret"]', b'["m1"]', b"null", b'""', b"[]", b"{}",
    b'{"id":"x1"}', b'{"id":null}', b"7", b"true", b'"m1,secret"', b'" secret"', b'[["secret"]]', b'{"a":"secret"}',
    b'{"\\u0069d":"x1"}',
)  # fmt: skip
HARMLESS = (b'"m1"', b"null", b"[]", b'["m1"]')
PADDINGS = (
    b'"' + b"x" * 40_000 + b'"',
    b"[" + b",".join([b'{"a":"b"}'] * 30_000) + b"]",
    b"[" + b",".join([b'"\\u0061"'] * 150_000) + b"]",
)
FOLDING = {"s": "ſ", "k": "\u212a", "i": "ı", "I": "İ"}
BLANKS = (" ", "\t", "\n", "\xa0", "\ufeff", "\u200b", "\u2028", "\u3000", "\0", "\x1f", "\x85", "\u1680")
HALVES = ("\ud83d", "\udc00")


@dataclass(frozen=True)
class Spot:
    """Where in the body of an operation a member may stand: inside of containers, each a name or ``[]`` for a list."""

    path: str
    containers: tuple[str, ...] = ()
    beside: bytes = b""
    """What else stands in the innermost object."""
    top: bytes = b'"model":"m1"'
    names: tuple[str, ...] = (*MODELS, *sorted(oracle.OBJECTS))
    items: str = ""
    """The field of the operation that holds items."""


_CHAT = "/chat/completions"
_RESPONSES = "/responses"
_TOP = (*MODELS, *sorted(oracle.OBJECTS | oracle.ROUTES), "conversation", "prompt")
_FILES = tuple(sorted(oracle.OBJECTS))
_MESSAGE = b'"role":"user"'
_TEXT = b'"type":"text","text":"hi"'

SPOTS = (
    Spot(_CHAT, names=_TOP, beside=b'"messages":[]'),
    Spot(_CHAT, ("extra_body",), names=_TOP),
    Spot(_CHAT, ("__proto__",), names=_TOP),
    Spot(_CHAT, ("plugins", "[]"), beside=b'"id":"web"'),
    Spot(_CHAT, ("tools", "[]"), beside=b'"type":"function"'),
    Spot(_CHAT, ("tools", "[]", "parameters"), names=MODELS),
    Spot(_CHAT, ("moderation",), names=MODELS),
    Spot(_CHAT, ("messages", "[]", "content", "[]", "file"), names=_FILES),
    Spot(_CHAT, ("messages", "[]"), beside=_MESSAGE, names=_FILES),
    Spot(_CHAT, ("metadata",), names=_TOP),
    Spot(_CHAT, ("response_format", "json_schema", "schema", "properties"), names=_TOP),
    Spot(_RESPONSES, names=_TOP, items="input"),
    Spot(_RESPONSES, ("input", "[]"), names=("id", "file_id", "type"), items="input"),
    Spot(_RESPONSES, ("input", "[]"), beside=b'"type":"item_reference"', names=("id",), items="input"),
    Spot(_RESPONSES, ("input", "[]", "content", "[]"), beside=_TEXT, names=_FILES, items="input"),
    Spot(_RESPONSES, ("tools", "[]"), beside=b'"type":"image_generation"', names=MODELS, items="input"),
    Spot(_RESPONSES, ("tools", "[]", "parameters"), names=MODELS, items="input"),
    Spot(_RESPONSES, ("tools", "[]", "container"), names=_FILES, items="input"),
    Spot("/embeddings", beside=b'"input":"x"', names=_TOP),
    Spot("/images/generations", beside=b'"prompt":"x"', names=_TOP),
    Spot("/audio/speech", beside=b'"input":"x","voice":"a"', names=_TOP),
    Spot("/realtime/client_secrets", ("session",), beside=b'"model":"m1"', top=b""),
    Spot("/realtime/client_secrets", ("session", "audio", "input", "transcription"), top=b'"session":{"model":"m1"}'),
    Spot("/conversations", ("items", "[]"), names=("id", "file_id"), top=b'"metadata":{}', items="items"),
)


def without_padding(body: bytes) -> bytes:
    for padding in PADDINGS:
        body = body.replace(padding, b"[]")
    return body


class Speller:
    """Deterministic: the same ``seed`` makes the same bodies."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def body(self) -> tuple[Spot, bytes]:
        chance = self._chance
        spot = chance.choice(SPOTS)
        member = self._members(chance.choice(spot.names))
        inner = [part for part in (spot.beside, member) if part]
        chance.shuffle(inner)
        made = b"{" + b",".join(inner) + b"}"
        for name in reversed(spot.containers):
            made = b"[" + made + b"]" if name == "[]" else b"{" + self._key(name, often=0.1) + b":" + made + b"}"
        parts = [part for part in (spot.top, made[1:-1], *self._padding()) if part]
        chance.shuffle(parts)
        return spot, b"{" + b",".join(parts) + b"}"

    def _members(self, name: str) -> bytes:
        """One, or several of the name: a reader takes the first, another the last."""
        count = self._chance.choice((1, 1, 1, 2, 3))
        return b",".join(self._key(name) + b":" + self._value() for _ in range(count))

    def _value(self) -> bytes:
        value = self._chance.choice(HARMLESS if self._chance.random() < 0.4 else VALUES)
        return b" " + value + b"\n" if self._chance.random() < 0.1 else value

    def _key(self, name: str, often: float = 0.6) -> bytes:
        chance, rate = self._chance, often
        while chance.random() < rate:
            name = chance.choice((self._other_case, self._folding, self._blank, self._half, self._longer))(name)
            rate *= 0.4
        escaped = chance.choice((0.0, 0.0, 0.0, 0.3, 1.0))
        return b'"' + b"".join(self._written(letter, escaped) for letter in name) + b'"'

    def _written(self, letter: str, escaped: float) -> bytes:
        half = "\ud800" <= letter <= "\udfff"
        if half or letter in '"\\' or self._chance.random() < escaped:
            written = f"\\u{ord(letter):04x}"
            return (written.upper().replace("U", "u", 1) if self._chance.random() < 0.3 else written).encode()
        if letter < " " and self._chance.random() < 0.8:
            return f"\\u{ord(letter):04x}".encode()
        return letter.encode()

    def _other_case(self, name: str) -> str:
        some = "".join(letter.upper() if self._chance.random() < 0.4 else letter for letter in name)
        return self._chance.choice((name.upper(), name.title(), name.capitalize(), some))

    def _folding(self, name: str) -> str:
        return "".join(FOLDING.get(letter, letter) if self._chance.random() < 0.7 else letter for letter in name)

    def _blank(self, name: str) -> str:
        blank = self._chance.choice(BLANKS) * self._chance.choice((1, 1, 2, 300))
        return self._chance.choice((blank + name, name + blank, name + "\0" + name, blank + name + blank))

    def _half(self, name: str) -> str:
        at = self._chance.randrange(len(name) + 1)
        return name[:at] + self._chance.choice(HALVES) + name[at:]

    def _longer(self, name: str) -> str:
        return self._chance.choice((name + "s", "x" + name, name[:-1], name.replace("_", "-"), name + "[]"))

    def _padding(self) -> list[bytes]:
        """Bodies of each of the sizes that are read in ways of their own."""
        what = self._chance.random()
        if what < 0.85:
            return []
        return [b'"padding":' + PADDINGS[0 if what < 0.93 else 1 if what < 0.97 else 2]]
