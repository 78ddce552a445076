"""The compose example, as far as it goes without Docker: its files fit together, and its app does what it is there for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from starlette.applications import Starlette
from starlette.routing import Mount

from openai_gateway_asgi import Gateway, User, everyone
from openai_gateway_asgi.testing import FakeUpstream
from tests.limits.redis_server import PROGRAM, RedisServer
from tests.support.servers import ROOT, free_port, serve, serve_program, serve_workers

FOLDER = ROOT / "examples/compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
ADA = {"authorization": "Bearer ada-demo-token"}
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


def test_what_is_mounted_copied_or_waited_for_is_there() -> None:
    mounted = [volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())]
    copied = re.findall(r"^COPY (.*) \S+$", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    for path in [FOLDER / name for name in mounted] + [ROOT / name for line in copied for name in line.split()]:
        assert path.exists(), path
    for service in SERVICES.values():
        for waited in service.get("depends_on", {}):
            assert "healthcheck" in SERVICES[waited]


def test_prometheus_asks_the_app_where_it_listens_and_nginx_keeps_others_from_it() -> None:
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    nginx = (FOLDER / "nginx.conf").read_text()
    assert target == re.findall(r"proxy_pass http://(.*);", nginx)[0] == "app:8000"
    assert re.search(r"location /metrics \{\s+return 404;", nginx)
    assert "proxy_buffering off;" in nginx
    assert "proxy_set_header Host $http_host;" in nginx


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_itself_takes_its_configuration() -> None:
    subprocess.run(["promtool", "check", "config", FOLDER / "prometheus.yml"], check=True, capture_output=True)


@pytest.mark.skipif(PROGRAM is None, reason="redis-server is not installed")
async def test_two_workers_share_limits_and_metrics(tmp_path: Path) -> None:
    async with RedisServer() as redis, FakeUpstream(["gpt-4o-mini", "gpt-4o"]) as fake:
        environment = {
            "OPENAI_API_BASE_URLS": fake.upstream.base_url,
            "OPENAI_API_KEYS": "any",
            "REDIS_URL": redis.url,
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        }
        async with (
            serve_workers("examples.compose.app:app", env=environment) as program,
            httpx.AsyncClient(base_url=program.url, headers=ADA, trust_env=False) as client,
        ):
            rounds = [[await status(client) for _ in range(60)]]
            while 429 not in rounds[-1] and len(rounds) < 5:  # a busy machine kept Redis, which was then left alone
                rounds.append([await status(client) for _ in range(60)])
            page = (await client.get("/metrics/")).text
            ready = await client.get("/health/ready")

    assert set(rounds[-1]) == {200, 429}
    assert 30 <= rounds[-1].count(200) < 60
    assert ready.status_code == 200
    calls = re.findall(r"^openai_gateway_calls_total\{.*\} (\S+)$", page, re.MULTILINE)
    assert sum(map(float, calls)) == 60 * len(rounds)


async def status(client: httpx.AsyncClient) -> int:
    return (await client.post("/openai/v1/chat/completions", json=CHAT)).status_code


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
async def test_nginx_passes_events_on_as_they_come_and_the_host_as_it_was(tmp_path: Path) -> None:
    async with FakeUpstream(["gpt-4o"]) as fake, serve(behind_nginx(fake)) as app:
        port = free_port()
        async with (
            serve_program("nginx", "-c", str(nginx_file(tmp_path, port, app.port)), port=port) as nginx,
            httpx.AsyncClient(base_url=nginx.url, trust_env=False, timeout=10) as client,
        ):
            own_page = {"cookie": "session=ada", "origin": nginx.url}  # of a browser without Sec-Fetch-Site
            fake.script("gpt-4o", stall_after=2)
            async with client.stream(
                "POST", "/openai/v1/chat/completions", json={**CHAT, "stream": True}, headers=own_page
            ) as answer:
                first = await anext(answer.aiter_lines())
            await fake.until_closed_early()
            metrics = await client.get("/metrics")

    assert answer.status_code == 200
    assert first.startswith("data: {")
    assert metrics.status_code == 404


def behind_nginx(fake: FakeUpstream) -> Starlette:
    gateway = Gateway(
        [fake.upstream],
        resolve_user=lambda request: User("ada") if request.cookies.get("session") == "ada" else None,
        authorize_model=everyone,
    )
    return Starlette(routes=[Mount("/openai", gateway)], lifespan=gateway.lifespan)


def nginx_file(folder: Path, port: int, app: int) -> Path:
    """The example's server, in an nginx of the test's own."""
    server = (FOLDER / "nginx.conf").read_text().replace("listen 8000", f"listen 127.0.0.1:{port}")
    server = server.replace("app:8000", f"127.0.0.1:{app}")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root;" if os.getuid() == 0 else ""  # else its workers may not write into our folder
    file = folder / "nginx.conf"
    file.write_text(
        f"{user} daemon off; pid {folder}/pid; error_log {folder}/errors; events {{}}\n"
        f"http {{ access_log off; {places}\n{server} }}\n"
    )
    return file
