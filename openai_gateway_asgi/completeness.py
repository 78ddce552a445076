"""Whether an event stream has said that it is complete. A stream that merely stops has been cut.

Looked for once, in the last events: a finish reason or ``[DONE]`` for chat, the API's own final event elsewhere.
"""

from __future__ import annotations

import re
from enum import Enum

_FINISH_REASON = re.compile(rb'"finish_reason"\s*:\s*"')
_DONE = re.compile(rb"(?:^|[\r\n])data:\s?\[DONE\]")
_ERROR = re.compile(rb'(?:^|[\r\n])(?:event:\s?error[\r\n]|data:\s?\{\s*"error"\s*:\s*[^n\s])')

CHAT = frozenset({"createChatCompletion", "createCompletion"})

FINAL_EVENTS: dict[str, tuple[bytes, ...]] = {
    "createResponse": (b"response.completed", b"response.failed", b"response.incomplete", b"response.cancelled"),
    "createImage": (b"image_generation.completed",),
    "createImageEdit": (b"image_edit.completed",),
    "createTranscription": (b"transcript.text.done",),
    "createSpeech": (b"speech.audio.done",),
}


class Ending(Enum):
    COMPLETE = "complete"
    WITHOUT_DONE = "complete, but the [DONE] that chat clients wait for is missing"
    ERROR = "ended with an error event of the upstream's own"
    CUT = "stopped without saying that it was complete"


def ending(operation: str, tail: bytes) -> Ending:
    """How a stream of ``operation`` ended, by its last events."""
    if _ERROR.search(tail):
        return Ending.ERROR
    if operation in CHAT:
        if _DONE.search(tail):
            return Ending.COMPLETE
        return Ending.WITHOUT_DONE if _FINISH_REASON.search(tail) else Ending.CUT
    finals = FINAL_EVENTS.get(operation)
    complete = finals is None or _DONE.search(tail) or any(final in tail for final in finals)
    return Ending.COMPLETE if complete else Ending.CUT
