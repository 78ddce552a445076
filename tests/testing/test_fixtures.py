"""The plugin for pytest: its fixtures in a host's own tests, and what it costs a test run that uses none of them."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGIN = "openai_gateway_asgi_pytest"

HOSTS_TESTS = """
import secrets

from fastapi import FastAPI, Request, Response
from openai import OpenAI

from openai_gateway_asgi import Gateway, User, everyone

SESSIONS = {}


def make_app(upstream):
    gateway = Gateway(
        [upstream],
        resolve_user=lambda request: SESSIONS.get(request.cookies.get("session", "")),
        authorize_model=everyone,
    )
    app = FastAPI(lifespan=gateway.lifespan)
    app.mount("/openai", gateway)

    @app.post("/login/{name}")
    async def login(name: str, response: Response) -> None:
        key = secrets.token_urlsafe()
        SESSIONS[key] = User(id=name)
        response.set_cookie("session", key)

    return app


CHAT = {"model": "gpt-small", "messages": [{"role": "user", "content": "Hello?"}]}


def test_signed_in(fake_upstream, gateway_client):
    client = gateway_client(make_app(fake_upstream.upstream))
    assert client.post("/openai/v1/chat/completions", json=CHAT).status_code == 401
    client.post("/login/ada")
    answer = client.post("/openai/v1/chat/completions", json=CHAT)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello from upstream."
    assert [call.messages for call in fake_upstream.calls("/chat/completions")] == [CHAT["messages"]]


def test_cut(fake_upstream, gateway_client):
    fake_upstream.script("gpt-small", cut_after=1)
    client = gateway_client(make_app(fake_upstream.upstream))
    client.post("/login/ada")
    answer = client.post("/openai/v1/chat/completions", json={**CHAT, "stream": True})
    assert '"error"' in answer.text


def test_two_users_and_the_sdk(fake_upstream, gateway_client):
    app = make_app(fake_upstream.upstream)
    for name in ("ada", "bob"):
        http_client = gateway_client(app)
        http_client.post(f"/login/{name}")
        client = OpenAI(base_url="http://testserver/openai/v1", api_key="-", http_client=http_client)
        client.chat.completions.create(**CHAT)
    assert len(fake_upstream.calls("/chat/completions")) == 2
"""

WITHOUT = """
import sys


def test_nothing_of_the_package_was_imported():
    assert [name for name in sys.modules if name.split(".")[0] == "openai_gateway_asgi"] == []
    assert "openai_gateway_asgi_pytest" in sys.modules
"""


def run_pytest(folder: Path, tests: str) -> subprocess.CompletedProcess[str]:
    """A project of somebody else's, which has the plugin installed."""
    (folder / "test_host.py").write_text(tests)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", PLUGIN, "-p", "no:asyncio"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_hosts_tests_with_the_fixtures(tmp_path: Path) -> None:
    ran = run_pytest(tmp_path, HOSTS_TESTS)
    assert "3 passed" in ran.stdout, ran.stdout + ran.stderr


def test_who_uses_no_fixture_imports_nothing_of_the_package(tmp_path: Path) -> None:
    ran = run_pytest(tmp_path, WITHOUT)
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr


def test_pytest_finds_the_plugin_by_its_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["pytest11"] == {PLUGIN: PLUGIN}
    built = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert f"{PLUGIN}.py" in built
