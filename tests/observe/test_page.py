"""The logging configurations of the page on observing, run as a host would: under uvicorn, with uvicorn's defaults."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parent.parent.parent / "docs" / "observing.md").read_text()
AS_TEXT, AS_JSON = re.findall(r"```python logging\n(.*?)```", PAGE, re.DOTALL)

HOST = """
import asyncio, socket
import httpx, uvicorn
from openai_gateway_asgi import Gateway, Settings, Upstream, User, everyone

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]

gateway = Gateway(
    [Upstream(f"http://127.0.0.1:{port}/v1", name="dead", api_key="canary", model_ids=["m1"])],
    resolve_user=lambda request: User("ann"), authorize_model=everyone, settings=Settings(retries=0),
)

async def main():
    server = uvicorn.Server(uvicorn.Config(gateway, port=0))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    url = "http://127.0.0.1:%d/v1/chat/completions" % server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(url, json={"model": "m1", "messages": []})).status_code == 502
    server.should_exit = True
    await running

asyncio.run(main())
"""


def printed(configuration: str) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-c", configuration + HOST], capture_output=True, text=True, check=True, timeout=60
    )
    assert "canary" not in ran.stderr + ran.stdout
    return ran.stderr.splitlines()


@pytest.mark.parametrize("configuration", ["", AS_TEXT], ids=["uvicorn's alone", "the page's"])
def test_the_lines_appear_beside_uvicorns(configuration: str) -> None:
    ours = [line for line in printed(configuration) if "openai_gateway_asgi" in line or "createChat" in line]
    if not configuration:
        assert ours == []  # why the page is needed
        return
    [failed, call] = ours
    assert re.search(
        r"WARNING openai_gateway_asgi\.upstreams attempt failed: .* cause=\"connection refused by ", failed
    )
    assert re.search(r"INFO openai_gateway_asgi \w+ createChatCompletion user=ann model=m1 upstream=dead ", call)
    assert " reason=refused" in call


def test_as_json_they_have_their_fields_as_data() -> None:
    ours = [json.loads(line) for line in printed(AS_JSON) if line.startswith("{")]
    [failed, call] = ours
    assert failed["attempt"]["failure"] == "refused"
    assert failed["attempt"]["cause"].startswith("connection refused by 127.0.0.1:")
    assert call["call"]["reason"] == "refused"
    assert call["call"]["tries"][0]["failure"] == "refused"
