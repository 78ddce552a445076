from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from openai_gateway_asgi.config import ConfigStore, FileStore, GatewayConfig, MemoryStore, Upstream, VersionConflict
from openai_gateway_asgi.config import live as live_module
from openai_gateway_asgi.config.live import LiveConfig
from openai_gateway_asgi.errors import ConfigError, GatewayError
from tests.support.cost import turns_of_loop
from tests.support.servers import serve_workers

A = Upstream("http://a/v1", api_key="sk-of-upstream-a")
B = Upstream("http://b/v1")


class Store(MemoryStore):
    """A shared store that counts, waits and fails as a test says."""

    shared = True

    def __init__(self) -> None:
        super().__init__([A])
        self.looks = 0
        self.loads = 0
        self.fault: Exception | None = None
        self.load_fault: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def version(self) -> str:
        self.looks += 1
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        return await super().version()

    async def load(self) -> GatewayConfig:
        self.loads += 1
        if self.load_fault is not None:
            raise self.load_fault
        return await super().load()

    async def change(self, *upstreams: Upstream) -> GatewayConfig:
        """As another process would."""
        return await super().save(GatewayConfig(upstreams=upstreams), replaces=None)


@dataclass
class Watched:
    live: LiveConfig
    adopted: list[GatewayConfig]


def watch(store: ConfigStore) -> Watched:
    adopted: list[GatewayConfig] = []
    return Watched(LiveConfig(store, adopted=adopted.append), adopted)


@pytest.fixture
def always_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request looks at the store, so that no test waits for the clock."""
    monkeypatch.setattr(live_module, "CHECK_EVERY", 0.0)


async def test_a_store_of_this_process_alone_is_read_once() -> None:
    store = Store()
    store.shared = False
    live = watch(store).live
    configs = [await live.current() for _ in range(5)]
    assert all(config is configs[0] for config in configs)
    assert (store.looks, store.loads) == (1, 1)


async def test_many_requests_at_once_cost_one_look() -> None:
    store = Store()
    live = watch(store).live
    assert len({id(config) for config in await asyncio.gather(*(live.current() for _ in range(100)))}) == 1
    assert (store.looks, store.loads) == (1, 1)


async def test_a_shared_store_is_not_asked_for_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "CHECK_EVERY", 3600.0)
    store = Store()
    live = watch(store).live
    for _ in range(5):
        await live.current()
    assert store.looks == 1


@pytest.mark.usefixtures("always_look")
async def test_what_another_process_saved_comes_into_force_and_is_told_once() -> None:
    store = Store()
    watched = watch(store)
    first = await watched.live.current()
    second = await store.change(B)
    for _ in range(3):
        assert await watched.live.current() is second
    assert watched.adopted == [first, second]
    assert store.loads == 2


async def test_what_is_saved_here_is_in_force_at_once() -> None:
    store = Store()
    watched = watch(store)
    first = await watched.live.current()
    saved = await watched.live.save(GatewayConfig(upstreams=[B]), replaces=first.version)
    assert await watched.live.current() is saved
    assert watched.live.known is saved
    assert watched.adopted == [first, saved]
    with pytest.raises(VersionConflict):
        await watched.live.save(GatewayConfig(), replaces=first.version)
    assert await watched.live.current() is saved


@pytest.mark.parametrize("fault", [ConfigError("config.json", "cannot be written"), RuntimeError("sk-of-upstream-a")])
async def test_a_store_that_fails_to_keep_a_configuration_says_where_and_not_what(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(Store):
        async def save(self, config: GatewayConfig, *, replaces: str | None) -> GatewayConfig:
            raise fault

    watched = watch(Full())
    first = await watched.live.current()
    with pytest.raises(GatewayError) as caught:
        await watched.live.save(GatewayConfig(upstreams=[A]), replaces=None)
    assert (caught.value.status, caught.value.code) == (500, "configuration_unavailable")
    assert await watched.live.current() is first
    (line,) = caplog.messages
    assert "config.json: cannot be written" in line or "RuntimeError in save (test_live.py, line" in line
    assert "sk-of-upstream-a" not in caplog.text


@pytest.mark.usefixtures("always_look")
@pytest.mark.parametrize(
    ("method", "gives", "told"),
    [
        ("load", {"OPENAI_API_BASE_URLS": []}, "store.load: gave something of type dict"),
        ("version", 7, "store.version: gave something of type int"),
        ("save", None, "store.save: gave something of type NoneType"),
    ],
)
async def test_a_store_that_gives_something_else_is_told_what_to_return(
    method: str, gives: Any, told: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wrong(*args: Any, **options: Any) -> Any:
        return gives

    store = Store()
    watched = watch(store)
    first = await watched.live.current()
    await store.change(B)
    monkeypatch.setattr(store, method, wrong)
    if method == "save":
        with pytest.raises(GatewayError):
            await watched.live.save(GatewayConfig(), replaces=None)
    else:
        assert await watched.live.current() is first
    assert told in caplog.text


FAULTS = [ConfigError("/etc/gateway.json", "is not a JSON object"), OSError("sk-of-upstream-a"), TimeoutError()]


@pytest.mark.usefixtures("always_look")
@pytest.mark.parametrize("where", ["fault", "load_fault"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_store_that_fails_leaves_the_last_good_configuration_in_force(
    where: str, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store()
    watched = watch(store)
    first = await watched.live.current()
    changed = await store.change(B)
    setattr(store, where, fault)
    for _ in range(3):
        assert await watched.live.current() is first
    assert watched.live.fault
    assert [record.levelno for record in caplog.records] == [logging.ERROR], "said once, not for every request"
    assert "sk-of-upstream-a" not in caplog.text
    setattr(store, where, None)
    assert await watched.live.current() is changed
    assert watched.live.fault is None


@pytest.mark.usefixtures("always_look")
async def test_without_any_good_configuration_there_is_a_500_until_there_is_one() -> None:
    store = Store()
    store.load_fault = ConfigError("x", "is broken")
    live = watch(store).live
    with pytest.raises(GatewayError) as caught:
        await live.current()
    assert (caught.value.status, caught.value.code) == (500, "configuration_unavailable")
    assert live.known is None
    store.load_fault = None
    assert (await live.current()).upstreams == (A,)


@pytest.mark.usefixtures("always_look")
async def test_a_store_that_hangs_is_waited_for_once_and_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "PATIENCE", 0.05)
    store = Store()
    watched = watch(store)
    first = await watched.live.current()
    store.open.clear()
    assert await watched.live.current() is first
    monkeypatch.setattr(live_module, "PATIENCE", 0.0)  # it has been waited for; nobody else has to
    for _ in range(50):
        assert await watched.live.current() is first
    assert store.looks == 2
    changed = await store.change(B)
    store.open.set()
    monkeypatch.setattr(live_module, "PATIENCE", 5.0)
    assert await watched.live.current() is changed
    await watched.live.aclose()


async def test_after_its_patience_a_hanging_store_costs_requests_no_time() -> None:
    store = Store()
    live = watch(store).live
    await live.current()
    await asyncio.sleep(live_module.CHECK_EVERY)
    store.open.clear()
    await live.current()
    assert await turns_of_loop(live.current) < 10
    await live.aclose()


async def test_a_request_that_leaves_does_not_stop_the_look() -> None:
    store = Store()
    store.open.clear()
    live = watch(store).live
    leaving, staying = (asyncio.create_task(live.current()) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    store.open.set()
    assert (await staying).upstreams == (A,)
    assert store.looks == 1


async def test_closing_ends_a_look_under_way() -> None:
    store = Store()
    live = watch(store).live
    await live.current()
    await asyncio.sleep(live_module.CHECK_EVERY)
    store.open.clear()
    await live.current()
    await live.aclose()
    assert len(asyncio.all_tasks()) == 1


def test_one_configuration_serves_event_loops_one_after_the_other(tmp_path: Path) -> None:
    live = watch(FileStore(tmp_path / "config.json", [A])).live

    async def use() -> GatewayConfig:
        try:
            return await live.current()
        finally:
            await live.aclose()

    assert asyncio.run(use()) is asyncio.run(use())


@pytest.mark.usefixtures("always_look")
async def test_what_cannot_be_read_can_be_saved_over_unless_somebody_mended_it(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    live = watch(FileStore(path, [A])).live
    first = await live.current()
    path.write_text("{")
    await live.current()
    assert live.fault
    path.write_text("{ }")  # another fault, which nobody has seen yet
    with pytest.raises(VersionConflict):
        await live.save(GatewayConfig(upstreams=[B]), replaces=first.version)
    await live.current()
    saved = await live.save(GatewayConfig(upstreams=[B]), replaces=first.version)
    assert (await live.current()).upstreams == saved.upstreams == (B,)
    assert live.fault is None


# Several processes.


async def _config(url: str) -> tuple[str, dict[str, Any]]:
    """The configuration, and the process that gave it: each time over a connection of its own."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/config")
        return answer.headers["x-process"], answer.json()


async def test_a_change_made_through_one_worker_is_in_force_in_all_within_a_second(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    async with serve_workers("tests.config.shared_app:app", env={"SHARED_CONFIG": str(path)}) as program:
        workers = {str(pid) for pid in program.worker_pids}
        assert len(workers) == 2
        process, config = await _config(program.url)
        seen = {process}
        while seen != workers:  # each has served, and so has the old configuration in force
            process, config = await _config(program.url)
            seen.add(process)
        config["OPENAI_API_CONFIGS"] = {"0": {"model_ids": ["after"]}}
        async with httpx.AsyncClient() as client:
            assert (await client.post(f"{program.url}/config/update", json=config)).status_code == 200
        saved = time.monotonic()
        changed: set[str] = set()
        while changed != workers:
            asked = time.monotonic()
            process, config = await _config(program.url)
            if config["OPENAI_API_CONFIGS"] == {"0": {"model_ids": ["after"]}}:
                changed.add(process)
            else:
                assert asked - saved < 1.0, f"{process} still serves the old configuration"
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_look_that_takes_too_long_has_failed_and_the_next_one_begins(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live_module, "CHECK_EVERY", 0.0)
    monkeypatch.setattr(live_module, "LOOKING", 0.1)
    monkeypatch.setattr(live_module, "PATIENCE", 5.0)
    store = Store()
    live = watch(store).live
    first = await live.current()
    store.open.clear()
    assert await live.current() is first
    assert live.fault == "TimeoutError"
    changed = await store.change(B)
    store.open.set()
    assert await live.current() is changed
    assert live.fault is None
