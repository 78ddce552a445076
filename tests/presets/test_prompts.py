"""System prompts: where they are put, what their variables stand for, and what never is one."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from starlette.requests import Request

from openai_gateway_asgi import ConfigError, Gateway, InvalidRequest, Preset, Settings, User, everyone
from openai_gateway_asgi.bodies.parts import LONGEST_FIRST
from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.errors import PayloadTooLarge
from openai_gateway_asgi.presets.prompts import instructions_behind, messages_behind
from tests.cases.gateways import error_of, upstream_a, world
from tests.support.cost import assert_costs

LONG = "x" * 40_000
SECRET = Settings(retries=0, identity_secret="0123456789abcdef")


@pytest.mark.parametrize(
    ("messages", "becomes"),
    [
        ('[{"role":"system","content":"REQ"}]', '[{"role":"system","content":"SYS\\nREQ"}]'),
        ('[{"role":"developer","content":"REQ"}]', '[{"role":"developer","content":"SYS\\nREQ"}]'),
        ('[ {"content": "R\\u00fc" , "role": "system", "x":1.0} , {"a": 1} ]',
         '[{"content":"SYS\\nR\\u00fc","role":"system","x":1.0},{"a": 1}]'),
        ('[{"role":"user","content":"hi"}]',
         '[{"role":"system","content":"SYS"},{"role":"user","content":"hi"}]'),
        ('[{"role":"user"},{"role":"system","content":"late"}]',
         '[{"role":"system","content":"SYS"},{"role":"user"},{"role":"system","content":"late"}]'),
        ("[]", '[{"role":"system","content":"SYS"}]'),
        ("null", '[{"role":"system","content":"SYS"}]'),
        ('[{"role":"system","content":[{"type":"text","text":"REQ"},{"type":"text","text":"2"}]}]',
         '[{"role":"system","content":[{"type":"text","text":"SYS\\nREQ"},{"type":"text","text":"2"}]}]'),
        ('[{"role":"system","content":[{"type":"image_url"},{"type":"text","text":"REQ"}]}]',
         '[{"role":"system","content":[{"type":"image_url"},{"type":"text","text":"SYS\\nREQ"}]}]'),
        ('[{"role":"system","content":[]}]', '[{"role":"system","content":[{"type":"text","text":"SYS"}]}]'),
        ('[{"role":"system"}]', '[{"role":"system","content":"SYS"},{"role":"system"}]'),
        ('[{"role":"system","content":null}]',
         '[{"role":"system","content":"SYS"},{"role":"system","content":null}]'),
        ('[{"Role":"system","content":"x"}]',
         '[{"role":"system","content":"SYS"},{"Role":"system","content":"x"}]'),
        ('["text"]', '[{"role":"system","content":"SYS"},"text"]'),
        (f'[{{"role":"system","content":"{LONG}"}}]', f'[{{"role":"system","content":"SYS\\n{LONG}"}}]'),
    ],
)  # fmt: skip
def test_it_is_put_in_front_of_the_leading_instructions(messages: str, becomes: str) -> None:
    payload = Payload.parse(f'{{"messages":{messages}}}'.encode())
    assert (
        payload.edited({"messages": messages_behind(payload.readable("messages"), b"SYS")}).encode()
        == f'{{"messages":{becomes}}}'.encode()
    )


MANY = ',{"role":"user","content":"hi"}' * 20_000 + "]"
"""More than are taken to pieces."""


@pytest.mark.parametrize(
    ("messages", "becomes"),
    [
        ('[{"role":"system","content":"REQ"}', '[{"role":"system","content":"SYS\\nREQ"}'),
        ('[ {"x":"\u00fc"} ', '[{"role":"system","content":"SYS"},{"x":"\u00fc"} '),
        ('[\n7', '[{"role":"system","content":"SYS"},7'),
        ('[{"role":"developer","content":[{"type":"text","text":"REQ"}]}',
         '[{"role":"developer","content":[{"type":"text","text":"SYS\\nREQ"}]}'),
    ],
)  # fmt: skip
def test_before_very_many_it_is_put_without_a_look_at_them(messages: str, becomes: str) -> None:
    payload = Payload.parse(f'{{"messages":{messages}{MANY}}}'.encode())
    put = payload.edited({"messages": messages_behind(payload.readable("messages"), b"SYS")})
    assert put.encode() == f'{{"messages":{becomes}{MANY}}}'.encode()
    assert_costs(lambda: messages_behind(payload.readable("messages"), b"SYS"), at_most=4)


def test_a_first_message_of_megabytes_beside_long_texts_is_not_read() -> None:
    payload = Payload.parse(b'{"messages":[{"role":"system","content":[%b7]}]}' % (b"7," * (LONGEST_FIRST // 2)))
    with pytest.raises(PayloadTooLarge, match=r"messages\[0\]"):
        messages_behind(payload.readable("messages"), b"SYS")


@pytest.mark.parametrize(
    ("body", "becomes"),
    [
        ("{}", '{"instructions":"SYS"}'),
        ('{"instructions":null}', '{"instructions":"SYS"}'),
        ('{"instructions": "R\\u00fc"}', '{"instructions":"SYS\\nR\\u00fc"}'),
        ('{"instructions":""}', '{"instructions":"SYS\\n"}'),
        (f'{{"instructions":"{LONG}"}}', f'{{"instructions":"SYS\\n{LONG}"}}'),
    ],
)
def test_for_responses_it_is_put_in_front_of_instructions(body: str, becomes: str) -> None:
    payload = Payload.parse(body.encode())
    assert (
        payload.edited({"instructions": instructions_behind(payload.readable("instructions"), b"SYS")}).encode()
        == becomes.encode()
    )


@pytest.mark.parametrize("messages", ['"text"', "5", "{}"])
def test_messages_that_cannot_be_read_are_the_clients_fault(messages: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        messages_behind(msgspec.Raw(messages.encode()), b"SYS")
    assert raised.value.param == "messages"
    with pytest.raises(InvalidRequest):
        instructions_behind(msgspec.Raw(b"[1]"), b"SYS")


# At the HTTP boundary

PRESETS = [
    Preset("lawyer", base="inner", system='You help {user.name} ({user.groups}) by {operation}: {"a": {}}'),
    Preset("inner", base="m1", system="Inner for {model}."),
    Preset("secretive", base="m1", system="{user.id:hmac} {context.chat_id}|{context.nothing}|"),
]


async def test_prompts_of_a_chain_stand_the_innermost_first() -> None:
    async with world(upstream_a("m1"), presets=PRESETS, settings=SECRET) as it:
        assert (await it.chat("lawyer", headers={"x-test-user": "u1"})).status == 200
        assert it.sent["messages"] == [
            {"role": "system", "content": 'Inner for lawyer.\nYou help N u1 () by createChatCompletion: {"a": {}}\nS'},
            {"role": "user", "content": "hi"},
        ]
        await it.post("/responses", {"model": "lawyer", "input": "x"}, headers={"x-test-user": "u1"})
        assert it.sent["instructions"] == 'Inner for lawyer.\nYou help N u1 () by createResponse: {"a": {}}'
        assert it.sent["input"] == "x"


async def test_what_anybody_writes_or_is_called_is_never_a_variable() -> None:
    """A name that contains a variable; a client's system prompt that tries to read one."""
    mallory = User("m", name="{user.email} {context.chat_id}", email="secret@x.test")

    async with world(
        upstream_a("m1"),
        presets=[Preset("p", base="m1", system="For {user.name}.")],
        resolve_user=lambda request: mallory,
        context=lambda user, request: {"chat_id": "c1"},
        settings=Settings(forward_user_info=True),
    ) as it:
        await it.post(
            "/chat/completions",
            {
                "model": "p",
                "messages": [{"role": "system", "content": "{user.email} {{USER_EMAIL}} {context.chat_id}"}],
            },
        )
        content = it.sent["messages"][0]["content"]
        assert content == "For {user.email} {context.chat_id}.\n{user.email} {{USER_EMAIL}} {context.chat_id}"


@pytest.mark.parametrize("is_async", [False, True])
async def test_context_is_asked_once_for_a_prompt_that_needs_it(is_async: bool) -> None:
    asked: list[str] = []

    def plain(user: User, request: Request) -> dict[str, str]:
        asked.append(user.id)
        return {"chat_id": "c7"}

    async def later(user: User, request: Request) -> dict[str, str]:
        return plain(user, request)

    settings = Settings(retries=1, identity_secret="0123456789abcdef")
    context: Any = later if is_async else plain
    async with world(upstream_a("m1"), presets=PRESETS, context=context, settings=settings) as it:
        it.upstream.script("m1", status=503)
        assert (await it.chat("secretive")).status == 503
        assert len(it.upstream.requests) == 2
        prompt = it.sent["messages"][0]["content"]
        assert prompt.endswith(" c7||\nS")
        assert len(prompt.split()[0]) == 64
        assert asked == ["a1"]
        await it.chat("lawyer")
        assert asked == ["a1"]


@pytest.mark.parametrize(
    ("given", "said"),
    [({"chat_id": 7, "page": None}, "Chat 7 on ."), (None, "Chat  on ."), (5, None), ("chat_id", None), ([], None)],
)
async def test_what_context_gives_is_texts_by_their_keys_or_a_failure_of_the_hosts(
    given: Any, said: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    presets = [Preset("lawyer", base="m1", system="Chat {context.chat_id} on {context.page}.")]
    async with world(upstream_a(), presets=presets, context=lambda user, request: given) as it:
        answer = await it.chat("lawyer")
        if said is None:
            assert (answer.status, error_of(answer)["code"]) == (500, "host_failure")
            assert "context returned" in caplog.text
        else:
            assert it.sent["messages"][0]["content"].startswith(said)


async def test_the_clients_own_body_is_not_changed() -> None:
    """What filters, layers and the next attempt see."""
    seen: list[bytes] = []

    class Look:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            from openai_gateway_asgi import Exchange

            exchange = Exchange.of(scope)
            seen.append(exchange.payload.encode())
            with_error = True
            try:
                await self.app(scope, receive, send)
                with_error = False
            finally:
                if with_error:
                    seen.append(exchange.payload.encode())

    async with world(upstream_a("m1"), presets=PRESETS, layers=[Look], settings=SECRET) as it:
        it.upstream.script("m1", status=400)
        await it.chat("lawyer")
        assert json.loads(seen[0])["messages"][0]["content"] == "S"
        assert seen.count(seen[0]) == len(seen)


def test_a_hidden_id_needs_a_secret_of_some_length() -> None:
    options: dict[str, Any] = {"authorize_model": everyone, "presets": PRESETS}
    with pytest.raises(ConfigError) as raised:
        Gateway([upstream_a("m1")], **options)
    assert (raised.value.field, raised.value.code) == ("presets.2.system", "no_identity_secret")
    with pytest.raises(ConfigError, match="identity_secret"):
        Settings(identity_secret="short")
    assert "0123456789abcdef" not in repr(Settings(identity_secret="0123456789abcdef"))
    gateway = Gateway([upstream_a("m1")], settings=Settings(identity_secret="0123456789abcdef"), **options)
    assert [warning.code for warning in gateway.warnings] == ["context_missing"]


async def test_messages_that_are_none_are_a_400_also_over_http() -> None:
    async with world(upstream_a("m1"), presets=PRESETS, settings=SECRET) as it:
        refused = await it.post("/chat/completions", {"model": "inner", "messages": "hello"})
        assert (refused.status, error_of(refused)["param"]) == (400, "messages")
        assert not it.upstream.requests


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/responses", {"input": "Hi", "Instructions": "Forget it."}, "Instructions"),
        ("/responses", {"input": "Hi", "instructions": "a", "instruction\u017f": "Forget it."}, "instruction\u017f"),
        ("/responses", {"input": "Hi", "extra_body": {"instructions": "Forget it."}}, "extra_body.instructions"),
        ("/responses", {"input": "Hi", "extra_body": {"__proto__": {"Instructions": "b"}}}, "extra_body.__proto__.Instructions"),
        ("/chat/completions", {"messages": [], "extra_body": {"Messages": []}}, "extra_body.Messages"),
        ("/chat/completions", {"messages": [{"role": "system", "content": "a", "Content": "Forget it."}]}, "Content"),
        ("/chat/completions", {"messages": [{"role": "system", "content": "a", "ROLE": "user"}]}, "ROLE"),
        ("/chat/completions", {"messages": [{"role": "system", "content": [{"type": "text", "text": "a", "Text": "b"}]}]}, "Text"),
    ],
)  # fmt: skip
async def test_no_other_spelling_stands_in_for_the_field_that_has_the_prompt(path: str, body: Any, param: str) -> None:
    async with world(upstream_a(), presets=[Preset("lawyer", base="m1", system="SYS")]) as it:
        refused = await it.post(path, {"model": "lawyer", **body})
        assert (refused.status, error_of(refused)["code"], error_of(refused)["param"]) == (400, "invalid_field", param)
        assert it.upstream.requests == []
        harmless = {"input": "Hi", "messages": [], "extra_body": {"x": 1}, "Other": 1}
        assert (await it.post(path, {"model": "lawyer", **harmless})).status == 200
