"""While nobody has ever been recognised, a 401 may be the host's own mistake: it is told in the log."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from openai_gateway_asgi import Gateway, Upstream, User, everyone
from tests.support.asgi import ask

SECRET = {"authorization": "Bearer sk-secret-token", "cookie": "session=very-secret"}


def gateway(**options: object) -> Gateway:
    return Gateway([Upstream("http://a/v1", auth_type="none")], authorize_model=everyone, **options)  # type: ignore[arg-type]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


async def test_a_callable_that_knows_nobody_is_told_once_a_minute_without_what_was_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = gateway(resolve_user=lambda request: None)
    for _ in range(20):
        assert (await ask(app, "GET", "/models", headers=SECRET)).status == 401

    assert told(caplog) == [
        "unauthenticated: resolve_user has returned None for every request so far, and each was a 401; look at how it "
        "reads the request. Seen: GET /models with authorization, cookie."
    ]
    assert "secret" not in caplog.text


async def test_a_gateway_for_routes_only_that_is_reached_otherwise_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert (await ask(gateway(), "GET", "/models")).status == 401

    assert "this gateway has no resolve_user" in caplog.text
    assert "with no credential" in caplog.text


async def test_once_somebody_is_known_strangers_are_no_news(caplog: pytest.LogCaptureFixture) -> None:
    def resolve_user(request: Request) -> User | None:
        return User("ann") if request.headers.get("authorization") == "Bearer ann" else None

    app = gateway(resolve_user=resolve_user)
    assert (await ask(app, "GET", "/config", headers={"authorization": "Bearer ann"})).status == 403
    assert (await ask(app, "GET", "/models", headers=SECRET)).status == 401

    assert told(caplog) == []
