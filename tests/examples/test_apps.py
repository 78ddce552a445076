"""The examples do what they say when one types what they print."""

from __future__ import annotations

import asyncio

import pytest

from examples import fastapi_app, starlette_app
from tests.examples.printed import Ports, commands, run
from tests.support.servers import serve_program


@pytest.mark.parametrize("example", [starlette_app, fastapi_app], ids=lambda example: example.__name__)
async def test_an_example_serves_its_two_users_with_different_models(example: object) -> None:
    ports = Ports.free()
    upstream, application, *questions = commands(example.__doc__ or "", ports)
    async with (
        serve_program(*upstream, port=ports.upstream),
        serve_program(*application, port=ports.application, env=ports.env),
    ):
        ada, bob, bob_denied = await asyncio.gather(*[run(question) for question in questions])

    assert ada == (0, "models: tiny-chat, tiny-embed, tiny-secret\n" + answer_of("tiny-secret"))
    assert bob == (0, "models: tiny-chat\n" + answer_of("tiny-chat"))
    status, said = bob_denied
    assert status == 1
    assert said.startswith("models: tiny-chat\n")
    assert "`tiny-secret` does not exist or you do not have access to it" in said


def answer_of(model: str) -> str:
    return f'You said "Good morning!". This is {model}, answering one word at a time.\n'


async def test_a_user_of_the_fastapi_example_may_do_two_things_at_once_and_no_third() -> None:
    """The example's own dependency holds a place for as long as an answer takes, and gives it back."""
    callers = [fastapi_app.caller(fastapi_app.USERS["bob-demo-token"]) for _ in range(3)]
    await anext(callers[0])
    await anext(callers[1])
    with pytest.raises(fastapi_app.HTTPException, match="429"):
        await anext(callers[2])
    for caller in callers[:2]:
        await caller.aclose()

    assert fastapi_app.running["bob"] == 0


async def test_the_demonstration_shows_streams_and_a_refusal_and_ends_well() -> None:
    status, said = await run(["python", "-m", "examples.demo"])

    assert status == 0, said
    assert answer_of("tiny-secret") in said
    assert "bob sees tiny-chat\n" in said
    assert "Error code: 404 - The model `tiny-secret` does not exist" in said
