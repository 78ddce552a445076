from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from openai_gateway_asgi.config import GatewayConfig, Settings, Upstream
from openai_gateway_asgi.errors import ModelListUnavailable, Unauthenticated
from openai_gateway_asgi.host.users import User
from openai_gateway_asgi.models import Catalogue, Listing
from openai_gateway_asgi.testing import Answer, FakeRequest, FakeUpstream, error_answer, json_answer
from openai_gateway_asgi.testing.answers import bytes_answer
from openai_gateway_asgi.upstream.connections import Connections
from openai_gateway_asgi.upstream.credentials import Caller, Credentials
from openai_gateway_asgi.upstream.list_views import IN_FLIGHT
from openai_gateway_asgi.upstream.model_lists import MOST_ROSTERS, ModelLists
from openai_gateway_asgi.upstream.own_lists import MOST_SHARED
from tests.support.leaks import stall_watch

A = Upstream("http://a/v1", api_key="ka")
B = Upstream("http://b/v1", api_key="kb")
EXPIRED = 2 * IN_FLIGHT
"""Longer, in seconds, than any list of a short lifetime is taken unasked."""


class Gate:
    """Answers of an upstream that wait until they are let through."""

    def __init__(self, *ids: str) -> None:
        self.ids = ids
        self.open = asyncio.Event()

    async def __call__(self, request: FakeRequest) -> Answer:
        await self.open.wait()
        return json_answer({"data": [{"id": id} for id in self.ids]})


class Lists:
    """Model lists over recorded upstreams; ``config`` is what requests carry."""

    def __init__(self, *upstreams: Upstream, **settings: Any) -> None:
        self.up = FakeUpstream()
        self.a, self.b = self.up.host("a"), self.up.host("b")
        self.a.models, self.b.models = ["m1"], ["m2"]
        self.settings = Settings(**settings)
        self.lists = ModelLists(self.settings, Connections(self.settings, self.up.transport()), Credentials())
        self.config = GatewayConfig(upstreams=upstreams or (A, B), version="1")

    async def shown(self, caller: Caller | None = None) -> list[str]:
        return [model.id for model in (await self.lists.for_listing(self.config, caller)).models]

    async def call(self, *ids: str, caller: Caller | None = None) -> Catalogue:
        """To route these by; without any, the one for a model that no list has, for which all are waited for."""
        return await self.lists.for_call(self.config, caller, ids or ("unheard-of",))

    async def served(self, id: str, caller: Caller | None = None) -> list[str]:
        route = (await self.call(id, caller=caller)).find(id)
        return [] if route is None else [candidate.upstream.name for candidate in route.candidates]

    def change(self, *upstreams: Upstream) -> GatewayConfig:
        before = self.config
        self.config = GatewayConfig(upstreams=upstreams, version=before.version + "+")
        return before

    async def refreshed(self, upstream: FakeUpstream, count: int) -> None:
        """The refresh that makes it ``count`` requests has come to its end."""
        await upstream.until(lambda: len(upstream.requests) >= count and upstream.open_answers == 0)
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))


MakeLists = Callable[..., Lists]


@pytest.fixture
async def make() -> AsyncIterator[MakeLists]:
    made: list[Lists] = []

    def build(*upstreams: Upstream, **settings: Any) -> Lists:
        made.append(Lists(*upstreams, **settings))
        return made[-1]

    yield build
    for lists in made:
        await lists.lists.aclose()


# Fresh, stale, failed.


async def test_a_fresh_list_is_not_asked_for_again(make: MakeLists) -> None:
    lists = make()
    for _ in range(3):
        assert await lists.shown() == ["m1", "m2"]
        assert await lists.served("m2") == ["b"]
    assert len(lists.up.requests) == 2


async def test_a_snapshot_is_the_same_object_until_something_changes(make: MakeLists) -> None:
    lists = make()
    first = await lists.call()
    assert await lists.call() is first
    assert await lists.lists.for_listing(lists.config, None) is first


async def test_a_stale_list_is_served_while_it_is_refreshed_behind(make: MakeLists) -> None:
    lists = make(A, model_list_lifetime=0.001)
    assert await lists.shown() == ["m1"]
    gate = Gate("m9")
    lists.a.answer("/models", gate)
    await asyncio.sleep(EXPIRED)
    for _ in range(100):
        assert await lists.shown() == ["m1"]
        assert await lists.served("m1") == ["a"]
    gate.open.set()
    await lists.refreshed(lists.a, 2)
    await asyncio.sleep(EXPIRED)
    assert await lists.shown() == ["m9"]


async def test_one_refresh_at_a_time_however_many_ask(make: MakeLists) -> None:
    lists = make(model_list_lifetime=0.001)
    await lists.shown()
    gates = [Gate("m1"), Gate("m2")]
    lists.a.answer("/models", gates[0])
    lists.b.answer("/models", gates[1])
    await asyncio.sleep(EXPIRED)
    for _ in range(3):
        await asyncio.gather(*(lists.shown() for _ in range(50)), *(lists.call() for _ in range(50)))
        await asyncio.sleep(EXPIRED)
    assert (len(lists.a.requests), len(lists.b.requests)) == (2, 2)
    for gate in gates:
        gate.open.set()


async def test_a_hundred_callers_at_a_cold_start_cost_one_call_each(make: MakeLists) -> None:
    lists = make()
    shown = await asyncio.gather(*(lists.shown() for _ in range(100)))
    assert shown == [["m1", "m2"]] * 100
    assert (len(lists.a.requests), len(lists.b.requests)) == (1, 1)


async def test_a_caller_who_leaves_stops_nobodys_refresh(make: MakeLists) -> None:
    lists = make(A)
    gate = Gate("m1")
    lists.a.answer("/models", gate)
    leaving = asyncio.create_task(lists.shown())
    staying = asyncio.create_task(lists.shown())
    await lists.a.until_requests(1)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    gate.open.set()
    assert await staying == ["m1"]
    assert len(lists.a.requests) == 1


async def test_the_same_answer_again_builds_nothing_anew(make: MakeLists) -> None:
    lists = make(A, model_list_lifetime=0.001)
    before = await lists.call()
    await asyncio.sleep(EXPIRED)
    await lists.call()
    await lists.refreshed(lists.a, 2)
    await asyncio.sleep(EXPIRED)
    assert await lists.call() is before


async def test_a_failure_is_remembered_briefly(make: MakeLists) -> None:
    lists = make(A, model_list_retry=60, model_list_lifetime=0)
    lists.a.answer("/models", error_answer(500))
    for _ in range(5):
        assert await lists.shown() == []
    assert len(lists.a.requests) == 1


async def test_a_failure_is_forgotten_after_a_while(make: MakeLists) -> None:
    lists = make(A, model_list_retry=0.001)
    lists.a.answer("/models", error_answer(500), json_answer({"data": [{"id": "m1"}]}))
    assert await lists.shown() == []
    await asyncio.sleep(EXPIRED)
    await lists.shown()
    await lists.refreshed(lists.a, 2)
    await asyncio.sleep(EXPIRED)
    assert await lists.shown() == ["m1"]


async def test_a_failing_upstreams_list_stays_usable_for_its_time(make: MakeLists) -> None:
    lists = make(A, model_list_lifetime=0.001, model_list_retry=0.001)
    await lists.shown()
    lists.a.answer("/models", error_answer(500))
    for number in (2, 3):
        await asyncio.sleep(EXPIRED)
        assert await lists.shown() == ["m1"]
        await lists.refreshed(lists.a, number)
    assert await lists.served("m1") == ["a"]
    assert lists.lists.states(lists.config) == {"a": "stale"}


async def test_a_list_that_is_too_old_is_no_longer_vouched_for(make: MakeLists) -> None:
    lists = make(A, B, model_list_lifetime=0.001, model_list_stale=0.001, model_list_retry=60)
    await lists.shown()
    lists.a.answer("/models", error_answer(500))
    await asyncio.sleep(EXPIRED)
    await lists.shown()
    await lists.refreshed(lists.a, 2)
    await lists.refreshed(lists.b, 2)
    catalogue = await lists.call()
    assert [model.id for model in catalogue.models] in (["m2"], [])  # b's is as short-lived
    assert catalogue.find("m1") is None
    assert isinstance(catalogue.missing("m1"), ModelListUnavailable)
    assert lists.lists.states(lists.config)["a"] == "failed"


async def test_a_failure_is_logged_once_and_without_the_answer(
    make: MakeLists, caplog: pytest.LogCaptureFixture
) -> None:
    lists = make(A, model_list_retry=0.001)
    lists.a.answer("/models", bytes_answer(b"<html>secret</html>"))
    for number in (1, 2, 3):
        await lists.shown()
        await lists.refreshed(lists.a, number)
        await asyncio.sleep(EXPIRED)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "invalid_list" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("size", [0, 300 * 1024])
async def test_an_answer_longer_than_the_limit_is_a_failure(
    make: MakeLists, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openai_gateway_asgi.upstream.list_request.LIST_LIMIT", 64 * 1024)
    lists = make(A)
    padding = " " * size
    lists.a.answer("/models", bytes_answer(f'{{"data":[{{"id":"m1"}}]{padding}}}'.encode(), "application/json"))
    assert await lists.shown() == ([] if size else ["m1"])


async def test_an_upstream_that_drips_costs_its_deadline(make: MakeLists) -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    lists = make(model_list_timeout=0.1)
    lists.b.answer("/models", Answer(drip()))
    assert await asyncio.wait_for(lists.shown(), 5) == ["m1"]
    assert lists.up.open_answers == 0


async def test_health_tells_how_each_list_is(make: MakeLists) -> None:
    lists = make(
        A, B, replace(A, base_url="http://c/v1", name="c", model_ids=["x"]), replace(A, name="d", enabled=False)
    )
    lists.b.answer("/models", error_answer(500))
    assert lists.lists.states(lists.config) == {"a": "unknown", "b": "unknown", "c": "ok"}
    await lists.shown()
    assert lists.lists.states(lists.config) == {"a": "ok", "b": "failed", "c": "ok"}


async def test_closing_ends_the_refreshes_and_the_lists_work_again(make: MakeLists) -> None:
    lists = make(A)
    gate = Gate("m1")
    lists.a.answer("/models", gate)
    waiting = asyncio.create_task(lists.shown())
    await lists.a.until_requests(1)
    await lists.lists.aclose()
    assert await waiting == []
    assert lists.up.open_answers == 0
    gate.open.set()
    await asyncio.sleep(EXPIRED)
    assert await lists.shown() == ["m1"]


def test_an_ended_event_loop_leaves_a_list_that_the_next_one_can_use() -> None:
    lists = Lists(A, model_list_lifetime=0.001)

    async def use() -> list[str]:
        try:
            await asyncio.sleep(EXPIRED)
            return await lists.shown()
        finally:
            await lists.lists.aclose()

    assert [asyncio.run(use()) for _ in range(2)] == [["m1"], ["m1"]]


# Named models and patterns.


async def test_patterns_route_while_the_list_is_not_to_be_had_and_named_models_too(make: MakeLists) -> None:
    lists = make(replace(A, model_ids=["special", "gpt-*"]), B)
    lists.a.answer("/models", error_answer(500))
    assert await lists.shown() == ["special", "m2"]
    assert await lists.served("special") == await lists.served("gpt-9") == ["a"]


async def test_a_list_that_failed_leaves_no_doubt_about_what_its_patterns_do_not_cover(make: MakeLists) -> None:
    lists = make(replace(A, model_ids=["gpt-*"]))
    lists.a.answer("/models", error_answer(500))
    catalogue = await lists.call()
    assert catalogue.find("llama") is None
    assert catalogue.missing("llama").status == 404


async def test_azure_is_never_asked_for_its_list(make: MakeLists) -> None:
    lists = make(Upstream("https://r.example", provider="azure", model_ids=["dep1"]))
    assert await lists.shown() == ["dep1"]
    assert lists.up.requests == []


# A change of configuration.


async def test_after_a_change_calls_go_on_with_the_lists_there_were(make: MakeLists) -> None:
    lists = make(A, B)
    await lists.shown()
    for upstream in (lists.a, lists.b):
        upstream.answer("/models", Gate())
    lists.change(A, B, replace(A, base_url="http://c/v1", name="c", model_ids=["x"]))
    assert await lists.served("m1") == ["a"]
    assert await lists.served("x") == ["c"]


async def test_after_a_change_nothing_from_before_is_shown(make: MakeLists) -> None:
    lists = make(A, B)
    await lists.shown()
    lists.a.models = ["new"]
    lists.change(A)
    assert await lists.shown() == ["new"]
    assert await lists.shown() == ["new"]
    assert (len(lists.a.requests), len(lists.b.requests)) == (2, 1)


async def test_a_refresh_from_before_a_change_is_not_taken_for_one_after_it(make: MakeLists) -> None:
    lists = make(A, model_list_lifetime=0.001)
    await lists.shown()
    old = Gate("old")
    lists.a.answer("/models", old, json_answer({"data": [{"id": "new"}]}))
    await asyncio.sleep(EXPIRED)
    await lists.shown()
    await lists.a.until_requests(2)
    lists.change(A)
    assert await lists.shown() == ["new"]
    old.open.set()
    await lists.refreshed(lists.a, 3)
    assert await lists.shown() == ["new"]
    assert len(lists.a.requests) == 4, "the late answer was shown, or trusted"


@pytest.mark.parametrize("other", [replace(A, prefix_id="p"), replace(A, api_key="other"), replace(A, tags=["t"])])
async def test_a_changed_upstream_starts_from_nothing(make: MakeLists, other: Upstream) -> None:
    lists = make(A)
    await lists.shown()
    lists.change(other)
    await lists.call("unheard-of", "p.unheard-of")
    assert len(lists.a.requests) == 2


async def test_an_upstream_that_moved_shows_its_new_place(make: MakeLists) -> None:
    lists = make(A, B)
    await lists.shown()
    lists.change(B, A)
    catalogue = await lists.lists.for_listing(lists.config, None)
    assert [(model.id, model.metadata["urlIdx"]) for model in catalogue.models] == [("m2", 0), ("m1", 1)]


async def test_requests_of_two_configurations_do_not_undo_each_others_lists(make: MakeLists) -> None:
    lists = make(A)
    await lists.shown()
    before = lists.change(B)
    assert await lists.shown() == ["m2"]
    for _ in range(3):
        assert (await lists.lists.for_call(before, None, ("m1",))).find("m1")
        assert await lists.served("m2") == ["b"]
    assert (len(lists.a.requests), len(lists.b.requests)) == (1, 1)


async def test_old_configurations_are_not_kept_for_ever(make: MakeLists) -> None:
    lists = make(A)
    for _ in range(3 * MOST_ROSTERS):
        lists.change(A)
        await lists.call()
    assert len(lists.lists._rosters) == MOST_ROSTERS
    assert len(lists.a.requests) == 1


# Lists of one's own.


def caller(id: str, token: str | None = None, **more: Any) -> Caller:
    return Caller(User(id), authorization=token, **more)


SESSION = replace(A, auth_type="session")


def own_list(request: FakeRequest) -> Answer:
    token = (request.header("authorization") or "").removeprefix("Bearer ")
    return json_answer({"data": [{"id": f"m-{token}"}]})


async def test_each_caller_has_the_list_of_their_own_token(make: MakeLists) -> None:
    lists = make(SESSION, B)
    lists.a.answer("/models", own_list)
    for _ in range(2):
        assert await lists.shown(caller("ann", "ta")) == ["m-ta", "m2"]
        assert await lists.shown(caller("bob", "tb")) == ["m-tb", "m2"]
        assert await lists.served("m-ta", caller("bob", "tb")) == []
    assert (len(lists.a.requests), len(lists.b.requests)) == (2, 1)


async def test_a_caller_without_a_token_sees_the_rest_and_is_told_to_bring_one(make: MakeLists) -> None:
    lists = make(replace(SESSION, prefix_id="s"), B)
    assert await lists.shown(caller("ann")) == ["m2"]
    catalogue = await lists.call(caller=caller("ann"))
    assert isinstance(catalogue.missing("s.m1"), Unauthenticated)
    assert catalogue.missing("m1").status == 404
    assert lists.a.requests == []


async def test_named_models_of_a_session_upstream_are_everyones_to_see(make: MakeLists) -> None:
    lists = make(replace(SESSION, model_ids=["s1"]))
    assert await lists.shown(caller("ann")) == ["s1"]
    assert await lists.served("s1", caller("ann")) == ["a"]
    assert len(lists.lists._rosters["1"]._users) == 0


async def test_an_own_list_is_refreshed_with_what_its_owner_brought_last(make: MakeLists) -> None:
    used: list[str] = []

    def oauth(token: str) -> Any:
        async def give(upstream: Upstream) -> str:
            used.append(token)
            return token

        return give

    lists = make(replace(A, auth_type="system_oauth"), model_list_lifetime=0.001)
    await lists.shown(caller("ann", oauth=oauth("first")))
    await asyncio.sleep(EXPIRED)
    await lists.shown(caller("ann", oauth=oauth("second")))
    await lists.refreshed(lists.a, 2)
    assert used == ["first", "second"]


async def test_a_user_whose_host_has_no_token_costs_the_others_nothing(make: MakeLists) -> None:
    async def none(upstream: Upstream) -> None:
        return None

    lists = make(replace(A, auth_type="system_oauth"), B)
    assert await lists.shown(caller("ann", oauth=none)) == ["m2"]
    assert lists.a.requests == []


async def test_the_lists_of_many_users_are_bounded(make: MakeLists, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai_gateway_asgi.upstream.list_views.MOST_USERS", 4)
    lists = make(SESSION)
    lists.a.answer("/models", own_list)
    for number in range(12):
        assert await lists.shown(caller(f"user{number}", f"t{number}")) == [f"m-t{number}"]
        assert await lists.shown(caller("user0", "t0")) == ["m-t0"]
    assert len(lists.lists._rosters["1"]._users) == 4
    assert len(lists.a.requests) == 12, "the one that was used all the time was dropped"


async def test_whoever_brings_ever_new_tokens_puts_nobody_elses_list_aside(
    make: MakeLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openai_gateway_asgi.upstream.list_views.MOST_USERS", 4)
    lists = make(SESSION)
    lists.a.answer("/models", own_list)
    await lists.shown(caller("bob", "tb"))
    for number in range(12):
        await lists.shown(caller("ann", f"t{number}"))
    asked = len(lists.a.requests)
    assert await lists.shown(caller("bob", "tb")) == ["m-tb"]
    assert await lists.shown(caller("ann", "t11")) == ["m-t11"]
    assert len(lists.a.requests) == asked
    await lists.shown(caller("ann", "t0"))
    assert len(lists.a.requests) == asked + 1, "all that one user ever had is kept"


# Many models.


async def test_a_catalogue_of_a_hundred_thousand_models_does_not_stall_the_loop(make: MakeLists) -> None:
    entries = [{"id": f"vendor/model-{number}", "object": "model", "created": 1} for number in range(100_000)]
    body = json.dumps({"object": "list", "data": entries}).encode()
    del entries
    lists = make(A)
    lists.a.answer("/models", bytes_answer(body, "application/json"))
    gc.collect()
    async with stall_watch() as stalls:
        catalogue = await lists.call()
    assert len(catalogue.models) == 100_000
    assert stalls.loops < 40


async def test_users_who_stay_away_keep_no_list_that_has_been_replaced(make: MakeLists) -> None:
    """Each of them had the shared list there was when they came last: with every change of it there was one more."""
    lists = make(SESSION, B, model_list_lifetime=0.001)
    lists.a.answer("/models", own_list)
    for number in range(8):
        lists.b.models = [f"m{number}", *map(str, range(10))]
        await asyncio.sleep(EXPIRED)
        await lists.shown(caller(f"user{number}", f"t{number}"))
        await lists.refreshed(lists.b, number + 1)
        await lists.shown(caller(f"user{number}", f"t{number}"))
    gc.collect()
    shared = [each for each in gc.get_objects() if isinstance(each, Listing) and each.models.keys() & {"9"}]
    assert [next(iter(each.models)) for each in shared] == ["m7"]
    assert await lists.served("m7", caller("user0", "t0")) == ["b"]
    assert await lists.served("m-t0", caller("user0", "t0")) == ["a"]


async def test_a_refresh_that_is_over_keeps_nothing_of_the_request_that_began_it(make: MakeLists) -> None:
    """Its task would: tasks have their request's context."""
    lists = make(SESSION, B)
    await lists.shown(caller("ann", "ta"))
    await lists.refreshed(lists.b, 1)
    gc.collect()
    tasks = [each for each in gc.get_objects() if isinstance(each, asyncio.Task)]
    assert [task for task in tasks if task.done() and "_load" in repr(task.get_coro())] == []


@pytest.mark.parametrize("upstream", [A, SESSION], ids=["shared", "own"])
async def test_a_long_list_is_read_in_turns_and_in_no_thread(make: MakeLists, upstream: Upstream) -> None:
    """A thread takes the interpreter for five milliseconds whenever the loop's own waits for a socket."""
    lists = make(upstream)
    lists.a.models = [f"vendor/model-{number}" for number in range(20_000)]
    before = threading.active_count()
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, threading.active_count())
        watching.append(asyncio.get_running_loop().call_soon(look))

    watching: deque[asyncio.Handle] = deque(maxlen=1)
    look()
    some, others = await asyncio.gather(*(lists.shown(caller("ann", "ta")) for _ in range(2)))
    again = await lists.shown(caller("bob", "tb"))
    watching[0].cancel()
    assert some == others == again == lists.a.models
    assert most == before


async def test_long_lists_of_ones_own_are_counted_and_given_up(
    make: MakeLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by itself: their models are not looked for among those of others."""
    monkeypatch.setattr("openai_gateway_asgi.upstream.list_views.MOST_OWN_BYTES", 20 * 1024 * 1024)
    lists = make(SESSION)
    lists.a.models = [f"m{number}" for number in range(MOST_SHARED + 1)]
    for number in range(4):
        lists.a.models[0] = f"own-{number}"
        assert await lists.shown(caller(f"user{number}", f"t{number}")) == lists.a.models
    gc.collect()
    assert len(lists.lists._rosters["1"]._users) in (2, 3)
    asked = len(lists.a.requests)
    assert await lists.shown(caller("user3", "t3")) == lists.a.models
    assert len(lists.a.requests) == asked
