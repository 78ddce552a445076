"""Whether an event stream has said that it is complete. A stream that merely stops has been cut.

Looked for once, in the last events: a finish reason or ``[DONE]`` for chat, the API's own final event elsewhere. The
quotes of the patterns cannot stand inside a JSON string, so nothing that a model writes is taken for an ending.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

import msgspec

from .upstream_errors import says_error

_FINISH_REASON = re.compile(rb'"finish_reason"\s*:\s*"')
_DONE = re.compile(rb"(?:^|[\r\n])data:\s?\[DONE\]")
_DATA = re.compile(rb"(?:^|[\r\n])data:([^\r\n]*)")
_MAY_SAY_ERROR = re.compile(rb'"error"\s*:\s*[^n\s]|"type"\s*:\s*"error"')
_ERROR_EVENT = re.compile(rb"(?:^|[\r\n])event:\s?error[\r\n]")

CHAT = frozenset({"createChatCompletion", "createCompletion"})

_RESPONSE = ("response.completed", "response.incomplete", "response.cancelled")
FINAL_EVENTS: dict[str, tuple[str, ...]] = {
    "createResponse": _RESPONSE,
    "getResponse": _RESPONSE,
    "createImage": ("image_generation.completed",),
    "createImageEdit": ("image_edit.completed",),
    "createTranscription": ("transcript.text.done",),
    "createSpeech": ("speech.audio.done",),
}
RUNS = frozenset({"createThreadAndRun", "createRun", "submitToolOuputsToRun"})
"""Streams of the Assistants API, which end with ``[DONE]`` alone."""
FAILED = "response.failed"
"""The final event by which the Responses API says that it gave up."""


class Ending(Enum):
    COMPLETE = "complete"
    WITHOUT_DONE = "complete, but the [DONE] that chat clients wait for is missing"
    ERROR = "ended with an error event of the upstream's own"
    CUT = "stopped without saying that it was complete"


def ending(operation: str, tail: bytes) -> Ending:
    """How a stream of ``operation`` ended, by its last events."""
    if _says_error(tail) or (operation in ("createResponse", "getResponse") and _type_of((FAILED,)).search(tail)):
        return Ending.ERROR
    # An event may be long, and a pattern takes its time over it; looking for a word in it does not.
    if (done := tail.rfind(b"[DONE]")) >= 0 and _DONE.search(tail, max(0, done - 8)):
        return Ending.COMPLETE
    if operation in CHAT:
        return Ending.WITHOUT_DONE if _FINISH_REASON.search(tail) and not _unfinished(tail) else Ending.CUT
    if operation in RUNS:
        return Ending.CUT
    finals = _FINALS.get(operation)
    return Ending.COMPLETE if finals is None or finals.search(tail) else Ending.CUT


def _says_error(tail: bytes) -> bool:
    if b"error" not in tail:
        return False
    if _ERROR_EVENT.search(tail):
        return True
    if not _MAY_SAY_ERROR.search(tail):
        return False
    return any(says_error(_decoded(data)) for data in _DATA.findall(tail) if _MAY_SAY_ERROR.search(data))


def _unfinished(tail: bytes) -> set[str]:
    """Choices of which the last events tell, but not that they are finished: one alone does not end them all."""
    told: set[str] = set()
    finished: set[str] = set()
    for data in _DATA.findall(tail):
        event = _decoded(data)
        choices = event.get("choices") if isinstance(event, dict) else None
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                ended = isinstance(choice.get("finish_reason"), str)
                (finished if ended else told).add(str(choice.get("index") or 0))
    return told - finished


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _type_of(names: tuple[str, ...]) -> re.Pattern[bytes]:
    alternatives = "|".join(map(re.escape, names))
    return re.compile(rf'"type"\s*:\s*"(?:{alternatives})"'.encode())


_FINALS = {operation: _type_of(names) for operation, names in FINAL_EVENTS.items()}
