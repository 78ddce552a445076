"""The page for Prometheus: what it counts, that its labels are few, and that several workers make one page."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import re
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from openai_gateway_asgi import ConfigError, Gateway, Limit, Price, Upstream, User, everyone
from openai_gateway_asgi.contrib import prometheus
from openai_gateway_asgi.contrib.prometheus import metrics_app
from openai_gateway_asgi.contrib.prometheus.families import Families
from openai_gateway_asgi.http.asgi import ASGIApp
from openai_gateway_asgi.limits import Claim, Decision, MemoryLimits, StoreDown
from openai_gateway_asgi.observe.few_values import MOST_VALUES, FewValues
from openai_gateway_asgi.testing import error_answer, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import USAGE, chat_events, sse
from tests.cases.gateways import World, chat, upstream_a, upstream_b, world
from tests.contrib.shared_speech import left_by_the_first_of_two
from tests.support.asgi import ask
from tests.support.servers import serve_workers

CHAT = "/chat/completions"
DASHBOARD = Path(__file__).parent.parent.parent / "examples" / "grafana-dashboard.json"
CREATE = "createChatCompletion"

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def series(page: str) -> Series:
    return {
        (sample.name.removeprefix("openai_gateway_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


class Page:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def text(self) -> str:
        answer = await ask(self._app, "GET", "/metrics")
        assert answer.status == 200
        return answer.body.decode()

    async def value(self, name: str, **labels: str) -> float | None:
        return series(await self.text()).get((name, tuple(sorted(labels.items()))))

    async def of(self, name: str) -> dict[tuple[str, ...], float]:
        """By the values of the labels, in the labels' alphabetical order."""
        found = series(await self.text())
        return {tuple(value for _, value in labels): number for (each, labels), number in found.items() if each == name}


def metered(w: World) -> Page:
    return Page(metrics_app(w.gateway))


async def test_a_call_is_counted_with_its_times_tokens_and_cost() -> None:
    async with world(prices={"m1": Price(input="2", output="10")}) as w:
        page = metered(w)
        w.upstream.answer(CHAT, json_answer({"usage": USAGE}))
        assert (await w.chat()).status == 200
        (record,) = w.records
        assert await page.of("calls_total") == {("m1", CREATE, "completed", "A"): 1}
        assert await page.value("call_seconds_count", operation=CREATE, model="m1") == 1
        assert await page.value("call_seconds_sum", operation=CREATE, model="m1") == pytest.approx(record.total)
        first_byte = await page.value("first_byte_seconds_sum", operation=CREATE, model="m1")
        assert first_byte == pytest.approx(record.first_byte)
        overhead = await page.value("overhead_seconds_sum", operation=CREATE)
        assert overhead == pytest.approx(record.total - record.tries[0].ended + record.tries[0].began)
        assert record.usage is not None
        tokens = await page.of("tokens_total")
        assert tokens["input", "m1", "A"] == record.usage.input == USAGE["prompt_tokens"]
        assert tokens["output", "m1", "A"] == record.usage.output
        assert await page.of("cost_usd_total") == {("m1", "A"): pytest.approx(float(record.cost or 0))}
        assert await page.of("unpriced_calls_total") == {}
        assert await page.of("attempts_total") == {("ok", "A"): 1}


async def test_what_has_no_price_is_counted_and_costs_nothing() -> None:
    async with world() as w:
        page = metered(w)
        w.upstream.answer(CHAT, json_answer({"usage": USAGE}), json_answer({}))
        await w.chat()
        await w.chat()
        assert await page.of("unpriced_calls_total") == {("m1", "A"): 1}
        assert await page.of("cost_usd_total") == {}


async def test_attempts_are_counted_by_what_came_of_them_and_breakers_shown() -> None:
    async with world(upstream_a(), upstream_b()) as w:
        page = metered(w)
        w.upstream.answer(CHAT, *[error_answer(503), json_answer({})] * 5)
        for _ in range(5):
            await w.chat()
        attempts = await page.of("attempts_total")
        assert attempts["ok", "B"] == 5
        assert attempts["overloaded", "A"] >= 1
        assert await page.of("calls_total") == {("m1", CREATE, "completed", "B"): 5}
        opened = {name: len(each.breakers) for name, each in w.gateway.health().upstreams.items()}
        assert {name: number for (name,), number in (await page.of("breaker_open")).items()} == opened
        assert opened["A"] == 1


@pytest.mark.parametrize(
    ("options", "status", "reason", "model"),
    [
        ({"authorize_model": lambda user, model: False}, 404, "denied", "m1"),
        ({"prefix": "no-such-"}, 404, "unknown", ""),
    ],
)
async def test_refusals_are_counted_by_their_reason(
    options: dict[str, Any], status: int, reason: str, model: str
) -> None:
    asked = options.pop("prefix", "") + "m1"
    async with world(**options) as w:
        page = metered(w)
        assert (await w.chat(asked, headers={"x-test-user": "u1"})).status == status
        assert await page.of("refusals_total") == {(reason,): 1}
        assert await page.of("calls_total") == {(model, CREATE, "rejected", ""): 1}


async def test_requests_under_way_are_counted_until_they_end_even_if_their_client_leaves() -> None:
    held = asyncio.Event()

    async def hold(*_: Any) -> Any:
        await held.wait()
        return json_answer({})

    async with world() as w:
        page = metered(w)
        w.upstream.answer(CHAT, hold)
        async with w.conversation(CHAT, chat()):
            async with asyncio.timeout(5):
                while await page.value("calls_in_flight", upstream="A") != 1:
                    await asyncio.sleep(0.001)
        async with asyncio.timeout(5):
            while await page.value("calls_in_flight", upstream="A") != 0:
                await asyncio.sleep(0.001)
        held.set()
        assert (await page.of("attempts_total")) == {("abandoned", "A"): 1}


async def test_an_attempt_that_outlives_its_call_is_under_way_no_longer() -> None:
    async with world() as w:
        page = metered(w)
        async with left_by_the_first_of_two(w):
            assert await page.of("attempts_total") == {("unknown", "A"): 1}
            assert await page.of("calls_in_flight") == {("A",): 0}
        assert await page.of("calls_in_flight") == {("A",): 0}
        assert sum((await page.of("calls_total")).values()) == 2


async def test_a_stream_is_one_call() -> None:
    async with world() as w:
        page = metered(w)
        told = b'data: {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
        w.upstream.answer(CHAT, stream_answer([told]))
        assert (await w.chat(stream=True)).status == 200
        assert await page.of("calls_total") == {("m1", CREATE, "completed", "A"): 1}


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.soak)])
async def test_models_and_users_made_up_by_strangers_add_nothing_to_the_page(count: int) -> None:
    stranger = iter(range(10**9))
    async with world(
        upstream_b("gpt-*", prefix_id="b"), upstream_a("*"), resolve_user=lambda request: User(f"u{next(stranger)}")
    ) as w:
        page = metered(w)
        await w.chat("made-up")
        await w.chat("b.gpt-0")
        before = await page.text()
        assert {model for model, *_ in await page.of("calls_total")} == {"*", "b.gpt-*"}
        for number in range(count):
            await w.chat(f"b.gpt-{number}" if number % 10 == 0 else f"made-up-{number}")
        after = await page.text()
        w.records.clear()
        w.upstream.requests.clear()
    assert after.count("\n") == before.count("\n")
    assert sum(number for (name, _), number in series(after).items() if name == "calls_total") == count + 2
    assert "made-up" not in after


async def test_models_that_only_a_callers_own_list_has_are_other() -> None:
    async with world(
        upstream_a("m1", auth_type="system_oauth", api_key=""),
        Upstream("http://own/v1", name="own", auth_type="system_oauth"),
        oauth_token=lambda user, request, upstream: f"token-of-{user.id}",
    ) as w:
        page = metered(w)
        w.upstream.answer("/models", json_answer({"data": [{"id": "mine"}]}))
        assert (await w.chat("mine")).status == 200
        assert (await w.chat("m1")).status == 200
        assert {model for model, *_ in await page.of("calls_total")} == {"other", "m1"}


class Away(MemoryLimits):
    """A store that does not answer, while it is down."""

    down = True

    async def take(self, claims: Sequence[Claim]) -> Decision:
        if self.down:
            raise StoreDown("away")
        return await super().take(claims)


async def test_calls_that_a_limit_refused_are_counted_by_the_limit() -> None:
    limits = [Limit(requests=1, per="day", by="user", name="fair use"), Limit(tokens=100, per="day", models="m2")]
    async with world(upstream_a("m1", "m2"), limits=limits) as w:
        page = metered(w)
        for model in ("m1", "m1", "m1"):
            await w.chat(model)
        await w.chat("m2", headers={"x-test-user": "u1"}, max_tokens=60)
        await w.chat("m2", headers={"x-test-user": "zoe"}, max_tokens=100)
        assert await page.of("limit_refusals_total") == {
            ("fair use", "m1"): 2,
            ("100 tokens per day", "m2"): 1,
        }
        assert await page.of("refusals_total") == {("limit",): 3}
        assert [record.limit for record in w.records] == [None, "fair use", "fair use", None, "100 tokens per day"]


async def test_failures_of_the_store_of_limits_are_counted() -> None:
    async with world(limits=[Limit(requests=1, per="day")], limit_store=Away()) as w:
        page = metered(w)
        for _ in range(2):
            assert (await w.chat()).status == 200
        assert await page.of("limit_store_failures_total") == {("take",): 2}


async def test_what_every_attempt_used_is_counted_where_it_was_used() -> None:
    failed = stream_answer([*chat_events({"model": "m1"})[:2], sse({"choices": [], "usage": USAGE})])
    async with world(upstream_a(commit="whole"), upstream_b(commit="whole")) as w:
        page = metered(w)
        w.upstream.host("a").answer(CHAT, failed)
        await w.chat(stream=True)
        assert await page.of("tokens_total") == {
            (kind, "m1", name): number for kind, number in (("input", 7), ("output", 4)) for name in "AB"
        }


def test_a_label_has_a_thousand_values_at_most() -> None:
    values = FewValues()
    found = {values.of(f"m{number}") for number in range(10 * MOST_VALUES)}
    assert len(found) == MOST_VALUES + 1
    assert "other" in found
    assert values.of("m0") == "m0"
    assert values.of(None) == ""


async def test_the_page_is_made_off_the_event_loop_once_for_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, threads = threading.Event(), []
    render = prometheus._render

    def slow(*args: Any, **options: Any) -> Any:
        threads.append(threading.current_thread())
        go_on.wait(5)
        return render(*args, **options)

    monkeypatch.setattr(prometheus, "_render", slow)
    async with world() as w:
        page = metered(w)
        asked = [asyncio.create_task(page.text()) for _ in range(5)]
        async with asyncio.timeout(5):
            while not threads:
                await asyncio.sleep(0.001)
        assert (await w.chat()).status == 200  # the loop goes on meanwhile
        go_on.set()
        assert len(set(await asyncio.gather(*asked))) == 1
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


async def test_the_page_speaks_http() -> None:
    async with world() as w:
        app = metrics_app(w.gateway)
        await w.chat()
        plain = await ask(app, "GET", "/")
        assert (plain.header("content-type") or "").startswith("text/plain; version=")
        assert plain.header("cache-control") == "no-store"
        packed = await ask(app, "GET", "/", headers={"accept-encoding": "gzip"})
        assert packed.header("content-encoding") == "gzip"
        assert gzip.decompress(packed.body) == plain.body
        assert (await ask(app, "HEAD", "/")).body == b""
        assert (await ask(app, "POST", "/")).status == 405
        open_metrics = await ask(app, "GET", "/", headers={"accept": "application/openmetrics-text; version=1.0.0"})
        assert (open_metrics.header("content-type") or "").startswith("application/openmetrics-text")
        assert open_metrics.body.endswith(b"# EOF\n")


async def test_asked_for_twice_a_gateways_metrics_are_counted_once_and_two_gateways_are_apart() -> None:
    async with world() as one, world() as other:
        pages = metered(one), metered(one), metered(other)
        await one.chat()
        assert [sum((await page.of("calls_total")).values()) for page in pages] == [1, 1, 0]


def test_a_gateway_with_metrics_can_be_forgotten() -> None:
    gateway = Gateway([], authorize_model=everyone)
    app = metrics_app(gateway)
    known = weakref.ref(gateway)
    del gateway, app
    gc.collect()
    assert known() is None


@pytest.fixture
async def full_page() -> str:
    """With every metric, after good and bad calls."""
    store, prices = Away(), {"m1": Price(input="1", output="1")}
    limits = [Limit(requests=1, per="day", models="m1")]
    async with world(upstream_a("m1"), upstream_b("m2"), prices=prices, limits=limits, limit_store=store) as w:
        store.down = False
        page = metered(w)
        w.upstream.answer(CHAT, json_answer({"usage": USAGE}), json_answer({"usage": USAGE}), error_answer(503))
        for model in ("m1", "m2", "m2", "nobodys"):
            await w.chat(model)
        await w.chat("m1")
        store.down = True
        await w.chat("m1")
        return await page.text()


async def test_promtool_finds_nothing_to_complain_of(full_page: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    ran = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=full_page, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


async def test_the_dashboard_asks_for_what_is_there_and_for_all_of_it(full_page: str) -> None:
    queries = [
        text
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for text in [target["expr"] for target in panel["targets"]]
    ]
    labels = {name: {label for label, _ in given} for (name, given) in series(full_page)}
    asked = set()
    for query in queries:
        names = re.findall(r"openai_gateway_(\w+)", query)
        assert names, query
        for name in names:
            assert name in labels, name
            used = re.findall(r"(\w+)=~", query) + re.findall(r"by \(([^)]*)\)", query)
            wanted = {label.strip() for text in used for label in text.split(",")}
            assert wanted <= labels[name], query
        asked |= {name.removesuffix("_bucket") for name in names}
    registry = CollectorRegistry()
    Families(registry)
    there = {(family.name, family.type) for family in registry.collect()}
    assert asked == {
        name.removeprefix("openai_gateway_") + ("_total" if kind == "counter" else "") for name, kind in there
    }


async def test_two_workers_make_one_page(tmp_path: Path) -> None:
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    async with serve_workers("tests.contrib.metered_app:app", env=env) as program:
        served = dict.fromkeys(map(str, program.worker_pids), 0)
        assert len(served) == 2
        calls = 0
        while calls < 12 or not all(served.values()):
            async with httpx.AsyncClient(trust_env=False) as client:  # one connection is one worker's
                served[(await client.get(f"{program.url}/pid")).text] += 1
                for model, status in (("m1", 200), ("m2", 503)):
                    url = f"{program.url}/openai/v1/chat/completions"
                    answer = await client.post(url, json={"model": model, "messages": []})
                    assert answer.status_code == status
                calls += 1
        pages = []
        for _ in range(4):
            async with httpx.AsyncClient(trust_env=False) as client:
                pages.append(series((await client.get(f"{program.url}/metrics/")).text))
        dead = tmp_path / "gauge_livesum_999999999.db"
        dead.write_bytes(b"")
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(f"{program.url}/metrics/")
        assert not dead.exists()  # of a worker that is gone
    ok = (("model", "m1"), ("operation", CREATE), ("outcome", "completed"), ("upstream", "up"))
    for page in pages:
        assert page["calls_total", ok] == calls
        assert page["call_seconds_count", (("model", "m1"), ("operation", CREATE))] == calls
        assert page["calls_in_flight", (("upstream", "up"),)] == 0
        assert page["breaker_open", (("upstream", "down"),)] == 1
        assert page["tokens_total", (("kind", "input"), ("model", "m1"), ("upstream", "up"))] == 5 * calls


@pytest.mark.parametrize(("directory", "told"), [("missing", "make it"), (".", "before the process starts")])
def test_what_the_client_library_could_not_share_is_refused_at_the_start(
    directory: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / directory))
    with pytest.raises(ConfigError, match=told):
        metrics_app(Gateway([], authorize_model=everyone))


def test_two_gateways_of_one_worker_add_up_in_the_shared_directory(tmp_path: Path) -> None:
    code = """
import asyncio, httpx
from tests.contrib.metered_app import answer
from openai_gateway_asgi import ConfigError, Gateway, Upstream, User, everyone
from openai_gateway_asgi.contrib.prometheus import metrics_app
from tests.support.asgi import ask

def gateway():
    return Gateway([Upstream("http://up/v1", name="up", model_ids=["m1"])], resolve_user=lambda _: User("u"),
        authorize_model=everyone, transport=httpx.MockTransport(answer))

async def main():
    made = [gateway() for _ in range(2)]
    apps = [metrics_app(each) for each in made]
    for each in made:
        await ask(each, "POST", "/v1/chat/completions", json={"model": "m1", "messages": []})
        await each.aclose()
    print((await ask(apps[0], "GET", "/")).body.decode())

asyncio.run(main())
"""
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": "."}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert [number for (name, _), number in series(ran.stdout).items() if name == "calls_total"] == [2]
