"""Whatever a reader of JSON finds named in a body that was passed on, was checked: model, route or stored object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from openai_gateway_asgi import Model, User
from openai_gateway_asgi.testing import json_answer
from tests.bodies import oracle
from tests.bodies.oracle import NODE, Named, named, read_by_node, readings
from tests.bodies.spellings import Speller, Spot, without_padding
from tests.cases.gateways import upstream_a, world
from tests.surface.world import FORM, field, form, parts_of

HEADERS = {"content-type": "application/json", "x-test-user": "u1"}
CONTENT_TYPES = (
    "application/json", "application/json; charset=utf-8", 'application/json; charset="UTF-8"',
    "application/json; charset=utf-16", "application/json; charset=utf-7", "application/json; charset=iso-8859-1",
)  # fmt: skip
ALLOWED = {("model", "m1")}


def may_call(user: User, model: Model) -> bool:
    return model.id == "m1"


def found_in(body: bytes, content_type: str, spot: Spot) -> Iterator[tuple[Named, Any]]:
    for read, readers in readings(body, content_type):
        for reader in readers:
            yield from ((name, reader) for name in named(read, "top", reader, spot.items))


async def hold(count: int, seed: int) -> Counter[int]:
    """Asserts it of ``count`` bodies; how often each status was the answer."""
    speller, statuses, passed = Speller(seed), Counter[int](), list[tuple[Spot, bytes]]()
    async with world(upstream_a("m1", "secret"), authorize_model=may_call) as w:
        w.upstream.answer("", json_answer({}))
        for number in range(count):
            spot, body = speller.body()
            content_type = CONTENT_TYPES[number % 40] if number % 40 < len(CONTENT_TYPES) else CONTENT_TYPES[0]
            sent = body.decode().encode(oracle.charset(content_type)) if number % 80 == 3 else body
            answer = await w.post_bytes(spot.path, sent, headers={**HEADERS, "content-type": content_type})
            statuses[answer.status] += 1
            if answer.status == 200:
                got, read = w.upstream.last, without_padding(w.upstream.last.body)
                wrong = {(name, reader) for name, reader in found_in(read, got.values("content-type")[0].decode(), spot)
                         if name not in ALLOWED}  # fmt: skip
                assert not wrong, (spot.path, body[:2000], wrong)
                passed.append((spot, read))
            else:
                assert answer.status in (400, 403, 404, 415), (body[:2000], answer.body)
                assert w.upstream.requests == []
            w.upstream.requests.clear()
    if NODE is not None:
        for (spot, body), seen in zip(passed, read_by_node([body for _, body in passed]), strict=True):
            wrong_names = {name for read in seen for name in named(read, "top", oracle.LAST, spot.items)} - ALLOWED
            assert not wrong_names, (spot.path, body[:2000], wrong_names)
    return statuses


async def test_what_any_reader_finds_named_was_checked() -> None:
    statuses = await hold(500, seed=1)
    assert statuses[200] > 150, statuses
    assert statuses[400] > 100, statuses
    assert statuses[404] > 20, statuses


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
async def test_what_any_reader_finds_named_in_ten_thousand_bodies_was_checked(seed: int) -> None:
    statuses = await hold(1000, seed)
    assert statuses[200] > 250, statuses


async def test_the_same_holds_of_a_session_in_a_form() -> None:
    speller, statuses = Speller(99), Counter[int]()
    async with world(upstream_a("m1", "secret"), authorize_model=may_call) as w:
        w.upstream.answer("", json_answer({}))
        for _ in range(1500):
            spot, body = speller.body()
            if "session" not in spot.containers or spot.top:
                continue
            session = body.partition(b":")[2][:-1]
            headers = {"x-test-user": "u1", "content-type": FORM}
            sent = form(field("sdp", "v=0"), field("session", session))
            answer = await w.post_bytes("/realtime/calls", sent, headers=headers)
            statuses[answer.status] += 1
            if answer.status == 200:
                got = w.upstream.last
                parts = parts_of(got.body, got.values("content-type")[0].decode())
                (content,) = [content for head, content in parts if b'name="session"' in head]
                wrong = {name for name, _ in found_in(b'{"session":%b}' % content, "application/json", spot)} - ALLOWED
                assert not wrong, (session[:2000], wrong)
            w.upstream.requests.clear()
    assert statuses[200] > 5, statuses
    assert statuses[400] > 5, statuses


def test_the_oracle_sees_what_each_reader_reads() -> None:
    seen = {
        b'{"model":"a","model":"b"}': {"a", "b"},
        b'{"\\u006dodel":"a"}': {"a"},
        b'{"MODEL":"a"}': {"a"},
        '{"\u212bodel":"a"}'.encode(): set(),
        b'{"model\\u0000x":"a"}': {"a"},
        b'{" model ":"a"}': {"a"},
        b'{"mod\\ud83del":"a"}': {"a"},
        b'\xef\xbb\xbf{"model":"a"}': {"a"},
        '{"model":"a"}'.encode("utf-16"): {"a"},
        b'{"tools":[{"type":"x","type":"function","parameters":{"model":"a"}}]}': {"a"},
        b'{"tools":[{"type":"function","parameters":{"model":"a"}}]}': set(),
        b'{"metadata":{"model":"a"}}': set(),
    }
    spot = Spot("/chat/completions")
    for body, ids in seen.items():
        found = {id for (kind, id), _ in found_in(body, "application/json", spot) if kind == "model"}
        assert found == ids, body


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_node_reads_a_prototype_as_fields_of_its_own() -> None:
    ((plain, assigned), nothing) = read_by_node([b'{"a":1,"__proto__":{"model":"x"}}', b"{"])
    assert plain == {"a": 1, "__proto__": {"model": "x"}}
    assert assigned == {"a": 1, "model": "x"}
    assert nothing == []
