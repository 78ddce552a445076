from __future__ import annotations

import pytest

from openai_gateway_asgi.rewrites.reasoning import is_reasoning_model

REASONING = [
    *(
        "o1",
        "o1-mini",
        "o1-preview-x",
        "o3",
        "O4-mini",
        "o5-x",
        "o10",
        "gpt-5",
        "GPT-5-mini",
        "gpt-5.2",
        "gpt-5.2-chat",
    ),
    *("gpt-6", "gpt-10-mini", "gpt-5_x", "openai/o3", "openrouter/openai/gpt-5:online", "openai.gpt-5-v1:0"),
    *("us.openai.gpt-6-sol", "us-gov.openai.o3", "bedrock/eu.openai.gpt-6", "ft:o4-mini-2025-04-16:org::id"),
]
OTHERS = [
    *(
        "gpt-4o",
        "gpt-oss",
        "gpt-oss-120b",
        "orca",
        "o11y",
        "o0",
        "o",
        "o3x",
        "o3é",
        "gpt-50",
        "gpt-5x",
        "gpt-5o",
        "gpt-4.5",
    ),
    *(
        "gpt-5-chat",
        "gpt-5-chat-latest",
        "azure-o3",
        "openai/orca",
        "o3/llama",
        "gpt-",
        "gpt",
        "openai/",
        "foo3",
        "my.o3",
    ),
    *("ft:gpt-4o-mini:org::o3", "gpt-٥", ""),
]


@pytest.mark.parametrize("model", REASONING)
def test_cases_60_62_64_71_reasoning_models_are_known_by_name(model: str) -> None:
    assert is_reasoning_model(model, None)


@pytest.mark.parametrize("model", OTHERS)
def test_cases_63_64_other_models_are_not_taken_for_reasoning_models(model: str) -> None:
    assert not is_reasoning_model(model, None)


@pytest.mark.parametrize(
    ("model", "overrides", "expected"),
    [
        pytest.param("my-deployment", ("my-deployment",), True, id="by-its-id"),
        pytest.param("Think-7", ("think-*",), True, id="by-a-wildcard-in-any-case"),
        pytest.param("think-7", ("THINK-*",), True, id="by-a-wildcard-in-capitals"),
        pytest.param("openai/o3", ("*/o3",), True, id="across-a-slash"),
        pytest.param("rethink-7", ("think-*",), False, id="the-whole-id-counts"),
        pytest.param("aXb", ("a.b",), False, id="a-dot-is-a-dot"),
        pytest.param("o3", (), False, id="an-empty-override-says-none"),
        pytest.param("o3", ("other",), False, id="the-name-no-longer-counts"),
    ],
)
def test_an_override_decides_alone(model: str, overrides: tuple[str, ...], expected: bool) -> None:
    assert is_reasoning_model(model, overrides) is expected
