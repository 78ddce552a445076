"""The examples of code of a host's own: what they print, and that they hold under what clients and models do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from examples.host_code import redact_emails, refuse_prompts, search_model, small_agent
from openai_gateway_asgi import User
from openai_gateway_asgi.testing import FakeRequest, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import DONE, Answer, sse
from tests.cases.gateways import World, error_of, world
from tests.examples.printed import run
from tests.extensions.test_host_models import events_of, text_of

PRINTED = {
    redact_emails: 'You said "Write to ada@example.org". This is tiny-chat, answering one word at a time.\n',
    refuse_prompts: (
        'You said "Good morning!". This is tiny-chat, answering one word at a time.\n'
        "What became of Bluebird? refused_prompt\n"
    ),
    search_model: "Opening hours: The library is open from nine to five, and on Saturdays until noon.\n",
    small_agent: 'Looking up {"what": "apples"}. We have 12 apples.\n',
}


@pytest.mark.parametrize("example", PRINTED, ids=lambda example: example.__name__.rpartition(".")[2])
async def test_an_example_prints_what_it_promises(example: Any) -> None:
    assert await run(["python", "-W", "error", "-m", example.__name__]) == (0, PRINTED[example])


# E-mail addresses

MESSAGES = [
    {"role": "user", "content": "I am ada@example.org"},
    {"role": "user", "content": [{"type": "text", "text": "Tell bob.b@mail.example.org and ada@example.org"}]},
]
SAID = "Dear <email-2>, <email-1> says <email-9> < hello <em"
RESTORED = "Dear bob.b@mail.example.org, ada@example.org says <email-9> < hello <em"


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def chat_of(text: str, size: int) -> Any:
    def answer(request: FakeRequest) -> Answer:
        if not request.stream:
            return json_answer({"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]})
        deltas = [{"index": 0, "delta": {"content": piece}, "finish_reason": None} for piece in cut(text, size)]
        finish = {"index": 0, "delta": {}, "finish_reason": "stop"}
        return stream_answer([*(sse({"choices": [choice]}) for choice in (*deltas, finish)), DONE])

    return answer


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("streamed", [True, False])
async def test_addresses_stay_at_home_and_come_back_however_the_answer_is_cut(size: int, streamed: bool) -> None:
    async with world(filters=[redact_emails.redact_emails]) as host:
        host.upstream.answer("/chat/completions", chat_of(SAID, size))
        body = {"model": "m1", "messages": MESSAGES, "stream": streamed}
        response = await host.post("/chat/completions", body)
    assert b"@" not in host.upstream.last.body
    assert host.sent["messages"][1]["content"][0]["text"] == "Tell <email-2> and <email-1>"
    if streamed:
        assert text_of(events_of(response)) == RESTORED
    else:
        assert response.json()["choices"][0]["message"]["content"] == RESTORED


@pytest.mark.parametrize("size", [1, 5])
async def test_addresses_come_back_in_every_event_of_a_response(size: int) -> None:
    part = {"item_id": "i", "output_index": 0, "content_index": 0}
    text = {"type": "output_text", "text": SAID}
    item = {"type": "message", "id": "i", "role": "assistant", "content": [text]}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "r", "status": "in_progress"}},
        *({"type": "response.output_text.delta", **part, "delta": piece} for piece in cut(SAID, size)),
        {"type": "response.output_text.done", **part, "text": SAID},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [item]}},
    ]
    async with world(filters=[redact_emails.redact_emails]) as host:
        host.upstream.answer("/responses", stream_answer([sse(each, each["type"]) for each in events]))
        body = {"model": "m1", "input": "I am ada@example.org, and bob.b@mail.example.org is Bob", "stream": True}
        response = await host.post("/responses", body)
    assert host.sent["input"] == "I am <email-1>, and <email-2> is Bob"
    said = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line.startswith("data: ")]
    assert "".join(each["delta"] for each in said if each["type"].endswith(".delta")) == RESTORED
    assert response.text.count(json.dumps(RESTORED)[1:-1]) == 3


# Prompts


@pytest.mark.parametrize("text", ["about BLUEBIRD.", "Project X, please"])
async def test_listed_words_are_refused_wherever_they_stand(text: str) -> None:
    async with world(filters=[refuse_prompts.refuse_prompts(["bluebird", "project x"])]) as host:
        chat = await host.post("/chat/completions", {"model": "m1", "messages": [{"role": "user", "content": text}]})
        embedding = await host.post("/embeddings", {"model": "m1", "input": ["fine", text]})
        fine = await host.post("/embeddings", {"model": "m1", "input": "bluebirds"})
    assert [error_of(each)["code"] for each in (chat, embedding)] == ["refused_prompt"] * 2
    assert fine.status == 200
    assert len(host.upstream.requests) == 1


# Search


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[World]:
    gateway = search_model.create_gateway(str(tmp_path / "library.db"))
    async with gateway.lifespan(), world() as host:
        host.gateway = gateway
        yield host


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What does a late book cost?", "Late books: A book that is late costs ten cents a day.\n"),
        ('"; DROP TABLE pages; -- zebra', "I have nothing about that."),
        ("", "I have nothing about that."),
    ],
)
async def test_the_library_answers_what_it_has(library: World, question: str, answer: str) -> None:
    client = library.gateway.openai(User(id="u"))
    said = await client.chat.completions.create(model="library", messages=[{"role": "user", "content": question}])
    assert (said.choices[0].message.content or "").startswith(answer)
    assert said.usage is not None
    assert said.usage.total_tokens == 0


# The agent


async def test_the_agent_gives_the_tools_result_to_the_model_it_asks() -> None:
    fake = small_agent.provider()
    gateway = small_agent.create_gateway(fake)
    async with gateway.lifespan():
        answer = await gateway.openai(User(id="u")).chat.completions.create(
            model="shop", messages=[{"role": "user", "content": "Have you apples?"}]
        )
    assert answer.choices[0].message.content == "We have 12 apples."
    assert fake.last.messages[-1]["content"] == "12 apples"
