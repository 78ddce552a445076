"""What a client sees of a stream whose usage the gateway asked for: byte for byte what it would have seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_gateway_asgi.answers.usage_asked import UsageTakenOut
from tests.support.operations import operations

USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
NOUGHT = dict.fromkeys(USAGE, 0)
Object = dict[str, Any]
Way = Callable[[Sequence[Object], bool], list[str]]


def compact(value: Object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def chunk(choices: list[Object], **more: Any) -> Object:
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m"}
    return {**frame, "system_fingerprint": "fp_1", "choices": choices, **more}


def openai(choices: Sequence[Object], asked: bool) -> list[str]:
    """A null in every event, with random padding behind it; the usage in one of its own."""
    null: Object = {"usage": None} if asked else {}
    events = [compact(chunk([each], **null, obfuscation="x}" * (n % 3))) for n, each in enumerate(choices)]
    return events + [compact(chunk([], usage=USAGE, obfuscation=""))] * asked


def azure(choices: Sequence[Object], asked: bool) -> list[str]:
    """The same in alphabetical order; the first event has no choices, because it tells what was filtered."""
    null: Object = {"usage": None} if asked else {}
    filtered = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [{"a": {}}]}
    events = [compact(dict(sorted({**filtered, **null}.items())))]
    events += [compact(dict(sorted(chunk([each], **null).items()))) for each in choices]
    return events + [compact(dict(sorted(chunk([], usage=USAGE).items())))] * asked


def vllm(choices: Sequence[Object], asked: bool) -> list[str]:
    """Nothing but the event."""
    return [compact(chunk([each])) for each in choices] + [compact(chunk([], usage=USAGE))] * asked


def vllm_continuous(choices: Sequence[Object], asked: bool) -> list[str]:
    """With ``continuous_usage_stats``, which needs ``include_usage``: a count in every event."""
    counted: Object = {"usage": {**USAGE, "completion_tokens_details": {"reasoning_tokens": 1}}} if asked else {}
    return [compact(chunk([each], **counted)) for each in choices] + [compact(chunk([], usage=USAGE))] * asked


def ollama_completions(choices: Sequence[Object], asked: bool) -> list[str]:
    nought: Object = {"usage": NOUGHT} if asked else {}
    return [compact(chunk([each], **nought)) for each in choices] + [compact(chunk([], usage=USAGE))] * asked


def llama_cpp(choices: Sequence[Object], asked: bool) -> list[str]:
    timed = chunk([], usage=USAGE, timings={"predicted_n": 12, "usage": None})
    return [compact(chunk([each])) for each in choices] + [compact(timed)] * asked


def spaced(choices: Sequence[Object], asked: bool) -> list[str]:
    """As Python writes it."""
    null: Object = {"usage": None} if asked else {}
    return [json.dumps(chunk([each], **null)) for each in choices] + [json.dumps(chunk([], usage=USAGE))] * asked


def first(choices: Sequence[Object], asked: bool) -> list[str]:
    """The null is the first member."""
    null: Object = {"usage": None} if asked else {}
    events = [compact({**null, **chunk([each])}) for each in choices]
    return events + [compact({"usage": USAGE, **chunk([])})] * asked


def deeper(choices: Sequence[Object], asked: bool) -> list[str]:
    """Others are called so too, before and behind it."""
    null: Object = {"usage": None} if asked else {}
    events = [
        compact({"x_a": {"b": 1, "usage": None}, **chunk([each]), **null, "x_c": {"d": 1, "usage": None}})
        for each in choices
    ]
    return events + [compact(chunk([], usage=USAGE, x_c={"d": 1, "usage": None}))] * asked


def unasked(choices: Sequence[Object], asked: bool) -> list[str]:
    """Counts beside choices, and usage of a provider's own, are there whether one asks or not (Mistral, Groq)."""
    events = [compact(chunk([each], x_groq={"usage": USAGE})) for each in choices]
    return [*events, compact(chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=USAGE))]


STAGES: dict[Way, Callable[[], UsageTakenOut]] = {
    vllm_continuous: lambda: UsageTakenOut(everywhere=True),
    ollama_completions: lambda: UsageTakenOut(zeros=True),
}
WAYS: list[Way] = [
    openai, azure, vllm, vllm_continuous, ollama_completions, llama_cpp, spaced, first, deeper, unasked
]  # fmt: skip

texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(['"usage":null', ',"usage":null}', '{"usage":{"total_tokens":1}}', "a\n\ndata: b\n\n", "}", "\\"]),
)
deltas = st.builds(lambda text: {"content": text}, texts) | st.builds(
    lambda text: {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}, texts
)
choices = st.builds(
    lambda delta, reason: {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason},
    deltas,
    st.sampled_from([None, "stop"]),
)


def written(datas: Sequence[str], comments: Sequence[bool], ends: Sequence[str]) -> list[bytes]:
    """Comments stand before some events, and lines end in several ways."""
    return [
        f"{f': ping{end}{end}' if comment else ''}data: {data}{end}{end}".encode()
        for data, comment, end in zip(datas, comments, ends, strict=False)
    ]


@given(
    way=st.sampled_from(WAYS),
    said=st.lists(choices, min_size=1, max_size=6),
    comments=st.lists(st.booleans(), min_size=12, max_size=12),
    end=st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"]),
    cuts=st.sets(st.integers(1, 12)),
    lacks=st.integers(0, 2),
)
def test_with_and_without_asking_the_client_sees_the_same(
    way: Way, said: list[Object], comments: list[bool], end: str, cuts: set[int], lacks: int
) -> None:
    datas = {asked: [*way(said, asked), "[DONE]"] for asked in (True, False)}
    # A comment before the event that is taken out stays: it is nothing that asking adds.
    with_usage = written(datas[True][:-1], comments, [end] * 12) + written(["[DONE]"], comments[-1:], [end])
    without = written(datas[False][:-1], comments, [end] * 12)
    for at in range(len(without), len(with_usage) - 1):
        without.append(f": ping{end}{end}".encode() if comments[at] else b"")
    without += written(["[DONE]"], comments[-1:], [end])
    stage = STAGES.get(way, UsageTakenOut)()
    edges = [0, *sorted(cut for cut in cuts if cut < len(with_usage)), len(with_usage)]
    with_usage[-1], without[-1] = (each[-1][: len(each[-1]) - lacks * len(end)] for each in (with_usage, without))
    seen = [stage.events(b"".join(with_usage[start:stop])) for start, stop in pairwise(edges)]
    assert b"".join(seen) == b"".join(without)


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":[],"usage":{"total_tokens":1},"error":{"message":"no"}}\n\n',
        b'data: {"choices":[{"index":0,"text":"a"}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}\n\n',
        b'data: {"choices":[],"usage":7}\n\n',
        b'data: {"choices":[],"prompt_filter_results":[]}\n\n',
        b'data: {"choices":[{"delta":{"usage":null}}]}\n\n',
        b'data: ["usage"]\n\n',
        b'data: {"usage": nul\n\n',
        b'event: x\ndata: {"a":1,\ndata: "usage":null}\n\n',
    ],
)
def test_what_asking_did_not_add_stays(event: bytes) -> None:
    assert UsageTakenOut().events(event) == event


def test_an_event_of_several_lines_keeps_its_others() -> None:
    event = b'id: 7\nevent: chunk\ndata: {"a":1,"usage":null}\n\n'
    assert UsageTakenOut().events(event) == b'id: 7\nevent: chunk\ndata: {"a":1}\n\n'


async def test_it_adds_nothing_and_changes_no_answer_that_is_no_stream() -> None:
    stage = UsageTakenOut()
    assert await stage.end() == b""
    assert await stage.answer(b'{"usage":null}') == b'{"usage":null}'
    assert stage.lets_pass()


@pytest.mark.parametrize(("way", "most"), [(spaced, 45), (openai, 60)])
def test_a_null_that_comes_out_costs_little(way: Way, most: int) -> None:
    """In instructions, once it is known how the upstream writes it; a token may be an event."""
    stage = UsageTakenOut()
    event = f"data: {way([{'index': 0, 'delta': {'content': 'one'}}], True)[0]}\n\n".encode()
    assert b"usage" not in stage.events(event)
    assert operations(lambda: stage.events(event)) < most
