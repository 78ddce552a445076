"""What an upstream's answer to ``GET /models`` says, in the spellings that servers are known to use."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from typing import Any

import msgspec

from .elements import elements

LIST_KEYS = ("data", "models", "model_names")
"""Where the list stands; the first that holds one counts. OpenAI and nearly all others; the own APIs of Ollama, Gemini,
Cohere and LM Studio; text-generation-webui."""
ID_KEYS = ("id", "name", "model", "model_name", "model_id", "key")
"""Where an entry has its id; the first that is not empty counts. OpenAI and nearly all others; Gemini and Cohere;
Ollama; LiteLLM; watsonx; LM Studio."""

MOST_MODELS = 100_000
"""Models in one list; a longer one is refused."""
MOST_VALUES = 350_000
"""Commas in one list: what stands between two is an object to a decoder."""
LONGEST_ENTRY = 256 * 1024
"""Bytes of one model's entry; a longer one is left out."""

MENDED = 1024 * 1024
"""Bytes of an answer in which small faults are looked for."""
IN_ONE_GO = 2_048
"""Small faults, or what looks like one, that are looked at between two turns for others; a millisecond."""

_NO_NUMBER = re.compile(rb"(?<=[:,\[])(\s*)-?(?:NaN|Infinity)(?=\s*[,}\]])")
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u[dD][89a-fA-F]..|.)", re.DOTALL)

_BOM = b"\xef\xbb\xbf"

Entry = dict[str, Any]
Entries = Sequence[msgspec.Raw]


class _Answer(msgspec.Struct):
    """What an object may say; nothing is made of what it says besides, however many fields that has."""

    data: msgspec.Raw = msgspec.Raw()
    models: msgspec.Raw = msgspec.Raw()
    model_names: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    object: msgspec.Raw = msgspec.Raw()
    success: msgspec.Raw = msgspec.Raw()


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_entry = msgspec.json.Decoder(dict[str, Any] | str).decode
_decode_any = msgspec.json.Decoder().decode


def raw_entries(body: bytes) -> Generator[None, None, Entries]:
    """The steps to the entries, undecoded: a broken one costs itself alone, and no decoding holds the loop for long.

    Raises ``ValueError`` where the answer is no list of models, or is too long a one.
    """
    body = body.removeprefix(_BOM)
    if body.count(b",") > MOST_VALUES:
        raise ValueError(f"the answer holds more than {MOST_VALUES} values")
    yield
    entries = yield from _entries(body)
    if entries is None and (mended := (yield from _mended(body))) != body:
        entries = yield from _entries(mended)
    if entries is None:
        raise ValueError("the answer holds no list of models")
    return entries


def read_entry(raw: bytes | memoryview) -> tuple[str, Entry] | None:
    """An entry's id and all that it says; None where it is no model. A string is an id alone."""
    if len(raw) > LONGEST_ENTRY:
        return None
    try:
        entry = _decode_entry(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(entry, str):
        entry = {"id": entry}
    id = next((value for key in ID_KEYS if (value := entry.get(key))), None)
    return (id, entry) if isinstance(id, str) else None


def _entries(body: bytes) -> Generator[None, None, Entries | None]:
    try:
        if body.lstrip()[:1] == b"[":
            return (yield from _read_list(body))
        answer = _decode_answer(body)
        yield
        return (yield from _listed(answer))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _listed(answer: _Answer) -> Generator[None, None, Entries | None]:
    given = [raw for key in LIST_KEYS if len(raw := memoryview(getattr(answer, key)))]
    lists = [raw for raw in given if bytes(raw[:1]) != b"n"]
    if lists and (found := (yield from _read_list(lists[0]))):
        return found
    # None where there is nothing to list, as servers written in Go say it: a null, or a key that is left out.
    empty = bool(given) or _says(answer.object, "list")
    return [] if empty and not _tells_failure(answer) else None


def _read_list(data: bytes | memoryview) -> Generator[None, None, Entries]:
    found: list[msgspec.Raw] = []
    for window in elements(data):
        found += window
        if len(found) > MOST_MODELS:
            raise ValueError(f"the answer lists more than {MOST_MODELS} models")
        yield
    return found


def _tells_failure(answer: _Answer) -> bool:
    """Whether it is an error under a status of 200."""
    return (_is_given(answer.error) and bool(_decode_any(answer.error))) or _says(answer.success, False)


def _says(raw: msgspec.Raw, value: object) -> bool:
    return _is_given(raw) and _decode_any(raw) == value


def _is_given(raw: msgspec.Raw) -> bool:
    return len(memoryview(raw)) > 0


def _mended(body: bytes) -> Generator[None, None, bytes]:
    """Without what is no JSON, though servers send it: Python's ``NaN``, and halves of letters that JavaScript cuts."""
    if len(body) > MENDED:
        return body
    body = _NO_NUMBER.sub(rb"\1null", body)
    pieces, at = [], 0
    for count, escape in enumerate(_ESCAPE.finditer(body), 1):
        begin, end = escape.span()
        if end - begin == len(rb"\ud83d"):  # neither half of a pair, nor of one byte
            pieces += [body[at:begin], rb"\ufffd"]
            at = end
        if count % IN_ONE_GO == 0:
            yield
    return b"".join([*pieces, body[at:]])
