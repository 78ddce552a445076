"""Where texts stand that people or models wrote: in bodies of requests, and in what answers them.

Tables of paths, walked by one function. ``*`` goes into each item of a list; a path that leads nowhere is no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Change = Callable[[str], str]
Path = tuple[str, ...]


def _paths(*written: str) -> tuple[Path, ...]:
    return tuple(tuple(each.split(".")) for each in written)


_MESSAGE = (
    "{}.content",
    "{}.content.*.text",
    "{}.content.*.refusal",
    "{}.refusal",
    "{}.reasoning_content",
    "{}.reasoning",
    "{}.tool_calls.*.function.arguments",
    "{}.tool_calls.*.custom.input",
    "{}.function_call.arguments",
)
_ITEM = (
    "{}.content",
    "{}.content.*.text",
    "{}.content.*.refusal",
    "{}.text",
    "{}.refusal",
    "{}.summary.*.text",
    "{}.arguments",
    "{}.input",
    "{}.output",
    "{}.output.*.text",
    "{}.code",
    "{}.queries.*",
)


def _at(place: str, templates: tuple[str, ...]) -> tuple[Path, ...]:
    return _paths(*[template.format(place).removeprefix(".") for template in templates])


_RUN = _at("additional_messages.*", _MESSAGE) + _paths("instructions", "additional_instructions")

_RESPONSE_ASKED = _at("input.*", _ITEM) + _paths(
    "input", "instructions", "prompt.variables.*", "prompt.variables.*.text"
)
_PROMPT = _paths("prompt")

ASKED: Mapping[str, tuple[Path, ...]] = {
    "createChatCompletion": _at("messages.*", _MESSAGE) + _paths("prediction.content", "prediction.content.*.text"),
    "createCompletion": _paths("prompt", "prompt.*", "suffix"),
    "createResponse": _RESPONSE_ASKED,
    "Compactconversation": _RESPONSE_ASKED,
    "Getinputtokencounts": _RESPONSE_ASKED,
    "createEmbedding": _paths("input", "input.*"),
    "createModeration": _paths("input", "input.*", "input.*.text"),
    "createSpeech": _paths("input", "instructions"),
    "createImage": _PROMPT,
    "createImageEdit": _PROMPT,
    "createVideo": _PROMPT,
    "CreateVideoEdit": _PROMPT,
    "CreateVideoExtend": _PROMPT,
    "CreateVideoRemix": _PROMPT,
    "createConversation": _at("items.*", _ITEM),
    "createConversationItems": _at("items.*", _ITEM),
    "searchVectorStore": _paths("query", "query.*"),
    "createAssistant": _paths("instructions", "description"),
    "modifyAssistant": _paths("instructions", "description"),
    "createThread": _at("messages.*", _MESSAGE),
    "createMessage": _paths("content", "content.*.text"),
    "createRun": _RUN,
    "createThreadAndRun": _RUN + _at("thread.messages.*", _MESSAGE),
    "submitToolOuputsToRun": _paths("tool_outputs.*.output"),
}
"""By operation: where a request's texts stand."""

_CHAT = _at("choices.*.delta", _MESSAGE) + _at("choices.*.message", _MESSAGE) + _paths("choices.*.text")
_RESPONSE = (
    _at("output.*", _ITEM)
    + _at("response.output.*", _ITEM)
    + _at("item", _ITEM)
    + _paths("delta", "text", "refusal", "arguments", "input", "code", "part.text", "part.refusal")
)

_THREAD = _paths("content.*.text.value", "delta.content.*.text.value")

TOLD: Mapping[str, tuple[Path, ...]] = {
    "createChatCompletion": _CHAT,
    "createCompletion": _CHAT,
    "createResponse": _RESPONSE,
    "createTranscription": _paths("text", "delta", "segments.*.text", "words.*.word"),
    "createTranslation": _paths("text", "segments.*.text"),
    "createImage": _paths("data.*.revised_prompt", "revised_prompt"),
    "createConversationItems": _at("data.*", _ITEM),
    "createMessage": _THREAD,
    "createRun": _THREAD,
    "createThreadAndRun": _THREAD,
    "submitToolOuputsToRun": _THREAD,
}
"""By operation: where an answer's texts stand, in its events and in an answer that is whole."""

IMAGES: Mapping[str, tuple[Path, ...]] = {
    "createChatCompletion": _paths("messages.*.content.*.image_url.url"),
    "createResponse": _paths("input.*.content.*.image_url", "input.*.output.*.image_url"),
    "createModeration": _paths("input.*.image_url.url"),
}
"""By operation: where a request's images stand, as URLs or as data."""


def texts_in(value: Any, paths: tuple[Path, ...]) -> Iterator[str]:
    """All texts at these places."""
    for path in paths:
        yield from _found(value, path)


def with_texts(value: Any, paths: tuple[Path, ...], change: Change) -> Any:
    """A copy in which each text at these places is what ``change`` makes of it."""
    for path in paths:
        value = _changed(value, path, change)
    return value


def _found(value: Any, path: Path) -> Iterator[str]:
    if not path:
        if isinstance(value, str):
            yield value
        return
    head, rest = path[0], path[1:]
    if head == "*":
        items = value if isinstance(value, list) else value.values() if isinstance(value, Mapping) else ()
        for item in items:
            yield from _found(item, rest)
    elif isinstance(value, Mapping) and head in value:
        yield from _found(value[head], rest)


def _changed(value: Any, path: Path, change: Change) -> Any:
    if not path:
        return change(value) if isinstance(value, str) else value
    head, rest = path[0], path[1:]
    if head == "*":
        if isinstance(value, list):
            return [_changed(item, rest, change) for item in value]
        if isinstance(value, Mapping):
            return {name: _changed(item, rest, change) for name, item in value.items()}
        return value
    if isinstance(value, Mapping) and head in value:
        return {**value, head: _changed(value[head], rest, change)}
    return value
