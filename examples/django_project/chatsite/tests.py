"""Run by ``manage.py test``: Django's own client, its own transactions, and no provider."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.test import AsyncClient, TestCase

from openai_gateway_asgi.testing import OWN_PAGE

CHAT = "/openai/v1/chat/completions"


class ChatTests(TestCase):  # type: ignore[misc]  # Django ships no types
    @classmethod
    def setUpTestData(cls) -> None:
        cls.ada = User.objects.create_user("ada")
        cls.ada.groups.add(Group.objects.create(name="staff"))
        cls.bob = User.objects.create_user("bob")

    async def chat(self, user: Any, model: str, **fields: Any) -> Any:
        client = AsyncClient()
        await client.aforce_login(user)
        body = {"model": model, "messages": [{"role": "user", "content": "Hello?"}], **fields}
        return await client.post(CHAT, body, content_type="application/json", headers=OWN_PAGE)

    async def test_a_user_is_answered(self) -> None:
        answer = await self.chat(self.bob, "tiny-chat")

        assert answer.json()["choices"][0]["message"]["content"] == "Hello from upstream."
        assert json.loads(settings.FAKE_UPSTREAM.last.body)["model"] == "tiny-chat"

    async def test_an_answer_is_streamed(self) -> None:
        answer = await self.chat(self.bob, "tiny-chat", stream=True)

        pieces = [piece async for piece in answer.streaming_content]
        assert pieces[-1].endswith(b"data: [DONE]\n\n")

    async def test_a_models_group_decides_who_may_use_it(self) -> None:
        assert (await self.chat(self.ada, "tiny-secret")).status_code == 200
        assert (await self.chat(self.bob, "tiny-secret")).status_code == 404

    async def test_strangers_are_refused(self) -> None:
        answer = await AsyncClient().get("/openai/v1/models", headers=OWN_PAGE)

        assert answer.status_code == 401
