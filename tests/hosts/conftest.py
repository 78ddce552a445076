"""Each host in each place: under a prefix, under ``--root-path``, and behind a proxy that strips its own prefix."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from openai_gateway_asgi import Gateway
from openai_gateway_asgi.testing import FakeUpstream
from tests.contrib import site
from tests.hosts.apps import HOSTS, MODELS, PLACEMENTS, Host, Place, make_gateway, served

site.set_up()


@pytest.fixture
def upstream() -> FakeUpstream:
    return FakeUpstream(list(MODELS))


@pytest.fixture
def gateway(upstream: FakeUpstream) -> Gateway:
    return make_gateway(upstream)


@pytest.fixture(params=HOSTS, ids=lambda host: host.name)
def host(request: pytest.FixtureRequest) -> Host:
    return request.param


@pytest.fixture(params=PLACEMENTS, ids=lambda placement: f"{placement.host.name}-{placement.how}")
async def place(request: pytest.FixtureRequest, gateway: Gateway) -> AsyncIterator[Place]:
    async with served(request.param, gateway) as place:
        yield place
