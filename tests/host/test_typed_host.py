"""What a host writes that checks its types strictly: the run of mypy over this file is the test, the rest makes sure
that what is typed so can also be made."""

from __future__ import annotations

import functools
import signal
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from openai_gateway_asgi import (
    AttemptFacts,
    AttemptRecord,
    CallFacts,
    Defaults,
    FileStore,
    Filter,
    FilterCall,
    FilterEvent,
    Gateway,
    Grant,
    Grants,
    HostModel,
    InvalidRequest,
    Limit,
    MemoryStore,
    Model,
    ModelCall,
    ModelInfo,
    Preset,
    Price,
    Priced,
    Reasoning,
    Secret,
    Settings,
    Timeouts,
    ToldAnswer,
    ToolCall,
    Upstream,
    Usage,
    UsageRecord,
    User,
    health_app,
    in_thread,
)
from openai_gateway_asgi.exchange import Exchange
from openai_gateway_asgi.limits import MemoryLimits

SEEN: list[object] = []


async def who(request: Request) -> User | None:
    return User(id="a", groups={"staff"}, native=object())


def who_from_a_thread(request: Request) -> User | None:
    return User(id="a", groups=["staff"])


async def may(user: User, model: Model) -> bool:
    return True


def may_for(user: User, model: Model, operation: str) -> bool:
    return operation != "createSpeech"


async def visible(user: User, models: Sequence[Model]) -> Collection[Model]:
    return [model for model in models if model.tags]


def group(user: User, group: str) -> bool:
    return True


async def oauth_token(user: User, request: Request, upstream: Upstream) -> str | None:
    return None


async def session_token(user: User, request: Request) -> str | None:
    return None


def context(user: User, request: Request) -> dict[str, str]:
    return {"chat_id": "x"}


async def record(record: UsageRecord) -> None:
    tokens: int | None = None if record.usage is None else record.usage.input
    cost: Decimal | None = record.cost
    SEEN.append((tokens, cost, [(attempt.failure, attempt.cause) for attempt in record.tries]))


async def find(id: str) -> User | None:
    return None


async def describe(user: User, model: Model) -> ModelInfo | None:
    return ModelInfo(name="x", capabilities={"vision": True})


async def limits(user: User, model: Model | None) -> list[Limit]:
    return [Limit(usd="1", per="day", by="user")]


def price(asked: Priced) -> Decimal | None:
    return None


async def agent(call: ModelCall) -> AsyncIterator[object]:
    answer = await call.ask.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    yield answer.choices[0].message.content or ""
    yield Reasoning("Hm.")
    yield ToolCall("look_up", {"word": "x"})
    yield Usage(input=1)


async def answers(call: ModelCall) -> str:
    return "x"


async def says(call: ModelCall) -> AsyncIterator[str]:
    yield "x"


class Agent:
    async def __call__(self, call: ModelCall) -> str:
        return "x"

    async def answers(self, call: ModelCall) -> str:
        return "x"


async def before(call: FilterCall) -> None:
    call.notes["seen"] = True
    call.change_texts(str.upper)
    if call.get("x"):
        raise InvalidRequest("no", param="x")


def event(call: FilterCall, event: FilterEvent) -> FilterEvent | None:
    return event.with_texts(str.lower)


async def events(call: FilterCall, event: FilterEvent) -> list[FilterEvent]:
    return [event, FilterEvent.of({"x": 1})]


def after(call: FilterCall, answer: ToldAnswer) -> None:
    SEEN.append((answer.text, answer.usage, answer.complete, answer.tool_calls))


class Cools:
    def __init__(self, app: ASGIApp, name: str = "") -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        exchange.payload = exchange.payload.edited({"temperature": 0})
        await self.app(scope, receive, send)


class Slow:
    def call_started(self, call: CallFacts) -> Slow:
        return self

    def attempt_started(self, attempt: AttemptFacts) -> Mapping[str, str]:
        return {}

    def attempt_ended(self, attempt: AttemptRecord) -> None: ...

    def finished(self, record: UsageRecord) -> None: ...


UPSTREAMS = [
    Upstream(
        "https://api.openai.com/v1",
        api_key="x",
        timeouts=Timeouts(connect=1),
        headers={"x-a": "b"},
        api={"gpt-*": "chat"},
        stamp={"user": "{user.id}"},
    ),
    Upstream("https://b.test/v1", api_key=Secret("x"), query={"a": "b"}, model_ids=["a"], tags=["x"]),
]


def test_a_host_that_checks_its_types_strictly_writes_what_the_docs_write(tmp_path: Path) -> None:
    gateway = Gateway(
        MemoryStore(UPSTREAMS, fallbacks={"a": ["b"]}, presets=[Preset("x", base={"a": 3}), Defaults("*", params={})]),
        resolve_user=who,
        authorize_model=may,
        visible_models=visible,
        authorize_group=group,
        oauth_token=oauth_token,
        session_token=session_token,
        context=context,
        record_usage=record,
        find_user=find,
        describe_model=describe,
        limits=limits,
        prices=price,
        host_models=[
            HostModel("agent", agent),
            HostModel("answers", answers),
            HostModel("says", says),
            HostModel("object", Agent()),
            HostModel("method", Agent().answers),
            HostModel("partial", functools.partial(answers)),
        ],
        filters=[
            Filter("gpt-*", before=before, event=event, after=after),
            Filter(["a", "b"], event=events, operations=["createChatCompletion"]),
        ],
        layers=[Cools, Middleware(Cools, name="x")],
        settings=Settings(
            open_groups={"files"},
            unmetered={"batches"},
            trusted_origins=["https://a.test"],
            credential_headers=["x-token"],
            passthrough=["GET /my/{path}"],
            forwarded_headers=["accept", "content-type"],
            identity_secret="a secret of sixteen letters",
        ),
        limit_store=MemoryLimits(),
    )
    gateway.observe(Slow())
    Gateway(
        FileStore(tmp_path / "gateway.json", upstreams=UPSTREAMS, fallbacks={"a": ["b"]}),
        resolve_user=in_thread(who_from_a_thread),
        authorize_model=may_for,
        prices={"a": Price(input="1", output=Decimal(2), cached=3)},
        limits=[Limit(requests=1, per="day", by=("user", "model")), Limit(concurrent=1, by=lambda user, _: user.id)],
        describe_model={"a": ModelInfo()},
    )
    Gateway(UPSTREAMS, authorize_model=Grants({"a": Grant(public=True, groups={"staff"})}), presets=[Preset("p", "a")])

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with gateway.lifespan(app):
            with gateway.drain_on(signal.SIGTERM, within=20):
                yield

    app = FastAPI(lifespan=lifespan)
    app.mount("/openai", gateway)
    app.mount("/health", health_app(gateway.health))
    settings = gateway.settings
    kept: tuple[tuple[str, ...], frozenset[str]] = settings.trusted_origins, settings.open_groups
    assert kept == (("https://a.test",), frozenset({"files"}))
