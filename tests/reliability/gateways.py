"""The gateway under test: two users, short clocks, any upstreams."""

from __future__ import annotations

import atexit
import functools
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from starlette.requests import Request

from openai_gateway_asgi import Gateway, MemoryStore, Model, Preset, Settings, Timeouts, Upstream, UsageRecord, User
from openai_gateway_asgi.testing import FakeUpstream
from tests.support import certificates
from tests.support.asgi import Conversation, Response, ask

CHAT = "/v1/chat/completions"
MODEL = "gpt"
ANN = {"authorization": "Bearer ann"}
ADMIN = {"authorization": "Bearer root"}
USERS = {"ann": User(id="ann"), "root": User(id="root", role="admin")}

SHORT = Timeouts(connect=0.3, first_event=0.3, answer=0.3, idle=0.3)
"""Long for loopback, short for a test."""


async def resolve_user(request: Request) -> User | None:
    return USERS.get(request.headers.get("authorization", "").removeprefix("Bearer "))


def everyone(user: User, model: Model) -> bool:
    return True


@functools.cache
def trust() -> str:
    """A file with the certificate of the scripted upstreams, which is read faster than the system's hundreds."""
    handle, path = tempfile.mkstemp(suffix=".pem")
    with open(handle, "wb") as file:
        file.write(certificates._certificate())
    atexit.register(os.unlink, path)
    return path


def make_gateway(
    upstreams: Iterable[Upstream],
    *,
    fallbacks: Mapping[str, Sequence[str]] = {},
    allowed: Callable[[User, Model], bool | Awaitable[bool]] = everyone,
    records: list[UsageRecord] | None = None,
    timeouts: Timeouts = SHORT,
    settings: Mapping[str, Any] = {},
    presets: Iterable[Preset] = (),
    **options: Any,
) -> Gateway:
    """``settings`` are those of ``Settings``, ``options`` those of ``Gateway``."""
    return Gateway(
        MemoryStore(upstreams, fallbacks=fallbacks, presets=presets),
        resolve_user=resolve_user,
        authorize_model=allowed,
        record_usage=None if records is None else records.append,
        settings=Settings(timeouts=timeouts, **{"verify_tls": trust(), **settings}),
        **options,
    )


def over(recorder: FakeUpstream, *names: str, **options: Any) -> list[Upstream]:
    """One upstream of ``MODEL`` per host name, all played by ``recorder``."""
    return [named(name, **options) for name in names]


def named(name: str, *, models: Sequence[str] = (MODEL,), **options: Any) -> Upstream:
    return Upstream(f"http://{name}.test/v1", name=name, api_key=f"sk-{name}", model_ids=models, **options)


def at(upstream: FakeUpstream | str, *, models: Sequence[str] = (MODEL,), **options: Any) -> Upstream:
    """The upstream on a real socket."""
    url = upstream if isinstance(upstream, str) else upstream.url
    return Upstream(f"{url}/v1", model_ids=models, **options)


def chat(*, stream: bool = False, model: str = MODEL, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello?"}], "stream": stream, **fields}


async def call(gateway: Any, body: Any = None, headers: Mapping[str, str] = ANN, **options: Any) -> Response:
    """One chat and its whole answer."""
    return await ask(gateway, "POST", CHAT, json=chat() if body is None else body, headers=headers, **options)


def talk(gateway: Any, body: Any = None, headers: Mapping[str, str] = ANN, **options: Any) -> Conversation:
    return Conversation(
        gateway, "POST", CHAT, json=chat(stream=True) if body is None else body, headers=headers, **options
    )


async def healthy(gateway: Gateway) -> dict[str, Any]:
    """The upstreams' part of what administrators see."""
    answer = await ask(gateway, "GET", "/v1/config/health", headers=ADMIN)
    assert answer.status == 200, answer.body
    upstreams: dict[str, Any] = answer.json()["upstreams"]
    return upstreams


def assert_error(response: Response, status: int, code: str | None = None) -> dict[str, Any]:
    """The answer is an error in OpenAI's shape."""
    assert response.status == status, (response.status, response.body)
    error: dict[str, Any] = response.json()["error"]
    assert {"message", "type", "param", "code"} <= error.keys()
    assert isinstance(error["message"], str)
    if code is not None:
        assert error["code"] == code
    return error
