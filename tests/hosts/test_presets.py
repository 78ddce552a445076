"""Presets and identity through the official SDK, on every host, streamed and whole; and for each of them an attack."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import jwt
import openai
import pytest
from starlette.requests import Request

from openai_gateway_asgi import Defaults, Gateway, Grant, Grants, Preset, Settings, Upstream, UsageRecord, User
from openai_gateway_asgi.testing import FakeUpstream
from tests.hosts.apps import HOSTS, PLACEMENTS, served

KEY = "0123456789abcdef0123456789abcdef"
MALLORY = User("mallory", name="{user.email}\r\nX-Admin: 1", email="secret@x.test", groups={"staff"})
BY_NAME = [placement for placement in PLACEMENTS if placement.how == "prefix"]
ASKED: Any = [{"role": "user", "content": "hello you"}]


@dataclass
class Here:
    client: openai.AsyncOpenAI
    upstream: FakeUpstream
    records: list[UsageRecord]

    @property
    def sent(self) -> dict[str, Any]:
        return self.upstream.last.fields()

    async def chat(self, stream: bool, **fields: Any) -> str:
        """All that an answer says, as JSON; the fields are given as extra ones where the SDK does not know them."""
        body = {"model": "lawyer", "messages": ASKED, **fields}
        if not stream:
            return (await self.client.chat.completions.create(**body)).model_dump_json()
        chunks = [chunk async for chunk in await self.client.chat.completions.create(**body, stream=True)]
        assert len(chunks) > 2
        return "".join(chunk.model_dump_json() for chunk in chunks)

    async def response(self, stream: bool, **fields: Any) -> str:
        body = {"model": "lawyer", "input": "hello you", **fields}
        if not stream:
            return (await self.client.responses.create(**body)).model_dump_json()
        events = [event async for event in await self.client.responses.create(**body, stream=True)]
        assert len(events) > 3
        return "".join(event.model_dump_json() for event in events)


async def who(request: Request) -> User | None:
    return MALLORY if request.headers.get("authorization") == "Bearer token" else None


def make(upstream: FakeUpstream, records: list[UsageRecord]) -> Gateway:
    return Gateway(
        [
            Upstream(
                "http://upstream.test/v1", api_key="sk-upstream", model_ids=["hidden-base", "spare-base", "tiny-chat"],
                headers={"X-Name": "{user.name}"}, identity="jwt", identity_key=KEY,
                stamp={"safety_identifier": "{user.id:hmac}", "metadata.team": "{user.groups}"},
            )
        ],
        resolve_user=who,
        authorize_model=Grants(
            {id: Grant(public=True) for id in ("lawyer", "fast", "arena", "best", "tiny-chat")}, admins=False
        ),
        presets=[
            Preset("fast", base="hidden-base"),
            Preset("lawyer", base="fast", system="You help {user.name}.", name="Lawyer", tags=["law"],
                   params={"temperature": 0, "max_tokens": 50}, locked=["temperature"]),
            Preset("best", base=["hidden-base", "spare-base"]),
            Preset("arena", base={"hidden-base": 1, "spare-base": 1}),
            Defaults("hidden-*", params={"service_tier": "flex"}),
        ],
        record_usage=records.append,
        settings=Settings(retries=0, identity_secret="fedcba9876543210"),
        transport=upstream.transport(),
    )  # fmt: skip


@pytest.fixture(params=[host.name for host in HOSTS])
async def here(request: pytest.FixtureRequest) -> AsyncIterator[Here]:
    upstream, records = FakeUpstream(["hidden-base", "spare-base", "tiny-chat"]), list[UsageRecord]()
    placement = next(each for each in BY_NAME if each.host.name == request.param)
    async with served(placement, make(upstream, records)) as place:
        # Of the host whose route resolves its users itself only the token is known: that of ada.
        async with place.client("ada-token" if request.param == "fastapi-route" else "token") as client:
            yield Here(client, upstream, records)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_preset_is_a_model_to_its_callers_and_hides_what_is_behind_it(here: Here, stream: bool) -> None:
    for said in (await here.chat(stream), await here.response(stream)):
        assert "lawyer" in said
        assert "hidden-base" not in said
        record = here.records[-1]
        assert (record.model, record.preset, record.served_model) == ("lawyer", "lawyer", "hidden-base")
        assert here.sent["model"] == "hidden-base"
        assert here.sent["service_tier"] == "flex"
    listed = {model.id: model async for model in here.client.models.list()}
    assert set(listed) == {"tiny-chat", "fast", "lawyer", "best", "arena"}
    assert "hidden-base" not in "".join(model.model_dump_json() for model in listed.values())
    assert listed["lawyer"].model_dump()["name"] == "Lawyer"


@pytest.mark.parametrize("stream", [False, True])
async def test_several_bases_stand_in_for_each_other(here: Here, stream: bool) -> None:
    here.upstream.script("hidden-base", status=503)
    said = await here.chat(stream, model="best")
    assert "spare-base" not in said
    assert here.records[-1].served_model == "spare-base"
    for _ in range(4):
        await here.chat(stream, model="arena")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_user_who_names_the_hidden_base_learns_nothing(here: Here, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError) as hidden:
        await here.chat(stream, model="hidden-base")
    with pytest.raises(openai.NotFoundError) as unknown:
        await here.chat(stream, model="no-such-model")
    assert str(hidden.value).replace("hidden-base", "X") == str(unknown.value).replace("no-such-model", "X")
    with pytest.raises(openai.NotFoundError):
        await here.chat(stream, extra_body={"models": ["hidden-base"]})
    with pytest.raises(openai.BadRequestError):
        await here.chat(stream, model="tiny-chat", extra_body={"models": ["lawyer"]})
    with pytest.raises(openai.NotFoundError):
        await here.client.models.retrieve("hidden-base")
    assert not here.upstream.requests


@pytest.mark.parametrize("stream", [False, True])
async def test_no_spelling_gets_around_a_lock(here: Here, stream: bool) -> None:
    extra = {"TEMPERATURE": 1, "extra_body": {"Temperature": 1, "x": 1}, "options": {"temperature": 1}}
    await here.chat(stream, temperature=2, extra_body=extra)
    told = json.dumps(here.sent).lower()
    assert here.sent["temperature"] == 0
    assert told.count("temperature") == 1
    assert here.sent["max_tokens"] == 50
    await here.chat(stream, max_completion_tokens=7)
    assert (here.sent.get("max_completion_tokens") or here.sent.get("max_tokens")) == 7  # what is not locked


@pytest.mark.parametrize("stream", [False, True])
async def test_neither_a_name_nor_a_clients_prompt_is_read_for_variables(here: Here, stream: bool) -> None:
    messages: Any = [{"role": "system", "content": "{user.email} {{USER_EMAIL}}"}, *ASKED]
    await here.chat(stream, messages=messages)
    prompt = here.sent["messages"][0]["content"]
    assert prompt.endswith("\n{user.email} {{USER_EMAIL}}")
    assert "secret@x.test" not in prompt
    await here.response(stream, instructions="{user.email}")
    assert here.sent["instructions"].endswith("\n{user.email}")
    assert "secret@x.test" not in here.sent["instructions"]


@pytest.mark.parametrize("stream", [False, True])
async def test_who_asks_cannot_be_forged(here: Here, stream: bool) -> None:
    """A forged ``safety_identifier``, a forged token, and a name with a line break."""
    forged = {"x-name": "boss", "x-openwebui-user-jwt": "a.b.c"}
    extra = {"SAFETY_IDENTIFIER": "boss", "metadata": {"Team": "board", "mine": "1"}}
    await here.chat(stream, safety_identifier="boss", extra_body=extra, extra_headers=forged)
    sent = here.upstream.last
    assert len(here.sent["safety_identifier"]) == 64
    assert here.sent["metadata"] == {"mine": "1", "team": "staff"}
    assert "boss" not in sent.body.decode()
    token = sent.header("x-openwebui-user-jwt") or ""
    subject = jwt.decode(token, KEY, algorithms=["HS256"], audience="http://upstream.test/v1")["sub"]
    assert subject in ("mallory", "ada")
    assert sent.header("x-admin") is None
    if subject == "mallory":
        assert sent.header("x-name") == "{user.email}%0D%0AX-Admin: 1"
    assert sent.header("authorization") == "Bearer sk-upstream"
