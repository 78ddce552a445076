"""Case 283: a thousand upstreams of one host cost no more each than ten do."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest

from openai_gateway_asgi import Settings, User
from openai_gateway_asgi.config import GatewayConfig, Upstream, from_wire, to_wire
from openai_gateway_asgi.observe.health import Health
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.upstream.breaker import State
from openai_gateway_asgi.upstream.credentials import Caller, Credentials
from openai_gateway_asgi.upstream.list_views import Roster, View
from openai_gateway_asgi.upstream.transport import AiohttpTransport
from tests.cases.gateways import World, world
from tests.reliability.processes import many_files
from tests.support.leaks import Stalls, stall_watch
from tests.support.operations import operations


def config(count: int, **same: Any) -> GatewayConfig:
    """Upstreams of one host, of which no two share a name, a key, a header or a prefix."""
    return GatewayConfig(
        upstreams=[
            Upstream(
                "http://one.example/v1",
                api_key=f"sk-{n:020d}",
                prefix_id=f"p{n}",
                headers={"x-key": f"{n:020d}"},
                **same,
            )
            for n in range(count)
        ],
        version="1",
    )


def update(count: int) -> Callable[[], object]:
    """What an administrator reads, posted back as it is: each secret is found behind its mask."""
    current = config(count)
    posted = to_wire(current)
    return lambda: from_wire(posted, current)


def update_behind_proxies(count: int) -> Callable[[], object]:
    current = config(count, proxy="http://user:password@proxy.example:3128")
    posted = to_wire(current)
    return lambda: from_wire(posted, current)


def start(count: int) -> Callable[[], object]:
    return lambda: config(count)


def read(count: int) -> Callable[[], object]:
    current = config(count)
    return lambda: to_wire(current)


def health(count: int) -> Callable[[], object]:
    """Of each upstream ten models fail."""
    current = config(count)
    breakers = {(each.name, f"m{n}"): State.OPEN for each in current.upstreams for n in range(10)}
    return lambda: Health.of(current, draining=False, lists={}, breakers=breakers, in_use={}).encode()


def lists(count: int, **same: Any) -> Roster:
    return Roster(config(count, **same), Settings(), Credentials(), None)


def set_up(count: int) -> Callable[[], object]:
    given = config(count, model_ids=["a", "gpt-*"])
    return lambda: Roster(given, Settings(), Credentials(), None)


def set_up_own(count: int) -> Callable[[], object]:
    given = config(count, auth_type="session")
    return lambda: Roster(given, Settings(), Credentials(), None)


def change(count: int) -> Callable[[], object]:
    before, given = lists(count), config(count)
    return lambda: Roster(given, Settings(), Credentials(), before)


def merge(count: int) -> Callable[[], object]:
    view = lists(count, model_ids=["a", "b"]).view(None)

    def work() -> None:
        view.rebuild(uncached=False)
        assert len(view.catalogue.models) == 2 * count

    return work


def unknown(count: int) -> Callable[[], object]:
    view = _seen(lists(count).view(None))
    return lambda: (view.undecided(("p7.m",), view.first), view.catalogue.find("p7.m"), view.catalogue.missing("p7.m"))


def _seen(view: View) -> View:
    view.rebuild(uncached=False)
    return view


@pytest.mark.parametrize(
    "work", [start, read, update, update_behind_proxies, health, set_up, set_up_own, change, merge, unknown]
)
def test_case_283_four_times_the_upstreams_are_four_times_the_work(work: Callable[[int], Callable[[], object]]) -> None:
    few, many = operations(work(50)), operations(work(200))
    assert many < 5 * few


def test_case_283_each_secret_is_found_behind_its_mask() -> None:
    current = config(1000)
    posted = from_wire(to_wire(current), current)
    assert posted.upstreams == current.upstreams
    assert len({upstream.name for upstream in posted.upstreams}) == 1000


def test_case_283_whose_lists_they_are_is_found_once_however_many_upstreams_ask_for_it() -> None:
    caller = Caller(User("ann"), authorization="token")
    few, many = (lists(count, auth_type="session") for count in (10, 500))
    assert few.view(caller) is few.view(caller)
    assert many.view(caller) is many.view(caller)
    assert operations(lambda: many.view(caller)) == operations(lambda: few.view(caller))


@pytest.fixture
def _uncollected() -> Iterator[None]:
    """What Python's collector takes is the host's to settle."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def during(work: Callable[[], Awaitable[object]]) -> Stalls:
    async with stall_watch() as stalls:
        await work()
    return stalls


@pytest.mark.usefixtures("_uncollected")
async def test_case_283_a_thousand_upstreams_of_one_host_hold_nobody_up() -> None:
    async with world(*config(1000).upstreams) as w:
        w.upstream.models = ["m1", "m2"]
        stalls = {name: await during(work) for name, work in everything(w).items()}
        assert {name: each for name, each in stalls.items() if each.loops > 40} == {}


@pytest.mark.soak
@pytest.mark.usefixtures("_uncollected")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_case_283_over_sockets_neither(host: str) -> None:
    with many_files(), FakeUpstream(["m1", "m2"]) as fake:
        upstreams = [Upstream(f"http://{host}:{fake.port}/v1", prefix_id=f"p{n}") for n in range(1000)]
        async with world(*upstreams, transport=None, settings=Settings(verify_tls=False)) as w:
            stalls = {name: await during(work) for name, work in everything(w).items()}
        assert {name: each for name, each in stalls.items() if each.loops > 40} == {}


def everything(w: World) -> dict[str, Callable[[], Awaitable[object]]]:
    async def call(id: str = "p7.m1") -> None:
        assert (await w.chat(id)).status == 200

    async def mistyped() -> None:
        assert (await w.chat("p7.m9")).status == 404

    async def show() -> None:
        assert len((await w.ask("GET", "/models")).json()["data"]) == 2000

    async def update() -> None:
        posted = (await w.ask("GET", "/config")).json()
        posted["OPENAI_API_KEYS"][3] = "another"
        assert (await w.post("/config/update", posted)).status == 200

    async def health() -> None:
        assert len(w.gateway.health().encode()) > 10_000

    return {
        "the first call": call,
        "another": lambda: call("p8.m1"),
        "all lists": show,
        "the lists again": show,
        "a mistyped model": mistyped,
        "health": health,
        "an update": update,
        "a call after it": call,
        "all lists after it": show,
        "the end": w.gateway.aclose,
    }


async def test_case_283_a_name_is_looked_up_once_at_a_time_however_many_upstreams_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, go_on = 0, threading.Event()

    def look_up(*question: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        go_on.wait(5)
        raise socket.gaierror(socket.EAI_NONAME, "no such host")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    transports = [AiohttpTransport(keepalive=4) for _ in range(50)]
    request = httpx.Request("GET", "http://one.example/v1/models")
    asking = [asyncio.create_task(each.handle_async_request(request)) for each in transports]
    await asyncio.sleep(0.05)
    go_on.set()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(result) for result in results} == {httpx.ConnectError}
    assert asked == 1
    for each in transports:
        await each.aclose()
