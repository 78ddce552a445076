from __future__ import annotations

import pytest

from openai_gateway_asgi.upstream import failures


@pytest.fixture(autouse=True)
def _brief_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits between tries keep their shape and take a tenth of their time."""
    monkeypatch.setattr(failures, "BACKOFF", failures.BACKOFF / 10)
