"""The rules that judge a whole configuration together. What one value alone can have wrong is its constructor's to say.

Each rule is a plain function that yields findings and asks nobody anything. They are told apart by what they look at:

* ``host``: what the host gave the gateway, once and for all, when it made it: callables, layers, transport, stores;
* ``upstreams``: one upstream, in the light of the rest;
* ``whole``: the configuration as one.

A finding's field is the one that the host writes (``upstreams.0.base_url``); ``document.wire_field`` gives the name
that it has in the environment, a file and the administrators' routes.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..store import GatewayConfig
from ..upstream import Upstream
from .host import HOST_RULES
from .setup import Setup
from .upstreams import REACH_RULES, UPSTREAM_RULES
from .whole import WHOLE_RULES

__all__ = ["Setup", "judge_config", "judge_setup", "judge_target"]


def judge_setup(setup: Setup) -> Iterator[Finding]:
    """What is wrong, or odd, with what the host gave."""
    for rule in HOST_RULES:
        yield from rule(setup)


def judge_config(config: GatewayConfig, setup: Setup) -> Iterator[Finding]:
    """What is wrong, or odd, with what administrators can change, in the light of what the host gave.

    Upstreams that are switched off may be unfinished: they are not looked at.
    """
    for rule in WHOLE_RULES:
        yield from rule(config, setup)
    for index, upstream in enumerate(config.upstreams):
        if upstream.enabled:
            for upstream_rule in UPSTREAM_RULES:
                for finding in upstream_rule(upstream, setup):
                    yield finding.at(f"upstreams.{index}.{finding.field}")


def judge_target(upstream: Upstream, setup: Setup) -> Iterator[Finding]:
    """Whether an upstream that is only tried out can be reached; the fields stand alone, as ``base_url``."""
    for rule in REACH_RULES:
        yield from rule(upstream, setup)
