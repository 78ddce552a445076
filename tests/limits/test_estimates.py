"""What a call reserves before anybody knows what it uses: what its upstream will be sent, presets and all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openai_gateway_asgi import Defaults, Limit, Preset
from openai_gateway_asgi.testing.answers import bytes_answer
from tests.limits.test_enforced import limited

PROMPT = "You answer in verse, whatever is asked. " * 20


async def reserved(preset: Preset | Defaults, model: str, **body: Any) -> int:
    """Tokens that a call holds while it is under way."""
    limit = Limit(tokens=100_000, per="day", by="user")
    async with limited(limit, presets=[preset]) as world:
        world.fake.script("m", silence=True)
        call = asyncio.create_task(world.ask(model=model, **{"max_tokens": None, **body}))
        await world.fake.until_requests(1)
        (entry,) = (await world.get("/v1/limits"))["data"]
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    return int(entry["used"])


def about(tokens: int) -> Any:
    return pytest.approx(tokens, abs=40)


@pytest.mark.parametrize(
    ("options", "body", "expected"),
    [
        ({}, {}, 1000),
        ({"params": {"max_tokens": 5000}}, {}, 5000),
        ({"params": {"max_tokens": 5000}}, {"max_tokens": 30}, 30),
        ({"params": {"max_tokens": 5000}}, {"max_completion_tokens": 30}, 30),
        ({"params": {"max_tokens": 20}, "locked": ["max_tokens"]}, {"max_tokens": 30_000}, 20),
        ({"params": {"max_tokens": 20}, "locked": ["max_tokens"]}, {"max_completion_tokens": 30_000}, 20),
        ({"locked": ["max_tokens"]}, {"max_tokens": 30_000}, 1000),
        ({"params": {"n": 3}}, {"max_tokens": 100}, 300),
        ({"params": {"n": 3}, "locked": ["n"]}, {"max_tokens": 100, "n": 9}, 300),
        ({"system": PROMPT}, {"max_tokens": 100}, 100 + len(PROMPT) // 4),
    ],
)
async def test_what_a_preset_sets_and_says_is_reserved(
    options: dict[str, Any], body: dict[str, Any], expected: int
) -> None:
    assert await reserved(Preset("mine", base="m", **options), "mine", **body) == about(expected)


async def test_what_defaults_fill_in_is_reserved() -> None:
    assert await reserved(Defaults("m", params={"max_tokens": 7000}), "m") == about(7000)


@pytest.mark.parametrize(
    ("path", "field", "expected"),
    [("/audio/transcriptions", "file", 1000), ("/audio/translations", "file", 1000), ("/images/edits", "image", 2000)],
)
async def test_a_file_in_a_form_is_reserved_for_and_charged_where_nobody_counts(
    path: str, field: str, expected: int
) -> None:
    async with limited(Limit(tokens=100_000, per="day", by="user")) as world:
        world.fake.answer(path, bytes_answer(b"Good morning.", "text/plain"))
        form = {"model": "m", "response_format": "text", "prompt": "x"}
        answer = await world.http.post(f"/v1{path}", data=form, files={field: ("a.bin", b"x" * 50_000)})
        (entry,) = (await world.get("/v1/limits"))["data"]
    assert answer.status_code == 200
    assert entry["used"] == expected
