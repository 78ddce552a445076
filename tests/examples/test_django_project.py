"""The Django project: its users sign in, its own page calls models with the session's cookie, and no other page can."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from openai_gateway_asgi.testing import OWN_PAGE
from tests.examples.browser import Page, browser
from tests.examples.printed import Ports, commands, run
from tests.support.servers import ROOT, Program, serve, serve_program

README = ROOT / "examples/django_project/README.md"
PASSWORD = "demo-password"


@pytest.fixture
async def project(tmp_path: Path) -> AsyncIterator[Program]:
    ports = Ports.free()
    upstream, *preparations, application = commands(README.read_text(), ports)
    env = ports.env | {"DEMO_DATABASE": str(tmp_path / "demo.sqlite3")}
    for command in preparations:
        status, said = await run(command, env)
        assert status == 0, said
    async with (
        serve_program(*upstream, port=ports.upstream),
        serve_program(*application, port=ports.application, env=env) as program,
    ):
        yield program


def visitor(project: Program) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=project.url, verify=False, trust_env=False, follow_redirects=True)


async def sign_in(browser: httpx.AsyncClient, name: str) -> httpx.Response:
    await browser.get("/")
    form = {"username": name, "password": PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    return await browser.post("/login/?next=/", data=form)


async def chat(browser: httpx.AsyncClient, model: str, headers: dict[str, str]) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello?"}], "stream": True}
    return await browser.post("/openai/v1/chat/completions", json=body, headers=headers)


def words(answer: httpx.Response) -> list[str]:
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    return [json.loads(event)["choices"][0]["delta"].get("content", "") for event in events]


async def test_its_users_reach_their_own_models_from_its_own_page(project: Program) -> None:
    async with visitor(project) as ada, visitor(project) as bob, visitor(project) as stranger:
        assert "Sign out ada" in (await sign_in(ada, "ada")).text
        assert "Sign out bob" in (await sign_in(bob, "bob")).text

        adas = (await ada.get("/openai/v1/models", headers=OWN_PAGE)).json()["data"]
        bobs = (await bob.get("/openai/v1/models", headers=OWN_PAGE)).json()["data"]
        assert [model["id"] for model in adas] == ["tiny-chat", "tiny-embed", "tiny-secret"]
        assert [model["id"] for model in bobs] == ["tiny-chat"]

        answer = await chat(bob, "tiny-chat", OWN_PAGE)
        assert len(words(answer)) > 5
        assert "".join(words(answer)).startswith('You said "Hello?".')
        assert (await chat(bob, "tiny-secret", OWN_PAGE)).status_code == 404
        assert (await chat(bob, "tiny-chat", {"sec-fetch-site": "cross-site"})).status_code == 403
        assert (await chat(stranger, "tiny-chat", OWN_PAGE)).status_code == 401


async def manage(*command: str, **env: str) -> tuple[int, str]:
    command_line = ["python", "-W", "error", "examples/django_project/manage.py", *command]
    return await run(command_line, {"PYTHONPATH": str(ROOT), **env})


async def test_its_checks_see_the_gateway() -> None:
    assert await manage("check") == (0, "System check identified no issues (0 silenced).\n")

    status, said = await manage("check", UPSTREAM_URL="ftp://models.test")
    assert status == 1
    assert "openai_gateway" in said
    assert "base_url: must be" in said


async def test_its_own_tests_pass() -> None:
    """Djangos ``TestCase`` and ``AsyncClient``: what a test has written and not committed, the gateway sees."""
    status, said = await manage("test", "chatsite")

    assert status == 0, said
    assert "Ran 4 tests" in said


@pytest.mark.soak
async def test_a_real_browser_streams_from_its_own_page_and_is_refused_from_another(project: Program) -> None:
    """Needs Debian's ``chromium``. The other page is on another port: the browser sends it the cookie all the same."""
    async with browser() as page, serve(Starlette(routes=[Route("/", other_page)])) as other:
        await sign_in_by_hand(page, project.url)
        await page.until("document.querySelectorAll('#ask option').length === 3")
        await page.run(WATCH_THE_ANSWER)
        await page.run("document.querySelector('#ask').requestSubmit()")
        await page.until("document.querySelector('#answer').textContent.endsWith('at a time.')")
        assert await page.run("seen.length") > 5

        await page.open(f"{other.url}/?target={project.url}/openai/v1/chat/completions")
        await project.until(lambda output: '"POST /openai/v1/chat/completions HTTP/1.1" 403' in output)


WATCH_THE_ANSWER = """
    globalThis.seen = [];
    const answer = document.querySelector("#answer");
    new MutationObserver(() => seen.push(answer.textContent)).observe(answer, {childList: true});
"""


async def sign_in_by_hand(page: Page, url: str) -> None:
    await page.open(url)
    await page.until("location.pathname === '/login/' && document.querySelector('[name=password]')")
    await page.run("document.querySelector('[name=username]').value = 'ada'")
    await page.run(f"document.querySelector('[name=password]').value = '{PASSWORD}'")
    await page.run("document.querySelector('form').requestSubmit()")
    await page.until("location.pathname === '/'")


async def other_page(request: Request) -> Response:
    target = json.dumps(request.query_params.get("target", ""))
    body = json.dumps('{"model": "tiny-chat", "messages": []}')
    send = f'fetch({target}, {{method: "POST", mode: "no-cors", credentials: "include", body: {body}}})'
    return HTMLResponse(f"<!doctype html><script>{send}</script>")
