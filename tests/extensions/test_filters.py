"""The host's filters, seen by clients, upstreams and records."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from openai_gateway_asgi import (
    ConfigError,
    Exchange,
    Filter,
    FilterCall,
    FilterEvent,
    Limit,
    MemoryLimits,
    MemoryStore,
    PermissionDenied,
    Preset,
    Price,
    Settings,
    ToldAnswer,
    Usage,
    User,
)
from openai_gateway_asgi.limits.claims import StoreDown
from openai_gateway_asgi.testing import json_answer, stream_answer
from openai_gateway_asgi.testing.answers import DONE, bytes_answer, sse
from tests.cases.gateways import error_of, upstream_a, upstream_b, world
from tests.extensions.test_host_models import events_of, text_of
from tests.support.asgi import Response


def shouts(call: FilterCall) -> None:
    call.change_texts(str.upper)


def refuses(call: FilterCall) -> None:
    raise PermissionDenied("Not this.")


def whispers(call: FilterCall, event: FilterEvent) -> FilterEvent:
    return event.with_texts(str.lower)


def passes(call: FilterCall, event: FilterEvent) -> FilterEvent:
    return event


def filtered(*filters: Filter, **options: Any) -> Any:
    return world(filters=filters, **options)


def text_in(response: Response) -> str:
    if response.header("content-type") == "text/event-stream":
        return text_of(events_of(response))
    return str(response.json()["choices"][0]["message"]["content"])


# Before


async def test_what_is_asked_for_can_be_changed() -> None:
    async with filtered(Filter(before=shouts)) as host:
        await host.chat()
    assert host.sent["messages"] == [{"role": "system", "content": "S"}, {"role": "user", "content": "HI"}]


async def test_an_async_filter_may_ask_a_database() -> None:
    async def later(call: FilterCall) -> None:
        await asyncio.sleep(0)
        call.set("temperature", 0)
        call.drop("top_p")

    async with filtered(Filter(before=later)) as host:
        await host.chat(top_p=0.5)
    assert (host.sent["temperature"], "top_p" in host.sent) == (0, False)


async def test_order_is_the_lists_and_each_sees_what_those_before_it_made() -> None:
    def adds(word: str) -> Any:
        return lambda call: call.set("user", (call.get("user") or "") + word)

    async with filtered(Filter(before=adds("a")), Filter(before=adds("b"))) as host:
        await host.chat()
    assert host.sent["user"] == "ab"


async def test_it_runs_once_however_many_attempts_there_are() -> None:
    calls: list[str] = []
    both = {"store": MemoryStore([upstream_a(), upstream_b()])}
    async with filtered(Filter(before=lambda call: calls.append(call.model)), **both) as host:
        host.upstream.answer("/chat/completions", json_answer({}, status=503))
        await host.chat()
    assert len(host.upstream.requests) == 2
    assert calls == ["m1"]


async def test_a_refusal_is_the_clients_and_gives_the_limits_back() -> None:
    verdicts = iter([refuses, lambda call: None])
    limits = [Limit(requests=1, per="day", by="user"), Limit(tokens=1200, per="day", by="user")]
    async with filtered(Filter(before=lambda call: next(verdicts)(call)), limits=limits) as host:
        refused, served = await host.chat(), await host.chat()
    assert (refused.status, error_of(refused)["message"]) == (403, "Not this.")
    assert served.status == 200
    assert len(host.upstream.requests) == 1


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/chat/completions", {"messages": [{"role": "user", "content": "a", "Content": "b"}]}, "Content"),
        ("/chat/completions", {"messages": [{"role": "user", "content": [{"type": "text", "tEXT": "b"}]}]}, "tEXT"),
        ("/chat/completions", {"messages": [], "extra_body": {"messages": []}}, "extra_body.messages"),
        ("/completions", {"prompt": "a", "Suffix": "b"}, "Suffix"),
        ("/responses", {"input": "a", "INSTRUCTIONS": "b"}, "INSTRUCTIONS"),
        ("/responses", {"input": [{"type": "function_call_output", "call_id": "c", "output": "a", "Output": "b"}]}, "input[0].Output"),
        ("/audio/speech", {"input": "a", "voice": "v", "extra_body": {"Input": "b"}}, "extra_body.Input"),
    ],
)  # fmt: skip
async def test_no_text_hides_from_a_filter_under_another_spelling(path: str, body: Any, param: str) -> None:
    async with filtered(Filter(before=lambda call: call.change_texts(str.upper))) as host:
        refused = await host.post(path, {"model": "m1", **body})
    assert (refused.status, error_of(refused)["code"], error_of(refused)["param"]) == (400, "invalid_field", param)
    assert host.upstream.requests == []


async def test_what_tools_are_for_is_a_text_too() -> None:
    function = {"name": "f", "description": "finds", "parameters": {"description": "kept"}}
    async with filtered(Filter(before=lambda call: call.change_texts(str.upper))) as host:
        assert (await host.chat(tools=[{"type": "function", "function": function}])).status == 200
        body = {"model": "m1", "input": "a", "tools": [{"type": "function", **function}]}
        assert (await host.post("/responses", body)).status == 200
    chat, response = (request.fields()["tools"][0] for request in host.upstream.requests)
    assert chat["function"] == {**function, "description": "FINDS"}
    assert response == {"type": "function", **function, "description": "FINDS"}


@pytest.mark.parametrize(
    ("models", "concerned"),
    [("*", True), ("m1", True), ("m*", True), (["x", "m1"], True), ("gpt-*", False), ("", None), ([], None)],
)
async def test_patterns_say_which_models_are_meant(models: Any, concerned: bool | None) -> None:
    if concerned is None:
        with pytest.raises(ConfigError, match=r"filters\.models"):
            Filter(models, before=refuses)
        return
    async with filtered(Filter(models, before=refuses)) as host:
        assert (await host.chat()).status == (403 if concerned else 200)


async def test_patterns_match_fallbacks_presets_and_bases() -> None:
    store = MemoryStore(
        [upstream_a("m1", "m2", "base")], fallbacks={"m1": ["m2"]}, presets=[Preset("pre", base="base")]
    )
    for pattern, asked in [("m2", "m1"), ("base", "pre"), ("pre", "pre")]:
        async with filtered(Filter(pattern, before=refuses), store=store) as host:
            assert (await host.chat(asked)).status == 403


async def test_a_fallback_that_the_user_may_not_call_is_none() -> None:
    store = MemoryStore([upstream_a("m1", "m2")], fallbacks={"m1": ["m2"]})
    own = {"store": store, "authorize_model": lambda user, model: model.id == "m1"}
    async with filtered(Filter("m2", before=refuses), **own) as host:
        assert (await host.chat("m1")).status == 200


async def test_operations_say_which_calls_are_meant() -> None:
    async with filtered(Filter(operations=["createEmbedding"], before=refuses)) as host:
        chat = await host.chat()
        embedding = await host.post("/embeddings", {"model": "m1", "input": "x"})
    assert (chat.status, embedding.status) == (200, 403)


@pytest.mark.parametrize(
    ("path", "fields", "texts"),
    [
        ("/chat/completions", {"messages": [{"role": "user", "content": [{"type": "text", "text": "t"}]}]}, ["t"]),
        (
            "/chat/completions",
            {
                "messages": [
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "tool_calls": [{"type": "function", "function": {"arguments": '{"x": 1}'}}]},
                    {"role": "tool", "content": "b"},
                ]
            },
            ["a", "b", '{"x": 1}'],
        ),
        ("/responses", {"input": "i", "instructions": "d"}, ["i", "d"]),
        (
            "/responses",
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
                    {"type": "function_call_output", "output": "b"},
                ]
            },
            ["a", "b"],
        ),
        ("/completions", {"prompt": ["p", "q"]}, ["p", "q"]),
        ("/embeddings", {"input": ["e"]}, ["e"]),
        ("/moderations", {"input": "m"}, ["m"]),
        ("/images/generations", {"prompt": "draw"}, ["draw"]),
        ("/audio/speech", {"input": "say", "voice": "v"}, ["say"]),
    ],
)
async def test_texts_are_found_and_changed_wherever_an_operation_has_them(
    path: str, fields: dict[str, Any], texts: list[str]
) -> None:
    found: list[str] = []

    def notes(call: FilterCall) -> None:
        found.extend(call.texts())
        call.change_texts(lambda text: f"<{text}>")

    async with filtered(Filter(before=notes)) as host:
        await host.post(path, {"model": "m1", **fields})
    assert sorted(found) == sorted(texts)
    sent = json.dumps(host.sent)
    assert all(json.dumps(f"<{text}>")[1:-1] in sent for text in texts)


async def test_images_are_found() -> None:
    found: list[str] = []
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    async with filtered(Filter(before=lambda call: found.extend(call.images()))) as host:
        await host.post("/chat/completions", {"model": "m1", "messages": [{"role": "user", "content": [part]}]})
    assert found == ["data:image/png;base64,AA=="]


async def test_what_is_not_touched_leaves_as_it_came() -> None:
    number = b"12345678901234567890123"
    messages = b'[{"role": "user", "content": "hi", "more": %b}]' % number
    body = b'{"model": "m1", "seed": %b, "messages": %b}' % (number, messages)
    async with filtered(Filter(before=shouts)) as host:
        await host.post_bytes("/chat/completions", body)
    assert b'"seed":' + number in host.upstream.last.body
    assert b'"content":"HI","more":' + number in host.upstream.last.body


async def test_a_form_has_no_body_to_look_at() -> None:
    seen: list[tuple[bool, str]] = []

    def looks(call: FilterCall) -> None:
        seen.append((call.has_body, call.operation))
        assert call.texts() == []

    form = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm1\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n'
    async with filtered(Filter(before=looks)) as host:
        response = await host.post_bytes(
            "/audio/transcriptions", form, headers={"content-type": "multipart/form-data; boundary=b"}
        )
    assert response.status == 200
    assert seen == [(False, "createTranscription")]


# Another model


def turns_to(model: str) -> Any:
    return lambda call: call.set("model", model)


async def test_another_model_is_called_in_the_place_of_the_one_asked_for() -> None:
    async with filtered(
        Filter("m1", before=turns_to("m2")), store=MemoryStore([upstream_a("m1"), upstream_b("m2")])
    ) as host:
        response = await host.chat("m1")
    assert response.status == 200
    assert (host.upstream.last.host, host.sent["model"]) == ("b", "m2")
    (record,) = host.records
    assert (record.model, record.served_model) == ("m1", "m2")


@pytest.mark.parametrize("model", ["denied", "unknown"])
async def test_a_model_that_the_user_may_not_call_stays_denied(model: str) -> None:
    own = {"store": MemoryStore([upstream_a("m1", "denied")]), "authorize_model": lambda user, model: model.id == "m1"}
    async with filtered(Filter(before=turns_to(model)), **own) as host:
        response = await host.chat("m1", headers={"x-test-user": "u1"})
    assert (response.status, error_of(response)["code"]) == (404, "model_not_found")
    assert host.upstream.requests == []


async def test_filters_of_the_new_model_are_asked_as_well_also_those_before_in_the_list() -> None:
    asked: list[str] = []

    def notes(name: str) -> Any:
        return lambda call: asked.append(name)

    filters = [
        Filter("m2", before=notes("first")),
        Filter("m1", before=turns_to("m2")),
        Filter("m2", before=notes("last")),
    ]
    async with filtered(*filters, store=MemoryStore([upstream_a("m1", "m2")])) as host:
        await host.chat("m1")
    assert asked == ["first", "last"]


async def test_filters_that_send_each_other_round_are_asked_once() -> None:
    filters = [Filter("m1", before=turns_to("m2")), Filter("m2", before=turns_to("m1"))]
    async with filtered(*filters, store=MemoryStore([upstream_a("m1", "m2")])) as host:
        response = await host.chat("m1")
    assert (response.status, host.sent["model"]) == (200, "m1")


async def test_the_limits_of_the_first_model_are_given_back_and_those_of_the_new_one_taken() -> None:
    limits = [
        Limit(requests=1, per="day", by="user", models="m1"),
        Limit(requests=2, per="day", by="user", models="m2"),
        Limit(concurrent=1, by="user"),
    ]
    turned = {"store": MemoryStore([upstream_a("m1", "m2", "m3")]), "limits": limits}
    only_in_calls = Filter("m1", before=lambda call: call.set("model", "m2") if call.get("user") == "turn" else None)
    async with filtered(only_in_calls, **turned) as host:
        statuses = [(await host.chat("m1", user="turn")).status for _ in range(3)]
        own = (await host.chat("m1")).status
    assert statuses == [200, 200, 429]
    assert own == 200


async def test_what_both_models_need_is_topped_up_and_settled_by_what_was_used() -> None:
    """A dearer model is held against the budget; in the end the budget has lost what was used."""
    prices = {"m1": Price(input="1", output="1"), "m2": Price(input="100", output="100")}
    limits = [Limit(usd="0.05", per="day", by="user")]
    store = MemoryStore([upstream_a("m1", "m2")])
    turns = Filter("m1", before=lambda call: call.set("model", "m2") if call.get("user") == "turn" else None)
    async with filtered(turns, store=store, limits=limits, prices=prices) as host:
        cheap, dear = (await host.chat("m1")).status, (await host.chat("m1", user="turn")).status
        dear_and_short = (await host.chat("m1", user="turn", max_tokens=10)).status
        (standing,) = (await host.ask("GET", "/limits")).json()["data"]
        spent = sum(record.cost or 0 for record in host.records)
    assert (cheap, dear, dear_and_short) == (200, 429, 200)
    assert float(standing["used"]) == pytest.approx(float(spent))


async def test_a_store_that_is_away_lets_a_changed_model_pass() -> None:
    class Away(MemoryLimits):
        away = False

        def take_now(self, claims: Any) -> Any:
            if self.away:
                raise StoreDown("away")
            return super().take_now(claims)

    store = Away()

    def turns(call: FilterCall) -> None:
        store.away = True
        call.set("model", "m2")

    limits = [
        Limit(requests=5, per="day", by="user", models="m1"),
        Limit(requests=5, per="day", by="user", models="m2"),
    ]
    own = {"store": MemoryStore([upstream_a("m1", "m2")]), "limits": limits, "limit_store": store}
    async with filtered(Filter("m1", before=turns), **own) as host:
        response = await host.chat("m1")
        standings = (await host.ask("GET", "/limits")).json()["data"]
    assert response.status == 200
    assert [each["used"] for each in standings] == [0, 0]


async def test_a_refusal_can_be_explained() -> None:
    body = json.dumps({"model": "m1", "input": "x", "background": True}).encode()
    async with filtered(Filter(before=passes_by)) as host:
        told = await host.gateway.explain(User("u"), "POST", "/v1/responses", {}, body)
        sent = await host.gateway.explain(User("u"), "POST", "/v1/responses", {}, body.replace(b"true", b"false"))
    assert (told.outcome, told.code) == ("refused", "out_of_filters_sight")
    assert any(each.by == "Filter.unseen" for each in told.decisions)
    assert sent.outcome == "sent"
    assert any("filters" in each for each in sent.would_ask)


async def test_a_model_under_no_limits_holds_none_of_the_first_ones() -> None:
    limits = [Limit(requests=1, per="day", by="user", models="m1")]
    async with filtered(
        Filter("m1", before=turns_to("m2")), store=MemoryStore([upstream_a("m1", "m2")]), limits=limits
    ) as host:
        statuses = [(await host.chat("m1")).status for _ in range(3)]
        (standing,) = (await host.ask("GET", "/limits")).json()["data"]
    assert statuses == [200, 200, 200]
    assert standing["used"] == 0


async def test_what_filters_put_into_a_body_is_checked_as_what_clients_put_there() -> None:
    own = {"authorize_model": lambda user, model: model.id == "m1", "store": MemoryStore([upstream_a("m1", "m2")])}
    async with filtered(Filter(before=lambda call: call.set("models", ["m2"])), **own) as host:
        response = await host.chat("m1", headers={"x-test-user": "u1"})
    assert response.status in (400, 404, 500)
    assert host.upstream.requests == []


@pytest.mark.parametrize("name", ["stream"])
async def test_how_the_client_is_answered_is_settled(name: str, caplog: pytest.LogCaptureFixture) -> None:
    async with filtered(Filter(before=lambda call: call.set(name, True))) as host:
        response = await host.chat()
    assert (response.status, error_of(response)["code"]) == (500, "host_failure")


# Events


@pytest.mark.parametrize("streamed", [True, False])
async def test_what_is_told_can_be_changed(streamed: bool) -> None:
    async with filtered(Filter(event=whispers)) as host:
        response = await host.chat(stream=streamed)
    assert text_in(response) == "hello from upstream."


@pytest.mark.parametrize("streamed", [True, False])
async def test_async_filters_hear_events_too(streamed: bool) -> None:
    async def later(call: FilterCall, event: FilterEvent) -> FilterEvent:
        await asyncio.sleep(0)
        return event.with_texts(str.upper)

    async with filtered(Filter(event=later)) as host:
        response = await host.chat(stream=streamed)
    assert text_in(response) == "HELLO FROM UPSTREAM."


async def test_events_that_are_not_touched_pass_byte_for_byte() -> None:
    async with filtered(Filter(event=passes)) as host, world() as plain:
        assert (await host.chat(stream=True)).body == (await plain.chat(stream=True)).body
        assert (await host.chat()).body == (await plain.chat()).body


async def test_what_is_changed_in_place_is_changed() -> None:
    def in_place(call: FilterCall, event: FilterEvent) -> FilterEvent:
        for choice in event.data["choices"]:
            if choice["delta"].get("content"):
                choice["delta"]["content"] = "*"
        return event

    async with filtered(Filter(event=in_place)) as host:
        response = await host.chat(stream=True)
    assert set(text_in(response)) == {"*"}


@pytest.mark.parametrize("streamed", [True, False])
async def test_halves_of_letters_and_numbers_of_any_size_hide_no_text(streamed: bool) -> None:
    """Upstreams cut a letter in the middle, and JavaScript writes its half."""
    said = '{"index": 0, "%s": {"content": "Loud \\ud83d"}, "finish_reason": "stop"}'
    odd = '{"seed": 123456789012345678901234567890, "choices": [%s]}' % (said % ("delta" if streamed else "message"))
    async with filtered(Filter(event=whispers)) as host:
        answer = (
            stream_answer([f"data: {odd}\n\n".encode(), DONE])
            if streamed
            else bytes_answer(odd.encode(), "application/json")
        )
        host.upstream.answer("/chat/completions", answer)
        response = await host.chat(stream=streamed)
    assert b"Loud" not in response.body
    assert b"loud \\ud83d" in response.body
    assert b"123456789012345678901234567890" in response.body


async def test_nothing_stands_beside_the_data_of_an_event() -> None:
    text = json.dumps(chunk(content="x"))
    said = [f"id: Loud\r\ndata: {text}\r\nretry: 1\r\nother: Loud\r\n\r\n".encode(), FINISH, b"data: [DONE] Loud\n\n"]
    async with filtered(Filter(event=whispers)) as host:
        host.upstream.answer("/chat/completions", stream_answer(said))
        response = await host.chat(stream=True)
    assert b"Loud" not in response.body
    assert text_in(response) == "x"
    assert response.text.endswith("data: [DONE]\n\n")


async def test_what_is_made_of_an_event_is_json(caplog: pytest.LogCaptureFixture) -> None:
    def breaks(call: FilterCall, event: FilterEvent) -> FilterEvent:
        event.data["broken"] = object()
        return event

    async with filtered(Filter(event=breaks)) as host:
        whole, streamed = await host.chat(), await host.chat(stream=True)
    assert [error_of(each)["code"] for each in (whole, streamed)] == ["host_failure"] * 2


async def test_events_can_be_left_out_and_put_in() -> None:
    def doubles(call: FilterCall, event: FilterEvent) -> Iterator[FilterEvent]:
        texts = "".join(event.texts())
        if "upstream" in texts:
            return
        yield event
        if texts:
            yield FilterEvent.of({"choices": [{"index": 0, "delta": {"content": "!"}, "finish_reason": None}]})

    async with filtered(Filter(event=doubles)) as host:
        response = await host.chat(stream=True)
    assert text_in(response) == "Hello! from!.!"


async def test_each_attempt_has_a_state_of_its_own_and_notes_last() -> None:
    seen: list[tuple[int, Any]] = []

    def counts(call: FilterCall, event: FilterEvent) -> FilterEvent:
        call.state["events"] = call.state.get("events", 0) + 1
        seen.append((call.state["events"], call.notes["since"]))
        return event

    noted = Filter(before=lambda call: call.notes.update(since="before"), event=counts)
    first = sse({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
    async with filtered(noted, store=MemoryStore([upstream_a(), upstream_b()])) as host:
        host.upstream.answer("/chat/completions", stream_answer([first]), stream_answer([first, TEXT, FINISH, DONE]))
        response = await host.chat(stream=True)
    assert text_in(response) == "x"
    assert seen == [(1, "before"), (2, "before"), (3, "before")]


def chunk(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


TEXT = sse(chunk(content="x"))
FINISH = sse({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})


async def test_comments_errors_and_done_are_nobodys_to_filter() -> None:
    seen: list[Any] = []

    def notes(call: FilterCall, event: FilterEvent) -> FilterEvent:
        seen.append(event.data)
        return event

    said = [
        b": secret of the upstream\n\n",
        TEXT,
        b": more\ndata: " + json.dumps(chunk(content="y")).encode() + b"\n\n",
    ]
    async with filtered(Filter(event=notes)) as host:
        host.upstream.answer("/chat/completions", stream_answer([*said, FINISH, DONE]))
        whole = await host.chat(stream=True)
        host.upstream.answer("/chat/completions", stream_answer([TEXT, sse({"error": {"message": "broke"}})]))
        broken = await host.chat(stream=True)
    assert [each["choices"][0]["delta"].get("content") for each in seen] == ["x", "y", None, "x"]
    assert b"secret" not in whole.body
    assert b"more" not in whole.body
    assert b"broke" in broken.body


RESPONSE = {
    "id": "r",
    "object": "response",
    "status": "completed",
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Loud"}]}],
    "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
}


async def test_all_places_where_a_response_says_its_text_are_changed() -> None:
    events = [
        sse({"type": "response.created", "response": {"id": "r"}}, "response.created"),
        sse({"type": "response.output_text.delta", "delta": "Loud"}, "response.output_text.delta"),
        sse({"type": "response.output_text.done", "text": "Loud"}, "response.output_text.done"),
        sse({"type": "response.content_part.done", "part": {"type": "output_text", "text": "Loud"}}),
        sse({"type": "response.output_item.done", "item": RESPONSE["output"][0]}, "response.output_item.done"),
        sse({"type": "response.completed", "response": RESPONSE}, "response.completed"),
    ]
    told: list[ToldAnswer] = []
    quiet = Filter(event=whispers, after=lambda call, answer: told.append(answer))
    async with filtered(quiet) as host:
        host.upstream.answer("/responses", stream_answer(events))
        streamed = await host.post("/responses", {"model": "m1", "input": "x", "stream": True})
        host.upstream.answer("/responses", json_answer(RESPONSE))
        whole = await host.post("/responses", {"model": "m1", "input": "x"})
    assert b"Loud" not in streamed.body + whole.body
    assert streamed.body.count(b"loud") == 5
    assert [(each.text, each.finish_reason, each.usage) for each in told] == [
        ("loud", "completed", Usage(input=1, output=2))
    ] * 2


async def test_an_answer_is_seen_once_and_can_be_replaced() -> None:
    kinds: list[str] = []

    def replaces(call: FilterCall, event: FilterEvent) -> FilterEvent:
        kinds.append(event.kind)
        return event.with_data({"choices": [], "replaced": True})

    async with filtered(Filter(event=replaces)) as host:
        response = await host.chat()
    assert response.json() == {"choices": [], "replaced": True}
    assert response.header("content-length") == str(len(response.body))
    assert kinds == ["answer"]


@pytest.mark.parametrize("streamed", [True, False])
async def test_what_cannot_be_given_whole_fails_and_never_passes(streamed: bool) -> None:
    long = "secret" * 2000
    async with filtered(Filter(event=passes), settings=Settings(retries=0, event_limit=5000)) as host:
        if streamed:
            event = sse(chunk(content=long))
            host.upstream.answer("/chat/completions", stream_answer([event[:6000], event[6000:], FINISH, DONE]))
        else:
            host.upstream.answer("/chat/completions", json_answer({"choices": [], "long": long * 200}))
        response = await host.chat(stream=streamed)
    assert response.status == 502
    assert "event_limit" in error_of(response)["message"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(203, "application/json"), (200, "audio/mpeg"), (200, "application/octet-stream"), (206, "text/plain"), (200, "")],
)
async def test_no_status_and_no_type_leads_past_a_filter(status: int, kind: str) -> None:
    body = json.dumps({"choices": [{"index": 0, "message": {"content": "Loud"}, "finish_reason": "stop"}]}).encode()
    async with filtered(Filter(event=whispers)) as host:
        host.upstream.answer("/chat/completions", bytes_answer(body, kind, status))
        response = await host.chat()
    assert b"Loud" not in response.body
    assert (response.status, response.json()["choices"][0]["message"]["content"]) == (status, "loud")


async def test_what_is_no_json_is_seen_as_text() -> None:
    seen: list[Any] = []

    def notes(call: FilterCall, event: FilterEvent) -> FilterEvent:
        seen.append((event.kind, event.data))
        return event.with_data("not that")

    async with filtered(Filter(event=notes)) as host:
        host.upstream.answer("/chat/completions", bytes_answer(b"a secret, as text", "application/octet-stream"))
        response = await host.chat()
    assert seen == [("answer", "a secret, as text")]
    assert response.body == b"not that"


async def test_spoken_text_passes_as_it_comes() -> None:
    sound = b"ID3" + bytes(range(256)) * 10_000
    async with filtered(Filter(event=whispers), settings=Settings(retries=0, event_limit=1000)) as host:
        host.upstream.answer("/audio/speech", bytes_answer(sound, "audio/mpeg"))
        response = await host.post("/audio/speech", {"model": "m1", "input": "x", "voice": "v"})
    assert response.body == sound


STORED_TEXTS = [
    ("/conversations", {"items": [{"role": "user", "content": "hi"}]}),
    ("/conversations/c1/items", {"items": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]}),
    ("/threads", {"messages": [{"role": "user", "content": "hi"}]}),
    ("/threads/t1/messages", {"role": "user", "content": "hi"}),
    ("/threads/t1/runs/r1/submit_tool_outputs", {"tool_outputs": [{"tool_call_id": "c", "output": "hi"}]}),
    ("/vector_stores/v1/search", {"query": "hi"}),
]


@pytest.mark.parametrize(("path", "body"), STORED_TEXTS, ids=[path for path, _ in STORED_TEXTS])
async def test_texts_that_are_stored_for_models_are_seen_when_they_are_stored(path: str, body: dict[str, Any]) -> None:
    async with filtered(Filter("gpt-*", before=shouts)) as host:
        host.upstream.answer("", json_answer({"id": "x"}))
        await host.post(path, body)
    assert b"HI" in host.upstream.last.body


async def test_a_response_of_an_upstream_that_speaks_chat_is_seen_as_a_response() -> None:
    names: list[str] = []

    def notes(call: FilterCall, event: FilterEvent) -> FilterEvent:
        names.append(event.name)
        return event.with_texts(str.upper)

    async with filtered(Filter(event=notes), store=MemoryStore([upstream_a(api="chat")])) as host:
        streamed = await host.post("/responses", {"model": "m1", "input": "x", "stream": True})
        whole = await host.post("/responses", {"model": "m1", "input": "x"})
    assert host.upstream.last.path.endswith("/chat/completions")
    assert {"response.created", "response.output_text.delta", "response.completed"} < set(names)
    assert b"Hello" not in streamed.body + whole.body
    assert "HELLO FROM UPSTREAM." in whole.text


# After


async def test_after_sees_what_was_told_once() -> None:
    told: list[ToldAnswer] = []

    async def notes(call: FilterCall, answer: ToldAnswer) -> None:
        told.append(answer)

    async with filtered(Filter(event=whispers), Filter(after=notes)) as host:
        await host.chat(stream=True)
        await host.chat()
    assert [(each.text, each.finish_reason, each.complete) for each in told] == [
        ("hello from upstream.", "stop", True)
    ] * 2
    assert told[1].usage is not None


async def test_after_sees_calls_of_tools_and_reasoning() -> None:
    told: list[ToldAnswer] = []
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a'}}
    more = {"index": 0, "function": {"arguments": '": 1}'}}
    events = [sse(chunk(reasoning_content="Hm")), sse(chunk(tool_calls=[call])), sse(chunk(tool_calls=[more]))]
    finish = sse({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    async with filtered(Filter(after=lambda call, answer: told.append(answer))) as host:
        host.upstream.answer("/chat/completions", stream_answer([*events, finish, DONE]))
        await host.chat(stream=True)
    (answer,) = told
    assert (answer.reasoning, answer.finish_reason) == ("Hm", "tool_calls")
    assert [(each.id, each.name, each.arguments) for each in answer.tool_calls] == [("c1", "f", '{"a": 1}')]


async def test_after_sees_the_attempt_that_was_told() -> None:
    told: list[ToldAnswer] = []
    first = sse({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
    after = Filter(after=lambda call, answer: told.append(answer))
    async with filtered(after, store=MemoryStore([upstream_a(), upstream_b()])) as host:
        host.upstream.answer("/chat/completions", stream_answer([first]), stream_answer([first, TEXT, FINISH, DONE]))
        await host.chat(stream=True)
    assert [each.text for each in told] == ["x"]


async def test_after_sees_an_answer_that_broke_off() -> None:
    told: list[ToldAnswer] = []
    async with filtered(Filter(after=lambda call, answer: told.append(answer))) as host:
        host.upstream.answer("/chat/completions", stream_answer([TEXT]))
        await host.chat(stream=True)
        await asyncio.sleep(0)
    assert [(each.text, each.complete) for each in told] == [("x", False)]


# What goes wrong


def raises(*args: Any) -> Any:
    raise ValueError("sk-secret")


async def hangs(*args: Any) -> Any:
    await asyncio.Event().wait()


@pytest.mark.parametrize("where", ["before", "event", "after"])
@pytest.mark.parametrize("wrong", [raises, hangs])
@pytest.mark.parametrize("streamed", [True, False])
async def test_a_filter_that_fails_ends_the_call(
    where: str, wrong: Any, streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    own: Any = {where: wrong}
    async with filtered(Filter(**own), settings=Settings(retries=0, filter_timeout=0.05)) as host:
        response = await host.chat(stream=streamed)
    assert "sk-secret" not in response.text
    assert f"filters.0.{where}" in caplog.text
    assert b"[DONE]" not in response.body
    if where == "after" and streamed:
        assert events_of(response)[-1]["error"]["code"] == "host_failure"
    else:
        assert (response.status, error_of(response)["code"]) == (500, "host_failure")
        assert len(host.upstream.requests) == (where != "before")


async def test_a_filter_that_fails_late_ends_in_an_error_event(caplog: pytest.LogCaptureFixture) -> None:
    def fails_late(call: FilterCall, event: FilterEvent) -> FilterEvent:
        if "upstream" in "".join(event.texts()):
            raise ValueError
        return event

    async with filtered(Filter(event=fails_late)) as host:
        response = await host.chat(stream=True)
    assert events_of(response)[-1]["error"]["code"] == "host_failure"
    assert "upstream" not in text_in_all_but_last(response)


def text_in_all_but_last(response: Response) -> str:
    return text_of(events_of(response)[:-1])


async def test_a_filter_that_leaves_out_the_end_fails(caplog: pytest.LogCaptureFixture) -> None:
    def no_end(call: FilterCall, event: FilterEvent) -> FilterEvent | None:
        return None if event.data["choices"][0]["finish_reason"] else event

    async with filtered(Filter(event=no_end)) as host:
        response = await host.chat(stream=True)
    assert events_of(response)[-1]["error"]["code"] == "host_failure"
    assert "left out the event that ends" in caplog.text


@pytest.mark.parametrize("given", [None, [], "text", {"choices": []}, [FilterEvent.of({}), FilterEvent.of({})]])
async def test_an_answer_is_not_left_out(given: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with filtered(Filter(event=lambda call, event: given)) as host:
        response = await host.chat()
    assert (response.status, error_of(response)["code"]) == (500, "host_failure")


async def test_the_body_is_not_there_any_more_when_the_answer_comes(caplog: pytest.LogCaptureFixture) -> None:
    def looks_back(call: FilterCall, event: FilterEvent) -> FilterEvent:
        call.get("messages")
        return event

    async with filtered(Filter(event=looks_back)) as host:
        response = await host.chat()
    assert response.status == 500
    assert "call.notes" in caplog.text


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "filters"),
        ({"before": 1}, "filters.before"),
        ({"before": lambda: None}, "filters.before"),
        ({"event": lambda call: None}, "filters.event"),
        ({"after": lambda call: None}, "filters.after"),
        ({"before": shouts, "operations": "createChatCompletion"}, "filters.operations"),
        ({"before": shouts, "operations": ["chat"]}, "filters.operations"),
        ({"before": shouts, "unseen": "maybe"}, "filters.unseen"),
    ],
)
def test_what_is_no_filter_is_refused_at_the_start(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Filter(**options)
    assert raised.value.field == field


def test_an_operation_that_there_is_not_is_refused_for_its_filter_would_never_be_asked() -> None:
    with pytest.raises(ConfigError, match="write 'createChatCompletion'"):
        Filter(before=shouts, operations=["CreateChatCompletions"])


async def test_what_is_no_filter_in_the_list_is_named() -> None:
    with pytest.raises(ConfigError, match=r"filters\.1"):
        async with filtered(Filter(before=shouts), shouts):  # type: ignore[arg-type]
            pass


# What a filter cannot see

UNSEEN = [
    ("/realtime/client_secrets", {"session": {"type": "realtime", "model": "m1"}}),
    ("/realtime/sessions", {"model": "m1"}),
    ("/responses", {"model": "m1", "input": "x", "background": True}),
    ("/batches", {"input_file_id": "f", "endpoint": "/v1/chat/completions", "completion_window": "24h"}),
    ("/fine_tuning/jobs", {"model": "m1", "training_file": "f"}),
    ("/evals", {"data_source_config": {}, "testing_criteria": []}),
    ("/evals/e/runs", {"data_source": {}}),
]


@pytest.mark.parametrize(("path", "body"), UNSEEN, ids=[path for path, _ in UNSEEN])
async def test_what_a_filter_cannot_see_is_refused_unless_that_is_meant(path: str, body: dict[str, Any]) -> None:
    statuses = []
    for filters in ([Filter(before=passes_by)], [Filter(before=passes_by, unseen="allow")]):
        async with filtered(*filters) as host:
            response = await host.post(path, body)
            statuses.append(response.status)
            if response.status == 403:
                assert error_of(response)["code"] == "out_of_filters_sight"
                assert host.upstream.requests == []
    assert statuses[0] == 403
    assert statuses[1] != 403


def passes_by(call: FilterCall) -> None:
    pass


async def test_models_that_no_filter_looks_at_may_work_unseen() -> None:
    async with filtered(Filter("gpt-*", before=passes_by)) as host:
        response = await host.post("/responses", {"model": "m1", "input": "x", "background": True})
        session = await host.post("/realtime/sessions", {"model": "m1"})
    assert 403 not in (response.status, session.status)


STORED = [
    "/responses/r1",
    "/chat/completions/c1",
    "/chat/completions",
    "/conversations/c1/items",
    "/responses/r1/input_items",
]


@pytest.mark.parametrize("path", STORED)
async def test_stored_answers_are_refused_where_a_filter_looks_at_answers(path: str) -> None:
    async with filtered(Filter(event=passes)) as host:
        refused = await host.ask("GET", path)
        assert host.upstream.requests == []
    async with filtered(Filter(before=passes_by)) as host:
        served = await host.ask("GET", path)
    assert (refused.status, error_of(refused)["code"]) == (403, "out_of_filters_sight")
    assert served.status != 403


# Where no filter looks


async def test_where_no_filter_looks_nothing_is_staged() -> None:
    async with filtered(Filter("gpt-*", event=raises)) as host:
        response = await host.chat(stream=True)
    assert text_in(response) == "Hello from upstream."


# What is too much


MANY = {
    "objects": {"x": [{}] * 30_000},
    "texts": {"x": [""] * 200_000},
    "values": {"x": [1] * 500_000},
    "escapes": {"x": "\n" * 1_000_001},
    "choices": {"choices": [{}] * 1_025},
}


@pytest.mark.parametrize("many", MANY)
async def test_an_answer_with_too_much_in_it_is_none_where_a_filter_looks(many: str) -> None:
    whole = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], **MANY[many]}
    async with filtered(Filter(event=lambda call, event: event.with_texts(str.upper))) as host:
        host.upstream.answer("/chat/completions", json_answer(whole))
        response = await host.chat()
        assert (response.status, error_of(response)["code"]) == (502, "upstream_error")
        assert re.search("more than [0-9]+ " + many, error_of(response)["message"])
    async with filtered(Filter(event=passes)) as host:
        host.upstream.answer("/chat/completions", json_answer(whole))
        assert (await host.chat()).json() == whole


async def test_an_event_with_too_much_in_it_ends_a_stream_where_a_filter_looks() -> None:
    heavy = {"choices": [{"index": 0, "delta": {"content": "hi"}}], "x": [{}] * 30_000}
    async with filtered(Filter(event=lambda call, event: event.with_texts(str.upper))) as host:
        host.upstream.answer(
            "/chat/completions", stream_answer([sse({"choices": [{"delta": {"content": "a"}}]}), sse(heavy)])
        )
        response = await host.chat(stream=True)
    assert b'"A"' in response.body
    assert b"more than 30000 objects and lists" in response.body
    assert b"[DONE]" not in response.body


async def test_an_answer_in_parts_is_told_as_text() -> None:
    """As Mistral's models that think give it."""
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Hello"}]
    told: list[ToldAnswer] = []
    async with filtered(Filter(after=lambda call, answer: told.append(answer))) as host:
        host.upstream.answer("/chat/completions", json_answer({"choices": [{"message": {"content": parts}}]}))
        assert (await host.chat()).status == 200
        deltas = [{"choices": [{"delta": {"content": [part]}}]} for part in (*parts, {"type": "text", "text": "!"})]
        ends = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
        host.upstream.answer("/chat/completions", stream_answer([*map(sse, deltas), sse(ends), DONE]))
        assert (await host.chat(stream=True)).status == 200
    assert [answer.text for answer in told] == ["Hello", "Hello!"]


async def test_what_a_filter_only_looks_at_stays_as_it_was_written() -> None:
    written = b'{ "choices" : [{"message":{"content":"hi \\u00e9"}}], "x": 1.0e2 }'
    looks = [lambda call, event: event.with_texts(str), lambda call, event: [event, event.data][:1]]
    for look in looks:
        async with filtered(Filter(event=look)) as host:
            host.upstream.answer("/chat/completions", bytes_answer(written, "application/json"))
            assert (await host.chat()).body == written


# The host's own layers


def changing(**fields: Any) -> Any:
    def layer(app: Any) -> Any:
        async def changed(scope: Any, receive: Any, send: Any) -> None:
            exchange = Exchange.of(scope)
            exchange.payload = exchange.payload.edited(fields)
            await app(scope, receive, send)

        return changed

    return layer


async def test_the_hosts_own_layers_change_the_payload() -> None:
    async with filtered(Filter(before=shouts), layers=[changing(user="layer")]) as host:
        await host.chat()
    assert host.sent["user"] == "layer"
    assert host.sent["messages"][1]["content"] == "HI"


async def test_another_model_that_a_layer_names_is_resolved_checked_limited_and_filtered() -> None:
    store = {"store": MemoryStore([upstream_a("m1"), upstream_b("m2", "denied")])}
    limits = [
        Limit(requests=1, per="day", by="user", models="m1"),
        Limit(requests=2, per="day", by="user", models="m2"),
    ]
    may = {"authorize_model": lambda user, model: model.id != "denied"}
    async with filtered(
        Filter("m2", before=shouts), layers=[changing(model="m2")], limits=limits, **store, **may
    ) as host:
        statuses = [(await host.chat("m1")).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (host.upstream.last.host, host.sent["messages"][1]["content"]) == ("b", "HI")
    async with world(layers=[changing(model="denied")], **store, **may) as host:
        response = await host.chat("m1")
    assert (response.status, error_of(response)["code"]) == (404, "model_not_found")
    assert host.upstream.requests == []


async def test_keys_are_looked_at_once_however_often_they_stand_there() -> None:
    """Ten thousand objects with one odd key took 60 ms."""
    odd = [{"A b": 1}] * 10_000
    async with filtered(Filter(before=shouts)) as host:
        assert (await host.post("/chat/completions", {"model": "m1", "messages": odd})).status == 200
        many = [{f"A b{number}": 1} for number in range(1_001)]
        refused = await host.post("/chat/completions", {"model": "m1", "messages": many})
    assert (refused.status, error_of(refused)["code"]) == (413, "payload_too_large")
