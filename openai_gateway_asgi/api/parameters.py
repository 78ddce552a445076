"""The parameters that presets may set: under which names each operation takes them, and of which kind they are.

Source: OpenAI's description of its API; ``also`` has what servers behind it read besides (vLLM, Ollama, llama.cpp,
OpenRouter). A name with a dot stands inside an object: ``reasoning.effort`` of the Responses API.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

CHAT = "createChatCompletion"
COMPLETION = "createCompletion"
RESPONSES = "createResponse"
SPEECH = "createSpeech"
IMAGE = "createImage"
IMAGE_EDIT = "createImageEdit"
IMAGE_VARIATION = "createImageVariation"
EMBEDDING = "createEmbedding"
TRANSCRIPTION = "createTranscription"
TRANSLATION = "createTranslation"

Object = dict[str, Any]
Number = int | float


class Parameter(NamedTuple):
    kind: Any
    """What JSON must hold there."""
    at: Mapping[str, tuple[str, ...]]
    """By operation: its names there; the first is the one that servers know best."""
    also: tuple[str, ...] = ()
    """More names that mean the same to some server, whatever the operation: they are locked with it."""


def _same(name: str, kind: Any, *operations: str, also: tuple[str, ...] = ()) -> Parameter:
    return Parameter(kind, MappingProxyType(dict.fromkeys(operations, (name,))), also)


_TEXT = (CHAT, COMPLETION)
_ALL = (CHAT, COMPLETION, RESPONSES)
_IMAGES = (IMAGE, IMAGE_EDIT)
_AUDIO = (TRANSCRIPTION, TRANSLATION)

_FORMAT: Mapping[str, tuple[str, ...]] = MappingProxyType({CHAT: ("response_format",), RESPONSES: ("text.format",)})

PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        "max_tokens": Parameter(
            int,
            MappingProxyType(
                {
                    CHAT: ("max_tokens", "max_completion_tokens"),
                    COMPLETION: ("max_tokens",),
                    RESPONSES: ("max_output_tokens",),
                }
            ),
            ("max_new_tokens", "num_predict", "n_predict", "options.num_predict"),
        ),
        "reasoning_effort": Parameter(
            str,
            MappingProxyType({CHAT: ("reasoning_effort",), RESPONSES: ("reasoning.effort",)}),
            # OpenRouter; Anthropic; vLLM and SGLang; Ollama; Qwen; Gemini
            (
                "reasoning.max_tokens", "reasoning.enabled", "include_reasoning", "thinking", "output_config.effort",
                "enable_thinking", "chat_template_kwargs.enable_thinking", "chat_template_kwargs.thinking",
                "chat_template_kwargs.reasoning_effort", "think", "thinking_budget",
                "chat_template_kwargs.thinking_budget", "google.thinking_config", "thinking_config",
            ),
        ),
        "reasoning.summary": Parameter(
            str, MappingProxyType({RESPONSES: ("reasoning.summary",)}), ("reasoning.generate_summary",)
        ),
        "verbosity": Parameter(str, MappingProxyType({CHAT: ("verbosity",), RESPONSES: ("text.verbosity",)})),
        "response_format": Parameter(
            Object, _FORMAT, ("guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs",
                              "format", "json_schema", "grammar"),
        ),
        "temperature": _same("temperature", Number, *_ALL, *_AUDIO, also=("options.temperature",)),
        "top_p": _same("top_p", Number, *_ALL, also=("options.top_p",)),
        "top_k": _same("top_k", int, *_TEXT, also=("options.top_k",)),
        "min_p": _same("min_p", Number, *_TEXT, also=("options.min_p",)),
        "frequency_penalty": _same("frequency_penalty", Number, *_TEXT, also=("options.frequency_penalty",)),
        "presence_penalty": _same("presence_penalty", Number, *_TEXT, also=("options.presence_penalty",)),
        "repetition_penalty": _same(
            "repetition_penalty", Number, *_TEXT, also=("repeat_penalty", "options.repeat_penalty")
        ),
        "seed": _same("seed", int, *_TEXT, also=("options.seed", "random_seed")),
        "stop": _same("stop", str | list[str], *_TEXT, also=("options.stop", "stop_sequences")),
        "n": _same("n", int, *_TEXT, *_IMAGES, IMAGE_VARIATION),
        "logit_bias": _same("logit_bias", dict[str, Number], *_TEXT),
        "logprobs": _same("logprobs", bool | int, *_TEXT),
        "top_logprobs": _same("top_logprobs", int, CHAT, RESPONSES),
        "tools": _same("tools", list[Object], CHAT, RESPONSES, also=("functions",)),
        "tool_choice": _same("tool_choice", str | Object, CHAT, RESPONSES, also=("function_call",)),
        "parallel_tool_calls": _same("parallel_tool_calls", bool, CHAT, RESPONSES),
        "max_tool_calls": _same("max_tool_calls", int, RESPONSES),
        "truncation": _same("truncation", str, RESPONSES),
        "include": _same("include", list[str], RESPONSES),
        "service_tier": _same("service_tier", str, CHAT, RESPONSES),
        "store": _same("store", bool, CHAT, RESPONSES),
        "metadata": _same("metadata", dict[str, str], CHAT, RESPONSES),
        "user": _same("user", str, CHAT, COMPLETION, RESPONSES, EMBEDDING, *_IMAGES, IMAGE_VARIATION),
        "safety_identifier": _same("safety_identifier", str, CHAT, RESPONSES),
        "prompt_cache_key": _same("prompt_cache_key", str, CHAT, RESPONSES),
        "prompt_cache_retention": _same("prompt_cache_retention", str, CHAT, RESPONSES),
        "modalities": _same("modalities", list[str], CHAT),
        "audio": _same("audio", Object, CHAT),
        "prediction": _same("prediction", Object, CHAT),
        "web_search_options": _same("web_search_options", Object, CHAT),
        "stream_options": _same("stream_options", Object, CHAT, COMPLETION, RESPONSES),
        "voice": _same("voice", str | Object, SPEECH),
        "speed": _same("speed", Number, SPEECH),
        "language": _same("language", str, TRANSCRIPTION),
        "size": _same("size", str, *_IMAGES, IMAGE_VARIATION),
        "quality": _same("quality", str, *_IMAGES),
        "style": _same("style", str, IMAGE),
        "background": _same("background", str, *_IMAGES),
        "moderation": _same("moderation", str, IMAGE),
        "output_format": _same("output_format", str, *_IMAGES),
        "output_compression": _same("output_compression", int, *_IMAGES),
        "partial_images": _same("partial_images", int, *_IMAGES),
        "input_fidelity": _same("input_fidelity", str, IMAGE_EDIT),
        "dimensions": _same("dimensions", int, EMBEDDING),
        "encoding_format": _same("encoding_format", str, EMBEDDING),
    }
)  # fmt: skip
"""By the name that a preset is written with."""

FILE_FORMAT = Parameter(
    str,
    MappingProxyType(
        dict.fromkeys((SPEECH, IMAGE, IMAGE_EDIT, IMAGE_VARIATION, TRANSCRIPTION, TRANSLATION), ("response_format",))
    ),
)
"""``response_format`` where it is a text: the kind of file, not of words."""

FREE = (CHAT, COMPLETION, RESPONSES)
"""The operations that get a parameter which stands in no table, as a provider's own."""

NOT_PARAMETERS = frozenset(
    """model models messages input prompt instructions stream extra_body reasoning text file image mask options
    conversation previous_response_id __proto__""".split()
)
"""What a call is about, or whole objects of which single fields are parameters."""


def parameter(name: str, value: object) -> Parameter:
    """The parameter that a preset means by a name and its value."""
    if name == "response_format" and isinstance(value, str):
        return FILE_FORMAT
    return PARAMETERS.get(canonical(name)) or _same(name, Any, *FREE)


def canonical(name: str) -> str:
    """The name in the table: ``max_output_tokens`` and ``reasoning.effort`` are other names of one parameter."""
    return _CANONICAL.get(name, name)


def family(name: str) -> str:
    """The name in the table of what it means to any server: ``thinking`` is another name of ``reasoning_effort``, with
    values of its own."""
    return _ALSO.get(name) or canonical(name)


def names_of(name: str) -> frozenset[str]:
    """All names under which some operation of some server takes a parameter."""
    found = PARAMETERS.get(family(name))
    if found is None:
        return frozenset({name})
    return frozenset({name, *found.also, *(each for names in found.at.values() for each in names)})


_ALSO = {name: canon for canon, each in PARAMETERS.items() for name in each.also}
_CANONICAL = {
    name: canon for canon, each in PARAMETERS.items() for names in each.at.values() for name in names if name != canon
}
