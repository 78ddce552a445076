"""How much a call may use, before anybody knows: what limits reserve until the upstream has told.

A token is taken for four bytes of text. What is no text (images, audio, files as base64) is taken for what such a thing
usually counts, because its bytes say nothing.
"""

from __future__ import annotations

import msgspec
from msgspec import structs

from ..bodies.payload import Payload
from ..host.usage import Usage
from ..models import Via
from ..presets.plan import Plan, plan_of

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
UPLOADED = RECORDINGS | IMAGES - {"createImage"}
"""Operations about a file, which comes in a form of which no more is known."""
_ANSWER_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_SAYING = frozenset({*_ANSWER_LIMITS, "n"})
_SPACES = (b" ", b"\n", b"\\n")
NULL = msgspec.Raw(b"null")
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


def answer_tokens(payload: Payload, plan: Plan | None = None) -> int:
    """What the body lets an answer have, for each of the answers that it asks for, once ``plan`` has been applied."""
    limits = [_number(payload, name, plan) for name in _ANSWER_LIMITS]
    limit = max([each for each in limits if each is not None], default=USUAL_ANSWER)
    return max(limit, 0) * _choices(payload, plan)


def expected_tokens(operation: str, payload: Payload, via: Via | None = None) -> int:
    """Of the request and the answer together, of a call that goes by these presets."""
    if payload.came and via is None and _SAYING.isdisjoint(payload.outline):  # as nearly always
        return payload.came // BYTES_PER_TOKEN + (USUAL_ANSWER if operation in ANSWERING else 0)
    return expected_usage(operation, payload, via).tokens or 0


def expected_usage(operation: str, payload: Payload, via: Via | None = None) -> Usage:
    """Tokens, and what is counted otherwise where a model's price may be for that: the one or the other is charged.

    What the presets on the way set and say is counted, as the upstream will read it; nothing is decoded for that.
    """
    plan = None if via is None else plan_of(via, operation)
    input = THING if operation in UPLOADED and not payload.outline else input_tokens(payload)
    if plan is not None and plan.prompt is not None:
        input += len(plan.prompt.text) // BYTES_PER_TOKEN
    output = answer_tokens(payload, plan) if operation in ANSWERING else 0
    expected = Usage(input=input, output=output)
    if operation == SPEECH:
        return structs.replace(expected, characters=max(0, payload.size("input") - len('""')))
    if operation in RECORDINGS:
        return structs.replace(expected, seconds=RECORDING)
    if operation in IMAGES:
        return structs.replace(expected, images=_choices(payload, plan))
    return expected


def _choices(payload: Payload, plan: Plan | None) -> int:
    return min(max(_number(payload, "n", plan) or 1, 1), MOST_CHOICES)


def _number(payload: Payload, name: str, plan: Plan | None) -> int | None:
    """A whole number that an upstream will read there; what is none is the upstream's to refuse."""
    raw = payload.raw(name)
    if plan is not None:
        raw = _as_set(payload, name, raw, plan)
    text = b"" if raw is None else bytes(raw)
    return int(text) if text.isdigit() and len(text) < 16 else None


def _as_set(payload: Payload, name: str, raw: msgspec.Raw | None, plan: Plan) -> msgspec.Raw | None:
    """Locked parameters are there alone; others are filled in where none of their names says anything."""
    for setting in plan.locks:
        if name in setting.names:
            return setting.value if setting.at == name else None
    for setting in plan.fills:
        if setting.at == name and all(payload.outline.get(each, NULL) == NULL for each in setting.names):
            return setting.value
    return raw


def _is_text(beginning: bytes) -> bool:
    """Words have spaces between them, base64 has none; scripts without spaces are not ASCII."""
    return not beginning.isascii() or any(space in beginning for space in _SPACES)
