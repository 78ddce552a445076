"""The fixtures of ``openai_gateway_asgi`` for pytest, which finds this module by its entry point.

It stands beside the package, so that a test run that uses no fixture of it does not import the package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from openai_gateway_asgi.testing import FakeUpstream


@pytest.fixture
def fake_upstream() -> Iterator[FakeUpstream]:
    """A provider for tests, over real sockets: ``Gateway([fake_upstream.upstream], ...)``.

    It is scripted by model or path, ``fake_upstream.script("gpt-4o", cut_after=3)``, and keeps the requests that came.
    """
    from openai_gateway_asgi.testing import FakeUpstream

    with FakeUpstream() as fake:
        yield fake


@pytest.fixture
def gateway_client() -> Iterator[Callable[..., TestClient]]:
    """Makes clients of an app, ``gateway_client(app, cookies={"session": "..."})``: Starlette's ``TestClient``, which
    says with each request that a page of the app's own asks. The app's lifespan runs until the end of the test.
    """
    from openai_gateway_asgi.testing import browser

    with ExitStack() as clients:

        def client(app: Any, **options: Any) -> TestClient:
            return clients.enter_context(browser(app, **options))

        yield client
