"""What a body may have at most: cases 263 and 264. Time and memory are measured in ``tests/reliability``."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from openai_gateway_asgi import Model, Settings, User
from openai_gateway_asgi.testing import json_answer
from tests.cases.gateways import error_of, upstream_a, world

MIB = 1024 * 1024
CHAT = b'{"model": "m1", "messages": [%b]}'
EMBEDDED = json_answer({"object": "list", "data": []})
LONG = {"small": 0, "large": 1_500_000}
"""Both ways in which a body is read."""


def padded(body: bytes, size: int) -> bytes:
    """The same with a field of about ``size`` bytes, all of which must be looked at."""
    return body if not size else body[:-1] + b', "padding": [' + b",".join([b'"\\u0061"'] * (size // 9)) + b"]}"


# Memory


@pytest.mark.parametrize("field", ["messages", "tools", "extra_body", "padding"])
async def test_case_263_more_than_a_million_keys_objects_and_lists_are_a_400(field: str) -> None:
    body = b'{"model": "m1", "%b": [{"x": 1},%b]}' % (field.encode(), b",".join([b"{}"] * 999_998))
    async with world() as w:
        answer = await w.post_bytes("/chat/completions", body)
        assert (answer.status, error_of(answer)["code"]) == (400, "invalid_json")
        assert "1000000 keys, objects and lists" in error_of(answer)["message"]
        assert w.upstream.requests == []


@pytest.mark.parametrize("element", [b"1", b"-0.5e3", b"true", b"null", b'"text"'])
async def test_case_263_two_million_of_what_is_neither_pass(element: bytes) -> None:
    body = b'{"model": "m1", "input": [' + b",".join([element] * 2_000_000) + b"]}"
    async with world() as w:
        w.upstream.answer("/embeddings", EMBEDDED)
        assert (await w.post_bytes("/embeddings", body)).status == 200
        assert w.upstream.last.body.count(b",") == body.count(b",")


async def test_case_263_embeddings_of_31_mebibytes_of_token_arrays_pass() -> None:
    tokens = b"[" + b",".join([b"100257"] * 8191) + b"]"
    body = b'{"model":"m1","input":[' + b",".join([tokens] * (31 * MIB // len(tokens))) + b"]}"
    async with world() as w:
        w.upstream.answer("/embeddings", EMBEDDED)
        assert (await w.post_bytes("/embeddings", body)).status == 200
        assert w.upstream.last.body == body


@pytest.mark.parametrize("size", LONG.values(), ids=LONG)
@pytest.mark.parametrize(("levels", "status"), [(199, 200), (200, 400), (5000, 400)])
async def test_case_263_two_hundred_levels_pass_and_no_more(levels: int, status: int, size: int) -> None:
    body = padded(b'{"model": "m1", "messages": [], "x": %b0%b}' % (b"[" * levels, b"]" * levels), size)
    async with world() as w:
        answer = await w.post_bytes("/chat/completions", body)
        assert answer.status == status
        assert (w.upstream.requests == []) == (status == 400)


@pytest.mark.parametrize("size", LONG.values(), ids=LONG)
@pytest.mark.parametrize("length", [256, 257, 100_000])
async def test_case_263_a_long_key_that_spells_no_name_passes(length: int, size: int) -> None:
    body = padded(b'{"model": "m1", "messages": [{"%b": 1, "file_id": null}]}' % (b"k" * length), size)
    async with world() as w:
        assert (await w.post_bytes("/chat/completions", body)).status == 200


@pytest.mark.parametrize("size", LONG.values(), ids=LONG)
@pytest.mark.parametrize(
    "key", [b"file_id" + b" " * 5000, b" " * 5000 + b"file_id", b"file_id\\u0000" + b"k" * 5000, b"\\u0046ile_id"]
)
async def test_case_263_a_long_key_that_somebody_reads_as_a_name_is_a_400(key: bytes, size: int) -> None:
    body = padded(b'{"model": "m1", "messages": [{"%b": "f"}]}' % key, size)
    async with world() as w:
        answer = await w.post_bytes("/chat/completions", body)
        assert (answer.status, error_of(answer)["code"]) == (400, "invalid_field")
        assert w.upstream.requests == []


# Time


@pytest.mark.parametrize(("count", "status"), [(1000, 200), (1001, 400), (500_000, 400)])
async def test_case_264_a_thousand_fields_pass_and_no_more(count: int, status: int) -> None:
    fields = b",".join(b'"k%d":1' % number for number in range(count - 2))
    async with world() as w:
        answer = await w.post_bytes("/chat/completions", b'{"model":"m1","messages":[],%b}' % fields)
        assert answer.status == status
        if status == 400:
            assert "more than 1000 fields" in error_of(answer)["message"]


async def test_case_264_a_field_that_comes_half_a_million_times_is_counted_each_time() -> None:
    async with world() as w:
        body = b'{"model":"m1","messages":[],%b}' % b",".join([b'"k":1'] * 500_000)
        assert (await w.post_bytes("/chat/completions", body)).status == 400


@pytest.mark.parametrize("wait", [False, True])
async def test_case_264_each_id_is_asked_of_the_policy_once(wait: bool) -> None:
    asked: Counter[str] = Counter()

    def allows(user: User, model: Model) -> bool:
        asked[model.id] += 1
        return True

    async def allows_later(user: User, model: Model) -> bool:
        return allows(user, model)

    models = ["m1", "m2", "m3"] * 130_000
    fields = {"models": models, "messages": [], "tools": [{"type": "image_generation", "model": "m2"}] * 100}
    both = ("m1", "m2", "m3")
    async with world(upstream_a(*both), authorize_model=allows_later if wait else allows) as w:
        answer = await w.post("/chat/completions", {"model": "m1", **fields})
        assert answer.status == 200, answer.body
        assert asked == dict.fromkeys(both, 1)


async def test_case_264_more_different_models_than_anybody_means_are_a_400() -> None:
    asked: list[str] = []

    def allows(user: User, model: Model) -> bool:
        asked.append(model.id)
        return True

    async with world(authorize_model=allows) as w:
        answer = await w.chat(models=[f"m{number}" for number in range(100_000)])
        assert (answer.status, error_of(answer)["param"]) == (400, "models[100]")
        assert asked == []


@pytest.mark.parametrize("bias", ["1:1," * 30_000, "1:1"])
async def test_case_264_a_bias_that_is_a_long_text_is_a_400_that_names_it(bias: str) -> None:
    async with world() as w:
        answer = await w.chat(logit_bias=bias)
        assert answer.status == (200 if len(bias) < 10 else 400)
        if answer.status == 400:
            assert error_of(answer)["param"] == "logit_bias"


# What must be decoded whole


@pytest.mark.parametrize(
    ("limit", "size", "status"),
    [(8 * MIB, 9 * MIB, 413), (8 * MIB, 7 * MIB, 200), (MIB, 2 * MIB, 413), (16 * MIB, 9 * MIB, 200)],
)
async def test_case_264_messages_to_be_rewritten_are_bounded_and_the_setting_is_named(
    limit: int, size: int, status: int
) -> None:
    line = json.dumps("a line\n")[1:-1].encode()
    system = b'{"role": "system", "content": "%b"}' % (line * (size // len(line)))
    async with world(upstream_a("o3"), settings=Settings(retries=0, decode_limit=limit)) as w:
        answer = await w.post_bytes("/chat/completions", b'{"model": "o3", "messages": [%b]}' % system)
        assert answer.status == status
        if status == 413:
            assert "decode_limit" in error_of(answer)["message"]
            assert w.upstream.requests == []
        else:
            assert w.upstream.last.body.startswith(b'{"model":"o3","messages":[{"role": "developer"')


async def test_case_264_long_texts_do_not_count() -> None:
    system = b'{"role": "system", "content": "%b"}' % (b"x" * 9 * MIB)
    async with world(upstream_a("o3")) as w:
        assert (await w.post_bytes("/chat/completions", b'{"model": "o3", "messages": [%b]}' % system)).status == 200


async def test_case_264_messages_that_nobody_rewrites_are_not_bounded() -> None:
    user = b'{"role": "user", "content": "%b"}' % (b"a line\\n" * (10 * MIB // 8))
    async with world() as w:
        assert (await w.post_bytes("/chat/completions", CHAT % user)).status == 200
