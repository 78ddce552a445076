"""Every spelling of usage has one form; what is not told is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from openai_gateway_asgi.host.usage import Usage, _any_usage, _usual_usage, added, normal_usage

CASES: dict[str, tuple[dict[str, Any], Usage | None]] = {
    "chat": (
        {
            "prompt_tokens": 19,
            "completion_tokens": 10,
            "total_tokens": 29,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0, "accepted_prediction_tokens": 0},
        },
        Usage(input=19, output=10, cached=4, reasoning=3, audio_input=0, audio_output=0),
    ),
    "responses": (
        {
            "input_tokens": 36,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 7},
            "output_tokens": 87,
            "output_tokens_details": {"reasoning_tokens": 64},
            "total_tokens": 123,
        },
        Usage(input=36, output=87, cached=0, cache_write=7, reasoning=64),
    ),
    "embeddings": ({"prompt_tokens": 8, "total_tokens": 8}, Usage(input=8)),
    "only a total": ({"total_tokens": 8}, Usage(input=8)),
    "images": (
        {
            "total_tokens": 100,
            "input_tokens": 50,
            "output_tokens": 50,
            "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
        },
        Usage(input=50, output=50, image_input=40),
    ),
    "transcription by tokens": (
        {
            "type": "tokens",
            "input_tokens": 14,
            "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
            "output_tokens": 45,
            "total_tokens": 59,
        },
        Usage(input=14, output=45, audio_input=10),
    ),
    "transcription by time": ({"type": "duration", "seconds": 9.5}, Usage(seconds=9.5)),
    "realtime": (
        {
            "input_tokens": 132,
            "output_tokens": 121,
            "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "cached_tokens": 64},
            "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
        },
        Usage(input=132, output=121, cached=64, audio_input=13, audio_output=91),
    ),
    "DeepSeek": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "prompt_cache_hit_tokens": 6,
            "prompt_cache_miss_tokens": 4,
        },
        Usage(input=10, output=5, cached=6),
    ),
    "Groq": (
        {"queue_time": 0.01, "prompt_tokens": 24, "prompt_time": 0.003, "completion_tokens": 377, "total_tokens": 401},
        Usage(input=24, output=377),
    ),
    "OpenRouter": (
        {
            "prompt_tokens": 194,
            "completion_tokens": 2,
            "cost": 0.95,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 100, "audio_tokens": 0},
        },
        Usage(input=194, output=2, cached=0, cache_write=100, audio_input=0),
    ),
    "Anthropic": (
        {
            "input_tokens": 10,
            "cache_creation_input_tokens": 200,
            "cache_read_input_tokens": 1000,
            "output_tokens": 30,
        },
        Usage(input=1210, output=30, cached=1000, cache_write=200),
    ),
    "Anthropic behind an OpenAI shape": (
        {
            "prompt_tokens": 1210,
            "completion_tokens": 30,
            "cache_creation_input_tokens": 200,
            "cache_read_input_tokens": 1000,
        },
        Usage(input=1210, output=30, cached=1000, cache_write=200),
    ),
    "Gemini": (
        {"promptTokenCount": 10, "candidatesTokenCount": 20, "thoughtsTokenCount": 5, "totalTokenCount": 35},
        Usage(input=10, output=25, reasoning=5),
    ),
    "Gemini behind an OpenAI shape": (
        {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 35},
        Usage(input=10, output=25),
    ),
    "xAI": (
        {
            "prompt_tokens": 37,
            "completion_tokens": 530,
            "total_tokens": 800,
            "prompt_tokens_details": {"text_tokens": 37, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 8},
            "completion_tokens_details": {"reasoning_tokens": 233, "audio_tokens": 0},
        },
        Usage(input=37, output=763, cached=8, reasoning=233, audio_input=0, image_input=0, audio_output=0),
    ),
    "a total that has other things in it": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 20,
            "total_tokens": 90,
            "completion_tokens_details": {"reasoning_tokens": 5},
        },
        Usage(input=10, output=20, reasoning=5),
    ),
    "a total that is too small": (
        {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 7},
        Usage(input=10, output=20),
    ),
    "Ollama's own": ({"prompt_eval_count": 26, "eval_count": 298}, Usage(input=26, output=298)),
    "llama.cpp's timings": (
        {"cache_n": 5, "prompt_n": 20, "predicted_n": 30, "predicted_ms": 1.0},
        Usage(input=20, output=30, cached=5),
    ),
    "Cohere": ({"billed_units": {"input_tokens": 3, "output_tokens": 4}}, Usage(input=3, output=4)),
    "an answer that is the rest of the total": (
        {"prompt_tokens": 10, "total_tokens": 15},
        Usage(input=10, output=5),
    ),
    "nothing": ({}, None),
    "nothing known": ({"tokens": "many", "cost": 1}, None),
    "no numbers": ({"prompt_tokens": "12", "completion_tokens": None, "total_tokens": True}, None),
    "numbers that are no counts": ({"prompt_tokens": -1, "completion_tokens": 1.5, "total_tokens": 1e300}, None),
    "larger than numbers are exact": (
        {"prompt_tokens": 10**30, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 10**20}},
        Usage(output=3),
    ),
    "not a number": ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, None),
    "details that are none": ({"prompt_tokens": 1, "prompt_tokens_details": [1]}, Usage(input=1)),
    "zeros are known": ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(input=0, output=0)),
}


@pytest.mark.parametrize("name", CASES)
def test_every_spelling_has_one_form(name: str) -> None:
    raw, usage = CASES[name]
    assert normal_usage(raw) == usage


def test_tokens_are_input_and_output_and_unknown_where_neither_is_known() -> None:
    assert Usage(input=3, output=4, reasoning=2, cached=1).tokens == 7
    assert Usage(input=3).tokens == 3
    assert Usage(seconds=3.0).tokens is None


def test_attempts_add_up_and_what_is_unknown_of_both_stays_unknown() -> None:
    one, other = Usage(input=3, cached=1), Usage(input=4, output=5, estimated=True)
    assert added(one, other) == Usage(input=7, output=5, cached=1, estimated=True)
    assert added(one, None) is one
    assert added(None, None) is None


def test_the_short_way_for_usual_answers_says_what_the_long_way_says() -> None:
    for raw, usage in CASES.values():
        assert _any_usage(raw) == usage, raw
        assert _usual_usage(raw) in (None, usage), raw
    assert _usual_usage(CASES["responses"][0]) == CASES["responses"][1]
