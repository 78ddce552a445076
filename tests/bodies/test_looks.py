"""No field is passed by in whose value a name stands that counts, however it is spelt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi.bodies.findings import Findings
from openai_gateway_asgi.bodies.looks import looks_of
from openai_gateway_asgi.bodies.named_fields import FIELDS, INSIDE, Place, What
from openai_gateway_asgi.bodies.scanner import DEPTH, Scanner
from openai_gateway_asgi.bodies.zones import zone_of
from openai_gateway_asgi.http.pacing import at_once
from tests.bodies.reading import CHAT, RESPONSE

NAMES = sorted(
    {row.name.strip("*") for row in FIELDS if row.what not in (What.TYPE, What.CALLED)}
    | {name for name, _, place in INSIDE if place is Place.TOOLS}
    | {"id"}
)
OPERATIONS = (CHAT, RESPONSE, "createEvalRun")
TOP_FIELDS = ("messages", "input", "tools", "plugins", "extra_body", "metadata", "anything", "text")


def spellings(name: str) -> Iterator[str]:
    """A key as it may stand in JSON, for a reader that is lenient in one way."""
    yield name
    yield name.upper()
    yield name.title()
    yield name.replace("s", "\u017f").replace("k", "\u212a")
    yield name.replace("i", "\u0131", 1)
    yield name.upper().replace("I", "\u0130", 1)
    yield "".join(f"\\u{ord(letter):04x}" for letter in name)
    yield name[:-1] + f"\\u{ord(name[-1]):04X}"
    yield f"\\u{ord(name[0].upper()):04x}{name[1:]}"
    for blank in (" ", "\\t", "\\u0020", "\u00a0", "\ufeff", "\\ufeff", "\u2003", "\\u0000"):
        yield f"{name}{blank}"
        if blank != "\\u0000":
            yield f"{blank}{blank}{name}"
    yield f"{name}\\u0000and more"


def walked(data: bytes, field: str, operation: str) -> Findings:
    """What is found in a field that is walked through whatever stands there."""
    found = Findings()
    scanner = Scanner(data, found, field)
    zone = scanner.look_at(field.encode(), zone_of(operation), 0) or zone_of(operation).below
    if data[:1] in b"[{":
        at_once(scanner.walk(0, zone))
    return found


def is_something(found: Findings) -> bool:
    return bool(found.fault or any((found.models, found.groups, found.routes, found.defaults)))


HOLDING = ('[{"%s" :%s}]', '{"%s":%s}')
VALUES = ('"x"', '{"id":"x"}', '{"type":"responses","a":["x"]}')


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("field", TOP_FIELDS)
def test_what_a_walk_would_find_is_worth_one(field: str, operation: str) -> None:
    look = looks_of(operation).of(field)
    places = [
        (name, around, value)
        for name, around, value in product(NAMES, HOLDING, VALUES)
        if is_something(walked((around % (name, value)).encode(), field, operation))
    ]
    assert places
    for name, around, value in places:
        for key in spellings(name):
            data = (around % (key, value)).encode()
            assert look.worth_a_walk(data) or not is_something(walked(data, field, operation)), (field, data)


keys = st.sampled_from(
    [*NAMES, "role", "content", "type", "function", "parameters", "text", "a", "Model", "FILE_ID", "file_id ", "id\0"]
)
values = st.recursive(
    st.none()
    | st.integers(0, 9)
    | st.sampled_from(["x", "", "function", "item_reference", "openrouter:fusion", "message"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(keys, values, max_size=4) | values, max_size=3), st.sampled_from(TOP_FIELDS), st.booleans()
)
@settings(max_examples=250, deadline=None, derandomize=True)
def test_what_is_passed_by_names_nothing(value: Any, field: str, ascii: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii).encode()
    for operation in OPERATIONS:
        if not looks_of(operation).of(field).worth_a_walk(data):
            assert not is_something(walked(data, field, operation))


@pytest.mark.parametrize(
    ("data", "deep"),
    [
        (b"[" * (DEPTH + 10) + b"]" * (DEPTH + 10), True),
        (b'{"a":' * (DEPTH + 10) + b"1" + b"}" * (DEPTH + 10), True),
        (b'[{"a":' * DEPTH + b"1" + b"}]" * DEPTH, True),
        (b"[" + b",".join([b'{"a":[1]}'] * 500) + b"]", False),
        (json.dumps([{"content": "[{" * 300}]).encode(), True),
        (json.dumps([{"content": "[{" * 30}] * 300).encode(), False),
    ],
)
def test_depth_is_suspected_where_there_is_enough_for_it(data: bytes, deep: bool) -> None:
    assert looks_of(CHAT).of("messages").worth_a_walk(data) is deep


def test_ordinary_bodies_are_passed_by() -> None:
    function = {"name": "f", "description": "the model", "parameters": {"properties": {"user_id": {"type": "string"}}}}
    for field, value in {
        "messages": [{"role": "user", "content": "say file_id, \u00e9, \"model\": 'x'"}, {"tool_call_id": "c"}],
        "tools": [{"type": "function", "function": function}],
        "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
    }.items():
        data = msgspec.json.encode(value)
        assert not looks_of(CHAT).of(field).worth_a_walk(data), field
