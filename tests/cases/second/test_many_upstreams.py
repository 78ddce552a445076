"""Case 283: a thousand upstreams of one host cost no more each than ten do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from openai_gateway_asgi.config import GatewayConfig, Upstream, from_wire, to_wire
from openai_gateway_asgi.observe.health import Health
from openai_gateway_asgi.upstream.breaker import State
from tests.support.operations import operations


def config(count: int, **same: Any) -> GatewayConfig:
    """Upstreams of one host, of which no two share a name, a key, a header or a prefix."""
    return GatewayConfig(
        upstreams=[
            Upstream(
                "http://one.example/v1",
                api_key=f"sk-{n:020d}",
                prefix_id=f"p{n}",
                headers={"x-key": f"{n:020d}"},
                **same,
            )
            for n in range(count)
        ],
        version="1",
    )


def update(count: int) -> Callable[[], object]:
    """What an administrator reads, posted back as it is: each secret is found behind its mask."""
    current = config(count)
    posted = to_wire(current)
    return lambda: from_wire(posted, current)


def update_behind_proxies(count: int) -> Callable[[], object]:
    current = config(count, proxy="http://user:password@proxy.example:3128")
    posted = to_wire(current)
    return lambda: from_wire(posted, current)


def start(count: int) -> Callable[[], object]:
    return lambda: config(count)


def read(count: int) -> Callable[[], object]:
    current = config(count)
    return lambda: to_wire(current)


def health(count: int) -> Callable[[], object]:
    """Of each upstream ten models fail."""
    current = config(count)
    breakers = {(each.name, f"m{n}"): State.OPEN for each in current.upstreams for n in range(10)}
    return lambda: Health.of(current, draining=False, lists={}, breakers=breakers, in_use={}).encode()


@pytest.mark.parametrize("work", [start, read, update, update_behind_proxies, health])
def test_case_283_four_times_the_upstreams_are_four_times_the_work(work: Callable[[int], Callable[[], object]]) -> None:
    few, many = operations(work(50)), operations(work(200))
    assert many < 5 * few


def test_case_283_each_secret_is_found_behind_its_mask() -> None:
    current = config(1000)
    posted = from_wire(to_wire(current), current)
    assert posted.upstreams == current.upstreams
    assert len({upstream.name for upstream in posted.upstreams}) == 1000
