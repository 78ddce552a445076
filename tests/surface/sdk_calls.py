"""Every method of the ``openai`` package, found by looking at it, with arguments that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
from openai._resource import SyncAPIResource

ELSEWHERE = ("admin", "beta.agents", "decisions", "live", "safety", "webhooks")
"""Sections of the package for what is no part of the surface: the account, and products it does not describe."""
NOT_IN_SURFACE = ("audio.voices.delete", "evals.runs.cancel")
"""Single methods of that kind. The surface has another path by which the run of an eval is cancelled."""
# Other protocols, or no call at all.
_NO_REQUEST = ("connect", "for_result", "unwrap", "verify_signature")
# Several requests in a row, or a stream that is read event by event.
_SEVERAL = ("parse", "poll", "prepare", "stream", "upload", "wait_")

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
    "vector_stores.file_batches.create_and_poll": {"file_ids": ["f"]},
    "vector_stores.file_batches.upload_and_poll": {"files": [FILE]},
    "responses.parse": {"model": "m", "input": "hi"},
    "responses.stream": {"model": "m", "input": "hi"},
    "uploads.upload_file_chunked": {"file": b"ID3 sound", "filename": "sound.mp3", "bytes": 9, "purpose": "batch"},
    "videos.create_and_poll": {"model": "m"},
    "admin.organization.external_keys.create": dict.fromkeys(("external_id", "kms_arn", "name", "role_arn"), "x1"),
    "beta.agents.automations.create": dict.fromkeys(("expression", "name", "target", "timezone"), "x1"),
    "beta.agents.environments.files.create": dict.fromkeys(("file_id", "path", "type"), "x1"),
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


def methods(resource: Any, base: type, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every public method below a client, by its dotted name; ``base`` is the class of its resources."""
    for name in sorted(dir(type(resource))):
        full = f"{path}.{name}" if path else name
        if name.startswith(("_", "with_")):
            continue
        value = getattr(resource, name)
        if isinstance(value, base):
            yield from methods(value, base, full)
        elif path and callable(value):
            yield full, value


def _is_below(name: str, sections: tuple[str, ...]) -> bool:
    return any(name == section or name.startswith(section + ".") for section in sections)


def _arguments(full: str, method: Any) -> dict[str, Any]:
    signature = inspect.signature(method)
    required = [
        name
        for name, each in signature.parameters.items()
        if each.default is each.empty and each.kind != each.VAR_KEYWORD
    ]
    return {name: BY_NAME.get(name, "x1") for name in required} | ALSO.get(full, {})


METHODS = dict(methods(openai.OpenAI(api_key="unused"), SyncAPIResource))


def _calls(*, served: bool, several: bool) -> list[Call]:
    """All methods but those that make no request fall in one of the four kinds, so that none can be forgotten."""
    return [
        Call(name, _arguments(name, method))
        for name, method in METHODS.items()
        if not name.endswith(_NO_REQUEST)
        and _is_below(name, ELSEWHERE + NOT_IN_SURFACE) != served
        and any(word in name.rpartition(".")[2] for word in _SEVERAL) == several
    ]


CALLS = _calls(served=True, several=False)
HELPERS = _calls(served=True, several=True)
REFUSED = _calls(served=False, several=False)
