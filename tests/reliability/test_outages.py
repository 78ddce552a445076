"""The token endpoint and the disk: failing, hanging and coming back. Who does not need them does not notice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openai_gateway_asgi import FileStore, Gateway, GatewayConfig, Settings, Upstream
from openai_gateway_asgi.testing import FakeUpstream
from tests.reliability.gateways import ADMIN, SHORT, assert_error, call, chat, everyone, named, resolve_user
from tests.support.asgi import Response, ask
from tests.support.leaks import lasting
from tests.support.token_endpoint import TokenEndpoint, token_endpoint

BACK = 1.0
"""Seconds from the return of what had failed to the first call that succeeds."""


def make_gateway(store: Any, upstream: FakeUpstream) -> Gateway:
    return Gateway(
        store,
        resolve_user=resolve_user,
        authorize_model=everyone,
        settings=Settings(timeouts=SHORT),
        transport=upstream.transport(),
    )


async def recovered(gateway: Gateway, model: str) -> None:
    async with asyncio.timeout(BACK):
        while (await call(gateway, chat(model=model))).status != 200:
            await asyncio.sleep(0.02)


# Tokens


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenEndpoint]:
    with token_endpoint(monkeypatch) as endpoint:
        yield endpoint


@pytest.fixture
def two_kinds(endpoint: TokenEndpoint) -> Gateway:
    entra_id = Upstream("https://azure.test/openai/v1", auth_type="microsoft_entra_id", model_ids=["token"])
    return make_gateway([entra_id, named("plain", models=["plain"])], FakeUpstream())


async def unharmed(gateway: Gateway) -> None:
    """Calls that need no token go on, and as quickly as ever."""
    async with lasting(0, 0.5):
        assert (await call(gateway, chat(model="plain"))).status == 200


async def test_a_token_endpoint_that_fails_and_comes_back(two_kinds: Gateway, endpoint: TokenEndpoint) -> None:
    endpoint.broken, endpoint.status = b'{"error": "down"}', 500
    for _ in range(3):
        error = assert_error(await call(two_kinds, chat(model="token")), 502, "upstream_credential")
        assert "down" not in error["message"]
        await unharmed(two_kinds)

    endpoint.broken = None
    await recovered(two_kinds, "token")
    await two_kinds.aclose()


async def test_a_token_endpoint_that_hangs_and_comes_back(two_kinds: Gateway, endpoint: TokenEndpoint) -> None:
    endpoint.delay = 60.0  # what was asked while it hung is never answered
    waiting = [asyncio.create_task(call(two_kinds, chat(model="token"))) for _ in range(20)]
    for asked in (1, 2):
        await asyncio.to_thread(endpoint.wait_for, asked)
        await unharmed(two_kinds)

    endpoint.delay = 0.0
    async with asyncio.timeout(BACK):
        assert {answer.status for answer in await asyncio.gather(*waiting)} == {200}
    await recovered(two_kinds, "token")
    await two_kinds.aclose()


async def test_a_valid_token_outlives_its_endpoint(two_kinds: Gateway, endpoint: TokenEndpoint) -> None:
    await recovered(two_kinds, "token")
    endpoint.broken, endpoint.status = b"{}", 500
    for _ in range(3):
        assert (await call(two_kinds, chat(model="token"))).status == 200
    await two_kinds.aclose()


# The disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "gateway.json"


async def stored(path: Path) -> FileStore:
    store = FileStore(path)
    await store.save(GatewayConfig(upstreams=[named("a")]), replaces=None)
    return store


async def read_config(gateway: Gateway) -> Any:
    return (await ask(gateway, "GET", "/v1/config", headers=ADMIN)).json()


async def save_config(gateway: Gateway, config: Any) -> Response:
    return await ask(gateway, "POST", "/v1/config/update", json=config, headers=ADMIN)


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def damage_content(path: Path) -> None:
    path.write_bytes(b'{"half')


def damage_kind(path: Path) -> None:
    path.unlink()
    path.mkdir()


def mend(path: Path, good: bytes) -> None:
    if path.is_dir():
        path.rmdir()
    path.write_bytes(good.replace(b'"gpt"', b'"new"'))


def take_away(folder: Path) -> None:
    folder.rename(folder.with_name("away"))
    folder.write_bytes(b"a file where the folder was")


def bring_back(folder: Path) -> None:
    folder.unlink()
    folder.with_name("away").rename(folder)


@pytest.mark.parametrize("damage", [damage_content, damage_kind])
async def test_a_file_that_cannot_be_read_leaves_the_last_good_configuration(path: Path, damage: Any) -> None:
    gateway = make_gateway(await stored(path), FakeUpstream())
    assert (await call(gateway)).status == 200
    good = content_of(path)

    damage(path)
    await until_fault(gateway, True)
    assert (await call(gateway)).status == 200

    mend(path, good)
    await recovered(gateway, "new")
    await until_fault(gateway, False)
    await gateway.aclose()


async def until_fault(gateway: Gateway, there: bool) -> None:
    async with asyncio.timeout(BACK):
        while ("fault" in await read_config(gateway)) != there:
            await asyncio.sleep(0.02)


async def test_a_disk_that_cannot_be_written_refuses_the_change_whole(path: Path) -> None:
    gateway = make_gateway(await stored(path), FakeUpstream())
    config = await read_config(gateway)
    await call(gateway)
    take_away(path.parent)
    config["OPENAI_API_CONFIGS"]["0"]["model_ids"] = ["new"]

    assert_error(await save_config(gateway, config), 500, "configuration_unavailable")
    assert (await call(gateway)).status == 200
    assert (await call(gateway, chat(model="new"))).status == 404

    bring_back(path.parent)
    assert (await save_config(gateway, config)).status == 200
    assert (await call(gateway, chat(model="new"))).status == 200
    await gateway.aclose()


class HangingStore(FileStore):
    """A disk that can be made to hang."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.works = asyncio.Event()
        self.works.set()

    async def version(self) -> str:
        await self.works.wait()
        return await super().version()


async def test_a_disk_that_hangs_costs_calls_no_time_and_is_noticed_when_it_is_back(path: Path) -> None:
    await stored(path)
    store = HangingStore(path)
    gateway = make_gateway(store, FakeUpstream())
    assert (await call(gateway)).status == 200

    store.works.clear()
    async with lasting(0, 20 * 0.02 + 0.6):
        for _ in range(20):
            assert (await call(gateway)).status == 200
            await asyncio.sleep(0.02)

    mend(path, content_of(path))
    store.works.set()
    await recovered(gateway, "new")
    await gateway.aclose()
