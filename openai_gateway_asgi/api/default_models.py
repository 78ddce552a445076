"""Which model answers a request that names none, as data: after OpenAI's published OpenAPI description.

An operation that is not here has no default: there the body names its model, or is refused. A host whose upstreams
take other ones says so in ``Settings(default_models={operation: id})``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from .endpoints import ENDPOINTS


class DefaultModel(NamedTuple):
    """``source`` names the schema of OpenAI's description that the default is from.

    ``stated``: the schema says it, as its ``default`` or in words. Otherwise it is the id of an example: where nobody
    serves that, or not to this user, the request lacks a model.
    """

    model: str
    source: str
    stated: bool = True


IMAGE_TOOL = "image_generation"
"""The key of the default of a tool of the Responses API, by its type: it is no operation."""

TRANSCRIPTION_SESSION = "create-realtime-transcription-session"
"""The operation whose default is that of every realtime session of the type ``transcription``."""

DEFAULT_MODELS: Mapping[str, DefaultModel] = MappingProxyType(
    {
        "createModeration": DefaultModel("omni-moderation-latest", "CreateModerationRequest"),
        "createImage": DefaultModel("dall-e-2", "CreateImageRequest"),
        "createImageEdit": DefaultModel("gpt-image-1.5", "CreateImageEditRequest, EditImageBodyJsonParam"),
        "createImageVariation": DefaultModel("dall-e-2", "CreateImageVariationRequest"),
        "createVideo": DefaultModel("sora-2", "CreateVideoMultipartBody, CreateVideoJsonBody"),
        "createResponse": DefaultModel("gpt-5.1", "ResponseProperties", stated=False),
        "Getinputtokencounts": DefaultModel("gpt-5", "TokenCountsBody", stated=False),
        "create-realtime-call": DefaultModel("gpt-realtime", "RealtimeSessionCreateRequestGA", stated=False),
        "create-realtime-client-secret": DefaultModel("gpt-realtime", "RealtimeSessionCreateRequestGA", stated=False),
        "accept-realtime-call": DefaultModel("gpt-realtime", "RealtimeSessionCreateRequestGA", stated=False),
        "create-realtime-session": DefaultModel("gpt-realtime", "RealtimeSessionCreateRequest", stated=False),
        TRANSCRIPTION_SESSION: DefaultModel(
            "gpt-4o-transcribe", "RealtimeTranscriptionSessionCreateRequest", stated=False
        ),
        IMAGE_TOOL: DefaultModel("gpt-image-1", "ImageGenTool"),
    }
)
"""By operation. The realtime ids are those of the description's example answers."""

DEFAULTING = frozenset(endpoint.operation for endpoint in ENDPOINTS if endpoint.model_at) | {IMAGE_TOOL}
"""What a host may name a default for."""


def default_models(overrides: Mapping[str, str | None]) -> Mapping[str, DefaultModel]:
    """The table with a host's own ids in it; None takes a default away, so that the model must be named."""
    table = {**DEFAULT_MODELS, **{key: DefaultModel(id, "Settings") for key, id in overrides.items() if id}}
    return {key: default for key, default in table.items() if key not in overrides or overrides[key]}
