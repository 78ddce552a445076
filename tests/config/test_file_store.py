# ruff: noqa: ASYNC220, ASYNC230, ASYNC240 - files are the subject, and nothing else runs on these loops
from __future__ import annotations

import asyncio
import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from openai_gateway_asgi.config import FileStore, GatewayConfig, Upstream, VersionConflict, file_store
from openai_gateway_asgi.errors import ConfigError

A = Upstream("http://a.example/v1", api_key="sk-key-in-clear", headers={"X-A": "header-in-clear"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.json"


async def test_loading_creates_no_file(path: Path) -> None:
    store = FileStore(path, [A])
    await store.load()
    await store.version()
    assert os.listdir(path.parent) == []


async def test_the_file_is_the_wire_form_with_secrets_in_clear(path: Path) -> None:
    await FileStore(path).save(GatewayConfig(True, [A], {"m": ["n"]}), replaces=None)
    document = json.loads(path.read_text())
    assert document.pop("revision")
    assert document == {
        "ENABLE_OPENAI_API": True,
        "OPENAI_API_BASE_URLS": ["http://a.example/v1"],
        "OPENAI_API_KEYS": ["sk-key-in-clear"],
        "OPENAI_API_CONFIGS": {"0": {"headers": {"X-A": "header-in-clear"}}},
        "MODEL_FALLBACKS": {"m": ["n"]},
    }


async def test_only_the_owner_reads_the_file_whatever_it_was_before(path: Path) -> None:
    path.write_text("{}")
    path.chmod(0o644)
    await FileStore(path).save(GatewayConfig(), replaces=None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


async def test_saving_leaves_the_file_and_its_lock_alone(path: Path) -> None:
    await FileStore(path).save(GatewayConfig(), replaces=None)
    assert sorted(os.listdir(path.parent)) == ["gateway.json", "gateway.json.lock"]


async def test_a_link_to_the_file_stays_a_link(path: Path) -> None:
    link = path.parent / "link.json"
    link.symlink_to(path)
    await FileStore(link).save(GatewayConfig(upstreams=[A]), replaces=None)
    assert link.is_symlink()
    assert (await FileStore(path).load()).upstreams == (A,)


async def test_two_stores_on_one_file_see_each_other(path: Path) -> None:
    one, other = FileStore(path), FileStore(path, [A])
    saved = await one.save(GatewayConfig(upstreams=[A, A]), replaces=await one.version())
    assert await other.version() == saved.version
    assert await other.load() == saved


async def test_an_edit_by_hand_is_a_new_version(path: Path) -> None:
    store = FileStore(path)
    saved = await store.save(GatewayConfig(upstreams=[A]), replaces=None)
    path.write_text(path.read_text().replace("true", "false"))
    assert await store.version() != saved.version
    assert not (await store.load()).enabled
    with pytest.raises(VersionConflict):
        await store.save(GatewayConfig(), replaces=saved.version)


async def test_a_file_written_by_hand_needs_the_three_structures_only(path: Path) -> None:
    path.write_text('{"OPENAI_API_BASE_URLS": ["http://h.example/"], "OPENAI_API_KEYS": [], "OPENAI_API_CONFIGS": {}}')
    config = await FileStore(path, [A], enabled=False).load()
    assert config.enabled
    assert config.upstreams == (Upstream("http://h.example"),)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[]", ""),
        (b"\xff\xfe", ""),
        (b"[" * 5000, ""),
        (b"{}", ": OPENAI_API_BASE_URLS"),
        (b'{"foo": 1}', ": foo"),
        (
            b'{"OPENAI_API_BASE_URLS": [""], "OPENAI_API_KEYS": [], "OPENAI_API_CONFIGS": {}}',
            ": OPENAI_API_BASE_URLS.0",
        ),
        (
            '{"OPENAI_API_BASE_URLS": ["http://a"], "OPENAI_API_KEYS": ["••••abc"], "OPENAI_API_CONFIGS": {}}'.encode(),
            ": OPENAI_API_KEYS.0",
        ),
        (
            b'{"OPENAI_API_BASE_URLS": ["http://a"], "OPENAI_API_KEYS": [], "OPENAI_API_CONFIGS": {"0": {"foo": 1}}}',
            ": OPENAI_API_CONFIGS.0.foo",
        ),
    ],
)
async def test_a_broken_file_is_named_and_can_be_saved_over(path: Path, content: bytes, field: str) -> None:
    path.write_bytes(content)
    store = FileStore(path, [A])
    with pytest.raises(ConfigError) as raised:
        await store.load()
    assert raised.value.field == f"{path}{field}"
    await store.save(GatewayConfig(upstreams=[A]), replaces=await store.version())
    assert (await store.load()).upstreams == (A,)


async def test_an_unreadable_file_is_named(path: Path) -> None:
    path.mkdir()
    for use in (FileStore(path).load(), FileStore(path).version()):
        with pytest.raises(ConfigError, match="cannot be read") as raised:
            await use
        assert raised.value.field == str(path)


async def test_a_failed_save_leaves_everything_as_it_was(path: Path) -> None:
    path.mkdir()
    with pytest.raises(ConfigError, match="cannot be written") as raised:
        await FileStore(path).save(GatewayConfig(upstreams=[A]), replaces=None)
    assert raised.value.field == str(path)
    assert "sk-key" not in str(raised.value)
    assert sorted(os.listdir(path.parent)) == ["gateway.json", "gateway.json.lock"]


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        await FileStore(tmp_path / "no" / "gateway.json").save(GatewayConfig(), replaces=None)


async def test_the_loop_runs_on_while_another_process_holds_the_lock(path: Path) -> None:
    store = FileStore(path)
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        saving = asyncio.create_task(store.save(GatewayConfig(upstreams=[A]), replaces=None))
        assert (await store.load()).upstreams == ()
        await asyncio.sleep(0)
        assert not saving.done()
        fcntl.flock(lock, fcntl.LOCK_UN)
        await saving
    assert (await store.load()).upstreams == (A,)


async def test_readers_see_whole_files_while_one_is_saved_again_and_again(path: Path) -> None:
    store = FileStore(path)
    await store.save(GatewayConfig(upstreams=[A]), replaces=None)
    stop = threading.Event()
    faults: list[Exception] = []

    def read() -> None:
        while not stop.is_set():
            try:
                asyncio.run(FileStore(path).load())
            except ConfigError as error:
                faults.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for weight in range(1, 40):
        await store.save(GatewayConfig(upstreams=[Upstream("http://a.example", weight=weight)]), replaces=None)
    stop.set()
    reader.join()
    assert not faults


PROCESS = """
import asyncio, sys
from openai_gateway_asgi.config import FileStore, GatewayConfig, Upstream, VersionConflict

async def main(path, name):
    store = FileStore(path)
    for number in range(50):
        while True:
            config = await store.load()
            mine = Upstream(f"http://{name}-{number}.example")
            try:
                await store.save(GatewayConfig(upstreams=[*config.upstreams, mine]), replaces=config.version)
                break
            except VersionConflict:
                pass

sys.stdin.read()
asyncio.run(main(*sys.argv[1:]))
"""


async def test_two_processes_saving_over_each_other_lose_nothing(path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", PROCESS, str(path), name], stdin=subprocess.PIPE) for name in "ab"
    ]
    for process in processes:
        process.stdin.close()  # type: ignore[union-attr]
    codes = [await asyncio.to_thread(process.wait, 60) for process in processes]
    assert codes == [0, 0]
    hosts = {upstream.host for upstream in (await FileStore(path).load()).upstreams}
    assert hosts == {f"{name}-{number}.example" for name in "ab" for number in range(50)}


async def test_a_disk_that_hangs_takes_few_threads_and_whoever_comes_then_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_store, "READERS", 2)
    store = FileStore(path)
    os.mkfifo(path)  # to open it hangs, as on a file system whose server is away
    hanging = [asyncio.create_task(store.version()) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(ConfigError, match="does not answer"):
        await store.version()
    for _ in range(2):
        writer = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        await asyncio.sleep(0.05)
        os.close(writer)
    path.unlink()
    await asyncio.gather(*hanging)
    assert await store.version()
