"""Cases 229 to 235 and 238, 239: what is held against whom, who is asked all the same, and who is asked next."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from openai_gateway_asgi import Gateway, Limit, MemoryLimits, Timeouts, Upstream
from openai_gateway_asgi.testing import Answer, FakeUpstream, error_answer
from openai_gateway_asgi.upstream import breaker, failures
from tests.cases.second.callers import ANN, BOB, PATHS, ROOT, at, call, error_of, gateway_to, get
from tests.support.asgi import ask
from tests.support.leaks import lasting
from tests.support.servers import free_port, serve

API = pytest.mark.parametrize("api", ["chat", "responses"])
STREAM = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
CHAT = PATHS["chat"]
LATER = error_answer(429, "Slow down.", headers=[("retry-after", "20")])
FAILED = error_answer(500, "Broken.")
ONE_TRY = {"retries": 0}


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "BACKOFF", 0.001)


def given_token(user: Any, request: Any, upstream: Upstream) -> str:
    return f"token-of-{user.id}"


SCOPES = [
    pytest.param({"auth_type": "session"}, {}, id="session"),
    pytest.param({"auth_type": "system_oauth"}, {}, id="system_oauth"),
    pytest.param({"forward_cookies": ["who"]}, {}, id="cookies"),
    pytest.param({}, {"forward_user_info": True}, id="told who asks"),
]


def only(name: str, answer: Answer) -> Any:
    """The answer to those of whom the upstream can tell that it is ``name``; all others are served."""

    def respond(request: Any) -> Answer:
        told = b" ".join(value for _, value in request.headers).decode("latin-1")
        return (
            answer
            if name in told
            else Answer([b'{"id": "1", "choices": [{}]}'], 200, [("content-type", "application/json")])
        )

    return respond


async def as_user(gateway: Gateway, user: str, **fields: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    headers = {"authorization": f"Bearer {user}", "cookie": f"who={user}"}
    return await ask(gateway, "POST", CHAT, json=body, headers=headers)


@pytest.mark.parametrize(("options", "settings"), SCOPES)
@pytest.mark.parametrize("limit", [LATER, error_answer(403), error_answer(402)], ids=["429", "403", "402"])
async def test_case_229_one_callers_limit_is_nobody_elses(
    options: dict[str, Any], settings: dict[str, Any], limit: Answer
) -> None:
    async with FakeUpstream() as a, FakeUpstream() as b:
        a.answer(CHAT, only(ANN, limit))
        upstreams = at(a, "a", **options), at(b, "b")
        async with gateway_to(*upstreams, settings={**ONE_TRY, **settings}, oauth_token=given_token) as gateway:
            for number in range(breaker.FAILURES):
                assert (await as_user(gateway, ANN, seed=number)).status == 200  # b's
            a.requests.clear()

            assert (await as_user(gateway, BOB)).status == 200
            assert len(a.requests) == 1
            await as_user(gateway, ANN)
            assert len(a.requests) == 1  # hers is left alone, and b asked at once


async def test_case_229_the_gateways_own_limit_is_everybodys_and_of_one_model() -> None:
    async with FakeUpstream() as a, FakeUpstream() as b:
        a.script("m", status=429, retry_after=20)
        async with gateway_to(at(a, "a", "m", "n"), at(b, "b", "m", "n")) as gateway:
            await call(gateway, ANN)
            await call(gateway, BOB)
            assert (len(a.requests), len(b.requests)) == (1, 2)
            await call(gateway, BOB, model="n")
            assert (len(a.requests), len(b.requests)) == (2, 2)


@API
@STREAM
async def test_case_230_who_has_nobody_else_to_ask_is_sent_once_and_told_the_upstreams_wait(
    api: str, stream: bool
) -> None:
    async with FakeUpstream() as a, gateway_to(at(a, "a")) as gateway:
        a.script("m", status=429, retry_after=20)
        await call(gateway, ANN, api=api, stream=stream)
        got = await call(gateway, BOB, api=api, stream=stream)
        assert (got.status, got.header("retry-after"), len(a.requests)) == (429, "20", 2)
        assert got.header("x-should-retry") is None

        a.script("m")
        assert (await call(gateway, BOB, api=api, stream=stream)).status == 200


async def test_case_230_where_it_is_left_alone_there_is_no_second_try() -> None:
    async with FakeUpstream() as a, gateway_to(at(a, "a")) as gateway:
        a.script("m", status=429, retry_after=20)
        await call(gateway)
        a.script("m", status=503)
        a.requests.clear()

        got = await call(gateway, BOB)
        assert (got.status, got.header("x-should-retry"), len(a.requests)) == (503, None, 1)


@API
@pytest.mark.parametrize("fallback", [False, True], ids=["candidates", "fallback"])
async def test_case_230_where_all_of_several_are_limited_the_shortest_wait_is_told(api: str, fallback: bool) -> None:
    async with FakeUpstream() as a, FakeUpstream() as b:
        a.script("*", status=429, retry_after=40)
        b.script("*", status=429, retry_after=20)
        upstreams = at(a, "a"), at(b, "b", "big" if fallback else "m")
        async with gateway_to(*upstreams, fallbacks={"m": ["big"]} if fallback else {}) as gateway:
            await call(gateway, ANN, api=api)
            got = await call(gateway, BOB, api=api)

            assert (got.status, error_of(got)["code"]) == (429, "rate_limit_exceeded")
            assert error_of(got)["type"] == "rate_limit_error"
            assert 15 <= int(got.header("retry-after") or 0) <= 20
            assert (len(a.requests), len(b.requests)) == (1, 1)


@API
@STREAM
async def test_case_231_one_callers_body_closes_nothing_for_others(api: str, stream: bool) -> None:
    async with FakeUpstream() as a, FakeUpstream() as b, gateway_to(at(a, "a"), at(b, "b")) as gateway:
        for fake in (a, b):
            fake.answer(PATHS[api], FAILED)
        for _ in range(2 * breaker.FAILURES):
            got = await call(gateway, ANN, api=api, stream=stream)
            assert (got.status, error_of(got)["message"]) == (500, "Broken.")
        a.answer(PATHS[api], FAILED)
        b.answer(PATHS[api], FAILED)
        a.requests.clear()

        await call(gateway, BOB, api=api, stream=stream)
        assert a.requests


WHOSE_500 = [
    pytest.param([(ANN, 1)] * 20, False, id="one body"),
    pytest.param([(ANN, n % 4) for n in range(20)], False, id="four bodies"),
    pytest.param([(ANN, n) for n in range(5)], True, id="five bodies"),
    pytest.param([(ANN, 1), (BOB, 1), (ANN, 1), (ANN, 1), (ANN, 1)], True, id="two users"),
    pytest.param([(ANN, 1), (BOB, 1), (ANN, 1), (ANN, 1)], False, id="two users, four calls"),
]


@pytest.mark.parametrize(("calls", "opens"), WHOSE_500)
async def test_case_231_a_500_counts_once_it_is_not_one_callers(calls: list[tuple[str, int]], opens: bool) -> None:
    async with FakeUpstream() as a, FakeUpstream() as b, gateway_to(at(a, "a"), at(b, "b")) as gateway:
        a.answer(CHAT, FAILED)
        for user, seed in calls:
            assert (await call(gateway, user, seed=seed)).status == 200
        a.requests.clear()

        await call(gateway, ROOT, seed=99)
        assert bool(a.requests) is not opens


@pytest.mark.parametrize("status", [500, 507])
async def test_case_231_nor_does_a_retry_after_before_it_is_seen_not_to_be(status: int) -> None:
    asks_for_rest = error_answer(status, "No.", headers=[("retry-after", "30")])
    async with FakeUpstream() as a, FakeUpstream() as b, gateway_to(at(a, "a"), at(b, "b")) as gateway:
        a.answer(CHAT, asks_for_rest)
        for _ in range(2 * breaker.FAILURES):
            assert (await call(gateway, ANN)).status == 200
        assert len(a.requests) == 2 * breaker.FAILURES

        assert (await call(gateway, BOB)).status == 200
        assert len(a.requests) == 2 * breaker.FAILURES + 1
        assert (await call(gateway, ROOT)).status == 200  # two have got it: it is as good as the upstream's word
        assert len(a.requests) == 2 * breaker.FAILURES + 1


async def test_case_231_long_bodies_are_told_apart_by_their_length_and_their_ends() -> None:
    async with (
        FakeUpstream() as a,
        FakeUpstream() as b,
        gateway_to(at(a, "a"), at(b, "b"), settings=ONE_TRY) as gateway,
    ):
        a.answer(CHAT, FAILED)
        text = "word " * 100_000
        for number in range(breaker.FAILURES):
            assert (await call(gateway, ANN, messages=[{"role": "user", "content": text + str(number)}])).status == 200
        assert await breakers(gateway) == {"m": "open"}


@pytest.mark.parametrize("status", [502, 503, 504, 529])
async def test_case_231_an_overload_counts_at_once_and_per_request(status: int) -> None:
    async with FakeUpstream() as a, FakeUpstream() as b, gateway_to(at(a, "a"), at(b, "b")) as gateway:
        a.answer(CHAT, error_answer(status))
        for _ in range(breaker.FAILURES):
            assert (await call(gateway, ANN)).status == 200
        # three attempts each, but for the last, which opens it
        assert len(a.requests) == 3 * (breaker.FAILURES - 1) + 1
        await call(gateway, BOB)
        assert len(a.requests) == 3 * (breaker.FAILURES - 1) + 1


@API
@STREAM
async def test_case_232_a_sole_upstream_that_refuses_is_dialled_by_every_call(api: str, stream: bool) -> None:
    port = free_port()
    sole = Upstream(f"http://127.0.0.1:{port}/v1", name="a", model_ids=["m"])
    async with gateway_to(sole, settings=ONE_TRY) as gateway:
        for _ in range(3 * breaker.FAILURES):
            got = await call(gateway, api=api, stream=stream)
            assert (got.status, error_of(got)["code"]) == (502, "upstream_unavailable")
        assert await breakers(gateway) == {"m": "open"}
        async with FakeUpstream(port=port):
            assert (await call(gateway, api=api, stream=stream)).status == 200
        assert await breakers(gateway) == {}


async def breakers(gateway: Gateway, name: str = "a") -> Any:
    return (await get(gateway, "/v1/config/health")).json()["upstreams"][name]["breakers"]


@API
async def test_case_232_a_sole_upstream_that_is_silent_is_probed_by_one_call_at_a_time(api: str) -> None:
    short = Timeouts(first_event=0.2, answer=0.2)
    async with FakeUpstream() as a, gateway_to(at(a, "a", timeouts=short)) as gateway:
        a.script("m", silence=True)
        for _ in range(breaker.FAILURES):
            assert (await call(gateway, api=api)).status == 504
        a.requests.clear()

        probing = asyncio.create_task(call(gateway, ANN, api=api))
        await a.until_requests(1)
        others = [await call(gateway, BOB, api=api) for _ in range(5)]
        assert not probing.done()
        assert {got.status for got in others} == {503}
        assert {got.header("retry-after") for got in others} == {"1"}
        assert (await probing).status == 504
        assert len(a.requests) == 1

        a.script("m")
        assert (await call(gateway, BOB, api=api)).status == 200
        assert (await call(gateway, ANN, api=api)).status == 200


async def test_case_233_a_limit_of_one_kind_of_objects_is_none_of_another() -> None:
    async with FakeUpstream() as a, gateway_to(at(a, "a")) as gateway:
        a.answer("/files", LATER)
        a.answer("/responses/x", Answer([b"{}"], 200, [("content-type", "application/json")]))
        upload = b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--x--\r\n'
        headers = {"authorization": f"Bearer {ROOT}", "content-type": "multipart/form-data; boundary=x"}
        for _ in range(2):
            assert (await ask(gateway, "POST", "/v1/files", body=upload, headers=headers)).status == 429

        assert (await get(gateway, "/v1/responses/x")).status == 200
        assert await breakers(gateway) == {"/files": "open"}


async def test_case_233_silence_of_one_kind_of_objects_is_none_of_another() -> None:
    short = Timeouts(answer=0.05)
    async with FakeUpstream() as a, gateway_to(at(a, "a", timeouts=short)) as gateway:
        a.answer("/files", Answer((), 0, [], "open"))
        a.answer("/responses/x", Answer([b"{}"], 200, [("content-type", "application/json")]))
        for _ in range(breaker.FAILURES):
            assert (await get(gateway, "/v1/files")).status == 504
        assert await breakers(gateway) == {"/files": "open"}

        probing = asyncio.create_task(get(gateway, "/v1/files"))
        await a.until_requests(breaker.FAILURES + 1)
        assert (await get(gateway, "/v1/files")).status == 503
        assert (await get(gateway, "/v1/responses/x")).status == 200
        assert (await probing).status == 504


async def open_a(gateway: Gateway, a: FakeUpstream) -> None:
    a.answer(CHAT, error_answer(503))
    for _ in range(breaker.FAILURES):
        await call(gateway)
    assert await breakers(gateway) == {"m": "open"}
    a.answer(CHAT, Answer([b'{"id": "1"}'], 200, [("content-type", "application/json")]))
    a.requests.clear()


async def update(gateway: Gateway, **changes: Any) -> None:
    config = (await get(gateway, "/v1/config")).json()
    config["OPENAI_API_CONFIGS"]["0"].update(changes)
    headers = {"authorization": f"Bearer {ROOT}"}
    saved = await ask(gateway, "POST", "/v1/config/update", json=config, headers=headers)
    assert saved.status == 200, saved.body


async def test_case_234_a_changed_entry_starts_afresh() -> None:
    async with FakeUpstream() as a, FakeUpstream() as b, gateway_to(at(a, "a"), at(b, "b")) as gateway:
        await open_a(gateway, a)
        await update(gateway, tags=[{"name": "new"}])
        assert await breakers(gateway) == {}
        await call(gateway)
        assert len(a.requests) == 1


async def test_case_234_one_that_did_not_change_does_not() -> None:
    async with FakeUpstream() as a, FakeUpstream() as b, gateway_to(at(b, "b"), at(a, "a", priority=-1)) as gateway:
        await open_a(gateway, a)
        await update(gateway, tags=[{"name": "new"}])  # b's
        assert await breakers(gateway) == {"m": "open"}


@pytest.mark.parametrize("works", [True, False])
async def test_case_234_one_that_is_verified_with_success_does(works: bool) -> None:
    async with FakeUpstream() as a, FakeUpstream() as b, gateway_to(at(a, "a"), at(b, "b")) as gateway:
        await open_a(gateway, a)
        if not works:
            a.answer("/models", error_answer(500))
        masked = (await get(gateway, "/v1/config")).json()["OPENAI_API_KEYS"][0]
        body = {"url": f"{a.url}/v1", "key": masked}
        headers = {"authorization": f"Bearer {ROOT}"}
        assert (await ask(gateway, "POST", "/v1/verify", json=body, headers=headers)).status == (200 if works else 502)
        assert await breakers(gateway) == ({} if works else {"m": "open"})


@contextlib.asynccontextmanager
async def client(gateway: Gateway, retries: int = 2) -> AsyncIterator[openai.AsyncOpenAI]:
    async with serve(gateway) as server:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=ANN, max_retries=retries) as sdk:
            yield sdk


@STREAM
@pytest.mark.parametrize("status", [500, 503])
async def test_case_235_the_clients_retries_and_ours_do_not_multiply(status: int, stream: bool) -> None:
    async with FakeUpstream() as a, gateway_to(at(a, "a")) as gateway, client(gateway) as sdk:
        a.answer(CHAT, error_answer(status, "Broken."))
        with pytest.raises(openai.InternalServerError, match="Broken"):
            await sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=stream)
        assert len(a.requests) == 3


async def test_case_235_and_not_where_the_client_can_wait_for_it() -> None:
    async with FakeUpstream() as a, gateway_to(at(a, "a")) as gateway:
        a.answer(CHAT, error_answer(503, headers=[("retry-after", "5")]))
        got = await call(gateway)
        assert (got.status, got.header("x-should-retry"), got.header("retry-after")) == (503, None, "5")


async def test_case_238_the_time_for_tries_is_for_one_upstream_alone() -> None:
    late = itertools.count()

    async def slowly(request: Any) -> Answer:
        next(late)
        await asyncio.sleep(0.3)
        return error_answer(504)

    async with FakeUpstream() as a, FakeUpstream() as b:
        a.answer(CHAT, slowly)
        settings = {"retry_time": 0.2}
        async with gateway_to(at(a, "a"), at(b, "b", "big"), fallbacks={"m": ["big"]}, settings=settings) as gateway:
            assert (await call(gateway)).status == 200
            assert (len(a.requests), len(b.requests)) == (1, 1)


@STREAM
async def test_case_239_another_is_asked_at_once_and_the_same_only_where_there_is_none(stream: bool) -> None:
    async with FakeUpstream() as a, FakeUpstream() as b, FakeUpstream() as c:
        for fake in (a, b):
            fake.script("m", status=429)
        upstreams = at(a, "a"), at(b, "b"), at(c, "c", "big")
        async with gateway_to(*upstreams, fallbacks={"m": ["big"]}) as gateway:
            async with lasting(0.5, 1.5):
                assert (await call(gateway, stream=stream)).status == 200
            assert [len(fake.requests) for fake in (a, b, c)] == [1, 2, 1]


async def test_case_239_one_that_has_room_a_moment_later_answers() -> None:
    async with FakeUpstream() as a, gateway_to(at(a, "a")) as gateway:
        a.answer(CHAT, error_answer(429), Answer([b'{"id": "1"}'], 200, [("content-type", "application/json")]))
        async with lasting(0.5, 1.5):
            assert (await call(gateway)).status == 200


async def test_however_many_callers_fail_little_is_kept() -> None:
    """Bodies are kept as digests, users too, and of each upstream and model no more than five."""
    async with FakeUpstream() as a, gateway_to(at(a, "a", "*"), settings=ONE_TRY) as gateway:
        a.answer(CHAT, LATER)
        for number in range(200):
            await call(gateway, f"user-{number}", model=f"model-{number}", metadata={"x": "x" * 1000})
        kept = json.dumps(list(gateway._parts.memory._breakers))
        assert len(kept) < 200 * 100


class Stuck(MemoryLimits):
    """A store of limits that does not answer while it is told not to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.stuck = False

    async def take(self, claims: Any) -> Any:
        if self.stuck:
            self.asked.set()
            await asyncio.Event().wait()
        return await super().take(claims)


async def test_a_probe_whose_call_ends_before_it_is_sent_is_left_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "FIRST_COOL_DOWN", 0.01)
    store, limit = Stuck(), Limit(requests=1000, per="hour", by="upstream")
    async with FakeUpstream() as a, FakeUpstream() as b:
        async with gateway_to(at(a, "a"), at(b, "b"), limits=[limit], limit_store=store) as gateway:
            a.answer(CHAT, error_answer(503))
            for _ in range(breaker.FAILURES):
                await call(gateway)
            while await breakers(gateway) != {"m": "half_open"}:
                await asyncio.sleep(0.005)
            store.stuck = True
            probing = asyncio.create_task(call(gateway))
            await store.asked.wait()
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)
            store.stuck = False
            a.answer(CHAT, Answer([b'{"id": "1", "choices": [{}]}'], 200, [("content-type", "application/json")]))

            assert (await call(gateway)).status == 200
            assert await breakers(gateway) == {}
