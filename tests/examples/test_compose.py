"""The compose example, as far as it goes without Docker: its files fit together, and its app does what it is there for."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from openai_gateway_asgi.testing import FakeUpstream
from tests.limits.redis_server import PROGRAM, RedisServer
from tests.support.servers import ROOT, serve_workers

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
            statuses: list[int] = []
            while len(statuses) < 60:  # no more at once than Redis answers in time, on a busy machine too
                asking = [client.post("/openai/v1/chat/completions", json=CHAT) for _ in range(4)]
                statuses += [answer.status_code for answer in await asyncio.gather(*asking)]
            page = (await client.get("/metrics/")).text
            ready = await client.get("/health/ready")

    assert set(statuses) == {200, 429}
    assert 30 <= statuses.count(200) < 60
    assert ready.status_code == 200
    calls = re.findall(r"^openai_gateway_calls_total\{.*\} (\S+)$", page, re.MULTILINE)
    assert sum(map(float, calls)) == 60
