"""Where texts stand that people or models wrote: in bodies of requests, and in what answers them.

Tables of paths, ``*`` going into each item of a list; a path that leads nowhere is no fault. The paths of an operation
make one tree, so that a value is walked once, however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import is_not
from typing import Any

from ..bodies import nested_fields
from ..errors import PayloadTooLarge

Change = Callable[[str], str]
Path = tuple[str, ...]
Places = dict[str, "Places"]
"""What stands under a name, or under ``EACH``; a text under ``HERE``."""
EACH, HERE = "*", ""
MOST_KEYS = 1_000
"""Different keys of the objects at one place, among which one may be written in other letters."""
_LEAF: Places = {HERE: {}}


def _paths(*written: str) -> tuple[Path, ...]:
    return tuple(tuple(each.split(".")) for each in written)


def _tree(paths: Iterable[Path]) -> Places:
    top: Places = {}
    for path in paths:
        places = top
        for name in (*path, HERE):
            places = places.setdefault(name, {})
    return top


def _trees(table: Mapping[str, Iterable[Path]]) -> Mapping[str, Places]:
    return {operation: _tree(paths) for operation, paths in table.items()}


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


_TOOLS = _paths(
    "tools.*.description",
    "tools.*.function.description",
    "tools.*.custom.description",
    "tools.*.tools.*.description",
    "functions.*.description",
)
_RUN = _at("additional_messages.*", _MESSAGE) + _paths("instructions", "additional_instructions")

_RESPONSE_ASKED = (
    _at("input.*", _ITEM) + _paths("input", "instructions", "prompt.variables.*", "prompt.variables.*.text") + _TOOLS
)
_PROMPT = _paths("prompt")

ASKED = _trees(
    {
        "createChatCompletion": _at("messages.*", _MESSAGE)
        + _paths("prediction.content", "prediction.content.*.text")
        + _TOOLS,
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
)
"""By operation: where a request's texts stand."""

_CHAT = _at("choices.*.delta", _MESSAGE) + _at("choices.*.message", _MESSAGE) + _paths("choices.*.text")
_RESPONSE = (
    _at("output.*", _ITEM)
    + _at("response.output.*", _ITEM)
    + _at("item", _ITEM)
    + _paths("delta", "text", "refusal", "arguments", "input", "code", "part.text", "part.refusal")
)

_THREAD = _paths("content.*.text.value", "delta.content.*.text.value")

TOLD = _trees(
    {
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
)
"""By operation: where an answer's texts stand, in its events and in an answer that is whole."""

IMAGES = _trees(
    {
        "createChatCompletion": _paths("messages.*.content.*.image_url.url"),
        "createResponse": _paths("input.*.content.*.image_url", "input.*.output.*.image_url"),
        "createModeration": _paths("input.*.image_url.url"),
    }
)
"""By operation: where a request's images stand, as URLs or as data."""


def texts_in(value: Any, places: Places) -> list[str]:
    """All texts at these places."""
    found: list[str] = []
    _collect(value, places, found)
    return found


def _collect(value: Any, places: Places, found: list[str]) -> None:
    if isinstance(value, str):
        if HERE in places:
            found.append(value)
    elif isinstance(value, Mapping):
        for name, inner in places.items():
            if name == EACH:
                for item in value.values():
                    _collect(item, inner, found)
            elif name in value:
                _collect(value[name], inner, found)
    elif isinstance(value, list) and EACH in places:
        inner = places[EACH]
        if inner == _LEAF:
            found += [item for item in value if isinstance(item, str)]
            return
        for item in value:
            _collect(item, inner, found)


def refuse_other_case(value: Any, places: Places) -> None:
    """A key that some reader may take for one of those that lead to a text, and that is not written so, would hide one.

    Raises ``InvalidRequest``, and ``PayloadTooLarge`` for more different keys than anybody uses.
    """
    found: dict[int, tuple[Places, set[str]]] = {}
    _collect_keys(value, places, found)
    for wanted, names in found.values():
        if len(names) > MOST_KEYS:
            raise PayloadTooLarge(
                f"A filter is shown objects of up to {MOST_KEYS} different keys where texts may stand."
            )
        nested_fields.refuse_other_case(names, wanted)


def _collect_keys(value: Any, places: Places, found: dict[int, tuple[Places, set[str]]]) -> None:
    each = places.get(EACH)
    if isinstance(value, Mapping):
        found.setdefault(id(places), (places, set()))[1].update(value)
        for name in value if each is not None else places:
            if name in value and (below := places.get(name, each)) is not None:
                _collect_keys(value[name], below, found)
    elif isinstance(value, list) and each is not None:
        for item in value:
            _collect_keys(item, each, found)


def with_texts(value: Any, places: Places, change: Change) -> Any:
    """The value with what ``change`` makes of each text at these places: a copy where that is something else."""
    if isinstance(value, str):
        if HERE not in places:
            return value
        changed = change(value)
        return value if changed == value else changed
    each = places.get(EACH)
    if isinstance(value, Mapping):
        return _with_named(value, places, each, change)
    if isinstance(value, list) and each is not None:
        made = [with_texts(item, each, change) for item in value]
        return made if any(map(is_not, made, value)) else value
    return value


def _with_named(value: Mapping[str, Any], places: Places, each: Places | None, change: Change) -> Mapping[str, Any]:
    made: dict[str, Any] = {}
    for name, inner in (dict.fromkeys(value, each) if each is not None else places).items():
        if name in value and (changed := with_texts(value[name], inner, change)) is not value[name]:
            made[name] = changed
    return {**value, **made} if made else value
