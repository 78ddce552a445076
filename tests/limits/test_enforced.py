"""Limits at the door: who has used up theirs is refused in OpenAI's shape, and everything is given back that was not used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest
from starlette.requests import Request

from openai_gateway_asgi import (
    ConfigError,
    Gateway,
    HostModel,
    MemoryStore,
    ModelCall,
    Preset,
    RateLimited,
    Settings,
    Upstream,
    User,
    everyone,
)
from openai_gateway_asgi.exchange import Exchange
from openai_gateway_asgi.host.prices import Cost, Price, Priced, PriceTable
from openai_gateway_asgi.http.asgi import ASGIApp, Receive, Scope, Send
from openai_gateway_asgi.limits import Claim, Limit, MemoryLimits, RedisLimits, places, settling
from openai_gateway_asgi.testing import FakeUpstream, Script, json_answer
from tests.support.clock import Clock

HELLO = [{"role": "user", "content": "hi"}]
USAGE = {"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 100}


def resolve_user(request: Request) -> User:
    name = request.headers.get("authorization", "Bearer ann").removeprefix("Bearer ")
    return User(name, role="admin" if name == "root" else "user", groups={"staff"} if name != "una" else set())


class World:
    def __init__(self, gateway: Gateway, fake: FakeUpstream, clock: Clock, http: httpx.AsyncClient) -> None:
        self.gateway = gateway
        self.fake = fake
        self.clock = clock
        self.http = http

    def as_(self, user: str = "ann", retries: int = 0) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url="http://app.test/v1", api_key=user, http_client=self.http, max_retries=retries
        )

    async def ask(self, user: str = "ann", model: str = "m", **more: Any) -> httpx.Response:
        body = {"model": model, "messages": HELLO, "max_tokens": 40, **more}
        return await self.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {user}"})

    async def get(self, path: str, user: str = "ann") -> Any:
        answer = await self.http.get(path, headers={"authorization": f"Bearer {user}"})
        assert answer.status_code == 200, answer.text
        return answer.json()


@asynccontextmanager
async def limited(*limits: Limit, upstreams: Any = None, **options: Any) -> AsyncIterator[World]:
    fake, clock = FakeUpstream(), Clock(time.time())  # periods of the calendar are the process's own
    fake.script(usage=USAGE)
    gateway = Gateway(
        upstreams or [Upstream("http://up.test/v1", api_key="k", model_ids=["m", "other"])],
        resolve_user=resolve_user,
        authorize_model=options.pop("authorize", everyone),
        transport=fake.transport(),
        limits=options.pop("of", limits),
        limit_store=options.pop("store", MemoryLimits(clock=clock)),
        **options,
    )
    async with gateway.lifespan(), httpx.AsyncClient(
        transport=httpx.ASGITransport(gateway), base_url="http://app.test"
    ) as http:  # fmt: skip
        yield World(gateway, fake, clock, http)


async def test_who_has_used_up_their_requests_is_told_when_to_come_back() -> None:
    async with limited(Limit(requests=2, per="minute", by="user", name="fair use")) as world:
        assert [(await world.ask()).status_code for _ in range(2)] == [200, 200]
        refused = await world.ask()
        assert (await world.ask("bob")).status_code == 200
        world.clock.now += 31.0
        assert (await world.ask()).status_code == 200

    error = refused.json()["error"]
    assert (refused.status_code, error["type"], error["code"]) == (429, "requests", "rate_limit_exceeded")
    assert error["message"].startswith("The limit 'fair use' of 2 requests per minute is used up. Please try again in")
    assert 30 <= int(refused.headers["retry-after"]) <= 34
    assert refused.headers["x-ratelimit-limit-requests"] == "2"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"


async def test_who_waits_for_a_day_is_not_sent_away_for_hours_more() -> None:
    async with limited(Limit(requests=1, per="month", by="user")) as world:
        await world.ask()
        (entry,) = (await world.get("/v1/limits"))["data"]
        waits = [int((await world.ask()).headers["retry-after"]) for _ in range(20)]
    assert entry["resets_in"] - 1 <= min(waits) <= max(waits) <= entry["resets_in"] + 11


async def test_answers_carry_the_gateways_own_figures_and_not_the_upstreams() -> None:
    async with limited(Limit(requests=10, per="minute"), Limit(tokens=1000, per="minute")) as world:
        world.fake.script(usage=USAGE, headers={"x-ratelimit-remaining-requests": "9999", "x-ratelimit-reset": "1"})
        answer = await world.ask()
    told = {name: value for name, value in answer.headers.items() if name.startswith("x-ratelimit")}
    assert set(told) == {
        f"x-ratelimit-{what}-{unit}" for what in ("limit", "remaining", "reset") for unit in ("requests", "tokens")
    }
    assert (told["x-ratelimit-remaining-requests"], told["x-ratelimit-reset-requests"]) == ("9", "6s")
    assert int(told["x-ratelimit-remaining-tokens"]) < 1000


async def test_tokens_are_reserved_by_an_estimate_and_settled_by_what_was_used() -> None:
    async with limited(Limit(tokens=1000, per="minute", by="user")) as world:
        await world.ask()
        (entry,) = (await world.get("/v1/limits"))["data"]
        assert (entry["used"], entry["left"]) == (100, 900)
        refused = await world.ask(max_tokens=950)
        assert (refused.status_code, refused.json()["error"]["type"]) == (429, "tokens")


async def test_a_stream_is_settled_when_it_is_over() -> None:
    async with limited(Limit(tokens=1000, per="minute", by="user")) as world:
        answer = await world.ask(stream=True, stream_options={"include_usage": True})
        assert answer.status_code == 200
        (entry,) = (await world.get("/v1/limits"))["data"]
        assert entry["used"] == 100


async def test_a_call_that_used_more_than_was_reserved_leaves_a_debt() -> None:
    async with limited(Limit(tokens=150, per="minute", by="user")) as world:
        world.fake.script(usage={"prompt_tokens": 400, "completion_tokens": 0})
        assert (await world.ask()).status_code == 200
        assert (await world.ask()).status_code == 429
        world.clock.now += 110.0  # 275 of 250 that were too many
        assert (await world.ask(max_tokens=1)).status_code == 200


@pytest.mark.parametrize("status", [400, 401, 404, 500])
async def test_a_refused_call_uses_no_tokens_and_one_that_reached_nobody_no_request(status: int) -> None:
    limits = (Limit(tokens=1000, per="minute", by="user"), Limit(requests=10, per="minute", by="user"))
    async with limited(*limits, settings=Settings(retries=0)) as world:
        world.fake.script(status=status)
        assert (await world.ask()).status_code >= 400
        assert (await world.ask(model="unknown")).status_code == 404
        used = {entry["unit"]: entry["used"] for entry in (await world.get("/v1/limits"))["data"]}
    assert used == {"tokens": 0, "requests": 1}


async def test_places_are_given_back_however_a_call_ends() -> None:
    async with limited(Limit(concurrent=1, by="user"), settings=Settings(retries=0)) as world:
        world.fake.script("m", silence=True)
        waiting = asyncio.create_task(world.ask())
        await world.fake.until_requests(1)
        refused = await world.ask(model="other")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert (await world.ask("bob", model="other")).status_code == 200
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        world.fake.script("m", status=500)
        assert (await world.ask()).status_code == 500
        world.fake.script("m", usage=USAGE)
        assert (await world.ask()).status_code == 200


async def test_a_budget_is_spent_in_money_and_the_sdk_does_not_try_again() -> None:
    prices = {"m": Price(input="1000", output="2000")}
    async with limited(Limit(usd="0.20", per="day", by="user", zone="Europe/Berlin"), prices=prices) as world:
        client = world.as_(retries=2)
        await client.chat.completions.create(model="m", messages=HELLO, max_tokens=40)
        (entry,) = (await world.get("/v1/limits"))["data"]
        assert (entry["used"], entry["left"], entry["unit"], entry["per"]) == ("0.14", "0.06", "usd", "day")
        before = len(world.fake.requests)
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="m", messages=HELLO, max_tokens=40)
        assert len(world.fake.requests) == before
    assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")
    assert caught.value.response.headers["x-should-retry"] == "false"


async def test_a_cost_that_is_known_without_tokens_is_what_a_budget_is_charged() -> None:
    def by_the_second(priced: Priced) -> Decimal:
        return Decimal("0.5") if priced.usage.seconds is None else Decimal(str(priced.usage.seconds)) / 100

    async with limited(Limit(usd=1, per="day", by="user"), prices=by_the_second) as world:
        world.fake.script(usage={"type": "duration", "seconds": 9})
        assert (await world.ask()).status_code == 200
        (entry,) = (await world.get("/v1/limits"))["data"]
    assert entry["used"] == "0.09"


@pytest.mark.parametrize(("unpriced", "status"), [("refuse", 429), ("allow", 200)])
async def test_a_model_without_a_price_under_a_budget(unpriced: Any, status: int) -> None:
    async with limited(Limit(usd=1, per="day", unpriced=unpriced), prices={"m": Price(input=1, output=1)}) as world:
        assert (await world.ask(model="other")).status_code == status
        assert (await world.ask()).status_code == 200


class LoadedLater:
    """Prices as those of a package, which are there a moment after the start."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.table = PriceTable({"m": Price(input=1, output=1)})

    @property
    def is_loaded(self) -> bool:
        return self.gate.is_set()

    async def loaded(self) -> None:
        await self.gate.wait()

    def cost(self, priced: Priced) -> Cost | None:
        return self.table.cost(priced) if self.is_loaded else None

    def known(self, priced: Priced) -> bool:
        return self.cost(priced) is not None


async def test_a_budget_waits_for_prices_that_are_still_being_loaded() -> None:
    prices = LoadedLater()
    async with limited(Limit(usd=1, per="day"), prices=prices) as world:
        call = asyncio.create_task(world.ask())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not call.done()
        prices.gate.set()
        assert (await call).status_code == 200


async def test_the_sdk_waits_as_told_and_goes_on() -> None:
    async with limited(Limit(requests=20, per="second", by="user"), store=MemoryLimits()) as world:
        client = world.as_(retries=10)
        said = await asyncio.gather(*(client.chat.completions.create(model="m", messages=HELLO) for _ in range(24)))
    assert len(said) == 24


async def test_groups_must_each_have_room_and_are_each_charged() -> None:
    async with limited(Limit(requests=1, per="hour", by="user_groups")) as world:
        assert (await world.ask("ann")).status_code == 200
        assert (await world.ask("bob")).status_code == 429
        assert (await world.ask("una")).status_code == 200
        assert (await world.ask("una")).status_code == 429


async def test_all_limits_of_a_call_are_taken_or_none() -> None:
    limits = (Limit(requests=5, per="minute", by="user"), Limit(requests=1, per="minute", models="other"))
    async with limited(*limits) as world:
        assert (await world.ask(model="other")).status_code == 200
        for _ in range(3):
            assert (await world.ask(model="other")).status_code == 429
        used = [entry["used"] for entry in (await world.get("/v1/limits"))["data"]]
        assert used == [1, 1]


async def test_a_limit_by_upstream_passes_over_those_that_are_full() -> None:
    both = [Upstream(f"http://{name}.test/v1", api_key="k", name=name, model_ids=["m"]) for name in ("first", "second")]
    async with limited(Limit(requests=1, per="hour", by="upstream"), upstreams=both) as world:
        assert [(await world.ask()).status_code for _ in range(3)] == [200, 200, 429]
        assert [request.host for request in world.fake.requests] == ["first.test", "second.test"]
        refused = await world.ask()
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert int(refused.headers["retry-after"]) > 0


@pytest.mark.parametrize("prices", [{"*": Price(input=1, output=1)}, {"gpt-*": Price(input=1, output=1)}])
async def test_a_budget_by_upstream_is_told_as_a_budget(prices: dict[str, Price]) -> None:
    """Whoever is told ``rate_limit_exceeded`` tries again."""
    async with limited(Limit(usd="0.00005", per="day", by="upstream"), prices=prices) as world:
        answers = [await world.ask(max_tokens=1000) for _ in range(2)]
    refused = answers[-1]
    assert (refused.status_code, refused.headers["x-should-retry"]) == (429, "false")
    error = refused.json()["error"]
    assert error["type"] == error["code"] == "insufficient_quota"


@pytest.mark.parametrize("first", ["rate", "budget"])
async def test_where_all_upstreams_are_full_the_one_that_has_room_again_first_is_told_of(first: str) -> None:
    limits = Limit(usd="0.00005", per="month", by="upstream"), Limit(requests=1, per="minute", by="upstream")
    ups = [Upstream("http://rate.test/v1", api_key="k", name="rate", model_ids=["m"])]
    ups.append(Upstream("http://budget.test/v1", api_key="k", name="budget", model_ids=["m", "other"]))
    prices = {"m": Price(input=0, output="0.01"), "other": Price(input=10, output=10)}
    async with limited(*limits, upstreams=ups if first == "rate" else ups[::-1], prices=prices) as world:
        assert [(await world.ask(model=model)).status_code for model in ("other", "m")] == [200, 200]
        refused = await world.ask()
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(refused.headers["retry-after"]) <= 67
    assert "x-should-retry" not in refused.headers


async def test_an_upstream_that_failed_is_charged_no_tokens_of_the_one_that_answered() -> None:
    both = [Upstream(f"http://{name}.test/v1", api_key="k", name=name, model_ids=["m"]) for name in ("first", "second")]
    limit = Limit(tokens=100, per="hour", by="upstream")
    async with limited(limit, upstreams=both, settings=Settings(retries=0)) as world:
        world.fake.host("first.test").script("m", Script(status=500), Script(usage=USAGE))
        world.fake.host("second.test").script(usage=USAGE)
        assert [(await world.ask()).status_code for _ in range(2)] == [200, 200]
        assert [request.host for request in world.fake.requests] == ["first.test", "second.test", "first.test"]


async def test_a_fallback_is_asked_only_where_its_own_limit_has_room() -> None:
    upstream = Upstream("http://up.test/v1", api_key="k", model_ids=["m", "other"])
    store = MemoryStore([upstream], fallbacks={"m": ["other"]})
    limit = Limit(requests=1, per="hour", models="other")
    async with limited(limit, upstreams=store, settings=Settings(retries=0)) as world:
        world.fake.script("m", status=500)
        assert (await world.ask()).status_code == 200
        assert (await world.ask()).status_code >= 429
        assert [request.model for request in world.fake.requests] == ["m", "other", "m"]


async def test_a_fallback_draws_on_its_own_account_of_a_limit_by_model() -> None:
    upstream = Upstream("http://up.test/v1", api_key="k", model_ids=["m", "other"])
    store = MemoryStore([upstream], fallbacks={"m": ["other"]})
    limit = Limit(requests=1, per="hour", by="model")
    async with limited(limit, upstreams=store, settings=Settings(retries=0)) as world:
        world.fake.script("m", status=500)
        assert (await world.ask()).status_code == 200
        assert (await world.ask(model="other")).status_code == 429
        assert [request.model for request in world.fake.requests] == ["m", "other"]


async def test_the_host_may_say_which_limits_hold_for_whom() -> None:
    async def plan(user: User, model: object) -> list[Limit]:
        return [] if user.id == "bob" else [Limit(requests=1, per="hour", by="user")]

    async with limited(of=plan) as world:
        assert [(await world.ask()).status_code for _ in range(2)] == [200, 429]
        assert [(await world.ask("bob")).status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(("when_down", "status"), [("open", 200), ("closed", 503)])
async def test_a_store_that_is_away_is_open_or_closed(when_down: Any, status: int) -> None:
    store = RedisLimits("redis://127.0.0.1:1/0")
    async with limited(Limit(requests=1, per="hour", when_down=when_down), store=store) as world:
        assert [(await world.ask()).status_code for _ in range(5)] == [status] * 5


@pytest.mark.parametrize("fault", ["raises", "hangs", "gives nothing"])
@pytest.mark.parametrize(("when_down", "status"), [("open", 200), ("closed", 503)])
async def test_a_store_of_the_hosts_that_fails_in_its_own_way_is_away(
    fault: str, when_down: Any, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    class Own(MemoryLimits):
        async def take(self, claims: Sequence[Claim]) -> Any:
            if fault == "raises":
                raise ConnectionError("no such table")
            if fault == "hangs":
                await asyncio.Event().wait()

    limit = Limit(requests=1, per="hour", when_down=when_down)
    async with limited(limit, store=Own(), settings=Settings(callable_timeout=0.05)) as world:
        assert [(await world.ask()).status_code for _ in range(2)] == [status] * 2
    assert "limit_store.take" in caplog.text


async def test_what_a_store_of_the_hosts_could_not_settle_is_settled_when_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Own(MemoryLimits):
        fails = 1

        async def settle(self, changes: Sequence[Any]) -> None:
            self.fails -= 1
            if self.fails >= 0:
                raise RuntimeError("away")
            await super().settle(changes)

    monkeypatch.setattr(settling, "SETTLED_AGAIN", 0.0)
    async with limited(Limit(tokens=5000, per="day", by="user"), store=Own()) as world:
        await world.ask()
        async with asyncio.timeout(5):
            while (await world.get("/v1/limits"))["data"][0]["used"] != USAGE["total_tokens"]:
                await asyncio.sleep(0.01)


async def test_where_one_stands_cannot_be_told_while_the_store_is_away() -> None:
    async with limited(Limit(requests=1, per="hour"), store=RedisLimits("redis://127.0.0.1:1/0")) as world:
        answers = [
            await world.http.get(path, headers={"authorization": "Bearer root"})
            for path in ("/v1/limits", "/v1/config/limits?user=ann")
        ]
    assert [(each.status_code, each.json()["error"]["code"]) for each in answers] == [(503, "gateway_busy")] * 2


@pytest.mark.parametrize(("unmetered", "status"), [(frozenset(), 403), (frozenset({"batches"}), 200)])
async def test_work_that_nobody_can_count_is_refused_to_those_under_limits_of_tokens(
    unmetered: frozenset[str], status: int
) -> None:
    settings = Settings(unmetered=unmetered, open_groups=frozenset({"batches"}))
    async with limited(Limit(tokens=100, per="day", by="user"), settings=settings) as world:
        world.fake.answer("/batches", json_answer({"id": "batch_1"}))
        answer = await world.http.post("/v1/batches", json={}, headers={"authorization": "Bearer ann"})
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["error"]["code"] == "unmetered_operation"


async def test_administrators_see_where_a_user_stands_and_let_them_begin_anew() -> None:
    async with limited(Limit(requests=1, per="day", by="user")) as world:
        assert [(await world.ask()).status_code for _ in range(2)] == [200, 429]
        (entry,) = (await world.get("/v1/config/limits?user=ann", "root"))["data"]
        assert (entry["used"], entry["left"], entry["by"]) == (1, 0, ["user"])
        headers = {"authorization": "Bearer root"}
        for asked in ({"user": "ann"}, {"key": entry["key"]}):
            assert (await world.http.post("/v1/config/limits/reset", json=asked, headers=headers)).json() == {
                "reset": 1
            }
            assert [(await world.ask()).status_code for _ in range(2)] == [200, 429]
        refused = await world.http.post("/v1/config/limits/reset", json={}, headers=headers)
        assert refused.status_code == 400
        assert (await world.http.get("/v1/config/limits?user=ann")).status_code == 403


async def test_administrators_see_limits_by_groups_where_the_host_tells_of_them() -> None:
    def find_user(id: str) -> User | None:
        return User(id, groups={"staff"}) if id == "ann" else None

    by_groups = Limit(requests=9, per="day", by="user_groups")
    async with limited(by_groups, find_user=find_user) as world:
        await world.ask()
        (entry,) = (await world.get("/v1/config/limits?user=ann", "root"))["data"]
        assert (entry["used"], entry["left"]) == (1, 8)
        assert (await world.get("/v1/config/limits?user=who", "root"))["data"] == []
    async with limited(by_groups) as world:
        assert (await world.get("/v1/config/limits?user=ann", "root"))["data"] == []


async def test_limits_of_a_hidden_base_show_to_who_uses_the_preset_and_do_not_name_it() -> None:
    of_base = Limit(requests=5, per="day", by=("user", "model"), models="other")
    presets = [Preset("mine", base="other"), Preset("arena", base={"m": 1, "mine": 1})]
    for visible in ("mine", "arena"):
        async with limited(
            of_base, presets=presets, authorize=lambda user, model, seen=visible: model.id == seen
        ) as world:
            assert (await world.ask(model="mine")).status_code == (200 if visible == "mine" else 404)
            (entry,) = (await world.get("/v1/limits"))["data"]
            assert entry["used"] == (1 if visible == "mine" else 0)
            assert "other" not in str(entry)


def raising(user: User, model: Any) -> str:
    raise LookupError


@pytest.mark.parametrize(
    "options",
    [
        {"of": lambda user, model: None},
        {"of": lambda user, model: [1]},
        {"of": lambda user, model: Limit(requests=1, per="day").key},
        {"of": (Limit(requests=1, per="day", by=lambda user, model: 5),)},  # type: ignore[arg-type,return-value]
        {"of": (Limit(requests=1, per="day", by=raising),)},
    ],
)
async def test_a_host_that_says_no_limits_and_no_account_is_told_so_and_nothing_passes(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with limited(**options) as world:
        answers = [await world.ask(), await world.http.get("/v1/limits", headers={"authorization": "Bearer ann"})]
        assert not world.fake.calls("/chat/completions")
    assert [(each.status_code, each.json()["error"]["code"]) for each in answers] == [(500, "host_failure")] * 2
    assert any(name in caplog.text for name in ("limits returned", "Limit.by returned", "Limit.by raised"))


async def test_who_is_under_no_limit_sees_an_empty_list() -> None:
    async with limited() as world:
        assert await world.get("/v1/limits") == {"object": "list", "data": []}
        world.fake.script(usage=USAGE, headers={"x-ratelimit-remaining-requests": "9999"})
        assert (await world.ask()).headers["x-ratelimit-remaining-requests"] == "9999"


@pytest.mark.parametrize("limits", [["60/minute"], [object()], 3])
def test_what_is_no_limit_is_refused_at_the_start(limits: Any) -> None:
    with pytest.raises(ConfigError, match=r"limits\.0"):
        Gateway([], authorize_model=everyone, limits=limits)


async def test_a_large_picture_is_not_counted_by_its_bytes() -> None:
    picture = "data:image/png;base64," + "A" * 400_000
    content = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": picture}}]
    async with limited(Limit(tokens=5000, per="day", by="user")) as world:
        world.fake.script(status=400)
        answer = await world.ask(messages=[{"role": "user", "content": content}])
    assert answer.status_code == 400


async def test_a_place_given_back_while_it_is_renewed_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(MemoryLimits):
        renewing, go_on, renewed = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def renew(self, claims: Sequence[Claim]) -> None:
            self.renewing.set()
            await self.go_on.wait()
            await super().renew(claims)
            self.renewed.set()

    monkeypatch.setattr(places, "RENEW", 0.001)
    store = Slow()
    async with limited(Limit(concurrent=1, by="user"), store=store) as world:
        world.fake.script("m", silence=True)
        waiting = asyncio.create_task(world.ask())
        await store.renewing.wait()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        store.go_on.set()
        await store.renewed.wait()
        assert (await world.ask(model="other")).status_code == 200


async def test_an_upstreams_error_carries_the_gateways_figures_as_well() -> None:
    theirs = {"x-ratelimit-remaining-requests": "9999", "x-ratelimit-limit-tokens": "7", "retry-after": "3"}
    async with limited(Limit(requests=10, per="minute"), settings=Settings(retries=0)) as world:
        for status in (400, 429, 500):
            world.fake.script(status=status, headers=theirs)
            answer = await world.ask()
            assert answer.status_code == status
            assert answer.headers["retry-after"] == "3"
            assert int(answer.headers["x-ratelimit-remaining-requests"]) < 10
            assert "x-ratelimit-limit-tokens" not in answer.headers


async def test_those_who_hear_the_same_speech_see_no_shared_account() -> None:
    async with limited(Limit(requests=10, per="minute", by="user")) as world:
        world.fake.script(headers={"x-ratelimit-remaining-requests": "9999"}, first_event_after=0.01)
        body = {"model": "m", "input": "hello", "voice": "alloy"}
        answers = await asyncio.gather(
            *(
                world.http.post("/v1/audio/speech", json=body, headers={"authorization": f"Bearer {user}"})
                for user in ("ann", "bob", "cid")
            )
        )
        again = await world.http.post("/v1/audio/speech", json=body, headers={"authorization": "Bearer ann"})
        assert len(world.fake.requests) == 1
    assert {answer.headers["x-ratelimit-remaining-requests"] for answer in answers} == {"9"}
    assert again.headers["x-ratelimit-remaining-requests"] == "8"


async def test_a_head_that_goes_out_before_the_answer_carries_the_figures() -> None:
    settings = Settings(keepalive_comments=0.01, retries=0)
    async with limited(Limit(requests=10, per="minute", by="user"), settings=settings) as world:
        world.fake.script(first_event_after=0.1, headers={"x-ratelimit-remaining-requests": "9999"})
        answer = await world.ask(stream=True)
    assert answer.text.startswith(": keep-alive\n\n")
    assert answer.headers.get_list("x-ratelimit-remaining-requests") == ["9"]


async def test_limits_of_the_hosts_own_stand_beside_those_of_the_gateway() -> None:
    def per_project(app: ASGIApp) -> ASGIApp:
        async def layer(scope: Scope, receive: Receive, send: Send) -> None:
            exchange = Exchange.of(scope)
            if exchange.model == "other":
                raise RateLimited("The project is used up.", headers={"x-ratelimit-limit-requests": "1"})
            await app(scope, receive, send)

        return layer

    limits = Limit(requests=2, per="minute", by="user"), Limit(tokens=1000, per="minute")
    async with limited(*limits, layers=[per_project]) as world:
        refused = await world.ask(model="other")
        assert (refused.status_code, refused.headers["x-ratelimit-limit-requests"]) == (429, "1")
        used = [entry["used"] for entry in (await world.get("/v1/limits"))["data"]]
        assert used == [0, 0]  # whom the host refuses has used nothing
        assert [(await world.ask()).status_code for _ in range(3)] == [200, 200, 429]


WORK = {
    "batches": ("/v1/batches", "batches"),
    "evals": ("/v1/evals", "evals"),
    "fine_tuning": ("/v1/fine_tuning/jobs", "fine_tuning"),
    "realtime": ("/v1/realtime/client_secrets", "realtime"),
    "assistants": ("/v1/threads/t/runs", "assistants"),
    "chatkit": ("/v1/chatkit/sessions", "chatkit"),
    "videos": ("/v1/videos/v/remix", "videos"),
}


@pytest.mark.parametrize("limit", [Limit(tokens=100, per="day"), Limit(usd=1, per="day"), Limit(requests=9, per="day")])
@pytest.mark.parametrize("family", WORK)
async def test_what_nobody_tells_the_usage_of_is_refused_under_tokens_and_money_alone(
    family: str, limit: Limit
) -> None:
    path, group = WORK[family]
    body = {"session": {"type": "realtime", "model": "m"}} if family == "realtime" else {"model": "m"}
    statuses = []
    for unmetered in (set[str](), {family}):
        settings = Settings(unmetered=frozenset(unmetered), open_groups=frozenset({group}), retries=0)
        async with limited(limit, settings=settings, prices={"*": Price(input=1, output=1)}) as world:
            world.fake.answer(path, json_answer({"id": "x"}))
            answer = await world.http.post(path, json=body, headers={"authorization": "Bearer ann"})
            statuses.append(answer.status_code)
    assert statuses == ([200, 200] if limit.unit == "requests" else [403, 200])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/threads/t/runs", {"assistant_id": "a", "model": "m"}),
        ("/v1/threads/runs", {"assistant_id": "a"}),
        ("/v1/threads/t/runs/r/submit_tool_outputs", {"tool_outputs": []}),
        ("/v1/videos/extensions", {"prompt": "x"}),
        ("/v1/videos/edits", {"prompt": "x"}),
        ("/v1/realtime/calls/c/accept", {"type": "realtime", "model": "m"}),
    ],
)
async def test_work_on_what_is_stored_elsewhere_is_refused_as_well(path: str, body: dict[str, Any]) -> None:
    settings = Settings(open_groups=frozenset({"assistants", "videos", "realtime"}))
    async with limited(Limit(tokens=100, per="day"), settings=settings) as world:
        answer = await world.http.post(path, json=body, headers={"authorization": "Bearer ann"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "unmetered_operation")
    assert not world.fake.requests


async def test_a_response_whose_model_a_stored_prompt_names_is_under_the_limits_for_all_models() -> None:
    settings = Settings(open_groups=frozenset({"prompts"}))
    limits = [
        Limit(tokens=1500, per="day", by="user"),
        Limit(requests=9, per="day", by=("user", "model")),
        Limit(requests=1, per="day", models="gpt-*"),
        Limit(concurrent=1),
    ]
    used = {"input_tokens": 700, "output_tokens": 700, "total_tokens": 1400}
    async with limited(*limits, settings=settings) as world:
        world.fake.answer("/responses", json_answer({"id": "r", "status": "completed", "model": "m", "usage": used}))

        async def ask() -> int:
            body = {"prompt": {"id": "pmpt_1"}, "input": "x", "max_output_tokens": 200}
            headers = {"authorization": "Bearer ann"}
            return (await world.http.post("/v1/responses", json=body, headers=headers)).status_code

        assert [await ask(), await ask()] == [200, 429]
        tokens = (await world.get("/v1/limits"))["data"][0]
    assert tokens["used"] == 1400


async def test_a_response_in_the_background_is_charged_its_estimate_at_once() -> None:
    limits = Limit(tokens=10_000, per="day"), Limit(usd=1000, per="day")
    async with limited(*limits, prices={"m": Price(input=1_000_000, output=1_000_000)}) as world:
        world.fake.answer("/responses", json_answer({"id": "resp_1", "status": "queued", "usage": None}))
        body = {"model": "m", "input": "x" * 400, "background": True, "max_output_tokens": 500}
        answer = await world.http.post("/v1/responses", json=body, headers={"authorization": "Bearer ann"})
        assert answer.status_code == 200
        tokens, usd = ((entry["used"]) for entry in (await world.get("/v1/limits"))["data"])
    assert 600 <= tokens <= 620
    assert Decimal(usd) == tokens


async def test_a_budget_at_an_upstream_that_tells_its_cost_needs_no_price() -> None:
    upstream = Upstream("http://up.test/v1", api_key="k", model_ids=["m"], reports_cost=True)
    async with limited(Limit(usd="0.30", per="day", by="user"), upstreams=[upstream]) as world:
        world.fake.script(usage={**USAGE, "cost": 0.2})
        assert [(await world.ask()).status_code for _ in range(3)] == [200, 200, 429]
        (entry,) = (await world.get("/v1/limits"))["data"]
    assert (entry["used"], entry["left"]) == ("0.4", "0")


UNITS = [
    ("/v1/audio/speech", {"input": "x" * 50, "voice": "alloy"}, Price(character="0.01"), "0.5", 1),
    ("/v1/images/generations", {"prompt": "x", "n": 2}, Price(image="0.2"), "0.4", 2),
]


@pytest.mark.parametrize(("path", "body", "price", "cost", "fit"), UNITS)
async def test_a_budget_reserves_by_the_unit_that_a_model_is_priced_in(
    path: str, body: dict[str, Any], price: Price, cost: str, fit: int
) -> None:
    async with limited(Limit(usd="0.9", per="day"), prices={"m": price}) as world:
        headers = {"authorization": "Bearer ann"}
        answers = [
            (await world.http.post(path, json={"model": "m", **body, "user": str(n)}, headers=headers)).status_code
            for n in range(fit + 1)
        ]
        (entry,) = (await world.get("/v1/limits"))["data"]
    assert answers == [200] * fit + [429]
    assert Decimal(entry["used"]) == fit * Decimal(cost)


async def test_a_price_that_lacks_what_a_call_uses_is_none() -> None:
    async with limited(Limit(usd=1, per="day"), prices={"m": Price(input=1)}) as world:
        refused = await world.ask()
    assert refused.json()["error"]["message"] == "This model has no price, so that a budget cannot count it."


async def test_seconds_of_audio_are_charged_when_they_are_known() -> None:
    form = {"model": "m"}
    async with limited(Limit(usd="0.10", per="day"), prices={"m": Price(second="0.01")}) as world:
        world.fake.answer(
            "/audio/transcriptions", json_answer({"text": "x", "usage": {"type": "duration", "seconds": 12}})
        )
        statuses = [
            (
                await world.http.post(
                    "/v1/audio/transcriptions",
                    data=form,
                    files={"file": ("a.mp3", b"x")},
                    headers={"authorization": "Bearer ann"},
                )
            ).status_code
            for _ in range(2)
        ]
        (entry,) = (await world.get("/v1/limits"))["data"]
    assert (statuses, entry["used"]) == ([200, 429], "0.12")


async def test_a_call_larger_than_the_whole_account_passes_where_nothing_was_used() -> None:
    async with limited(Limit(tokens=50, per="minute", by="user")) as world:
        assert (await world.ask(max_tokens=4000)).status_code == 200
        assert (await world.ask(max_tokens=1)).status_code == 429
        world.clock.now += 121.0  # 100 tokens were used of 50
        assert (await world.ask(max_tokens=4000)).status_code == 200


async def test_the_official_client_is_refused_waits_as_told_and_streams_on() -> None:
    async with limited(Limit(requests=1, per="second", by="user"), store=MemoryLimits()) as world:
        client = world.as_()
        stream: Any = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        assert [event async for event in stream]
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        assert caught.value.code == "rate_limit_exceeded"
        began = time.monotonic()
        patient = world.as_(retries=2)
        stream = await patient.chat.completions.create(model="m", messages=HELLO, stream=True)
        assert [event async for event in stream]
        assert time.monotonic() - began >= 0.3


# Told at the start


async def agent(call: ModelCall) -> str:
    return "x"


async def test_models_that_a_budget_would_refuse_are_told_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    upstreams = [
        Upstream("http://a.test/v1", api_key="k", model_ids=["m", "cheap", "gpt-*"], prefix_id="p"),
        Upstream("http://b.test/v1", api_key="k", model_ids=["told"], reports_cost=True),
        Upstream("http://c.test/v1", api_key="k", model_ids=["off"], enabled=False),
    ]
    budget, prices = Limit(usd=1, per="day"), {"cheap": Price(input=1, output=1)}
    async with limited(budget, upstreams=upstreams, prices=prices) as world:
        (warning,) = [each for each in world.gateway.warnings if each.code == "unpriced_models"]
        assert "'p.m'" in str(warning)
        assert "cheap" not in str(warning)
        assert "unpriced=" in warning.instead
        await world.ask(model="p.cheap")
        assert [each.code for each in await world.gateway.check()].count("unpriced_models") == 1
    assert caplog.text.count("unpriced_models") + caplog.text.count("has no price for 'p.m'") >= 1
    async with limited(budget, upstreams=[Upstream("http://a.test/v1", api_key="k")], prices=None) as world:
        (warning,) = [each for each in world.gateway.warnings if each.code == "unpriced_models"]
        assert (warning.field, "genai_prices()" in warning.instead) == ("prices", True)
    async with limited(
        budget, upstreams=upstreams[1:], prices=prices, host_models=[HostModel("agent", agent)]
    ) as world:
        (warning,) = [each for each in world.gateway.warnings if each.code == "unpriced_models"]
        assert "'agent'" in str(warning)
    for harmless in (
        Limit(usd=1, per="day", unpriced="allow"),
        Limit(usd=1, per="day", models="x*"),
        Limit(tokens=1, per="day"),
    ):
        async with limited(harmless, upstreams=upstreams, prices=prices) as world:
            assert not [each for each in world.gateway.warnings if each.code == "unpriced_models"]
