"""How much a call may use, before anybody knows: what limits reserve until the upstream has told.

A token is taken for four bytes of text. What is no text (images, audio, files as base64) is taken for what such a thing
usually counts, because its bytes say nothing.
"""

from __future__ import annotations

from msgspec import structs

from ..bodies.payload import Payload
from ..host.usage import Usage

BYTES_PER_TOKEN = 4
"""Of text, for what is expected of a call that limits reserve for."""
THING = 1000
"""Tokens of an image, a recording or a file."""
RECORDING = 60.0
"""Seconds of a recording that is transcribed: how long it is nobody knows before."""
USUAL_ANSWER = 1000
"""Tokens of an answer that nobody limited."""
MOST_CHOICES = 128
"""Answers that one call is expected to have at most (OpenAI's own bound of ``n``)."""

ANSWERING = frozenset({"createChatCompletion", "createCompletion", "createResponse", "createImage", "createImageEdit"})
"""Operations whose answer is made of tokens that were not there before."""
SPEECH = "createSpeech"
RECORDINGS = frozenset({"createTranscription", "createTranslation"})
IMAGES = frozenset({"createImage", "createImageEdit", "createImageVariation"})
_ANSWER_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_SAYING = frozenset({*_ANSWER_LIMITS, "n"})
_SPACES = (b" ", b"\n", b"\\n")
_SEEN = 512
"""Bytes of a long text by which it is told from base64."""


def input_tokens(payload: Payload) -> int:
    """What the body's texts and things are taken for."""
    if payload.texts is None:
        return payload.length // BYTES_PER_TOKEN
    size, things = sum(payload.size(name) for name in payload.outline), 0
    for text in payload.texts or ():
        if _is_text(bytes(text[:_SEEN])):
            size += len(text)
        else:
            things += 1
    return size // BYTES_PER_TOKEN + things * THING


def answer_tokens(payload: Payload) -> int:
    """What the body lets an answer have, for each of the answers that it asks for."""
    there = payload.outline
    limits = [_number(payload, name) for name in _ANSWER_LIMITS if name in there]
    limit = max([each for each in limits if each is not None], default=USUAL_ANSWER)
    choices = min(max(_number(payload, "n") or 1, 1), MOST_CHOICES) if "n" in there else 1
    return max(limit, 0) * choices


def expected_tokens(operation: str, payload: Payload) -> int:
    """Of the request and the answer together."""
    if payload.texts is None and _SAYING.isdisjoint(payload.outline):  # as nearly always
        return payload.length // BYTES_PER_TOKEN + (USUAL_ANSWER if operation in ANSWERING else 0)
    return input_tokens(payload) + (answer_tokens(payload) if operation in ANSWERING else 0)


def expected_usage(operation: str, payload: Payload) -> Usage:
    """Tokens, and what is counted otherwise where a model's price may be for that: the one or the other is charged."""
    expected = Usage(input=input_tokens(payload), output=answer_tokens(payload) if operation in ANSWERING else 0)
    if operation == SPEECH:
        return structs.replace(expected, characters=max(0, payload.size("input") - len('""')))
    if operation in RECORDINGS:
        return structs.replace(expected, seconds=RECORDING)
    if operation in IMAGES:
        return structs.replace(expected, images=min(max(_number(payload, "n") or 1, 1), MOST_CHOICES))
    return expected


def _number(payload: Payload, name: str) -> int | None:
    """A whole number; what is none is the upstream's to refuse."""
    raw = payload.raw(name)
    text = b"" if raw is None else bytes(raw)
    return int(text) if text.isdigit() and len(text) < 16 else None


def _is_text(beginning: bytes) -> bool:
    """Words have spaces between them, base64 has none; scripts without spaces are not ASCII."""
    return not beginning.isascii() or any(space in beginning for space in _SPACES)
