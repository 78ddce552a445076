"""``authorize_model`` and ``visible_models`` may ask for what a model is to be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from openai_gateway_asgi import Gateway, Grants, Model, Upstream, User
from openai_gateway_asgi.testing import FakeUpstream

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
SPEECH = {"model": "m", "input": "hi", "voice": "alloy"}
ASKED: list[str] = []


def no_speech(user: User, model: Model, operation: str) -> bool:
    ASKED.append(operation)
    return operation != "createSpeech"


async def no_speech_later(user: User, model: Model, *, operation: str) -> bool:
    return no_speech(user, model, operation)


class Policy:
    def __call__(self, user: User, model: Model, operation: str = "") -> bool:
        return no_speech(user, model, operation)


class Asking:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def status(self, path: str, body: dict[str, Any] | None = None) -> int:
        return (await self._http.request("POST" if body else "GET", f"/v1{path}", json=body)).status_code


async def asking(authorize: Any, ask: Callable[[Asking], Any], **options: Any) -> Any:
    gateway = Gateway(
        [Upstream("http://up.test/v1", api_key="k", model_ids=["m"])],
        resolve_user=lambda request: User("ann"),
        authorize_model=authorize,
        transport=FakeUpstream().transport(),
        **options,
    )
    transport = httpx.ASGITransport(gateway)
    async with gateway.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://app.test") as http:
        return await ask(Asking(http))


@pytest.mark.parametrize("authorize", [no_speech, no_speech_later, Policy()])
async def test_a_host_allows_chat_and_not_speech(authorize: Any) -> None:
    async def ask(app: Asking) -> list[int]:
        return [await app.status("/chat/completions", CHAT), await app.status("/audio/speech", SPEECH)]

    ASKED.clear()
    assert await asking(authorize, ask) == [200, 404]
    assert ASKED == ["createChatCompletion", "createSpeech"]


@pytest.mark.parametrize("authorize", [no_speech, no_speech_later, Policy()])
async def test_lists_and_look_ups_ask_as_lists(authorize: Any) -> None:
    async def ask(app: Asking) -> list[int]:
        return [await app.status("/models"), await app.status("/models/m")]

    ASKED.clear()
    assert await asking(authorize, ask) == [200, 200]
    assert ASKED == ["listModels", "listModels"]


async def test_the_bulk_form_is_told_too() -> None:
    def visible(user: User, models: Sequence[Model], operation: str) -> Sequence[Model]:
        ASKED.append(operation)
        return models

    ASKED.clear()
    assert await asking(lambda user, model: True, lambda app: app.status("/models"), visible_models=visible) == 200
    assert ASKED == ["listModels"]


@pytest.mark.parametrize("authorize", [lambda user, model: True, lambda *both: True, Grants({}, admins=False)])
async def test_callables_without_that_parameter_keep_their_two(authorize: Any) -> None:
    status = await asking(authorize, lambda app: app.status("/chat/completions", CHAT))
    assert status == (404 if isinstance(authorize, Grants) else 200)
