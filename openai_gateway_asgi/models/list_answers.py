"""What an upstream's answer to ``GET /models`` says, in the spellings that servers are known to use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

LIST_KEYS = ("data", "models", "model_names")
"""Where the list stands; the first that holds one counts. OpenAI and nearly all others; the own APIs of Ollama, Gemini,
Cohere and LM Studio; text-generation-webui."""
ID_KEYS = ("id", "name", "model", "model_name", "model_id", "key")
"""Where an entry has its id; the first that is not empty counts. OpenAI and nearly all others; Gemini and Cohere;
Ollama; LiteLLM; watsonx; LM Studio."""

MOST_MODELS = 100_000
"""Models in one list; a longer one is refused."""
MOST_VALUES = 350_000
"""Commas in one list: what stands between two is an object to a decoder, which holds the interpreter meanwhile."""
LONGEST_ENTRY = 256 * 1024
"""Bytes of one model's entry; a longer one is left out."""

MENDED = 1024 * 1024
"""Bytes of an answer in which small faults are looked for; that holds the interpreter as well."""

_NO_NUMBER = re.compile(rb"(?<=[:,\[])(\s*)-?(?:NaN|Infinity)(?=\s*[,}\]])")
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u[dD][89a-fA-F]..|.)", re.DOTALL)

_BOM = b"\xef\xbb\xbf"

Entry = dict[str, Any]

_decode_answer = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw] | None).decode
_decode_entry = msgspec.json.Decoder(dict[str, Any] | str).decode
_decode_any = msgspec.json.Decoder().decode


def raw_entries(body: bytes) -> Sequence[msgspec.Raw]:
    """The entries, undecoded: a broken one costs itself alone, and no decoding holds the interpreter for long.

    Raises ``ValueError`` where the answer is no list of models, or is too long a one.
    """
    body = body.removeprefix(_BOM)
    if body.count(b",") > MOST_VALUES:
        raise ValueError(f"the answer holds more than {MOST_VALUES} values")
    entries = _entries(body)
    if entries is None and (mended := _mended(body)) != body:
        entries = _entries(mended)
    if entries is None:
        raise ValueError("the answer holds no list of models")
    if len(entries) > MOST_MODELS:
        raise ValueError(f"the answer lists more than {MOST_MODELS} models")
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


def _entries(body: bytes) -> Sequence[msgspec.Raw] | None:
    try:
        return _listed(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _listed(body: bytes) -> Sequence[msgspec.Raw] | None:
    answer: dict[str, msgspec.Raw] | list[msgspec.Raw] = _decode_answer(body)
    if not isinstance(answer, dict):
        return answer
    given = [answer[key] for key in LIST_KEYS if key in answer]
    lists: Iterator[list[msgspec.Raw] | None] = map(_decode_list, given)
    found = next((entries for entries in lists if entries is not None), None)
    if found:
        return found
    # None where there is nothing to list, as servers written in Go say it: a null, or a key that is left out.
    empty = found is not None or bool(given) or _says(answer, "object", "list")
    return [] if empty and not _tells_failure(answer) else None


def _tells_failure(answer: Mapping[str, msgspec.Raw]) -> bool:
    """Whether it is an error under a status of 200."""
    return ("error" in answer and bool(_decode_any(answer["error"]))) or _says(answer, "success", False)


def _says(answer: Mapping[str, msgspec.Raw], key: str, value: object) -> bool:
    return key in answer and _decode_any(answer[key]) == value


def _mended(body: bytes) -> bytes:
    """Without what is no JSON, though servers send it: Python's ``NaN``, and halves of letters that JavaScript cuts."""
    if len(body) > MENDED:
        return body
    return _ESCAPE.sub(_whole_letter, _NO_NUMBER.sub(rb"\1null", body))


def _whole_letter(escape: re.Match[bytes]) -> bytes:
    lone = len(escape[0]) == len(rb"\ud83d")
    return rb"\ufffd" if lone else escape[0]
