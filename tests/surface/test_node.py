"""The npm package ``openai`` against the gateway, where Node is found."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.surface.shapes import PAGES
from tests.surface.test_sdk import TEXT, clients
from tests.surface.world import SOUND

NODE, NPM = shutil.which("node"), shutil.which("npm")
SCRIPT = Path(__file__).with_name("client.mjs")
# What is installed stays in pytest's cache; the first time may find no network, and must not wait for it.
INSTALL = """install --prefix . --engine-strict --ignore-scripts --no-audit --no-fund --loglevel error
    --fetch-retries 0 --fetch-timeout 15000 openai"""

pytestmark = pytest.mark.skipif(NODE is None or NPM is None, reason="Node is not installed")


async def run(*command: str, cwd: Path) -> tuple[int | None, str, str]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=cwd, stdout=pipe, stderr=pipe)
    out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


@pytest.fixture
async def folder(pytestconfig: pytest.Config) -> Path:
    """A folder with the package and the script in it."""
    made: Path = pytestconfig.cache.mkdir("node-client")  # type: ignore[union-attr]
    if not (made / "node_modules/.package-lock.json").exists():  # written when all is there
        code, _, errors = await run(str(NPM), *INSTALL.split(), cwd=made)
        if code != 0:
            pytest.skip(f"npm could not install the package: {errors[-200:]}")
    shutil.copy(SCRIPT, made)
    (made / "sound.mp3").write_bytes(SOUND * 100)
    return made


async def test_a_dozen_calls(folder: Path) -> None:
    async with clients() as sdk:
        origin = sdk.url.removesuffix("/openai/v1")
        code, out, errors = await run(str(NODE), "client.mjs", sdk.url, origin, "sound.mp3", cwd=folder)

        assert code == 0, errors
        got: dict[str, Any] = json.loads(out)
        uploads = [each for each in sdk.up.requests if SOUND * 100 in each.body]
    assert got == {
        "chat": TEXT,
        "stream": TEXT,
        "response": TEXT,
        "embedding": 3,
        "speech": len(SOUND),
        "heard": "hello",
        "edited": 1,
        "file": "obj_1",
        "content": len(SOUND),
        "pages": [f"item_{number}" for number in range(1, PAGES + 1)],
        "models": ["m", "x1"],
        "id": True,
        "secret": "ek_1",
        "deleted": True,
        "refused": ["NotFoundError", 404, "model_not_found"],
        "azure": TEXT,
    }
    assert [each.path for each in uploads] == ["/v1/audio/transcriptions", "/v1/files"]
