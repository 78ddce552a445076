"""What any parser of an upstream's would read as the model is what access was checked on, or the body is refused."""

from __future__ import annotations

import ast
import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi import Gateway, Model, User
from openai_gateway_asgi.testing import FakeUpstream
from tests.data.bodies import generate
from tests.reliability.gateways import ANN, CHAT, make_gateway, named
from tests.support.asgi import ask

CORPUS = [ast.literal_eval(line) for line in generate.CORPUS.read_text("ascii").splitlines()]

Pairs = list[tuple[str, Any]]


# Parsers that upstreams use, each giving all values that it might take for the model


def first_key(pairs: Pairs) -> Any:
    return next((value for key, value in pairs if key == "model"), None)


def last_key(pairs: Pairs) -> Any:
    return next((value for key, value in reversed(pairs) if key == "model"), None)


def first_in_any_case(pairs: Pairs) -> Any:
    return next((value for key, value in pairs if key.casefold() == "model"), None)


def last_in_any_case(pairs: Pairs) -> Any:
    return next((value for key, value in reversed(pairs) if key.casefold() == "model"), None)


def trimmed(pairs: Pairs) -> Any:
    return next((value for key, value in pairs if key.strip().lower() == "model"), None)


def up_to_nul(pairs: Pairs) -> Any:
    """As parsers whose strings end at a NUL."""
    return next((value for key, value in pairs if key.partition("\0")[0] == "model"), None)


READERS: tuple[Callable[[Pairs], Any], ...] = (
    first_key, last_key, first_in_any_case, last_in_any_case, trimmed, up_to_nul,
)  # fmt: skip


def readings(body: bytes) -> set[Any]:
    """Every model that one of them reads; one that refuses the body reads none."""
    found: list[Any] = []
    for parse in (
        lambda: json.loads(body, object_pairs_hook=Outer, parse_int=str),
        lambda: json.loads(body.decode("utf-8-sig", "replace"), strict=False, object_pairs_hook=Outer, parse_int=str),
    ):
        with contextlib.suppress(ValueError, RecursionError):
            found += [read(pairs) for pairs in [parse()] for read in READERS]
    with contextlib.suppress(msgspec.DecodeError):
        found.append(msgspec.json.decode(body)["model"])
    return {str(value) for value in found}


class Outer(list):  # type: ignore[type-arg]
    """An object as the list of its pairs."""


class Judge:
    """A gateway whose policy and upstream both write down which model they saw."""

    def __init__(self) -> None:
        self.upstream = FakeUpstream()
        self.checked: list[str] = []

        def allowed(user: User, model: Model) -> bool:
            self.checked.append(model.id)
            return model.id == "gpt"

        self.gateway: Gateway = make_gateway(
            [named("a", models=["gpt", "secret"])], allowed=allowed, transport=self.upstream.transport()
        )

    async def judge(self, body: bytes, content_type: str = "application/json") -> int:
        """Asserts that the body is refused, or read by all as what was checked; the status."""
        self.checked.clear()
        self.upstream.requests.clear()
        answer = await ask(self.gateway, "POST", CHAT, body=body, headers={**ANN, "content-type": content_type})
        if answer.status == 200:
            (sent,) = self.upstream.requests
            assert set(self.checked) == {"gpt"}
            assert readings(sent.body) <= {"gpt"}
        else:
            assert self.upstream.requests == []
            assert 400 <= answer.status < 500, answer.body
            assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
        return answer.status


def test_the_corpus_is_what_its_script_writes() -> None:
    assert generate.CORPUS.read_text("ascii") == generate.lines()
    assert len(CORPUS) >= 300


async def test_no_body_of_the_corpus_is_read_in_two_ways() -> None:
    judge = Judge()
    statuses = {body: await judge.judge(body) for body in CORPUS}

    assert statuses[b'{"model": "gpt"}'] == 200
    assert sum(status == 200 for status in statuses.values()) > 50
    assert sum(status == 404 for status in statuses.values()) > 10


async def test_bodies_nested_beyond_all_measure_are_refused() -> None:
    judge = Judge()
    for depth in (10_000, 100_000):
        await judge.judge(b'{"model": "gpt", "x": ' + b"[" * depth + b"]" * depth + b"}")
        await judge.judge(b'{"x":' * depth + b'{"model": "secret"}' + b"}" * depth)
        assert await judge.judge(b"[" * depth) == 400


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/json, text/plain", "multipart/form-data; boundary=x",
     "application/jsonp", "text/json", "", "application /json", "application/json/x"],
)  # fmt: skip
async def test_json_under_another_name_is_refused(content_type: str) -> None:
    assert await Judge().judge(b'{"model": "gpt"}', content_type) in (400, 415)


# Generated bodies

keys = st.sampled_from(
    ["model", *["messages", "mod", "x"] * 3, "stream", "Model", "MODEL", "models", "model\0", " model"]
)
values = st.sampled_from(["gpt", "secret", "gpt ", "", None, True, 0, ["secret"], {"model": "secret"}])
spellings = st.sampled_from([json.dumps, lambda text: '"' + "".join(f"\\u{ord(c):04x}" for c in text) + '"'])
spaces = st.sampled_from(
    [*[""] * 60, " ", "\t\n", "\r\n", "\x00", "\ufeff"]
)  # mostly none, so that many are JSON at all


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    members = [
        draw(spaces) + draw(spellings)(draw(keys)) + draw(spaces) + ":" + draw(spaces) + json.dumps(draw(values))
        for _ in range(draw(st.integers(0, 4)))
    ]
    members.insert(draw(st.integers(0, len(members))), draw(spellings)("model") + ':"gpt"')
    return ("{" + ",".join(members) + draw(spaces) + "}").encode()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good body with a few bytes taken out, put in or doubled."""
    body = bytearray(draw(st.sampled_from([b'{"model": "gpt", "messages": []}', *CORPUS[:120]])))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(body)


def generated(examples: int) -> Any:
    return settings(max_examples=examples, derandomize=True, deadline=None, database=None)


judge = Judge()


@generated(500)
@given(objects() | objects() | damaged() | st.binary(max_size=60))
async def test_no_generated_body_is_read_in_two_ways(body: bytes) -> None:
    await judge.judge(body)


@pytest.mark.soak
@generated(10_000)
@given(objects() | objects() | damaged() | st.binary(max_size=60))
async def test_no_body_of_ten_thousand_is_read_in_two_ways(body: bytes) -> None:
    await judge.judge(body)
