from __future__ import annotations

from typing import Any

import pytest

from openai_gateway_asgi import ConfigError, GatewayConfig, Upstream
from openai_gateway_asgi.config import from_wire, to_wire
from openai_gateway_asgi.config.masks import MASK

A, AZURE = "https://a.example/v1", "https://r.openai.azure.com"


@pytest.mark.parametrize(
    ("url", "query", "kept"),
    [
        (A, {}, {}),
        (f"{A}?", {}, {}),
        (f"{A}?a=1&b=%C3%BC+x", {}, {"a": "1", "b": "ü x"}),
        (f"{A}/?a=", {}, {"a": ""}),
        (A, {"a": "1"}, {"a": "1"}),
        (f"{A}?a=1", {"b": "2"}, {"a": "1", "b": "2"}),
        (f"{A}?A=1", {"a": "1"}, {"a": "1"}),
    ],
)
def test_a_query_is_a_field_also_out_of_the_base_url(url: str, query: dict[str, str], kept: dict[str, str]) -> None:
    upstream = Upstream(url, query=query)
    assert upstream.base_url == A
    assert upstream.query == kept


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"base_url": f"{A}?a=1#b"}, "base_url"),
        ({"base_url": f"{A}?a=1&&b=2"}, "base_url"),
        ({"base_url": f"{A}?a=%ff"}, "base_url"),
        ({"base_url": f"{A}?a=1&A=2"}, "base_url.A"),
        ({"base_url": f"{A}?a=1", "query": {"a": "2"}}, "query.a"),
        ({"base_url": f"{A}?model=m"}, "base_url"),
        ({"query": "a=1"}, "query"),
        ({"query": [("a", "1")]}, "query"),
        ({"query": {"a": 1}}, "query.a"),
        ({"query": {"a": None}}, "query.a"),
        ({"query": {"": "1"}}, "query"),
        ({"query": {1: "1"}}, "query"),
        ({"query": {"a": "1\n"}}, "query.a"),
        ({"query": {"a": "1", "A": "1"}}, "query.A"),
        ({"query": {"Model": "m"}}, "query"),
        ({"base_url": AZURE, "provider": "azure", "query": {"api-version": "a b"}}, "query.api-version"),
        ({"base_url": AZURE, "provider": "azure", "query": {"api-version": "1"}, "api_version": "2"}, "api_version"),
    ],
)
def test_a_faulty_query_is_refused(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Upstream(**{"base_url": A, **arguments})
    assert raised.value.field == field


@pytest.mark.parametrize("url", [f"{AZURE}?api-version=2025-01-01", f"{AZURE}/?Api-Version=2025-01-01"])
def test_azure_s_version_is_its_field_wherever_it_was_written(url: str) -> None:
    upstream = Upstream(url, provider="azure")
    assert (upstream.api_version, upstream.query) == ("2025-01-01", {})
    assert upstream.fixed_query == b"api-version=2025-01-01"
    assert Upstream(AZURE, provider="azure", api_version="2025-01-01") == upstream


def test_a_query_is_shown_by_its_names_alone() -> None:
    assert "sekret" not in repr(Upstream(A, query={"key": "sekret"}))
    shown = to_wire(GatewayConfig(True, [Upstream(A, query={"key": "sekret-sekret-1234", "api-version": "preview"})]))
    assert shown["OPENAI_API_CONFIGS"]["0"]["query"] == {"key": f"{MASK}1234", "api-version": "preview"}


def post(*, query: dict[str, str], url: str = A, current: GatewayConfig, **entry: Any) -> GatewayConfig:
    body = {
        "OPENAI_API_BASE_URLS": [url],
        "OPENAI_API_KEYS": [""],
        "OPENAI_API_CONFIGS": {"0": {"query": query, **entry}},
    }
    return from_wire(body, current)


def test_a_masked_value_is_kept_for_its_url_and_name() -> None:
    current = GatewayConfig(True, [Upstream(A, query={"key": "sekret-sekret-1234"})])
    masked = f"{MASK}1234"
    assert post(query={"KEY": masked}, current=current).upstreams[0].query == {"KEY": "sekret-sekret-1234"}
    assert post(query={"key": masked}, url=f"{A}?a=1", current=current).upstreams[0].query == {
        "a": "1",
        "key": "sekret-sekret-1234",
    }
    for fault in ({"query": {"other": masked}}, {"query": {"key": masked}, "url": "https://b.example/v1"}):
        with pytest.raises(Exception, match=r"OPENAI_API_CONFIGS\.0\.query\.(key|other)"):
            post(current=current, **fault)  # type: ignore[arg-type]


def test_a_secret_does_not_travel_to_whoever_is_accepted_with_any_certificate() -> None:
    secrets = {"api_key": "sk-aaaaaaaaaaaa1111", "query": {"key": "sekret-sekret-1234"}}
    body = to_wire(GatewayConfig(True, [Upstream(A, **secrets)]))

    def posted(stored: GatewayConfig, **entry: Any) -> GatewayConfig:
        entries = {"0": {**body["OPENAI_API_CONFIGS"]["0"], **entry}}
        return from_wire({**body, "OPENAI_API_CONFIGS": entries, "version": None}, stored)

    usual = GatewayConfig(True, [Upstream(A, **secrets)])
    with pytest.raises(Exception, match="OPENAI_API_KEYS"):
        posted(usual, verify_tls=False)
    assert posted(usual, verify_tls=True).upstreams[0].api_key.reveal() == secrets["api_key"]
    loose = GatewayConfig(True, [Upstream(A, verify_tls=False, **secrets)])
    assert posted(loose, verify_tls=False).upstreams[0].query == secrets["query"]
    assert posted(loose).upstreams[0].verify_tls is None
    with pytest.raises(Exception, match="OPENAI_API_KEYS"):
        posted(loose, verify_tls=False, proxy="http://evil.example:1")
