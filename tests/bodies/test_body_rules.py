from __future__ import annotations

import json
from typing import Any

import pytest

from openai_gateway_asgi.bodies.body_rules import model_id, refuse_ambiguous_query, require_json, routes_in_query
from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.errors import InvalidRequest, UnsupportedMediaType
from openai_gateway_asgi.http.asgi import NamedHeaders


def payload(**fields: Any) -> Payload:
    return Payload.parse(json.dumps(fields).encode())


def asked_for(deployment: str | None = None, **fields: Any) -> str:
    body = payload(**fields)
    return model_id(body, deployment)


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


@pytest.mark.parametrize("id", ["small,big", ",", "a,"])
def test_what_is_several_models_to_a_gateway_behind_is_refused(id: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked_for(model=id)
    assert caught.value.param == "model"


def test_a_deployment_in_the_path_stands_for_the_model() -> None:
    assert asked_for("d") == "d"
    assert asked_for("d", model="d") == "d"
    with pytest.raises(InvalidRequest):
        asked_for("d", model="other")
    with pytest.raises(InvalidRequest):
        asked_for("d\x00")


@pytest.mark.parametrize(
    "query",
    [
        b"model=x",
        b"a=1&Model=x",
        b"%4dodel=x",
        b"+models=x&",
        b"model[]=x",
        b"model%5B%5D=x",
        b"model%00=x",
        b"model.id=x",
        b"draft_model=x",
        b"extra_body[model]=x",
    ],
)
def test_a_query_cannot_name_a_model(query: bytes) -> None:
    with pytest.raises(InvalidRequest):
        routes_in_query(query, ())


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (b"api_base", ("api_base",)),
        (b"deployment_id=x&a=b", ("deployment_id",)),
        (b"a=1;Deployment_Id[]=x", ("deployment_id",)),
        (b"aws_region_name=x", ("aws_region_name",)),
        (b"mine=x", ("mine",)),
        (b"", ()),
        (b"a=b&c", ()),
        (b"api-version=2024-10-21", ()),
        (b"include[]=model", ()),
        (b"metadata[model]=x&metadata[api_base]=y", ()),
        (b"x=model", ()),
        (b"api_key=x", ()),
    ],
)
def test_routes_in_a_query_are_found(query: bytes, found: tuple[str, ...]) -> None:
    """A key is none of them: it was meant for the gateway, and is taken out."""
    assert routes_in_query(query, ["mine"]) == found


def test_lists_are_searched_by_model() -> None:
    assert routes_in_query(b"model=x&metadata[a]=b", (), but=("model",)) == ()


@pytest.mark.parametrize("query", [b"", b"a=b&c", b"api-version=2024-10-21", b"include[]=model", b"x=model"])
def test_a_query_that_is_one_passes(query: bytes) -> None:
    refuse_ambiguous_query(query)


@pytest.mark.parametrize("query", [b"a=\xff", b"a b", b"a\r\n", b"a#b", b"\x00"])
def test_a_query_that_is_none_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidRequest):
        refuse_ambiguous_query(query)
