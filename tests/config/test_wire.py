from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from openai_gateway_asgi.config import GatewayConfig, Timeouts, Upstream, from_wire, to_wire, verify_target
from openai_gateway_asgi.config.masks import MASK, mask, mask_proxy
from openai_gateway_asgi.errors import InvalidRequest, PreconditionFailed

A, B = "http://a.example/v1", "https://b.example/v1"
KEY_A, KEY_B = "sk-aaaaaaaaaaaa1111", "sk-bbbbbbbbbbbb2222"
HEADER, PASSWORD = "header-secret-3333", "user:proxy-password"


@pytest.fixture
def current() -> GatewayConfig:
    return GatewayConfig(
        True,
        [
            Upstream(A, api_key=KEY_A, headers={"X-Key": HEADER, "X-Short": "abc"}),
            Upstream(B, api_key=KEY_B, proxy=f"http://{PASSWORD}@proxy.example:3128", model_ids=["b"]),
        ],
        {"b": ["a"]},
        version="v1",
    )


def body(urls: list[Any], keys: list[Any] = [], configs: Any = {}, **more: Any) -> dict[str, Any]:
    return {"OPENAI_API_BASE_URLS": urls, "OPENAI_API_KEYS": keys, "OPENAI_API_CONFIGS": configs, **more}


def keys(config: GatewayConfig) -> list[str]:
    return [upstream.api_key.reveal() for upstream in config.upstreams]


def refused(posted: Any, current: GatewayConfig) -> str | None:
    with pytest.raises(InvalidRequest) as raised:
        from_wire(posted, current)
    assert raised.value.status == 400
    assert raised.value.code == "invalid_config"
    assert raised.value.param is None or raised.value.param in raised.value.message
    return raised.value.param


# Masks


@pytest.mark.parametrize(
    ("secret", "shown"),
    [("", ""), ("a", MASK), ("x" * 11, MASK), ("sk-12345wxyz", MASK + "wxyz"), (KEY_A, MASK + "1111")],
)
def test_a_mask_shows_four_characters_of_a_long_secret_only(secret: str, shown: str) -> None:
    assert mask(secret) == shown


def test_a_mask_can_be_no_secret() -> None:
    assert not mask(KEY_A).isascii()
    assert mask("a") == mask("b")


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("http://proxy.example:1", "http://proxy.example:1"),
        ("http://user:pw@proxy.example:1", f"http://{MASK}@proxy.example:1"),
        ("http://user@proxy.example", f"http://{MASK}@proxy.example"),
    ],
)
def test_a_proxy_is_shown_without_its_user(proxy: str, shown: str) -> None:
    assert mask_proxy(proxy) == shown


# Reading


def test_what_is_read_holds_no_secret(current: GatewayConfig) -> None:
    text = json.dumps(to_wire(current), ensure_ascii=False)
    for secret in (KEY_A, KEY_B, HEADER, "abc", "proxy-password", "user:"):
        assert secret not in text


def test_what_is_read_is_the_three_structures_and_a_version(current: GatewayConfig) -> None:
    assert to_wire(current) == {
        "ENABLE_OPENAI_API": True,
        "OPENAI_API_BASE_URLS": [A, B],
        "OPENAI_API_KEYS": [f"{MASK}1111", f"{MASK}2222"],
        "OPENAI_API_CONFIGS": {
            "0": {"headers": {"X-Key": f"{MASK}3333", "X-Short": MASK}},
            "1": {"model_ids": ["b"], "proxy": f"http://{MASK}@proxy.example:3128"},
        },
        "MODEL_FALLBACKS": {"b": ["a"]},
        "version": "v1",
    }


def test_defaults_are_not_written() -> None:
    wire = to_wire(GatewayConfig(False, [Upstream(A), Upstream("http://a.example/v2")]))
    assert wire["OPENAI_API_CONFIGS"] == {}
    assert wire["OPENAI_API_KEYS"] == ["", ""]
    assert "MODEL_FALLBACKS" not in wire


# Round trips


FULL = Upstream(
    B,
    name="main",
    api_key=KEY_B,
    enabled=False,
    model_ids=["a"],
    prefix_id="p",
    tags=[{"name": "x"}],
    connection_type="local",
    auth_type="none",
    headers={"X-Key": HEADER},
    query={"sig": "query-secret-4444"},
    provider="azure",
    api={"gpt-5*": "responses", "*": "chat"},
    api_version="2025-01-01",
    timeouts=Timeouts(idle=3, total=9),
    weight=2,
    priority=-1,
    proxy=f"https://{PASSWORD}@proxy.example",
    verify_tls=False,
    keepalive=1,
    rewrites="off",
    max_concurrency=3,
    commit="whole",
    stream_usage="never",
    reports_cost=False,
    on_leave="finish",
    reasoning_models=(),
    route_fields=["-azure", "mine*"],
    drop_fields=["store"],
    drop_nulls=True,
    developer_role=False,
    drop_hosted_tools=True,
    images_in_tools=True,
    repair_responses=True,
    flatten_tool_content=True,
    forward_cookies=["sid"],
    identity="jwt",
    identity_key="signing-secret-5555-signing-secret-5555",
    identity_header="X-Me",
    stamp={"metadata.team": "{user.groups}"},
    list_per_user=True,
    token_scope="https://scope.example/.default",
)


@pytest.mark.parametrize(
    "upstreams",
    [
        [],
        [Upstream(A)],
        [FULL],
        [Upstream(A, api_key="a"), Upstream(B, api_key="b"), FULL],
        [Upstream(A, api_key="a"), Upstream(A, api_key="b"), Upstream(A, api_key="c")],
        [Upstream(A, name="a.example-2"), Upstream(A)],
        [Upstream(A, name="a.example-3"), Upstream(A, name="a.example-2")],
        [Upstream(A, headers={"X-A": "1"}), Upstream(A, headers={"X-A": "2"})],
        [Upstream(A, api_key=KEY_A, proxy="http://u:p@p.example:1")],
    ],
)
def test_what_is_read_can_be_posted_back_unchanged(upstreams: list[Upstream]) -> None:
    config = GatewayConfig(False, upstreams, {"a": ["b", "c"]}, version="v")
    wire = msgspec.json.decode(msgspec.json.encode(to_wire(config)))
    assert from_wire(wire, config) == config


# Masks that come back


def test_a_mask_keeps_the_key_of_its_url_wherever_it_has_moved(current: GatewayConfig) -> None:
    assert keys(from_wire(body([B, A], [mask(KEY_B), mask(KEY_A)]), current)) == [KEY_B, KEY_A]
    assert keys(from_wire(body([B], [mask(KEY_B)]), current)) == [KEY_B]
    assert keys(from_wire(body(["http://new.example", B], ["new", mask(KEY_B)]), current)) == ["new", KEY_B]


def test_the_url_of_a_mask_may_be_spelled_differently(current: GatewayConfig) -> None:
    assert keys(from_wire(body(["HTTP://A.example:80/v1/"], [mask(KEY_A)]), current)) == [KEY_A]


@pytest.mark.parametrize(
    ("urls", "posted", "field"),
    [
        (["http://a.example/v2"], [mask(KEY_A)], "OPENAI_API_KEYS.0"),
        (["https://a.example/v1"], [mask(KEY_A)], "OPENAI_API_KEYS.0"),
        (["http://a.example:8080/v1"], [mask(KEY_A)], "OPENAI_API_KEYS.0"),
        ([A, "http://evil.example/v1"], [mask(KEY_A), mask(KEY_B)], "OPENAI_API_KEYS.1"),
        ([A, B], [mask(KEY_B), mask(KEY_A)], "OPENAI_API_KEYS.0"),
        ([A], [MASK], "OPENAI_API_KEYS.0"),
        ([A], [MASK + "zzzz"], "OPENAI_API_KEYS.0"),
        ([A], ["•"], "OPENAI_API_KEYS.0"),
        ([A], [KEY_A + "•"], "OPENAI_API_KEYS.0"),
    ],
)
def test_a_mask_for_another_url_is_refused(
    current: GatewayConfig, urls: list[str], posted: list[str], field: str
) -> None:
    assert refused(body(urls, posted), current) == field


def test_a_new_key_or_none_replaces_the_old_one(current: GatewayConfig) -> None:
    assert keys(from_wire(body([A, B], ["new", ""]), current)) == ["new", ""]


def test_header_masks_belong_to_url_and_name(current: GatewayConfig) -> None:
    def post(url: str, headers: dict[str, str]) -> dict[str, Any]:
        return body([url], [""], {"0": {"headers": headers}})

    kept = from_wire(post(A, {"x-key": mask(HEADER), "X-New": "n"}), current)
    assert kept.upstreams[0].headers == {"x-key": HEADER, "X-New": "n"}
    assert refused(post(B, {"X-Key": mask(HEADER)}), current) == "OPENAI_API_CONFIGS.0.headers.X-Key"
    assert refused(post(A, {"X-Other": mask(HEADER)}), current) == "OPENAI_API_CONFIGS.0.headers.X-Other"
    assert refused(post(A, {"X-Short": mask(HEADER)}), current) == "OPENAI_API_CONFIGS.0.headers.X-Short"


def test_a_proxy_mask_belongs_to_url_and_proxy(current: GatewayConfig) -> None:
    def post(url: str, proxy: str) -> dict[str, Any]:
        return body([url], [""], {"0": {"proxy": proxy}})

    shown = f"http://{MASK}@proxy.example:3128"
    assert from_wire(post(B, shown), current).upstreams[0].proxy == current.upstreams[1].proxy
    assert refused(post(A, shown), current) == "OPENAI_API_CONFIGS.0.proxy"
    assert refused(post(B, f"http://{MASK}@evil.example:3128"), current) == "OPENAI_API_CONFIGS.0.proxy"


def test_a_new_proxy_gets_no_kept_secret(current: GatewayConfig) -> None:
    """Over https as well, which once was let pass: how certificates are looked at is not for the mask to know."""

    def post(url: str, key: str, **entry: Any) -> dict[str, Any]:
        return body([url], [key], {"0": entry})

    evil = "http://evil.example:1"
    assert refused(post(A, mask(KEY_A), proxy=evil), current) == "OPENAI_API_KEYS.0"
    headers = {"X-Key": mask(HEADER)}
    assert refused(post(A, "", proxy=evil, headers=headers), current) == "OPENAI_API_CONFIGS.0.headers.X-Key"
    assert keys(from_wire(post(A, "typed-again", proxy=evil), current)) == ["typed-again"]
    assert refused(post(B, mask(KEY_B), proxy=evil), current) == "OPENAI_API_KEYS.0"
    assert keys(from_wire(post(B, mask(KEY_B)), current)) == [KEY_B]
    behind = GatewayConfig(True, [Upstream(A, api_key=KEY_A, proxy="http://p.example:1")])
    assert keys(from_wire(post(A, mask(KEY_A), proxy="http://P.example:1/"), behind)) == [KEY_A]
    assert keys(from_wire(post(A, mask(KEY_A)), behind)) == [KEY_A]


def test_among_upstreams_of_one_url_the_mask_then_the_position_decides() -> None:
    other, short = "sk-cccccccccccc9999", GatewayConfig(True, [Upstream(A, api_key=key) for key in "ab"])
    config = GatewayConfig(True, [Upstream(A, api_key=KEY_A), Upstream(A, api_key=other)])
    assert keys(from_wire(body([A, A], [mask(other), mask(KEY_A)]), config)) == [other, KEY_A]
    assert keys(from_wire(body([A], [mask(other)]), config)) == [other]
    assert keys(from_wire(body([A, A, A], [mask(KEY_A), mask(KEY_A), "n"]), config)) == [KEY_A, KEY_A, "n"]
    assert keys(from_wire(body([A, B, A], [MASK, "", MASK]), short)) == ["a", "", "b"]
    assert keys(from_wire(body([A, A], [MASK, "n"]), short)) == ["a", "n"]
    assert refused(body([A], [MASK]), short) == "OPENAI_API_KEYS.0"
    assert refused(body([A, A, A], ["n", MASK, MASK]), short) == "OPENAI_API_KEYS.1"
    same = GatewayConfig(True, [Upstream(A, api_key="a"), Upstream(A, api_key="a")])
    assert keys(from_wire(body([A], [MASK]), same)) == ["a"]


# Updates


@pytest.mark.parametrize(
    ("posted", "stored"), [(["1", "2", "3"], ["1", "2"]), ([], ["", ""]), (["1"], ["1", ""]), (["1", "2"], ["1", "2"])]
)
def test_keys_are_cut_and_filled_to_the_number_of_urls(
    current: GatewayConfig, posted: list[str], stored: list[str]
) -> None:
    assert keys(from_wire(body([A, B], posted), current)) == stored


def test_entries_of_no_upstream_are_dropped_with_a_note(current: GatewayConfig) -> None:
    configs = {"0": {"prefix_id": "p"}, "2": {"prefix_id": "q"}, B: {"prefix_id": "r"}}
    config = from_wire(body([A, B], [], configs), current)
    assert to_wire(config)["OPENAI_API_CONFIGS"] == {"0": {"prefix_id": "p"}}
    assert [(note.code, note.field) for note in config.notes] == [("surplus_entries", "OPENAI_API_CONFIGS")]


def test_entries_may_all_be_keyed_by_url(current: GatewayConfig) -> None:
    config = from_wire(body([A, B], [], {B: {"prefix_id": "leg"}}), current)
    assert to_wire(config)["OPENAI_API_CONFIGS"] == {"1": {"prefix_id": "leg"}}


def test_a_trailing_slash_is_gone(current: GatewayConfig) -> None:
    assert from_wire(body(["http://new.example/v1/"]), current).upstreams[0].base_url == "http://new.example/v1"


@pytest.mark.parametrize("now", [True, False])
def test_the_switch_stays_as_it_is_unless_it_is_posted(now: bool) -> None:
    config = GatewayConfig(now, [])
    assert from_wire(body([]), config).enabled is now
    assert from_wire(body([], ENABLE_OPENAI_API=None), config).enabled is now
    assert from_wire(body([], ENABLE_OPENAI_API=not now), config).enabled is not now


def test_fallbacks_stay_as_they_are_unless_they_are_posted(current: GatewayConfig) -> None:
    assert from_wire(body([]), current).fallbacks == {"b": ("a",)}
    assert from_wire(body([], MODEL_FALLBACKS={}), current).fallbacks == {}
    assert from_wire(body([], MODEL_FALLBACKS={"x": ["y"]}), current).fallbacks == {"x": ("y",)}


def test_an_update_still_has_the_version_that_it_replaces(current: GatewayConfig) -> None:
    assert from_wire(body([]), current).version == "v1"
    assert from_wire(body([], version="v1", shared=True, fault="x"), current).version == "v1"


def test_the_version_of_another_configuration_is_a_lost_update(current: GatewayConfig) -> None:
    for version in ("v0", "", 1):
        with pytest.raises(PreconditionFailed) as raised:
            from_wire(body([], version=version), current)
        assert raised.value.status == 412


@pytest.mark.parametrize("posted", [None, [], "x", 1])
def test_an_update_is_an_object(posted: Any, current: GatewayConfig) -> None:
    assert refused(posted, current) is None


@pytest.mark.parametrize(
    ("posted", "field"),
    [
        ({}, "OPENAI_API_BASE_URLS"),
        ({"OPENAI_API_BASE_URLS": [], "OPENAI_API_CONFIGS": {}}, "OPENAI_API_KEYS"),
        ({"OPENAI_API_BASE_URLS": [], "OPENAI_API_KEYS": []}, "OPENAI_API_CONFIGS"),
        ({**body([]), "OPENAI_API_KEYS": None}, "OPENAI_API_KEYS"),
        (body([], foo=1), "foo"),
        (body("http://a.example"), "OPENAI_API_BASE_URLS"),  # type: ignore[arg-type]
        (body([1]), "OPENAI_API_BASE_URLS.0"),
        (body([A, ""]), "OPENAI_API_BASE_URLS.1"),
        (body([A, "b.example"]), "OPENAI_API_BASE_URLS.1"),
        (body(["http://u:p@a.example"]), "OPENAI_API_BASE_URLS.0"),
        (body([A], "k"), "OPENAI_API_KEYS"),  # type: ignore[arg-type]
        (body([A, B], ["k", None]), "OPENAI_API_KEYS.1"),
        (body([A], ["a\nb"]), "OPENAI_API_KEYS.0"),
        (body([A], [], []), "OPENAI_API_CONFIGS"),
        (body([A], [], {"0": 5}), "OPENAI_API_CONFIGS.0"),
        (body([A], [], {"0": {"foo": 1}}), "OPENAI_API_CONFIGS.0.foo"),
        (body([A, B], [], {"1": {"enable": 1}}), "OPENAI_API_CONFIGS.1.enable"),
        (body([A], [], {"0": {"auth_type": "basic"}}), "OPENAI_API_CONFIGS.0.auth_type"),
        (body([A], [], {"0": {"headers": {"Host": "x"}}}), "OPENAI_API_CONFIGS.0.headers.Host"),
        (body([A], [], {"0": {"proxy": "socks5://p.example"}}), "OPENAI_API_CONFIGS.0.proxy"),
        (body([B], [], {"0": {"proxy": "socks5://p.example"}}), "OPENAI_API_CONFIGS.0.proxy"),
        (body([A], [], {"0": {"timeouts": {"total": -1}}}), "OPENAI_API_CONFIGS.0.timeouts.total"),
        (body([A], [], {"0": {"timeouts": 5}}), "OPENAI_API_CONFIGS.0.timeouts"),
        (body([A, B], [], {"0": {"name": "x"}, "1": {"name": "x"}}), "OPENAI_API_CONFIGS.1.name"),
        (body([], ENABLE_OPENAI_API="true"), "ENABLE_OPENAI_API"),
        (body([], MODEL_FALLBACKS=["a"]), "MODEL_FALLBACKS"),
        (body([], MODEL_FALLBACKS={"a": "b"}), "MODEL_FALLBACKS"),
        (body([], MODEL_FALLBACKS={"a": ["b", ""]}), "MODEL_FALLBACKS.a.1"),
        (body([], MODEL_FALLBACKS={"a": ["a"]}), "MODEL_FALLBACKS.a"),
    ],
)
def test_a_faulty_update_is_refused_by_the_name_of_the_field(posted: Any, field: str, current: GatewayConfig) -> None:
    assert refused(posted, current) == field


def test_refusals_hold_no_secret(current: GatewayConfig) -> None:
    for posted in (
        body(["http://user:canary@a.example"]),
        body([A], ["canary\n"]),
        body([A], [], {"0": {"proxy": "socks5://u:canary@p.example"}}),
        body([A], [], {"0": {"headers": {"X-Key": "canary\n"}}}),
        body([A], ["canary•"]),
    ):
        with pytest.raises(InvalidRequest) as raised:
            from_wire(posted, current)
        assert "canary" not in raised.value.message


# Trying out an upstream


def test_the_target_of_a_trial(current: GatewayConfig) -> None:
    target = verify_target({"url": "http://new.example/", "key": "k", "config": {"auth_type": "none"}}, current)
    assert target == Upstream("http://new.example", api_key="k", auth_type="none")
    assert verify_target({"url": A, "key": "", "config": None}, current) == Upstream(A)


def test_a_trial_knows_masks_of_the_same_url_only(current: GatewayConfig) -> None:
    config = {"headers": {"X-Key": mask(HEADER)}}
    target = verify_target({"url": A, "key": mask(KEY_A), "config": config}, current)
    assert target.api_key.reveal() == KEY_A
    assert target.headers == {"X-Key": HEADER}
    for posted, field in (
        ({"url": "http://evil.example", "key": mask(KEY_A)}, "key"),
        ({"url": B, "key": mask(KEY_A)}, "key"),
        ({"url": B, "key": "", "config": config}, "config.headers.X-Key"),
        ({"url": A, "key": mask(KEY_A), "config": {"proxy": "http://evil.example"}}, "key"),
    ):
        with pytest.raises(InvalidRequest) as raised:
            verify_target(posted, current)
        assert raised.value.param == field


@pytest.mark.parametrize(
    ("posted", "field"),
    [
        ([], None),
        ({"key": ""}, "url"),
        ({"url": A}, "key"),
        ({"url": A, "key": None}, "key"),
        ({"url": 5, "key": ""}, "url"),
        ({"url": "", "key": ""}, "url"),
        ({"url": "ftp://a.example", "key": ""}, "url"),
        ({"url": A, "key": "ü"}, "key"),
        ({"url": A, "key": "", "config": []}, "config"),
        ({"url": A, "key": "", "config": {"foo": 1}}, "config.foo"),
        ({"url": A, "key": "", "config": {"weight": 0}}, "config.weight"),
        ({"url": A, "key": "", "configs": {}}, "configs"),
    ],
)
def test_a_faulty_trial_is_refused_by_the_name_of_the_field(posted: Any, field: str | None) -> None:
    with pytest.raises(InvalidRequest) as raised:
        verify_target(posted, GatewayConfig())
    assert raised.value.param == field
