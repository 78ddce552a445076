from __future__ import annotations

import json
from typing import Any

import pytest

from openai_gateway_asgi.bodies.body_rules import (
    OTHER_ROUTES,
    model_id,
    models_within,
    other_models,
    refuse_ambiguous_query,
    refuse_other_routes,
    refuse_routes_in_query,
    require_json,
)
from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.errors import InvalidRequest, UnsupportedMediaType
from openai_gateway_asgi.http.asgi import NamedHeaders


def payload(**fields: Any) -> Payload:
    return Payload.parse(json.dumps(fields).encode())


def asked_for(deployment: str | None = None, **fields: Any) -> str:
    body = payload(**fields)
    return model_id(body, body.telling, deployment)


@pytest.mark.parametrize("kind", [b"application/json", b"application/json;charset=utf-8", b"APPLICATION/JSON ; x=y"])
def test_json_is_taken(kind: bytes) -> None:
    require_json({b"content-type": kind, b"content-encoding": b"identity"})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"content-type": b"text/plain"},
        {b"content-type": b"application/jsonl"},
        {b"content-type": b"application/json", b"content-encoding": b"gzip"},
    ],
)
def test_anything_else_is_a_415(headers: NamedHeaders) -> None:
    with pytest.raises(UnsupportedMediaType):
        require_json(headers)


@pytest.mark.parametrize("id", ["m", "org/model:free", "ü", "a" * 256])
def test_the_model_is_the_string_that_the_body_names(id: str) -> None:
    assert asked_for(model=id) == id


@pytest.mark.parametrize("id", ["", " ", " m", "m ", "m\n", "m\x00", "m\u200b", "a" * 257, 1, True, ["m"], {"id": "m"}])
def test_a_model_that_could_be_read_in_two_ways_is_refused(id: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked_for(model=id)
    assert caught.value.param == "model"


def test_a_body_that_names_no_model_says_so() -> None:
    assert asked_for() == asked_for(model=None) == ""


@pytest.mark.parametrize("name", ["Model", "MODEL", "mOdel"])
def test_a_model_in_other_letters_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked_for(model="m", **{name: "m"})
    assert caught.value.param == name


def test_a_deployment_in_the_path_stands_for_the_model() -> None:
    assert asked_for("d") == "d"
    assert asked_for("d", model="d") == "d"
    with pytest.raises(InvalidRequest):
        asked_for("d", model="other")
    with pytest.raises(InvalidRequest):
        asked_for("d\x00")


@pytest.mark.parametrize("name", sorted(OTHER_ROUTES))
def test_a_body_cannot_choose_another_route(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        refuse_other_routes(payload(model="m", **{name: "x"}).telling)
    assert caught.value.param == name


@pytest.mark.parametrize("query", [b"model=x", b"a=1&Model=x", b"%4dodel=x", b"api_base", b"+models=x&"])
def test_a_query_cannot_choose_another_route(query: bytes) -> None:
    with pytest.raises(InvalidRequest):
        refuse_routes_in_query(query.replace(b"+", b"%20"))


@pytest.mark.parametrize("query", [b"", b"a=b&c", b"api-version=2024-10-21", b"include[]=model", b"x=model"])
def test_other_queries_pass(query: bytes) -> None:
    refuse_routes_in_query(query)
    refuse_ambiguous_query(query)


@pytest.mark.parametrize("query", [b"a=\xff", b"a b", b"a\r\n", b"a#b", b"\x00"])
def test_a_query_that_is_none_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidRequest):
        refuse_ambiguous_query(query)


@pytest.mark.parametrize(
    ("operation", "fields", "named"),
    [
        ("createChatCompletion", {}, ()),
        ("createChatCompletion", {"models": ["a", "b"]}, ("a", "b")),
        ("createChatCompletion", {"models": None}, ()),
        ("createChatCompletion", {"tools": [{"model": "a"}]}, ()),
        ("createResponse", {"tools": [{"type": "image_generation", "model": "a"}, {"type": "x"}, 1]}, ("a",)),
        ("createResponse", {"models": ["a"], "tools": [{"model": "b"}]}, ("a", "b")),
    ],
)
def test_further_models_of_a_body_are_found(operation: str, fields: dict[str, Any], named: tuple[str, ...]) -> None:
    assert other_models(payload(model="m", **fields), operation) == named


@pytest.mark.parametrize(
    "tool",
    [
        b'{"mod\\u0065l": "secret"}',
        b'{"model": "secret", "model": "m"}',
        b'{"model": "m", "model": "secret"}',
        b'{"Model": "secret"}',
    ],
)
def test_no_spelling_hides_the_model_of_a_tool(tool: bytes) -> None:
    body = Payload.parse(b'{"model": "m", "tools": [' + tool + b"]}")
    assert "secret" in other_models(body, "createResponse")


@pytest.mark.parametrize("id", ["secret" + " " * 100_000, "secret" + "t" * 100_000, "secret ", ""])
def test_what_names_no_model_cannot_be_one_among_others(id: str) -> None:
    """Nor does something short stand for it, which a policy would take for another model's name."""
    fields = {"models": [id], "tools": [{"model": id}], "graders": {"model": id}}
    for name, value in fields.items():
        body = payload(model="m", **{name: value})
        with pytest.raises(InvalidRequest) as caught:
            models_within(body) if name == "graders" else other_models(body, "createResponse")
        assert caught.value.param == "model"


def test_tools_that_cannot_be_read_are_a_400() -> None:
    body = Payload.parse(b'{"tools": [{"model": ' + b"9" * 5000 + b"}]}")
    with pytest.raises(InvalidRequest) as caught:
        other_models(body, "createResponse")
    assert caught.value.param == "tools"


def test_further_models_must_be_a_list_of_names() -> None:
    with pytest.raises(InvalidRequest) as caught:
        other_models(payload(models=["a", 1]), "createChatCompletion")
    assert caught.value.param == "models[1]"
