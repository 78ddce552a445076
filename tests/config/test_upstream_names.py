from __future__ import annotations

import pytest

from openai_gateway_asgi.config import GatewayConfig, Upstream
from openai_gateway_asgi.config.upstream_names import derived_names, unique_names
from openai_gateway_asgi.errors import ConfigError


def make(*names: str) -> list[Upstream]:
    return [Upstream("http://a.example/v1", name=name) for name in names]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        ([""], ["a.example"]),
        (["", ""], ["a.example", "a.example-2"]),
        (["", "", ""], ["a.example", "a.example-2", "a.example-3"]),
        (["x", "", "y"], ["x", "a.example", "y"]),
        (["", "a.example-2", ""], ["a.example", "a.example-2", "a.example-3"]),
        (["a.example-2", "", ""], ["a.example-2", "a.example", "a.example-3"]),
    ],
)
def test_hosts_that_repeat_are_numbered(given: list[str], expected: list[str]) -> None:
    named = unique_names(make(*given))
    assert [upstream.name for upstream in named] == expected
    assert unique_names(named) == named


def test_a_chosen_name_goes_before_a_host() -> None:
    named = unique_names([Upstream("http://a.example"), Upstream("http://b.example", name="a.example")])
    assert [upstream.name for upstream in named] == ["a.example-2", "a.example"]


def test_a_chosen_name_occurs_once() -> None:
    with pytest.raises(ConfigError) as raised:
        unique_names(make("x", "", "x"))
    assert raised.value.field == "upstreams.2.name"
    with pytest.raises(ConfigError) as raised:
        GatewayConfig(upstreams=make("x", "x"))
    assert raised.value.field == "upstreams.1.name"


@pytest.mark.parametrize(
    ("given", "derived"),
    [
        (["", ""], {"a.example", "a.example-2"}),
        (["x", "", ""], {"a.example", "a.example-2"}),
        (["a.example-2"], set()),
        (["a.example-2", "a.example-3"], set()),
        (["x"], set()),
    ],
)
def test_names_that_come_of_themselves(given: list[str], derived: set[str]) -> None:
    assert derived_names(unique_names(make(*given))) == derived
