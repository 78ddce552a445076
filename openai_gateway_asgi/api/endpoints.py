"""The OpenAI API as a table: which operations exist, what each needs, and which one a request asks for.

The table is an allow-list, after OpenAI's published OpenAPI description; ``operation`` is its ``operationId``. What is
not in it is a 404. The administrative paths (``/organization``, ``/projects``) are left out and never to be added: they
manage the account whose key the gateway holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType

from ..errors import InvalidRequest, MethodNotAllowed, NotFound
from ..http.paths import quote_segment, without_version

JSON = ("application/json",)
MULTIPART = ("multipart/form-data",)
EITHER = JSON + MULTIPART
SDP = ("application/sdp", *MULTIPART)


class Kind(Enum):
    MODELS = "the list of models"
    MODEL = "one model, named in the path"
    JSON_MODEL = "a JSON body that names a model"
    MULTIPART_MODEL = "a multipart body that names a model; some operations take other forms as well"
    STORED = "stored objects, named by ids; no model that could be checked"
    ADMIN = "the gateway's own, for its administrators"
    LIMITS = "the gateway's own: what holds for the one who asks"


_AGAIN = ("cancel", "hangup", "modify", "pause", "reject", "resume", "search", "update", "validate")
"""How the operations of stored objects begin that come to the same when they are done twice."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of the API."""

    operation: str
    method: str
    template: str
    """The path below the version, parameters in braces."""
    kind: Kind
    group: str = ""
    """The stored objects it reads or writes, by the name a setting turns them on with; also beside a model."""
    bodies: tuple[str, ...] = ()
    """The media types of its body; none where it has no body."""
    model_at: str = ""
    """Where the body names the model, dotted."""
    model_required: bool = False
    """Whether the body or a default (``default_models``) must name it. Else a stored object of ``group`` brings it."""
    can_stream: bool = False
    """Takes ``stream``: in the body, or in the query of a GET."""
    azure_deployment: bool = False
    """Azure clients call it as ``/deployments/{deployment}`` and its template."""

    @property
    def json(self) -> bool:
        return JSON[0] in self.bodies

    @property
    def multipart(self) -> bool:
        return MULTIPART[0] in self.bodies

    @property
    def downloads(self) -> bool:
        """Whether it answers with a file, or with whatever stands behind a path that was opened by hand."""
        return self.template.endswith("/content") or self.operation == "passthrough"

    @property
    def makes(self) -> bool:
        """Whether it makes something that stays or goes on by itself, so that done twice is one too many."""
        return bool(self.group) and self.method == "POST" and not self.operation.lower().startswith(_AGAIN)


@dataclass(frozen=True, slots=True)
class Match:
    """The operation a request asks for.

    ``params`` holds the decoded path parameters by name; ``deployment`` among them is the model an Azure client named
    in the path. ``path`` is what to append to an upstream's base URL: encoded, without version and query.
    """

    endpoint: Endpoint
    params: Mapping[str, str]
    path: str


def _get(template: str, operation: str, *, can_stream: bool = False) -> Endpoint:
    return Endpoint(operation, "GET", template, Kind.STORED, can_stream=can_stream)


def _delete(template: str, operation: str) -> Endpoint:
    return Endpoint(operation, "DELETE", template, Kind.STORED)


def _post(template: str, operation: str, bodies: tuple[str, ...] = (), *, can_stream: bool = False) -> Endpoint:
    return Endpoint(operation, "POST", template, Kind.STORED, bodies=bodies, can_stream=can_stream)


def _call(
    template: str,
    operation: str,
    bodies: tuple[str, ...] = JSON,
    *,
    model_at: str = "model",
    model_required: bool = True,
    can_stream: bool = False,
    azure_deployment: bool = False,
) -> Endpoint:
    kind = Kind.MULTIPART_MODEL if MULTIPART[0] in bodies else Kind.JSON_MODEL
    return Endpoint(
        operation, "POST", template, kind, "", bodies, model_at, model_required, can_stream, azure_deployment
    )


def _group(name: str, *endpoints: Endpoint) -> tuple[Endpoint, ...]:
    return tuple(replace(endpoint, group=name) for endpoint in endpoints)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("listModels", "GET", "/models", Kind.MODELS),
    Endpoint("retrieveModel", "GET", "/models/{model}", Kind.MODEL),
    # A model in the body, and nothing stored.
    _call("/chat/completions", "createChatCompletion", can_stream=True, azure_deployment=True),
    _call("/completions", "createCompletion", can_stream=True, azure_deployment=True),
    _call("/responses", "createResponse", can_stream=True),
    _call("/responses/compact", "Compactconversation"),
    _call("/responses/input_tokens", "Getinputtokencounts"),
    _call("/embeddings", "createEmbedding", azure_deployment=True),
    _call("/moderations", "createModeration"),
    _call("/images/generations", "createImage", can_stream=True, azure_deployment=True),
    _call("/images/edits", "createImageEdit", EITHER, can_stream=True, azure_deployment=True),
    _call("/images/variations", "createImageVariation", MULTIPART),
    _call("/audio/speech", "createSpeech", azure_deployment=True),
    _call("/audio/transcriptions", "createTranscription", MULTIPART, can_stream=True, azure_deployment=True),
    _call("/audio/translations", "createTranslation", MULTIPART, azure_deployment=True),
    _call("/realtime/calls", "create-realtime-call", SDP, model_at="session.model"),
    _call("/realtime/client_secrets", "create-realtime-client-secret", model_at="session.model"),
    _call("/realtime/sessions", "create-realtime-session"),
    _call(
        "/realtime/transcription_sessions",
        "create-realtime-transcription-session",
        model_at="input_audio_transcription.model",
    ),
    _call(
        "/realtime/translations/client_secrets",
        "create-realtime-translation-client-secret",
        model_at="session.model",
    ),
    # Stored objects, by group. Where a call in a group names a model too, both must be allowed.
    *_group(
        "files",
        _get("/files", "listFiles"),
        _post("/files", "createFile", MULTIPART),
        _delete("/files/{file_id}", "deleteFile"),
        _get("/files/{file_id}", "retrieveFile"),
        _get("/files/{file_id}/content", "downloadFile"),
    ),
    *_group(
        "uploads",
        _post("/uploads", "createUpload", JSON),
        _post("/uploads/{upload_id}/cancel", "cancelUpload"),
        _post("/uploads/{upload_id}/complete", "completeUpload", JSON),
        _post("/uploads/{upload_id}/parts", "addUploadPart", MULTIPART),
    ),
    *_group(
        "batches",
        _get("/batches", "listBatches"),
        _post("/batches", "createBatch", JSON),
        _get("/batches/{batch_id}", "retrieveBatch"),
        _post("/batches/{batch_id}/cancel", "cancelBatch"),
    ),
    *_group(
        "vector_stores",
        _get("/vector_stores", "listVectorStores"),
        _post("/vector_stores", "createVectorStore", JSON),
        _delete("/vector_stores/{vector_store_id}", "deleteVectorStore"),
        _get("/vector_stores/{vector_store_id}", "getVectorStore"),
        _post("/vector_stores/{vector_store_id}", "modifyVectorStore", JSON),
        _post("/vector_stores/{vector_store_id}/file_batches", "createVectorStoreFileBatch", JSON),
        _get("/vector_stores/{vector_store_id}/file_batches/{batch_id}", "getVectorStoreFileBatch"),
        _post("/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel", "cancelVectorStoreFileBatch"),
        _get("/vector_stores/{vector_store_id}/file_batches/{batch_id}/files", "listFilesInVectorStoreBatch"),
        _get("/vector_stores/{vector_store_id}/files", "listVectorStoreFiles"),
        _post("/vector_stores/{vector_store_id}/files", "createVectorStoreFile", JSON),
        _delete("/vector_stores/{vector_store_id}/files/{file_id}", "deleteVectorStoreFile"),
        _get("/vector_stores/{vector_store_id}/files/{file_id}", "getVectorStoreFile"),
        _post("/vector_stores/{vector_store_id}/files/{file_id}", "updateVectorStoreFileAttributes", JSON),
        _get("/vector_stores/{vector_store_id}/files/{file_id}/content", "retrieveVectorStoreFileContent"),
        _post("/vector_stores/{vector_store_id}/search", "searchVectorStore", JSON),
    ),
    *_group(
        "containers",
        _get("/containers", "ListContainers"),
        _post("/containers", "CreateContainer", JSON),
        _delete("/containers/{container_id}", "DeleteContainer"),
        _get("/containers/{container_id}", "RetrieveContainer"),
        _get("/containers/{container_id}/files", "ListContainerFiles"),
        _post("/containers/{container_id}/files", "CreateContainerFile", EITHER),
        _delete("/containers/{container_id}/files/{file_id}", "DeleteContainerFile"),
        _get("/containers/{container_id}/files/{file_id}", "RetrieveContainerFile"),
        _get("/containers/{container_id}/files/{file_id}/content", "RetrieveContainerFileContent"),
    ),
    *_group(
        "skills",
        _get("/skills", "ListSkills"),
        _post("/skills", "CreateSkill", EITHER),
        _delete("/skills/{skill_id}", "DeleteSkill"),
        _get("/skills/{skill_id}", "GetSkill"),
        _post("/skills/{skill_id}", "UpdateSkillDefaultVersion", JSON),
        _get("/skills/{skill_id}/content", "GetSkillContent"),
        _get("/skills/{skill_id}/versions", "ListSkillVersions"),
        _post("/skills/{skill_id}/versions", "CreateSkillVersion", EITHER),
        _delete("/skills/{skill_id}/versions/{version}", "DeleteSkillVersion"),
        _get("/skills/{skill_id}/versions/{version}", "GetSkillVersion"),
        _get("/skills/{skill_id}/versions/{version}/content", "GetSkillVersionContent"),
    ),
    *_group(
        "evals",
        _get("/evals", "listEvals"),
        _post("/evals", "createEval", JSON),
        _delete("/evals/{eval_id}", "deleteEval"),
        _get("/evals/{eval_id}", "getEval"),
        _post("/evals/{eval_id}", "updateEval", JSON),
        _get("/evals/{eval_id}/runs", "getEvalRuns"),
        _post("/evals/{eval_id}/runs", "createEvalRun", JSON),
        _delete("/evals/{eval_id}/runs/{run_id}", "deleteEvalRun"),
        _get("/evals/{eval_id}/runs/{run_id}", "getEvalRun"),
        _post("/evals/{eval_id}/runs/{run_id}", "cancelEvalRun"),
        _get("/evals/{eval_id}/runs/{run_id}/output_items", "getEvalRunOutputItems"),
        _get("/evals/{eval_id}/runs/{run_id}/output_items/{output_item_id}", "getEvalRunOutputItem"),
    ),
    *_group(
        "graders",
        _post("/fine_tuning/alpha/graders/run", "runGrader", JSON),
        _post("/fine_tuning/alpha/graders/validate", "validateGrader", JSON),
    ),
    *_group(
        "fine_tuning",
        _get(
            "/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions", "listFineTuningCheckpointPermissions"
        ),
        _post(
            "/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions",
            "createFineTuningCheckpointPermission",
            JSON,
        ),
        _delete(
            "/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions/{permission_id}",
            "deleteFineTuningCheckpointPermission",
        ),
        _get("/fine_tuning/jobs", "listPaginatedFineTuningJobs"),
        _call("/fine_tuning/jobs", "createFineTuningJob"),
        _get("/fine_tuning/jobs/{fine_tuning_job_id}", "retrieveFineTuningJob"),
        _post("/fine_tuning/jobs/{fine_tuning_job_id}/cancel", "cancelFineTuningJob"),
        _get("/fine_tuning/jobs/{fine_tuning_job_id}/checkpoints", "listFineTuningJobCheckpoints"),
        _get("/fine_tuning/jobs/{fine_tuning_job_id}/events", "listFineTuningEvents"),
        _post("/fine_tuning/jobs/{fine_tuning_job_id}/pause", "pauseFineTuningJob"),
        _post("/fine_tuning/jobs/{fine_tuning_job_id}/resume", "resumeFineTuningJob"),
        _delete("/models/{model}", "deleteModel"),
    ),
    *_group(
        "videos",
        _get("/videos", "ListVideos"),
        _call("/videos", "createVideo", EITHER),
        _post("/videos/characters", "CreateVideoCharacter", MULTIPART),
        _get("/videos/characters/{character_id}", "GetVideoCharacter"),
        _post("/videos/edits", "CreateVideoEdit", EITHER),
        _post("/videos/extensions", "CreateVideoExtend", EITHER),
        _delete("/videos/{video_id}", "DeleteVideo"),
        _get("/videos/{video_id}", "GetVideo"),
        _get("/videos/{video_id}/content", "RetrieveVideoContent"),
        _post("/videos/{video_id}/remix", "CreateVideoRemix", EITHER),
    ),
    *_group(
        "conversations",
        _post("/conversations", "createConversation", JSON),
        _delete("/conversations/{conversation_id}", "deleteConversation"),
        _get("/conversations/{conversation_id}", "getConversation"),
        _post("/conversations/{conversation_id}", "updateConversation", JSON),
        _get("/conversations/{conversation_id}/items", "listConversationItems"),
        _post("/conversations/{conversation_id}/items", "createConversationItems", JSON),
        _delete("/conversations/{conversation_id}/items/{item_id}", "deleteConversationItem"),
        _get("/conversations/{conversation_id}/items/{item_id}", "getConversationItem"),
    ),
    *_group(
        "responses",
        _delete("/responses/{response_id}", "deleteResponse"),
        _get("/responses/{response_id}", "getResponse", can_stream=True),
        _post("/responses/{response_id}/cancel", "cancelResponse"),
        _get("/responses/{response_id}/input_items", "listInputItems"),
    ),
    *_group(
        "chat_completions",
        _get("/chat/completions", "listChatCompletions"),
        _delete("/chat/completions/{completion_id}", "deleteChatCompletion"),
        _get("/chat/completions/{completion_id}", "getChatCompletion"),
        _post("/chat/completions/{completion_id}", "updateChatCompletion", JSON),
        _get("/chat/completions/{completion_id}/messages", "getChatCompletionMessages"),
    ),
    *_group(
        "assistants",
        _get("/assistants", "listAssistants"),
        _call("/assistants", "createAssistant"),
        _delete("/assistants/{assistant_id}", "deleteAssistant"),
        _get("/assistants/{assistant_id}", "getAssistant"),
        _call("/assistants/{assistant_id}", "modifyAssistant", model_required=False),
        _post("/threads", "createThread", JSON),
        _call("/threads/runs", "createThreadAndRun", model_required=False, can_stream=True),
        _delete("/threads/{thread_id}", "deleteThread"),
        _get("/threads/{thread_id}", "getThread"),
        _post("/threads/{thread_id}", "modifyThread", JSON),
        _get("/threads/{thread_id}/messages", "listMessages"),
        _post("/threads/{thread_id}/messages", "createMessage", JSON),
        _delete("/threads/{thread_id}/messages/{message_id}", "deleteMessage"),
        _get("/threads/{thread_id}/messages/{message_id}", "getMessage"),
        _post("/threads/{thread_id}/messages/{message_id}", "modifyMessage", JSON),
        _get("/threads/{thread_id}/runs", "listRuns"),
        _call("/threads/{thread_id}/runs", "createRun", model_required=False, can_stream=True),
        _get("/threads/{thread_id}/runs/{run_id}", "getRun"),
        _post("/threads/{thread_id}/runs/{run_id}", "modifyRun", JSON),
        _post("/threads/{thread_id}/runs/{run_id}/cancel", "cancelRun"),
        _get("/threads/{thread_id}/runs/{run_id}/steps", "listRunSteps"),
        _get("/threads/{thread_id}/runs/{run_id}/steps/{step_id}", "getRunStep"),
        _post("/threads/{thread_id}/runs/{run_id}/submit_tool_outputs", "submitToolOuputsToRun", JSON, can_stream=True),
    ),
    *_group(
        "chatkit",
        _post("/chatkit/sessions", "CreateChatSessionMethod", JSON),
        _post("/chatkit/sessions/{session_id}/cancel", "CancelChatSessionMethod"),
        _get("/chatkit/threads", "ListThreadsMethod"),
        _delete("/chatkit/threads/{thread_id}", "DeleteThreadMethod"),
        _get("/chatkit/threads/{thread_id}", "GetThreadMethod"),
        _get("/chatkit/threads/{thread_id}/items", "ListThreadItemsMethod"),
    ),
    *_group(
        "voices",
        _get("/audio/voice_consents", "listVoiceConsents"),
        _post("/audio/voice_consents", "createVoiceConsent", MULTIPART),
        _delete("/audio/voice_consents/{consent_id}", "deleteVoiceConsent"),
        _get("/audio/voice_consents/{consent_id}", "getVoiceConsent"),
        _post("/audio/voice_consents/{consent_id}", "updateVoiceConsent", JSON),
        _post("/audio/voices", "createVoice", MULTIPART),
    ),
    *_group(
        "realtime",
        _call("/realtime/calls/{call_id}/accept", "accept-realtime-call"),
        _post("/realtime/calls/{call_id}/hangup", "hangup-realtime-call"),
        _post("/realtime/calls/{call_id}/refer", "refer-realtime-call", JSON),
        _post("/realtime/calls/{call_id}/reject", "reject-realtime-call", JSON),
    ),
    *_group(
        "content_provenance_checks",
        _post("/content_provenance_checks", "Createcontentprovenancecheck", MULTIPART),
    ),
)

ADMIN_ENDPOINTS = (
    Endpoint("readConfig", "GET", "/config", Kind.ADMIN),
    Endpoint("readHealth", "GET", "/config/health", Kind.ADMIN),
    Endpoint("explainRequest", "POST", "/config/explain", Kind.ADMIN, bodies=JSON),
    Endpoint("updateConfig", "POST", "/config/update", Kind.ADMIN, bodies=JSON),
    Endpoint("listUpstreamModels", "GET", "/config/upstreams/{index}/models", Kind.ADMIN),
    Endpoint("verifyUpstream", "POST", "/verify", Kind.ADMIN, bodies=JSON),
    Endpoint("readLimitsOf", "GET", "/config/limits", Kind.ADMIN),
    Endpoint("resetLimits", "POST", "/config/limits/reset", Kind.ADMIN, bodies=JSON),
    Endpoint("readLimits", "GET", "/limits", Kind.LIMITS),
)
"""What is not OpenAI's: the gateway's own routes."""

GROUPS = frozenset(endpoint.group for endpoint in ENDPOINTS) - {""}
"""Every group of stored objects that operations belong to."""

PASSTHROUGH = "passthrough"
"""The group of the paths that a host opens by hand."""

OPENABLE = GROUPS | {PASSTHROUGH, "prompts"}
"""Every name by which a setting can turn on a group; stored prompts are named in bodies and have no path."""


@dataclass(slots=True)
class Node:
    """One position in a path: the words that may follow, else a parameter, and the operations that end here."""

    words: dict[str, Node] = field(default_factory=dict)
    param: str = ""
    after_param: Node | None = None
    matches: dict[str, Match] = field(default_factory=dict)

    def below(self, part: str) -> Node:
        if not part.startswith("{"):
            return self.words.setdefault(part, Node())
        self.param = part[1:-1]
        self.after_param = self.after_param or Node()
        return self.after_param


def match(method: str, segments: tuple[str, ...], table: Node | None = None) -> Match:
    """The operation at a canonical path, as clients of OpenAI and of Azure write it; ``table`` stands for our own.

    HEAD is served where GET is. Raises ``NotFound`` for a path that is not in the table, ``MethodNotAllowed`` with
    the ``allow`` header, and ``InvalidRequest`` for an encoded slash outside the id of a model.
    """
    if segments and segments[0] == "openai":
        segments = without_version(segments[1:])
    if segments and segments[0] == "deployments":
        return _match_deployment(method, segments[1:])
    matches, params = _find(segments, table or _ROOT)
    found = _of_method(method, matches)
    if not params:
        return found
    return Match(found.endpoint, params, upstream_path(found.endpoint, params))


def upstream_path(endpoint: Endpoint, params: Mapping[str, str]) -> str:
    """The endpoint's path with its parameters, each quoted as one segment."""
    return endpoint.template.format_map({name: quote_segment(value) for name, value in params.items()})


def _find(segments: tuple[str, ...], node: Node) -> tuple[Mapping[str, Match], dict[str, str]]:
    params: dict[str, str] = {}
    for index, segment in enumerate(segments):
        word = node.words.get(segment)
        if word is not None:
            node = word
            continue
        # A word of the API in other letters is no id: servers that ignore case would take it for the word.
        if node.after_param is None or segment.lower() in node.words:
            raise unknown_path()
        if node.param == "model":
            params["model"] = "/".join(segments[index:])
            return node.after_param.matches, params
        if "/" in segment:
            raise InvalidRequest(
                f"An encoded slash has no place in `{node.param}`: ids of stored objects have none.",
                param=node.param,
                code="invalid_path",
            )
        params[node.param] = segment
        node = node.after_param
    return node.matches, params


def _match_deployment(method: str, segments: tuple[str, ...]) -> Match:
    """``{deployment}/chat/completions`` and its like; what stands before the longest known ending is the deployment."""
    for depth in (2, 1):
        matches = _DEPLOYMENTS.get(segments[-depth:])
        if matches is not None and len(segments) > depth:
            found = _of_method(method, matches)
            return Match(found.endpoint, {"deployment": "/".join(segments[:-depth])}, found.path)
    raise unknown_path()


def _of_method(method: str, matches: Mapping[str, Match]) -> Match:
    found = matches.get(method)
    if found is not None:
        return found
    if not matches:
        raise unknown_path()
    allow = ", ".join(sorted(matches))
    raise MethodNotAllowed(f"This path takes {allow} only; use one of them.", headers=((b"allow", allow.encode()),))


def unknown_path() -> NotFound:
    """What is not served, or not to this user: the two look the same."""
    return NotFound(
        "There is no such path for you. The gateway serves those of the OpenAI API, with or without a leading /v1, "
        "below the path where it is mounted (look at your client's base URL); those of stored objects, as files and "
        "batches, to whom the application opens them."
    )


def tree(endpoints: Iterable[Endpoint]) -> Node:
    """Operations by their paths."""
    root = Node()
    for endpoint in endpoints:
        node = root
        for part in endpoint.template[1:].split("/"):
            node = node.below(part)
        node.matches.update(_by_method(endpoint))
    return root


def _by_method(endpoint: Endpoint) -> dict[str, Match]:
    found = Match(endpoint, MappingProxyType({}), endpoint.template)
    return {"GET": found, "HEAD": found} if endpoint.method == "GET" else {endpoint.method: found}


_ROOT = tree(ENDPOINTS + ADMIN_ENDPOINTS)
_DEPLOYMENTS = {
    tuple(endpoint.template[1:].split("/")): _by_method(endpoint) for endpoint in ENDPOINTS if endpoint.azure_deployment
}
