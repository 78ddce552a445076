"""However a server cuts its stream and whatever it repeats or leaves out, it says what its whole answer says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi.http.stages import Stage
from openai_gateway_asgi.testing.answers import sse
from openai_gateway_asgi.translate.response_objects import Frame
from openai_gateway_asgi.translate.responses_tools import NO_TOOLS
from openai_gateway_asgi.translate.to_chat import ToChat
from openai_gateway_asgi.translate.to_responses import ToResponses
from tests.translate.test_odd_answers import run

Object = dict[str, Any]
RANDOMS = st.randoms(use_true_random=False)
WORDS = ("Hello", "é😀", '{"a":1}', "a b c\n")
ARGUMENTS = ("{}", '{"a":1}', '{"x":{"y":[1,2]}}', '{"s":"a}{b"}')
USAGE = {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11}


def pieces(random: Random, text: str) -> list[str]:
    found = []
    while text:
        length = random.randint(1, len(text) // 2 + 1)
        found.append(text[:length])
        text = text[length:]
    return found


def whole_of(stage: Stage, answer: Object) -> Object:
    told = stage.answer(json.dumps(answer).encode())
    value: Object = msgspec.json.decode(told if isinstance(told, bytes) else run(told))
    return value


def told_by(stage: Stage, events: list[Object], *, in_one: bool) -> list[Object]:
    blocks = [sse(event, event.get("type")) for event in events]
    reads = [b"".join(blocks)] if in_one else blocks
    told = b"".join([bytes(stage.events(each)) for each in reads]) + run(stage.end())  # type: ignore[arg-type]
    return [json.loads(line[6:]) for line in told.decode().split("\n") if line.startswith("data: {")]


# Chat chunks to a Responses client

NUMBERINGS = ("by index", "taking turns", "one index", "no index", "neither index nor id", "one index and no id")


def deltas_of_call(random: Random, number: int, call: Object, numbering: str) -> list[Object]:
    """The first has all that says which call it is, later ones may have it again."""
    nameless = numbering in ("neither index nor id", "one index and no id")
    arguments = call["function"]["arguments"]
    deltas: list[Object] = []
    for text in [arguments] if nameless else random.choice([[arguments], ["", *pieces(random, arguments)]]):
        delta: Object = {"function": {"arguments": text}}
        if numbering in ("by index", "taking turns"):
            delta["index"] = number
        elif numbering in ("one index", "one index and no id"):
            delta["index"] = 0
        if not deltas or random.random() < 0.2:
            delta["function"]["name"] = call["function"]["name"]
        if not nameless and ("name" in delta["function"] or random.random() < 0.2):
            delta["id"] = call["id"]
        deltas.append(delta)
    return deltas


def in_turns(random: Random, calls: list[list[Object]]) -> Iterator[Object]:
    yield from [deltas.pop(0) for deltas in calls]
    while left := [deltas for deltas in calls if deltas]:
        yield random.choice(left).pop(0)


def chat_answer(random: Random) -> tuple[Object, list[Object]]:
    """A whole answer, and the chunks in which an odd server says the same."""
    message: Object = {"content": None}
    deltas: list[Object] = []
    if random.random() < 0.4:
        message["reasoning_content"] = random.choice(WORDS)
        names = ("reasoning_content", "reasoning")
        deltas += [{random.choice(names): text} for text in pieces(random, message["reasoning_content"])]
    for name in ("content", "refusal"):
        if random.random() < 0.6:
            message[name] = random.choice(WORDS)
            deltas += [{name: text} for text in pieces(random, message[name])]
    calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": random.choice("fg"), "arguments": random.choice(ARGUMENTS)}}
        for n in range(random.randint(0, 3))
    ]  # fmt: skip
    if calls:
        message["tool_calls"] = calls
        numbering = random.choice(NUMBERINGS)
        parts = [deltas_of_call(random, number, call, numbering) for number, call in enumerate(calls)]
        turns = in_turns(random, parts) if numbering == "taking turns" else (each for part in parts for each in part)
        deltas += [{"tool_calls": [delta]} for delta in turns]
    always = {"role": "assistant", "refusal": None} if random.random() < 0.3 else {}
    filled = [
        {**always, **({"content": random.choice(["", None])} if random.random() < 0.3 else {}), **d} for d in deltas
    ]
    choices: list[Object] = [
        {"index": 0, "delta": delta, "finish_reason": None} for delta in [{"role": "assistant"}, *filled]
    ]
    if random.random() < 0.7:
        choices.append({"index": 0, "delta": {}, "finish_reason": None})
    choices[-1]["finish_reason"] = "tool_calls" if calls else "stop"
    chunks: list[Object] = [{"created": 5, "choices": [choice]} for choice in choices]
    match random.randint(0, 3):
        case 0:
            chunks[-1]["usage"] = USAGE
        case 1:
            chunks.append({"choices": [{"index": 0, "delta": {"content": ""}}], "usage": USAGE})
        case _:
            chunks.append({"choices": random.choice([[], None]), "usage": USAGE})
    return {"created": 5, "choices": [{**choices[-1], "message": message}], "usage": USAGE}, chunks


@given(RANDOMS)
@settings(max_examples=300, deadline=None)
def test_a_chat_stream_of_an_odd_server_is_its_whole_answer(random: Random) -> None:
    answer, chunks = chat_answer(random)
    whole = whole_of(ToResponses(Frame({}, "m"), NO_TOOLS, limit=1 << 20), answer)
    stage = ToResponses(Frame({}, "m"), NO_TOOLS, limit=1 << 20)
    told = told_by(stage, chunks, in_one=random.random() < 0.3)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    streamed = told[-1]["response"]
    with_ids = '"id"' in json.dumps(chunks)
    for response in (whole, streamed):
        for item in response["output"]:
            del item["id"]
            if not with_ids:
                item.pop("call_id", None)
    assert (streamed["output"], streamed["usage"]) == (whole["output"], whole["usage"])


# Responses events to a chat client

SERVERS = ("as OpenAI", "no pieces", "items when they end", "the final event alone", "no places", "arguments at once")


def response_of(random: Random) -> Object:
    output: list[Object] = [{"type": "web_search_call", "id": "ws"}] * random.randint(0, 1)
    for number in range(random.randint(0, 2)):
        summary = [{"type": "summary_text", "text": random.choice(WORDS)} for _ in range(random.randint(0, 2))]
        output.append({"type": "reasoning", "id": f"rs{number}", "summary": summary})
    for number in range(random.randint(0, 2)):
        parts = [{"type": "output_text", "text": random.choice(WORDS)} for _ in range(random.randint(1, 2))]
        output.append({"type": "message", "id": f"m{number}", "content": parts})
    if random.random() < 0.1:
        output.append({"type": "message", "id": "no", "content": [{"type": "refusal", "refusal": "No."}]})
    for number in range(random.randint(0, 3)):
        call = {"id": f"fc{number}", "call_id": f"c{number}", "name": random.choice("fg")}
        said = {"type": "function_call", "arguments": random.choice(("", *ARGUMENTS))}
        output.append({**call, **random.choice([said, {"type": "custom_tool_call", "input": random.choice(WORDS)}])})
    usage = {"input_tokens": 7, "output_tokens": 4, "total_tokens": 11}
    return {"id": "r", "created_at": 5, "model": "m", "status": "completed", "output": output, "usage": usage}


def texts_of(item: Object) -> Iterator[tuple[str, str, str, Object]]:
    """What its events are called, what the last of them has, what is said, and where."""
    for index, part in enumerate(item.get("content", ())):
        kind, held = ("refusal", "refusal") if "refusal" in part else ("output_text", "text")
        yield kind, held, part[held], {"content_index": index}
    for index, part in enumerate(item.get("summary", ())):
        yield "reasoning_summary_text", "text", part["text"], {"summary_index": index}
    if "arguments" in item:
        yield "function_call_arguments", "arguments", item["arguments"], {}
    if "input" in item:
        yield "custom_tool_call_input", "input", item["input"], {}


def item_events(random: Random, number: int, item: Object, server: str) -> Iterator[Object]:
    place = {} if server == "no places" else {"output_index": number}
    empty: Object = {"content": [], "summary": []} | (
        {} if server == "arguments at once" else {"arguments": "", "input": ""}
    )
    if server != "items when they end":
        begun = {name: empty.get(name, value) for name, value in item.items()}
        yield {"type": "response.output_item.added", **place, "item": begun}
    for kind, held, said, at in texts_of(item) if server in ("as OpenAI", "no pieces", "no places") else ():
        where = {"item_id": item["id"], **place, **at}
        if "summary_index" in at:
            yield {"type": "response.reasoning_summary_part.added", **where}
        if server != "no pieces":
            for text in pieces(random, said):
                yield {"type": f"response.{kind}.delta", **where, "delta": text}
        yield {"type": f"response.{kind}.done", **where, held: said}
    yield {"type": "response.output_item.done", **place, "item": item}


def gathered(chunks: list[Object]) -> Object:
    message: Object = {"content": "", "reasoning_content": "", "refusal": "", "calls": {}, "finish": []}
    for choice in [choice for chunk in chunks for choice in chunk["choices"]]:
        for name in ("content", "reasoning_content", "refusal"):
            message[name] += choice["delta"].get(name) or ""
        for call in choice["delta"].get("tool_calls", ()):
            kept = message["calls"].setdefault(call["index"], ["", "", ""])
            inner = call.get("function") or call.get("custom")
            said = (call.get("id"), inner.get("name"), inner.get("arguments") or inner.get("input"))
            message["calls"][call["index"]] = [old + (new or "") for old, new in zip(kept, said, strict=True)]
        message["finish"] += [choice["finish_reason"]] if choice["finish_reason"] else []
    return message


def as_gathered(completion: Object) -> Object:
    (choice,) = completion["choices"]
    message, calls = choice["message"], {}
    for index, call in enumerate(message.get("tool_calls", ())):
        inner = call[call["type"]]
        calls[index] = [call["id"], inner["name"], inner.get("arguments") or inner.get("input") or ""]
    said = {name: message.get(name) or "" for name in ("content", "reasoning_content", "refusal")}
    return {**said, "calls": calls, "finish": [choice["finish_reason"]]}


@given(RANDOMS, st.sampled_from(SERVERS))
@settings(max_examples=300, deadline=None)
def test_a_responses_stream_of_an_odd_server_is_its_whole_answer(random: Random, server: str) -> None:
    response = response_of(random)
    whole = whole_of(ToChat(include_usage=True, structured=False), response)
    events = [{"type": "response.created", "response": {**response, "status": "in_progress", "output": []}}]
    for number, item in enumerate(response["output"]) if server != "the final event alone" else ():
        events += item_events(random, number, item, server)
    repeats = server == "the final event alone" or random.random() < 0.7
    events.append({"type": "response.completed", "response": response if repeats else {**response, "output": []}})
    chunks = told_by(ToChat(include_usage=True, structured=False), events, in_one=random.random() < 0.3)
    assert gathered(chunks) == as_gathered(whole)
    assert chunks[-1]["usage"] == whole["usage"]
