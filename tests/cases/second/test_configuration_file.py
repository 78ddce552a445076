"""Cases 275, 276 and 282: the file with the configuration is gone, locked by others, or was being written at a crash."""

# ruff: noqa: ASYNC240 - files are the subject, and nothing else runs on these loops
from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from openai_gateway_asgi import FileStore, Gateway, GatewayConfig, Settings
from openai_gateway_asgi.config import file_store
from openai_gateway_asgi.testing import FakeUpstream
from tests.reliability.gateways import ADMIN, SHORT, assert_error, call, chat, everyone, named, resolve_user
from tests.support.asgi import Response, ask
from tests.support.leaks import lasting

BACK = 1.0
"""Seconds in which what changed in the file is in force."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "gateway.json"


def gateway_of(path: Path, upstream: FakeUpstream) -> Gateway:
    """Its constructor names another model than its file, once there is one."""
    return Gateway(
        FileStore(path, [named("constructor", models=["constructor"])]),
        resolve_user=resolve_user,
        authorize_model=everyone,
        settings=Settings(timeouts=SHORT),
        transport=upstream.transport(),
    )


@pytest.fixture
async def gateway(path: Path) -> AsyncIterator[Gateway]:
    """It has read ``stored`` from its file."""
    await FileStore(path).save(GatewayConfig(upstreams=[named("file", models=["stored"])]), replaces=None)
    gateway = gateway_of(path, FakeUpstream())
    assert (await call(gateway, chat(model="stored"))).status == 200
    yield gateway
    await gateway.aclose()


async def read_config(gateway: Gateway) -> Any:
    return (await ask(gateway, "GET", "/v1/config", headers=ADMIN)).json()


async def update(gateway: Gateway, config: Any, model: str) -> Response:
    config["OPENAI_API_CONFIGS"]["0"]["model_ids"] = [model]
    return await ask(gateway, "POST", "/v1/config/update", json=config, headers=ADMIN)


async def until_fault(gateway: Gateway, there: bool) -> None:
    async with asyncio.timeout(BACK):
        while ("fault" in await read_config(gateway)) != there:
            await asyncio.sleep(0.02)


async def serves(gateway: Gateway, model: str) -> bool:
    return (await call(gateway, chat(model=model))).status == 200


# 275


def remove(path: Path) -> None:
    path.unlink()


def move_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("away"))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("lose", [remove, move_folder, empty])
async def test_case_275_a_file_that_is_gone_is_a_fault_and_the_last_good_configuration_stays(
    gateway: Gateway, path: Path, lose: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    lose(path)
    await until_fault(gateway, True)

    assert await serves(gateway, "stored")
    assert not await serves(gateway, "constructor")
    assert str(path) in caplog.text


async def test_case_275_a_file_that_comes_back_is_in_force(gateway: Gateway, path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    await until_fault(gateway, True)
    path.write_bytes(content.replace(b'"stored"', b'"mended"'))
    await until_fault(gateway, False)
    assert await serves(gateway, "mended")


async def test_case_275_an_administrator_can_save_it_anew(gateway: Gateway, path: Path) -> None:
    path.unlink()
    await until_fault(gateway, True)
    config = await read_config(gateway)
    config.pop("fault")
    assert (await update(gateway, config, "anew")).status == 200
    assert await serves(gateway, "anew")
    await until_fault(gateway, False)
    assert b'"anew"' in path.read_bytes()


async def test_case_275_a_file_that_this_process_saved_itself_counts_as_read(path: Path) -> None:
    gateway = gateway_of(path, FakeUpstream())
    assert await serves(gateway, "constructor")
    config = await read_config(gateway)
    assert (await update(gateway, config, "saved")).status == 200
    path.unlink()
    await until_fault(gateway, True)
    assert await serves(gateway, "saved")
    await gateway.aclose()


async def test_case_275_before_there_is_a_file_the_constructors_upstreams_are_in_force(path: Path) -> None:
    gateway = gateway_of(path, FakeUpstream())
    assert await serves(gateway, "constructor")
    assert "fault" not in await read_config(gateway)
    await gateway.aclose()


# 276

HOLD = """
import fcntl, sys
with open(sys.argv[1], "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process_holds_the_lock(path: Path) -> Iterator[Callable[[], None]]:
    """Until what is yielded is called."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, f"{path}.lock"], **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process.stdin.close
        process.stdin.close()


async def test_case_276_an_update_waits_its_deadline_for_the_lock_and_is_told(
    gateway: Gateway, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_store, "PATIENCE", 0.3)
    config = await read_config(gateway)
    with another_process_holds_the_lock(path):
        async with lasting(0.3, 2.0):
            got = await update(gateway, config, "new")

    assert "Another process" in assert_error(got, 503, "gateway_busy")["message"]
    assert got.header("retry-after") == "1"
    assert await serves(gateway, "stored")
    assert (await update(gateway, config, "new")).status == 200


async def test_case_276_nobody_else_waits_and_the_loops_threads_stay_free(gateway: Gateway, path: Path) -> None:
    config = await read_config(gateway)
    with another_process_holds_the_lock(path) as let_go:
        updates = [asyncio.create_task(update(gateway, config, f"new-{number}")) for number in range(64)]
        async with asyncio.timeout(2.0):
            for _ in range(20):
                assert await serves(gateway, "stored")
                await asyncio.to_thread(len, "the host's own work in the loop's threads")
                await read_config(gateway)
        assert not any(each.done() for each in updates)
        let_go()
        answers = await asyncio.gather(*updates)

    assert sorted({each.status for each in answers}) == [200, 412]
    assert [each.status for each in answers].count(200) == 1


async def test_case_276_an_update_whose_client_leaves_waits_no_longer(gateway: Gateway, path: Path) -> None:
    config = await read_config(gateway)
    with another_process_holds_the_lock(path):
        updating = asyncio.create_task(update(gateway, config, "new"))
        await asyncio.sleep(0.1)
        updating.cancel()
        await asyncio.gather(updating, return_exceptions=True)
    assert await serves(gateway, "stored")
    assert not await serves(gateway, "new")


async def test_case_276_a_disk_that_hangs_takes_one_thread_however_many_save(
    gateway: Gateway, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_store, "PATIENCE", 0.3)
    config = await read_config(gateway)
    path.unlink()
    os.mkfifo(path)  # to open it hangs, as on a file system whose server is away
    try:
        answers = await asyncio.gather(*(update(gateway, config, f"new-{number}") for number in range(16)))
        assert {each.status for each in answers} == {503}
        assert await serves(gateway, "stored")
        await asyncio.to_thread(len, "the host's own work in the loop's threads")
    finally:
        released = path.with_name("away")
        path.rename(released)
        for _ in range(8):  # whoever hangs in it gets its end
            writer = os.open(released, os.O_RDWR | os.O_NONBLOCK)
            await asyncio.sleep(0.02)
            os.close(writer)


# 282

CRASH = """
import asyncio, os, signal, sys
from openai_gateway_asgi import FileStore, GatewayConfig, Upstream

os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(FileStore(sys.argv[1]).save(GatewayConfig(upstreams=[Upstream("http://a.test", api_key="sk-left-behind")]), replaces=None))
"""


def crash_while_saving(path: Path) -> list[Path]:
    """What the crash has left."""
    assert subprocess.run([sys.executable, "-c", CRASH, str(path)], check=False).returncode == -signal.SIGKILL
    left = [each for each in path.parent.iterdir() if each.name not in (path.name, f"{path.name}.lock")]
    assert any(b"sk-left-behind" in each.read_bytes() for each in left)
    return left


def test_case_282_what_a_crash_left_is_removed_at_the_next_start(path: Path) -> None:
    left = crash_while_saving(path) + crash_while_saving(path)
    FileStore(path)
    assert not any(each.exists() for each in left)


async def test_case_282_and_by_the_next_change_of_a_process_that_runs_on(gateway: Gateway, path: Path) -> None:
    left = crash_while_saving(path)
    config = await read_config(gateway)
    assert (await update(gateway, config, "new")).status == 200
    assert not any(each.exists() for each in left)


def test_case_282_what_somebody_is_writing_just_now_stays(path: Path) -> None:
    [left] = crash_while_saving(path)
    with another_process_holds_the_lock(path):
        FileStore(path)
        assert left.exists()
    FileStore(path)
    assert not left.exists()


def test_case_282_files_that_are_not_ours_stay(path: Path) -> None:
    [left] = crash_while_saving(path)
    ending = left.name.rpartition(".")[2]
    others = [
        path.with_name(name)
        for name in (
            ".gateway.json.original",
            ".gateway.json.swp",
            ".other.json.abcdefgh." + ending,
            "gateway.json.abcdefgh." + ending,
            ".gateway.json.abcdefghi." + ending,
            ".gateway.json.ABCDEFGH." + ending,
        )
    ]
    for each in others:
        each.write_bytes(b"mine")
    link = path.with_name(".gateway.json.linklink." + ending)
    link.symlink_to(others[0])
    folder = path.with_name(".gateway.json.folderfo." + ending)
    folder.mkdir()
    FileStore(path)
    assert not left.exists()
    assert all(each.read_bytes() == b"mine" for each in others)
    assert link.is_symlink()
    assert folder.is_dir()


def test_case_282_a_start_without_a_folder_or_a_right_to_write_goes_on(path: Path, tmp_path: Path) -> None:
    FileStore(tmp_path / "none" / "gateway.json")
    assert not (tmp_path / "none").exists()
    FileStore(path)
    assert list(path.parent.iterdir()) == []
