"""Every method of the ``openai`` package that makes one request, found by looking at it, with arguments that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
from openai._resource import SyncAPIResource

# Sections of the package for what is no part of the surface: the account, and products it does not describe.
ELSEWHERE = ("admin", "beta.agents", "decisions", "live", "safety", "webhooks")
# No single request: several in a row, a socket, or none at all.
COMPOSED = ("poll", "stream", "connect", "unwrap", "verify_", "wait_", "prepare", "upload", "parse", "with_")
NOT_IN_SURFACE = {"evals.runs.cancel", "audio.voices.delete", "fine_tuning.checkpoints.permissions.retrieve"}
"""Other methods for the same operations, or newer ones."""

FILE = ("sound.mp3", b"ID3 sound", "audio/mpeg")
SESSION = {"type": "realtime", "model": "m"}
BY_NAME: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "hi"}],
    "input": "hi",
    "prompt": "hi",
    "voice": "alloy",
    "file": FILE,
    "image": FILE,
    "data": FILE,
    "video": FILE,
    "recording": FILE,
    "metadata": {"a": "b"},
    "attributes": {"a": "b"},
    "items": [{"role": "user", "content": "hi"}],
    "expires_after": {"anchor": "last_active_at", "minutes": 1},
    "bytes": 9,
    "part_ids": ["p"],
    "project_ids": ["p"],
    "tool_outputs": [{"tool_call_id": "c", "output": "o"}],
    "workflow": {"id": "w"},
    "grader": {"type": "string_check", "name": "g", "input": "i", "reference": "r", "operation": "eq"},
    "data_source_config": {"type": "custom", "item_schema": {}},
    "data_source": {"type": "jsonl", "source": {"type": "file_content", "content": []}},
    "testing_criteria": [],
    "session": SESSION,
}
ALSO: dict[str, dict[str, Any]] = {
    "images.edit": {"model": "m"},
    "images.generate": {"model": "m"},
    "images.create_variation": {"model": "m"},
    "moderations.create": {"model": "m"},
    "videos.create": {"model": "m"},
    "responses.create": {"model": "m", "input": "hi"},
    "responses.input_tokens.count": {"model": "m", "input": "hi"},
    "beta.responses.create": {"model": "m", "input": "hi"},
    "beta.responses.input_tokens.count": {"model": "m", "input": "hi"},
    "beta.responses.compact": {"input": "hi"},
    "beta.realtime.sessions.create": {"model": "m"},
    "beta.realtime.transcription_sessions.create": {"input_audio_transcription": {"model": "m"}},
    "realtime.calls.create": {"session": SESSION},
    "realtime.calls.accept": {"model": "m", "type": "realtime"},
    "realtime.client_secrets.create": {"session": SESSION},
    "skills.create": {"files": [FILE]},
    "skills.versions.create": {"files": [FILE]},
    "containers.files.create": {"file": FILE},
    "audio.voices.create": {"audio_sample": FILE, "consent": "c"},
    "vector_stores.file_batches.create": {"file_ids": ["f"]},
}


@dataclass(frozen=True)
class Call:
    """``name`` is the method's, dotted, below a client."""

    name: str
    arguments: dict[str, Any]

    def on(self, client: Any) -> Any:
        target = client
        for part in self.name.split("."):
            target = getattr(target, part)
        return target(**self.arguments)


def _methods(resource: Any, path: str) -> Iterator[Call]:
    for name in sorted(dir(type(resource))):
        full = f"{path}.{name}" if path else name
        if name.startswith("_") or full.startswith(ELSEWHERE):
            continue
        value = getattr(resource, name)
        if isinstance(value, SyncAPIResource):
            yield from _methods(value, full)
        elif path and callable(value) and full not in NOT_IN_SURFACE and not any(word in name for word in COMPOSED):
            yield Call(full, _arguments(full, value))


def _arguments(full: str, method: Any) -> dict[str, Any]:
    signature = inspect.signature(method)
    required = [
        name
        for name, each in signature.parameters.items()
        if each.default is each.empty and each.kind != each.VAR_KEYWORD
    ]
    return {name: BY_NAME.get(name, "x1") for name in required} | ALSO.get(full, {})


CALLS = list(_methods(openai.OpenAI(api_key="unused"), ""))
