"""The fields of bodies that name something, in one table: which, where they count, what they name, and who reads them.

``zones`` makes of it what the scanner walks by. Fields of routes have a table of their own (``api/route_fields.py``):
they count at the top of a body and in its ``extra_body``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Place(Enum):
    """Where in a body a field stands; what is inside of it is of the same place, unless ``INSIDE`` says otherwise."""

    TOP = "the top of the body"
    EXTRA = "the top of `extra_body`, which LiteLLM and clients' libraries lay over the body"
    BELOW = "anywhere else"
    MESSAGES = "the messages of a chat"
    ITEM = "an item that the Responses API takes"
    IN_ITEM = "inside such an item"
    TOOLS = "tools, and what is inside of them"
    PLUGINS = "OpenRouter's plugins"
    SOURCE = "where an eval takes its data from"
    METADATA = "notes of the caller's own: upstreams keep them and act on none"
    VARIABLES = "what is filled into a stored prompt, by names of the caller's own"
    NOWHERE = "where names are only names: schemas, descriptions of functions, annotations"


class What(Enum):
    CALLED = "the model that the call is for, which is read by itself"
    MODEL = "a model, by its id"
    MODELS = "models: a list of ids"
    MODELS_INSIDE = "models: each text inside"
    OBJECT = "stored objects: an id, or a list of ids"
    HOLDER = "a stored object, where it is an object with an `id`, or a list of such; as a text it says something"
    EITHER = "a stored object, as an id or as an object with one"
    TYPE = "what kind of thing the object around it is"
    ROUTE = "another route"
    SERVER = "the server of a tool: another route where it is one of the upstream's own"


P = Place
_DEEP = frozenset({P.EXTRA, P.BELOW, P.TOOLS, P.PLUGINS, P.SOURCE})
_REST = frozenset({P.TOP, P.EXTRA, P.BELOW, P.PLUGINS, P.SOURCE})
_ALL = _REST | {P.ITEM, P.IN_ITEM, P.TOOLS}


@dataclass(frozen=True, slots=True)
class Field:
    """``name`` may begin with a ``*`` or end with one, for any letters."""

    name: str
    what: What
    places: frozenset[Place]
    source: str
    group: str = ""
    """Of the stored objects."""


_OPENAI = "OpenAI's description of its API"
_RESPONSES = "OpenAI: CreateResponse"
_FOUNDRY = "Azure AI Foundry: tools of agents"

FIELDS: tuple[Field, ...] = (
    Field("model", What.CALLED, frozenset({P.TOP}), _OPENAI),
    # Models beside it.
    Field("models", What.MODELS, frozenset({P.TOP}), "OpenRouter: tried in turn"),
    Field("model", What.MODEL, _DEEP, "OpenAI: graders, sessions, image tools, moderation; OpenRouter: plugins, tools"),
    Field("models", What.MODELS_INSIDE, _DEEP, "Groq: compound_custom; Vercel's AI Gateway: providerOptions.gateway"),
    Field("*_model", What.MODELS_INSIDE, _DEEP | {P.TOP}, "LM Studio: draft_model; Together: safety_model"),
    Field("*_models", What.MODELS_INSIDE, _DEEP | {P.TOP}, "OpenRouter: analysis_models, allowed_models"),
    # Stored objects.
    Field("collection_ids", What.OBJECT, frozenset({P.TOOLS}), "xAI: collections_search", "vector_stores"),
    Field("comparison_response_id", What.OBJECT, _REST, _RESPONSES, "responses"),
    Field("container", What.OBJECT, _REST | {P.TOOLS}, "OpenAI: CodeInterpreterTool; Anthropic", "containers"),
    Field("container_id", What.OBJECT, _ALL, "OpenAI: CodeInterpreterToolCall, ContainerReference", "containers"),
    Field("conversation", What.EITHER, _REST, _RESPONSES, "conversations"),
    Field("conversation_id", What.OBJECT, _REST, _OPENAI, "conversations"),
    Field("file_id", What.OBJECT, _ALL | {P.MESSAGES}, "OpenAI: InputFileContent, MessageContentPartFile", "files"),
    Field("file_ids", What.OBJECT, _ALL | {P.MESSAGES}, "OpenAI: AutoCodeInterpreterTool, VectorStore", "files"),
    Field("files", What.HOLDER, frozenset({P.TOP, P.EXTRA}), "Open WebUI: files and knowledge that are read", "files"),
    Field("input_file_id", What.OBJECT, _REST, "OpenAI: createBatch", "files"),
    Field("knowledge_id", What.OBJECT, frozenset({P.TOOLS}), "Zhipu: retrieval", "vector_stores"),
    Field("library_ids", What.OBJECT, frozenset({P.TOOLS}), "Mistral: document_library", "vector_stores"),
    Field("previous_response_id", What.OBJECT, _REST, _RESPONSES, "responses"),
    Field("prompt", What.HOLDER, _REST, "OpenAI: Prompt", "prompts"),
    Field("skill_id", What.OBJECT, _ALL, "OpenAI: SkillReferenceParam", "skills"),
    Field("training_file", What.OBJECT, _REST, "OpenAI: CreateFineTuningJobRequest", "files"),
    Field("validation_file", What.OBJECT, _REST, "OpenAI: CreateFineTuningJobRequest", "files"),
    Field("vector_store_id", What.OBJECT, _ALL, _OPENAI, "vector_stores"),
    Field("vector_store_ids", What.OBJECT, _ALL, "OpenAI: FileSearchTool", "vector_stores"),
    Field("voice", What.HOLDER, _REST, "OpenAI: VoiceIdsOrCustomVoice", "voices"),
    # Routes that stand elsewhere than at the top.
    Field("tunnel_id", What.ROUTE, _ALL, "OpenAI: MCPTool"),
    Field("user_api_key_*", What.ROUTE, frozenset({P.METADATA, P.EXTRA}), "LiteLLM: route_llm_request.py"),
    Field("disable_global_guardrail*", What.ROUTE, frozenset({P.METADATA}), "LiteLLM: custom_guardrail.py"),
    Field("connection_id", What.ROUTE, frozenset({P.TOOLS}), _FOUNDRY),
    Field("memory_store_name", What.ROUTE, frozenset({P.TOOLS}), _FOUNDRY),
    Field("project_connection_id", What.ROUTE, frozenset({P.TOOLS}), _FOUNDRY),
    Field("server_url", What.SERVER, frozenset({P.TOOLS}), "LiteLLM: MCP servers of the proxy's own"),
    # What tells kinds of objects apart.
    Field("type", What.TYPE, frozenset({P.ITEM, P.TOOLS, P.SOURCE}), _OPENAI),
    Field("id", What.TYPE, frozenset({P.PLUGINS}), "OpenRouter: plugins"),
)

INSIDE: tuple[tuple[str, frozenset[Place], Place], ...] = (
    ("extra_body", frozenset({P.TOP, P.EXTRA}), P.EXTRA),
    ("__proto__", frozenset({P.TOP, P.EXTRA}), P.EXTRA),  # JavaScript's Object.assign makes its fields the body's own
    ("messages", frozenset({P.TOP, P.EXTRA}), P.MESSAGES),
    ("tools", frozenset({P.TOP, P.EXTRA, P.BELOW, P.ITEM, P.IN_ITEM}), P.TOOLS),
    ("plugins", frozenset({P.TOP, P.EXTRA}), P.PLUGINS),
    ("source", frozenset({P.BELOW, P.EXTRA}), P.SOURCE),
    ("data_source_config", frozenset({P.TOP, P.BELOW}), P.SOURCE),
    ("metadata", frozenset({P.TOP, P.EXTRA}), P.METADATA),
    *(
        (name, frozenset(Place) - {P.VARIABLES}, P.NOWHERE)
        for name in (
            # Notes, and where a text came from.
            "metadata annotations"
            # JSON schemas, as OpenAI, Anthropic, vLLM, llama.cpp and Ollama name them.
            " schema json_schema input_schema output_schema item_schema guided_json structured_outputs"
            # What a model has said of a function, or says to it.
            " arguments"
        ).split()
    ),
    *(
        (name, frozenset({P.TOP, P.EXTRA}), P.NOWHERE)
        for name in (
            "functions response_format"
            # Schemas, as Ollama and Text Generation Inference name them.
            " format grammar"
        ).split()
    ),
    ("function", frozenset({P.TOOLS}), P.NOWHERE),
    # Rows of data, which templates take their texts from.
    ("item", frozenset({P.SOURCE}), P.NOWHERE),
    ("sample", frozenset({P.SOURCE}), P.NOWHERE),
)
"""What begins another place: the name, the places where it does, and which it begins. The first that fits counts."""

VARIABLES = "variables"
"""Of a stored object, where it begins ``Place.VARIABLES``. Source: OpenAI's ResponsePromptVariables: texts, and objects
such as InputFileContent."""

COUNTING = frozenset(Place) - {P.NOWHERE, P.METADATA, P.VARIABLES}
"""The places in which most names count."""

BELOW = MappingProxyType(
    {P.TOP: P.BELOW, P.EXTRA: P.BELOW, P.ITEM: P.IN_ITEM, P.METADATA: P.NOWHERE, P.VARIABLES: P.BELOW},
)
"""The places inside of which it is another."""

IN_FORMS = MappingProxyType(
    {row.name: row.group for row in FIELDS if row.group and row.name.endswith(("_id", "_ids", "_file"))}
)
"""The group of what a field of a form names."""

OF_STORED = frozenset(row.group for row in FIELDS if row.group)
"""The groups of all that is named by fields."""

ITEMS_AT = MappingProxyType(
    {
        "createResponse": "input",
        "Compactconversation": "input",
        "Getinputtokencounts": "input",
        "createConversation": "items",
        "createConversationItems": "items",
    }
)
"""By operation: the field that holds items of the Responses API."""

SAID_BY = MappingProxyType(
    {
        "message": ("content",),
        "additional_tools": ("tools",),
        "apply_patch_call": ("operation",),
        "apply_patch_call_output": ("call_id",),
        "code_interpreter_call": ("code",),
        "compaction": ("encrypted_content",),
        "compaction_summary": ("encrypted_content",),
        "computer_call": ("action", "actions"),
        "computer_call_output": ("output",),
        "custom_tool_call": ("input",),
        "custom_tool_call_output": ("output",),
        "file_search_call": ("queries",),
        "function_call": ("arguments",),
        "function_call_output": ("output",),
        "image_generation_call": ("result",),
        "local_shell_call": ("action",),
        "local_shell_call_output": ("output",),
        "mcp_approval_request": ("arguments",),
        "mcp_approval_response": ("approval_request_id",),
        "mcp_call": ("arguments",),
        "mcp_list_tools": ("tools",),
        "program": ("code",),
        "program_output": ("result",),
        "reasoning": ("encrypted_content", "content"),
        "shell_call": ("action",),
        "shell_call_output": ("output",),
        "tool_search_call": ("arguments",),
        "tool_search_output": ("tools",),
        "web_search_call": ("action",),
    }
)
"""By the type of an item: the fields in one of which it says what it is about. One that has an ``id`` and none of them
is looked up among what was stored. Source: OpenAI's InputItem, and what its API answers of items it does not find."""

SAYING = frozenset(name for names in SAID_BY.values() for name in names)

NEVER_EMPTY = frozenset({"compaction", "compaction_summary", "image_generation_call", "reasoning"})
"""Types of items of which something empty says nothing."""

LOOKED_UP = frozenset({"item_reference"})
"""Types of items that are only an id."""

SOURCES = MappingProxyType(
    {
        "file_id": "files",
        "logs": "chat_completions",
        "stored_completions": "chat_completions",
        "responses": "responses",
    }
)
"""What an eval may take its data from: by its type the group of stored objects. Source: OpenAI's CreateEvalRun."""

FUNCTIONS = frozenset({"function", "custom"})
"""Types of tools whose ``parameters`` are a schema; so is a tool without a type (OpenAI's RealtimeFunctionTool). Tools
that run at the upstream have settings there, such as a model (OpenRouter)."""

PANELS = MappingProxyType(
    {
        "openrouter:fusion": "openrouter:fusion",
        "fusion": "openrouter:fusion",
        "azure_function": "azure_function",
        "managed_identity": "managed_identity",
    }
)
"""Tools and plugins, and how they log in, by type or id, that ask models of their own choice or act as the account that
holds the key: the route under which they are refused."""

OWN_SERVERS = ("litellm_proxy",)
"""How the ``server_url`` of a tool begins that is at the upstream itself, which is the route it is refused under."""
