"""The gateway as a route of a FastAPI application: the application's dependencies decide, and live as long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from openai import PermissionDeniedError
from starlette.requests import Request
from starlette.responses import Response

from openai_gateway_asgi import Gateway, User
from openai_gateway_asgi.testing import FakeUpstream, stream_answer
from openai_gateway_asgi.testing.answers import DONE, chat_events
from tests.hosts.apps import Place
from tests.support.asgi import ask
from tests.support.servers import serve

HELLO = [{"role": "user", "content": "Hello?"}]


class Session:
    """What a dependency opens for a request, such as a database session, and what became of it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.closed = asyncio.Event()


async def ada(request: Request) -> AsyncIterator[User]:
    session: Session = request.app.state.session
    session.log.append("opened")
    try:
        yield User(id="ada", groups={"staff"})
    finally:
        session.log.append("closed")
        session.closed.set()


async def nobody() -> User:
    raise HTTPException(403, "Not today.")


@pytest.fixture
async def session() -> Session:
    return Session()


@pytest.fixture
async def place(gateway: Gateway, session: Session) -> AsyncIterator[Place]:
    app = FastAPI(lifespan=gateway.lifespan)
    app.state.session = session

    @app.api_route("/ai/{path:path}", methods=["GET", "POST"])
    async def ai(user: Annotated[User, Depends(ada)]) -> Response:
        return gateway.response(user)

    async with serve(app) as server:
        yield Place(f"{server.url}/ai/v1")


async def test_a_dependency_with_yield_is_open_until_the_stream_has_ended(
    place: Place, session: Session, upstream: FakeUpstream
) -> None:
    rest = asyncio.Event()
    events = chat_events({"model": "tiny-chat"})

    async def halting() -> AsyncIterator[bytes]:
        yield events[1]
        await rest.wait()
        session.log.append("upstream ended")
        yield DONE

    upstream.answer("/chat/completions", stream_answer(halting()))
    async with place.client("of-the-session") as client:
        stream = await client.chat.completions.create(model="tiny-chat", messages=HELLO, stream=True)
        await anext(aiter(stream))
        assert session.log == ["opened"]
        rest.set()
        assert [chunk async for chunk in stream] == []
        await asyncio.wait_for(session.closed.wait(), 5)

    assert session.log == ["opened", "upstream ended", "closed"]


async def test_a_dependency_with_yield_is_closed_when_the_client_leaves(
    place: Place, session: Session, upstream: FakeUpstream
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield chat_events({"model": "tiny-chat"})[1]
        await asyncio.Event().wait()

    upstream.answer("/chat/completions", stream_answer(endless()))
    async with place.client("of-the-session") as client:
        stream = await client.chat.completions.create(model="tiny-chat", messages=HELLO, stream=True)
        await anext(aiter(stream))
        await stream.close()
        await asyncio.wait_for(session.closed.wait(), 5)

    assert session.log == ["opened", "closed"]
    assert len(upstream.closed_early) == 1


async def test_a_dependency_that_refuses_keeps_the_gateway_out_of_it(gateway: Gateway, upstream: FakeUpstream) -> None:
    app = FastAPI()

    @app.post("/ai/{path:path}")
    async def ai(user: Annotated[User, Depends(nobody)]) -> Response:
        return gateway.response(user)

    async with serve(app) as server, Place(f"{server.url}/ai/v1").client("ada-token") as client:
        with pytest.raises(PermissionDeniedError):
            await client.chat.completions.create(model="tiny-chat", messages=HELLO)

    assert upstream.requests == []


async def test_background_tasks_of_the_route_run_after_the_answer(gateway: Gateway) -> None:
    app = FastAPI()
    log: list[str] = []

    @app.get("/ai/{path:path}")
    async def ai(tasks: BackgroundTasks) -> Response:
        tasks.add_task(log.append, "after the answer")
        return gateway.response(User(id="bob"))

    assert (await ask(app, "GET", "/ai/v1/models", strict=False)).status == 200
    assert log == ["after the answer"]


@pytest.mark.parametrize(
    ("route", "path"),
    [
        ("/ai/{path:path}", "/ai/v1/models"),
        ("/{tenant}/ai/{path:path}", "/models/ai/v1/models"),
        ("/{tenant}/ai/{path:path}", "/completions/ai/models"),
        ("/ai/{path:path}", "/ai/models/org/large"),
        ("/ai/{path:path}", "/ai/models/org%2Flarge"),
    ],
)
async def test_the_last_path_parameter_is_the_path_of_the_api(gateway: Gateway, route: str, path: str) -> None:
    app = FastAPI()

    @app.get(route)
    async def ai() -> Response:
        return gateway.response(User(id="bob"))

    assert (await ask(app, "GET", path, strict=False)).status == 200


async def test_a_tenants_name_does_not_change_the_operation(gateway: Gateway, upstream: FakeUpstream) -> None:
    app = FastAPI()

    @app.post("/{tenant}/ai/{path:path}")
    async def ai() -> Response:
        return gateway.response(User(id="bob"))

    body = {"model": "tiny-chat", "messages": HELLO}
    assert (await ask(app, "POST", "/completions/ai/chat/completions", json=body, strict=False)).status == 200
    assert upstream.last.path == "/v1/chat/completions"


async def test_a_route_without_a_path_parameter_names_its_prefix(gateway: Gateway) -> None:
    app = FastAPI()

    @app.get("/ai/v1/models")
    async def models() -> Response:
        return gateway.response(User(id="bob"), prefix="/ai")

    async with serve(app, root_path="/proxy") as server, httpx.AsyncClient(verify=False, trust_env=False) as client:
        answer = await client.get(f"{server.url}/ai/v1/models")

    assert [model["id"] for model in answer.json()["data"]] == ["tiny-chat", "org/large"]


async def test_a_route_that_leaves_the_gateway_to_guess_says_what_to_write(gateway: Gateway) -> None:
    app = FastAPI()

    @app.get("/ai/v1/models")
    async def models() -> Response:
        return gateway.response(User(id="bob"))

    with pytest.raises(RuntimeError, match="prefix='/openai'"):
        await ask(app, "GET", "/ai/v1/models", strict=False)


def test_the_user_of_a_response_must_be_a_user(gateway: Gateway) -> None:
    with pytest.raises(TypeError, match=r"User\(id="):
        gateway.response("ada")  # type: ignore[arg-type]
