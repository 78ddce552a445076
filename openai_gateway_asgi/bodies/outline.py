"""The top-level fields of a JSON object, from its bytes.

Small bodies are split by a decoder in C, which holds the interpreter as long as it takes and makes an object for each
field; so large ones, and those that it cannot read, are walked through.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Generator, Sequence

import msgspec

from ..errors import InvalidRequest
from ..http.request_body import Bytes
from .findings import Findings
from .grammar import COLON, END, FIRST_KEY, KEY, LIST, NEXT_KEY, OBJECT, REACH, START, WHITE
from .long_texts import LONG, LongTexts
from .scanner import Scanner
from .walk import TEXT
from .zones import Zone

Fields = dict[str, msgspec.Raw]

MOST_FIELDS = 1000
"""Fields at the top of a body."""

_AT_ONCE = 256 * 1024
"""Bytes that are decoded in one go, however many fields there are."""
_LARGE = 1024 * 1024
"""Bytes that are decoded in one go where most of them are in a few fields."""
_LONGEST_NAME = 1024 * 1024
"""Bytes of a name at the top of a large body, which is taken out to be read."""
_WINDOW = 256 * 1024
"""Bytes of a text that are checked between two turns for others."""
_LONE = re.compile(rb"\\u[dD][89a-fA-F]")


class _Big(msgspec.Struct):
    """The fields that may be large; others are skipped when it is decoded, and nothing is made of them."""

    messages: msgspec.Raw = msgspec.Raw()
    input: msgspec.Raw = msgspec.Raw()
    tools: msgspec.Raw = msgspec.Raw()
    prompt: msgspec.Raw = msgspec.Raw()
    instructions: msgspec.Raw = msgspec.Raw()

    def size(self) -> int:
        return sum(
            len(memoryview(raw)) for raw in (self.messages, self.input, self.tools, self.prompt, self.instructions)
        )


_decode_fields = msgspec.json.Decoder(Fields).decode
_decode_big = msgspec.json.Decoder(_Big).decode


def read_fields(
    body: Sequence[Bytes], zone: Zone, found: Findings, limit: int
) -> Generator[None, None, tuple[Fields, LongTexts | None, bool]]:
    """The fields of a body that came in these pieces, what was cut out of them or is held, and whether a walk has found
    what is named there.

    ``limit`` is that of ``LongTexts``. Raises ``InvalidRequest`` for what is no JSON object.
    """
    if sum(map(len, body)) > 2 * LONG:
        if len(body) == 1:
            yield from check_utf8(body[0])
        texts = LongTexts(limit)
        kept = yield from texts.cut(body)
        if texts and sum(map(len, kept)) <= _LARGE:
            rest = b"".join(kept)
            yield from check_utf8(rest)
            fields = _split_rest(rest, texts)
            if fields is not None:
                return fields, texts, False
        del kept
    data = body[0] if len(body) == 1 else b"".join(body)
    yield from check_utf8(data)
    whole = split(data)
    if whole is not None:
        return whole, None, False
    held = LongTexts(limit)
    walked_fields = yield from walked(data, zone, found, held)
    return walked_fields, held, True


def _split_rest(rest: bytes, texts: LongTexts) -> Fields | None:
    """None where the rest of a body cannot be read without what was cut out of it."""
    try:
        fields = split(rest)
    except InvalidRequest:
        return None
    return None if fields is None or texts.in_names(fields) else fields


def split(data: Bytes) -> Fields | None:
    """The fields of a body that is small, or has few; None where it must be walked through.

    Raises ``InvalidRequest`` for what is no JSON object.
    """
    if len(data) > _LARGE:
        return None
    try:
        if len(data) > _AT_ONCE and len(data) - _decode_big(data).size() > _AT_ONCE:
            return None
        fields = _decode_fields(data)
    except msgspec.ValidationError as error:
        raise InvalidRequest("The request body must be a JSON object.", code="invalid_json") from error
    except msgspec.DecodeError as error:
        if _LONE.search(data):
            return None  # half a character, which that decoder does not take
        said = str(error) if data.strip() else "it is empty"
        raise InvalidRequest(f"The request body is not valid JSON: {said}.", code="invalid_json") from error
    except RecursionError as error:
        raise InvalidRequest("The request body is nested too deeply.", code="invalid_json") from error
    if len(fields) > MOST_FIELDS:
        raise too_many_fields()
    return fields


def walked(data: Bytes, zone: Zone, found: Findings, texts: LongTexts) -> Generator[None, None, Fields]:
    """The fields by a walk, which finds what they name. ``texts`` keeps long values without copying them."""
    scanner = Scanner(data, found, texts=texts)
    fields: Fields = {}
    begun = START(data, 0, REACH)
    if begun is None:
        raise scanner.no_json(0)
    if begun.lastindex != OBJECT:
        raise InvalidRequest("The request body must be a JSON object.", code="invalid_json")
    at, count, next_member = begun.end(), 0, FIRST_KEY
    while (member := next_member(data, at, at + REACH)) is not None and member.lastindex != END:
        count += 1
        if count > MOST_FIELDS:
            raise too_many_fields()
        key, start = yield from _key(scanner, member)
        scanner.top = name = _name(key)
        at = yield from _value(scanner, start, scanner.look_at(key, zone, start) or zone.below)
        value = memoryview(data)[start:at]
        fields[name] = texts.hold(value) if len(value) >= LONG else msgspec.Raw(bytes(value))
        next_member = NEXT_KEY
    if member is None or len(data) > member.end() + REACH or not WHITE.fullmatch(data, member.end()):
        raise scanner.no_json(at)
    return fields


def _key(scanner: Scanner, member: re.Match[bytes]) -> Generator[None, None, tuple[bytes, int]]:
    """A key, as it is written, and where its value stands."""
    data, at = scanner.data, member.end()
    if member.lastindex == KEY:
        key = member[KEY]
    else:
        end = yield from scanner.end_of_text(at - 1)
        if end - at > _LONGEST_NAME:
            raise InvalidRequest(
                f"A field of the request body has a name of more than {_LONGEST_NAME} bytes.", code="invalid_json"
            )
        key, colon = bytes(data[at : end - 1]), COLON(data, end, end + REACH)
        if colon is None:
            raise scanner.no_json(end)
        at = colon.end()
    white = WHITE.match(data, at, at + REACH)
    return key, at if white is None else white.end()


def _value(scanner: Scanner, at: int, zone: Zone) -> Generator[None, None, int]:
    """The end of the value at ``at``, which is walked through."""
    begun = START(scanner.data, at, at + REACH)
    if begun is None:
        raise scanner.no_json(at)
    if begun.lastindex in (OBJECT, LIST):
        return (yield from scanner.walk(at, zone))
    if begun.lastindex == TEXT:
        return (yield from scanner.end_of_text(begun.end() - 1))
    end: int = begun.end()
    return end


def _name(key: bytes) -> str:
    try:
        name: str = json.loads(b'"%b"' % key)
        name.encode()
    except ValueError as error:
        raise InvalidRequest(
            "A field of the request body has a name that cannot be read.", code="invalid_json"
        ) from error
    return name


def too_many_fields() -> InvalidRequest:
    return InvalidRequest(f"The request body has more than {MOST_FIELDS} fields.", code="invalid_json")


def check_utf8(data: Bytes) -> Generator[None, None, None]:
    """What decoders keep raw they do not look into; lenient upstreams would."""
    if data.isascii():
        return
    view, at = memoryview(data), 0
    try:
        while at < len(data):
            last = at + _WINDOW >= len(data)
            at += codecs.utf_8_decode(view[at : at + _WINDOW], "strict", last)[1]
            if not last:
                yield
    except UnicodeDecodeError as error:
        raise InvalidRequest("The request body is not valid UTF-8.", code="invalid_json") from error
