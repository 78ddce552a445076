"""Prompts with words from a list are refused, before they leave and before they cost anything.

python -m examples.host_code.refuse_prompts
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

import httpx
import openai

from examples.local_upstream import create_app
from openai_gateway_asgi import Filter, FilterCall, Gateway, PermissionDenied, Upstream, User, everyone


def refuse_prompts(words: Iterable[str]) -> Filter:
    """Whole words, in any case, wherever a prompt has text."""
    listed = re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b", re.IGNORECASE)

    def check(call: FilterCall) -> None:
        if any(listed.search(text) for text in call.texts()):
            raise PermissionDenied("This prompt has words that are not sent to models here.", code="refused_prompt")

    return Filter(before=check)


async def main() -> None:
    upstream = httpx.ASGITransport(create_app())
    gateway = Gateway(
        [Upstream("http://local.test/v1", api_key="sk-local")],
        authorize_model=everyone,
        filters=[refuse_prompts(["bluebird", "project x"])],
        transport=upstream,
    )
    async with gateway.lifespan():
        client = gateway.openai(User(id="ada"))
        for question in ("Good morning!", "What became of Bluebird?"):
            try:
                answer = await client.chat.completions.create(
                    model="tiny-chat", messages=[{"role": "user", "content": question}]
                )
                print(answer.choices[0].message.content)
            except openai.PermissionDeniedError as refused:
                print(f"{question} {refused.code}")


if __name__ == "__main__":
    asyncio.run(main())
