from __future__ import annotations

import json
from typing import Any

import pytest

from openai_gateway_asgi.config import Upstream
from openai_gateway_asgi.config.model_ids import MAX_ID
from openai_gateway_asgi.http.pacing import at_once
from openai_gateway_asgi.models import Listing, read_listing, static_listing
from openai_gateway_asgi.models.listing import asks_upstream

PLAIN = Upstream("http://a/v1")


def read(data: Any, upstream: Upstream = PLAIN, index: int = 0) -> dict[str, dict[str, Any]]:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return {id: model.metadata for id, model in listing(upstream, body, index).models.items()}


def listing(upstream: Upstream, body: bytes, index: int = 0) -> Listing:
    return at_once(read_listing(static_listing(upstream, index), body))


@pytest.mark.parametrize(
    ("upstream", "asks"),
    [
        (PLAIN, True),
        (Upstream("http://a/v1", model_ids=["m"]), False),
        (Upstream("http://a/v1", model_ids=["gpt-*"]), True),
        (Upstream("http://a/v1", model_ids=["m", "*"]), True),
        (Upstream("https://r.example", provider="azure"), False),
        (Upstream("https://r.example", provider="azure", model_ids=["*"]), False),
    ],
)
def test_an_upstream_is_asked_unless_its_models_are_named(upstream: Upstream, asks: bool) -> None:
    assert asks_upstream(upstream) is asks


@pytest.mark.parametrize(
    "entry",
    [
        1,
        None,
        [],
        {},
        {"id": ""},
        {"id": 5},
        {"id": None},
        {"id": {"a": 1}, "name": "n"},
        {"id": " m"},
        {"id": "m\t"},
        {"id": "m\x00"},
        {"id": "\u202em"},
        {"id": "x" * (MAX_ID + 1)},
    ],
)
def test_a_broken_entry_costs_itself_alone(entry: Any) -> None:
    assert list(read([{"id": "before"}, entry, {"id": "after"}])) == ["before", "after"]


def test_an_entry_that_cannot_be_decoded_does_not_spread() -> None:
    assert list(read(b'{"data": [{"id": "before"}, {"id": "m", "x": 1e999}, {"id": "after"}]}')) == ["before", "after"]


def test_an_id_is_too_long_when_its_public_form_is() -> None:
    prefixed = Upstream("http://a/v1", prefix_id="p" * 10)
    ids = ["x" * (MAX_ID - 11), "x" * (MAX_ID - 10)]
    assert list(read([{"id": id} for id in ids], prefixed)) == ["p" * 10 + "." + ids[0]]


def test_big_numbers_and_odd_values_pass_through() -> None:
    entry = {"id": "m", "big": 2**70, "nested": {"a": [1.5, None, True]}, "text": "Zoë"}
    assert read([entry])["m"].items() >= entry.items()


def test_of_entries_with_one_id_the_first_counts() -> None:
    assert read([{"id": "m", "n": 1}, {"id": "m", "n": 2}])["m"]["n"] == 1


@pytest.mark.parametrize(
    ("entry", "prefix", "name"),
    [
        ({"id": "m"}, "", "m"),
        ({"id": "m"}, "p", "p.m"),
        ({"id": "m", "name": "M One"}, "p", "p.M One"),
        ({"id": "m", "name": None}, "", "m"),
        ({"id": "m", "name": 5}, "", "m"),
        ({"name": "n"}, "p", "p.n"),
    ],
)
def test_the_name_that_is_shown(entry: dict[str, Any], prefix: str, name: str) -> None:
    (shown,) = read([entry], Upstream("http://a/v1", prefix_id=prefix)).values()
    assert shown["name"] == name
    assert shown["openai"].get("name", name) == name


def test_an_upstream_cannot_speak_for_the_gateway() -> None:
    lies = {"id": "m", "urlIdx": 9, "provider": "x", "connection_type": "x", "owned_by": "x", "openai": 1}
    shown = read([lies], index=3)["m"]
    assert (shown["urlIdx"], shown["provider"], shown["connection_type"]) == (3, "", "external")
    assert (shown["owned_by"], shown["openai"]["id"]) == ("openai", "m")


@pytest.mark.parametrize("tags", [None, "x", 5, {"a": 1}])
def test_tags_that_are_no_list_are_shown_but_not_used(tags: Any) -> None:
    (model,) = listing(PLAIN, json.dumps([{"id": "m", "tags": tags}]).encode()).models.values()
    assert model.tags == ()


def test_named_models_are_static() -> None:
    upstream = Upstream("http://a/v1", model_ids=["s1", "gpt-*", "s2"], prefix_id="p", tags=["t"], provider="lmstudio")
    shown = {id: model.metadata for id, model in static_listing(upstream, 4).models.items()}
    assert list(shown) == ["p.s1", "p.s2"]
    assert shown["p.s1"]["openai"]["id"] == "p.s1"
    assert (shown["p.s2"]["urlIdx"], shown["p.s2"]["tags"], shown["p.s2"]["provider"]) == (4, ["t"], "lmstudio")


def test_patterns_choose_from_the_list_and_named_models_are_added() -> None:
    upstream = Upstream("http://a/v1", model_ids=["extra", "gpt-*", "o1"])
    shown = read([{"id": "gpt-4o"}, {"id": "llama"}, {"id": "o1", "n": 1}, {"id": "my-gpt-4"}], upstream)
    assert list(shown) == ["extra", "o1", "gpt-4o"]
    assert shown["o1"]["n"] == 1, "the upstream knows more of it than its name"


@pytest.mark.parametrize("id", ["babbage-002", "dall-e-3", "davinci", "x-embedding", "tts-1", "whisper-1"])
def test_the_official_host_hides_what_is_not_for_chat(id: str) -> None:
    official = Upstream("https://API.openai.com/v1", prefix_id="tts")
    (model,) = listing(official, json.dumps([{"id": id}]).encode()).models.values()
    assert not model.listed
    (elsewhere,) = listing(PLAIN, json.dumps([{"id": id}]).encode()).models.values()
    assert elsewhere.listed
