from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from openai_gateway_asgi.config import Secret, Timeouts, Upstream
from openai_gateway_asgi.config.upstream_fields import RULES
from openai_gateway_asgi.errors import ConfigError

URL = "https://a.example/v1"


def test_defaults() -> None:
    upstream = Upstream(URL)
    assert upstream.name == upstream.host == "a.example"
    assert upstream.api_key == Secret("")
    assert upstream.enabled
    assert (upstream.model_ids, upstream.tags, upstream.drop_fields, upstream.forward_cookies) == ((), (), (), ())
    assert (upstream.auth_type, upstream.connection_type, upstream.rewrites) == ("bearer", "external", "auto")
    assert (upstream.weight, upstream.priority) == (None, 0)
    assert upstream.timeouts is upstream.proxy is upstream.reasoning_models is upstream.max_concurrency is None
    assert not upstream.headers


def test_every_field_has_a_rule() -> None:
    assert set(RULES) == {field.name for field in fields(Upstream)}


@pytest.mark.parametrize(
    ("field", "given", "kept"),
    [
        ("base_url", "https://a.example/v1/", URL),
        ("api_key", "sk-1", Secret("sk-1")),
        ("api_key", Secret("sk-1"), Secret("sk-1")),
        ("name", "Ärger & Co", "Ärger & Co"),
        ("name", "", "a.example"),
        ("model_ids", ["a", "org/b", "a"], ("a", "org/b")),
        ("model_ids", (model for model in "ab"), ("a", "b")),
        ("prefix_id", "team/a", "team/a"),
        ("tags", [{"name": "x"}, "y", 1, None], ({"name": "x"}, "y", 1, None)),
        ("connection_type", "", "external"),
        ("connection_type", "local", "local"),
        ("auth_type", None, "bearer"),
        ("auth_type", "", "bearer"),
        ("auth_type", "none", "none"),
        ("auth_type", "azure_ad", "microsoft_entra_id"),
        ("auth_type", "microsoft_entra_id", "microsoft_entra_id"),
        ("headers", {"X-A": "b\tc", "X-Empty": ""}, {"X-A": "b\tc", "X-Empty": ""}),
        ("headers", {"Authorization": "Custom x"}, {"Authorization": "Custom x"}),
        ("provider", "Azure", "azure"),
        ("api_version", "2024-12-01-preview", "2024-12-01-preview"),
        ("timeouts", Timeouts(idle=1), Timeouts(idle=1)),
        ("proxy", "http://p.example:1/", "http://p.example:1"),
        ("reasoning_models", ["o3*"], ("o3*",)),
        ("reasoning_models", [], ()),
        ("route_fields", ["-aws_*", "-aws_region_name", "mine", "yours_*"], ("-aws_*", "-aws_region_name", "mine", "yours_*")),
        ("drop_fields", ["store"], ("store",)),
        ("forward_cookies", ["sid"], ("sid",)),
        ("token_scope", "https://ai.azure.com/.default", "https://ai.azure.com/.default"),
        ("priority", -3, -3),
        ("keepalive", 2, 2),
    ],
)  # fmt: skip
def test_values_are_brought_to_one_form(field: str, given: Any, kept: Any) -> None:
    assert getattr(Upstream(**{"base_url": URL, field: given}), field) == kept


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("base_url", "/v1", "base_url"),
        ("base_url", "http://u:p@a.example", "base_url"),
        ("api_key", None, "api_key"),
        ("api_key", b"sk", "api_key"),
        ("api_key", "sk-1\r\nX-Evil: 1", "api_key"),
        ("api_key", "sk-ü", "api_key"),
        ("api_key", " sk-1", "api_key"),
        ("api_key", "••••••••abcd", "api_key"),
        ("name", " a", "name"),
        ("name", "a\nb", "name"),
        ("name", "x" * 257, "name"),
        ("name", None, "name"),
        ("enabled", 1, "enabled"),
        ("enabled", "true", "enabled"),
        ("model_ids", "gpt-4o", "model_ids"),
        ("model_ids", {"a": 1}, "model_ids"),
        ("model_ids", None, "model_ids"),
        ("model_ids", ["a", ""], "model_ids.1"),
        ("model_ids", ["a", 1], "model_ids.1"),
        ("model_ids", ["x" * 257], "model_ids.0"),
        ("model_ids", ["a\x00b"], "model_ids.0"),
        ("prefix_id", "p ", "prefix_id"),
        ("prefix_id", " ", "prefix_id"),
        ("prefix_id", "a\x7f", "prefix_id"),
        ("prefix_id", "a\u202eb", "prefix_id"),
        ("prefix_id", 5, "prefix_id"),
        ("tags", "x", "tags"),
        ("tags", [object()], "tags"),
        ("connection_type", "a\nb", "connection_type"),
        ("auth_type", "basic", "auth_type"),
        ("auth_type", "Bearer", "auth_type"),
        ("auth_type", 5, "auth_type"),
        ("headers", [("X-A", "b")], "headers"),
        ("headers", {"X-A": "b\r\nX-Evil: 1"}, "headers.X-A"),
        ("headers", {"X-A": "b\x00"}, "headers.X-A"),
        ("headers", {"X-A": " b"}, "headers.X-A"),
        ("headers", {"X-A": "ü"}, "headers.X-A"),
        ("headers", {"X-A": 5}, "headers.X-A"),
        ("headers", {"X A": "b"}, "headers.X A"),
        ("headers", {"X-A:": "b"}, "headers.X-A:"),
        ("headers", {"": "b"}, "headers."),
        ("headers", {"X-A\r\n": "b"}, "headers"),
        ("headers", {5: "b"}, "headers"),
        ("headers", {"X-A": "1", "x-a": "2"}, "headers.x-a"),
        *[
            ("headers", {name: "x"}, f"headers.{name}")
            for name in (
                "Host", "Content-Length", "transfer-encoding", "Connection", "TE", "Trailer", "Upgrade", "Expect",
                "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "proxy-anything",
            )
        ],
        ("provider", "a\nb", "provider"),
        ("api_version", "2024?x=y", "api_version"),
        ("api_version", "../x", "api_version"),
        ("api_version", "2024&a", "api_version"),
        ("timeouts", {"idle": 5}, "timeouts"),
        ("weight", 0, "weight"),
        ("weight", -1, "weight"),
        ("weight", 1.5, "weight"),
        ("weight", True, "weight"),
        ("priority", "1", "priority"),
        ("proxy", "socks5://p.example", "proxy"),
        ("keepalive", 0, "keepalive"),
        ("keepalive", float("inf"), "keepalive"),
        ("rewrites", "on", "rewrites"),
        ("rewrites", None, "rewrites"),
        ("max_concurrency", 0, "max_concurrency"),
        ("stream_usage", "sometimes", "stream_usage"),
        ("stream_usage", None, "stream_usage"),
        ("reports_cost", "yes", "reports_cost"),
        ("on_leave", "go on", "on_leave"),
        ("reasoning_models", "o3", "reasoning_models"),
        ("reasoning_models", [""], "reasoning_models.0"),
        ("route_fields", "azure", "route_fields"),
        ("route_fields", ["mine", "-unheard_of"], "route_fields.1"),
        ("route_fields", ["Azure"], "route_fields.0"),
        ("route_fields", ["model"], "route_fields.0"),
        ("drop_fields", ["store", "model"], "drop_fields"),
        ("drop_nulls", None, "drop_nulls"),
        ("flatten_tool_content", "yes", "flatten_tool_content"),
        ("forward_cookies", "sid", "forward_cookies"),
        ("forward_cookies", ["a=b"], "forward_cookies.0"),
        ("forward_cookies", True, "forward_cookies"),
        ("token_scope", "http://a.example/.default", "token_scope"),
        ("token_scope", "https://a.example/.default?x", "token_scope"),
        ("token_scope", None, "token_scope"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_the_name_of_its_field(field: str, value: Any, where: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Upstream(**{"base_url": URL, field: value})
    assert raised.value.field == where
    assert raised.value.problem


def test_an_unknown_auth_type_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="bearer, none, session, system_oauth, azure_ad, microsoft_entra_id"):
        Upstream(URL, auth_type="basic")


def test_errors_do_not_repeat_a_misplaced_secret() -> None:
    for arguments in ({"auth_type": "sk-canary"}, {"api_key": "sk-canary\n"}, {"headers": {"X-A": "sk-canary\n"}}):
        with pytest.raises(ConfigError) as raised:
            Upstream(URL, **arguments)  # type: ignore[arg-type]
        assert "canary" not in str(raised.value)


@pytest.mark.parametrize("auth_type", ["azure_ad", "microsoft_entra_id"])
def test_entra_tokens_go_to_https_or_this_machine_only(auth_type: str) -> None:
    for url in (URL, "http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"):
        assert Upstream(url, auth_type=auth_type)
    with pytest.raises(ConfigError, match=r"auth_type.*https"):
        Upstream("http://a.example/v1", auth_type=auth_type)


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("https://r.example/openai/v1", True),
        ("https://r.example/openai/v1/", True),
        ("https://r.example/openai/v1/x", True),
        ("https://apim.example/team/openai/v1", True),
        ("https://r.example/openai/v12", False),
        ("https://r.example/openai", False),
        ("https://r.example/v1", False),
    ],
)
def test_the_path_tells_azure_v1(url: str, answer: bool) -> None:
    assert Upstream(url).is_azure_v1 is answer


def test_azure_is_a_provider_with_a_default_version() -> None:
    assert Upstream(URL, provider="azure").is_azure
    assert not Upstream(URL, provider="litellm").is_azure
    assert Upstream(URL).effective_api_version == "2024-10-21"
    assert Upstream(URL, api_version="2025-01-01-preview").effective_api_version == "2025-01-01-preview"


def test_keepalive_depends_on_the_scheme() -> None:
    assert Upstream("http://a.example").effective_keepalive == 4.0
    assert Upstream("https://a.example").effective_keepalive == 30.0
    assert Upstream("https://a.example", keepalive=7).effective_keepalive == 7


def test_host_is_without_port_and_brackets() -> None:
    assert Upstream("http://[::1]:8000/v1").host == "::1"
    assert Upstream("http://a.example:8000/v1").host == "a.example"


def test_an_upstream_is_frozen_and_cut_off_from_what_it_was_made_of() -> None:
    tags, headers = [{"name": "x"}], {"X-A": "1"}
    upstream = Upstream(URL, tags=tags, headers=headers)
    tags[0]["name"] = "y"
    headers["X-A"] = "2"
    assert upstream.tags == ({"name": "x"},)
    assert upstream.headers["X-A"] == "1"
    with pytest.raises(FrozenInstanceError):
        upstream.name = "b"  # type: ignore[misc]


def test_equal_upstreams_are_one_key_whatever_they_hold() -> None:
    def make(**arguments: Any) -> Upstream:
        return Upstream(URL, api_key="k", tags=[{"name": "x"}], headers={"X-A": "1"}, **arguments)

    assert make() == make()
    assert hash(make()) == hash(make())
    assert make() != make(weight=2)
    assert replace(make(), api_key="other") != make()
    assert replace(make(), weight=2) == make(weight=2)


def test_only_the_base_url_is_positional() -> None:
    with pytest.raises(TypeError):
        Upstream(URL, "sk-1")  # type: ignore[misc]


def test_repr_shows_what_differs_from_the_defaults() -> None:
    assert repr(Upstream(URL)) == "Upstream('https://a.example/v1', name='a.example')"
    assert repr(Upstream(URL, api_key="k", weight=2)) == (
        "Upstream('https://a.example/v1', api_key=***, name='a.example', weight=2)"
    )
