"""The defaults against what OpenAI's description says of the same operations."""

from __future__ import annotations

import pytest

from openai_gateway_asgi.api.default_models import DEFAULT_MODELS, IMAGE_TOOL, DefaultModel, default_models
from openai_gateway_asgi.api.endpoints import ENDPOINTS

OPERATIONS = {endpoint.operation: endpoint for endpoint in ENDPOINTS}

STATED = {
    "createModeration": "omni-moderation-latest",
    "createImage": "dall-e-2",
    "createImageEdit": "gpt-image-1.5",
    "createImageVariation": "dall-e-2",
    "createVideo": "sora-2",
    IMAGE_TOOL: "gpt-image-1",
}


@pytest.mark.parametrize("key", sorted(DEFAULT_MODELS))
def test_a_default_is_of_an_operation_that_names_a_model_and_has_a_source(key: str) -> None:
    assert DEFAULT_MODELS[key].source
    assert key == IMAGE_TOOL or OPERATIONS[key].model_at


@pytest.mark.parametrize("key", sorted(STATED))
def test_a_default_that_the_schema_states_is_the_one_of_the_table(key: str) -> None:
    assert (DEFAULT_MODELS[key].model, DEFAULT_MODELS[key].stated) == (STATED[key], True)


def test_a_host_replaces_adds_and_takes_away() -> None:
    table = default_models({"createImage": "flux", "createEmbedding": "mine", "createVideo": None})

    assert table["createImage"] == DefaultModel("flux", "Settings")
    assert table["createEmbedding"].model == "mine"
    assert "createVideo" not in table
    assert table["createModeration"] is DEFAULT_MODELS["createModeration"]
