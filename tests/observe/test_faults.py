"""The fault table: whatever goes wrong, log, record, health and ``/verify`` name it; no secret and no prompt is in them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest

from openai_gateway_asgi import Gateway, Settings, UsageRecord
from openai_gateway_asgi.testing import error_answer, json_answer
from tests.cases.gateways import upstream_a, upstream_b, world
from tests.observe.faults import CANARY, GATEWAY, HEADERS, UPSTREAMS, Broken, Fault, broken
from tests.support.asgi import Response, ask

ROOT = {"x-test-user": "root"}


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "openai_gateway_asgi")


async def happen(fault: Fault, b: Broken) -> Response:
    fault.before(b.gateway)
    headers = {name: value for name, value in {**HEADERS, **fault.headers}.items() if value}
    if isinstance(fault.body, bytes):
        headers = {"content-type": "application/json", **headers}
        return await ask(b.gateway, fault.method, fault.path, body=fault.body, headers=headers)
    return await ask(b.gateway, fault.method, fault.path, json=fault.body, headers=headers)


def lines(caplog: pytest.LogCaptureFixture, field: str) -> list[Any]:
    return [line for line in caplog.records if hasattr(line, field)]


def assert_no_canary(*places: object) -> None:
    for place in places:
        assert CANARY not in repr(place), place


def everything_logged(caplog: pytest.LogCaptureFixture) -> list[object]:
    return [caplog.text, *(line.__dict__ for line in caplog.records)]


@pytest.mark.parametrize("fault", UPSTREAMS, ids=lambda fault: fault.name)
async def test_what_an_upstream_does_is_named_in_the_log_the_record_and_the_health(
    fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    assert fault.said is not None
    async with broken(fault) as b:
        response = await happen(fault, b)
        health = (await ask(b.gateway, "GET", "/v1/config/health", headers=ROOT)).json()["upstreams"]["U"]
    said = b.fill(fault.said)
    assert response.status == fault.status
    [warning] = lines(caplog, "attempt")
    assert warning.levelno == logging.WARNING
    assert warning.attempt["cause"].startswith(said)
    assert said in warning.getMessage()
    [line] = lines(caplog, "call")
    [record] = b.records
    assert line.getMessage().endswith(f" reason={fault.reason}")
    assert line.call["reason"] == record.reason == fault.reason
    [attempt] = record.tries
    assert attempt.failure is not None
    assert attempt.failure.name.lower() == warning.attempt["failure"] == health["last_failure"]["failure"]
    assert health["last_failure"]["cause"] == warning.attempt["cause"]
    assert health["last_failure"]["model"] == "m1"
    assert health["last_success"] is None
    assert health["in_flight"] == 0
    assert_no_canary(*everything_logged(caplog), attempt, line.call, health)


@pytest.mark.parametrize("fault", [each for each in UPSTREAMS if each.verified], ids=lambda fault: fault.name)
async def test_verify_says_why_and_what_to_try(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    assert fault.verified is not None
    async with broken(fault) as b:
        response = await ask(b.gateway, "POST", "/v1/verify", json=b.posted, headers=ROOT)
    assert response.status in (502, 504)
    error = response.json()["error"]
    assert error["message"].startswith(b.fill(fault.verified))
    assert error.keys() == {"message", "type", "param", "code"}
    assert_no_canary(response.body, *everything_logged(caplog))


@pytest.mark.parametrize("fault", GATEWAY, ids=lambda fault: fault.name)
async def test_what_the_gateway_refuses_is_named_in_the_log_and_in_the_record(
    fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    async with broken(fault) as b:
        response = await happen(fault, b)
    assert response.status == fault.status
    [line] = lines(caplog, "call" if fault.recorded else "refusal")
    fields = line.call if fault.recorded else line.refusal
    assert line.levelno == logging.INFO
    assert line.getMessage().endswith(f" reason={fault.reason}")
    assert fields["reason"] == fault.reason
    assert fields["status"] == fault.status
    reasons: list[UsageRecord] = b.records
    assert [record.reason for record in reasons] == ([fault.reason] if fault.recorded else [])
    assert lines(caplog, "attempt") == []
    assert_no_canary(*everything_logged(caplog))


async def test_an_upstream_that_is_left_alone_is_named(caplog: pytest.LogCaptureFixture) -> None:
    closes = next(fault for fault in UPSTREAMS if fault.name == "overloaded")
    async with broken(closes) as b:
        for _ in range(5):
            await happen(closes, b)
        health = b.gateway.health().upstreams["U"]
    [opened] = lines(caplog, "breaker")
    assert opened.breaker == {"state": "open", "upstream": "U", "model": "m1"}
    assert health.breakers == {"m1": "open"}
    assert health.last_failure is not None
    assert health.last_failure.cause == "503: Loading the model"


async def test_a_call_for_which_all_upstreams_are_left_alone_says_so() -> None:
    async with world(upstream_a(), upstream_b()) as w:
        w.upstream.answer("/chat/completions", error_answer(503))
        for _ in range(5):
            await w.chat()
        assert (await w.chat()).status == 503
        assert (w.records[-1].reason, w.records[-1].error) == ("left_alone", "upstream_unavailable")
        assert w.records[-1].tries == ()


async def test_a_call_for_which_no_place_came_free_says_so() -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def waits(request: Any) -> Any:
        started.set()
        await go_on.wait()
        return json_answer({})

    async with world(upstream_a(max_concurrency=1), settings=Settings(queue_time=0.01)) as w:
        w.upstream.answer("/chat/completions", waits)
        first = asyncio.create_task(w.chat())
        await started.wait()
        assert w.gateway.health().upstreams["A"].in_flight == 1
        assert (await w.chat()).status == 503
        assert (w.records[-1].reason, w.records[-1].error) == ("upstream_full", "gateway_busy")
        go_on.set()
        await first
        assert w.gateway.health().upstreams["A"].in_flight == 0


class ToItself(httpx.AsyncBaseTransport):
    """Where a base URL that is the gateway's own leads."""

    gateway: Gateway

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = [(name.lower(), value) for name, value in request.headers.raw]
        assert isinstance(request.stream, httpx.AsyncByteStream)
        body = b"".join([piece async for piece in request.stream])
        again = await ask(self.gateway, request.method, request.url.path, body=body, headers=headers)
        return httpx.Response(again.status, headers=again.headers, content=again.body)


async def test_a_gateway_that_calls_itself_is_named(caplog: pytest.LogCaptureFixture) -> None:
    transport = ToItself()
    async with world(upstream_a(), transport=transport) as w:
        transport.gateway = w.gateway
        assert (await w.chat()).status == 508
        assert [record.reason for record in w.records] == ["server_error"]
    [refused] = lines(caplog, "refusal")
    assert refused.getMessage().endswith("status=508 error=loop_detected reason=loop_detected")
    assert "an upstream's base_url is the gateway's own address" in caplog.text
    [warning] = lines(caplog, "attempt")
    assert warning.attempt["cause"].startswith("508: ")


async def test_a_list_that_cannot_be_had_is_named(caplog: pytest.LogCaptureFixture) -> None:
    dead = next(fault for fault in UPSTREAMS if fault.name == "dead port")
    anything = Fault("", "list_missing", url=dead.url, upstream={"model_ids": []}, status=503)
    async with broken(anything) as b:
        response = await happen(anything, b)
        health = b.gateway.health().upstreams["U"]
    assert response.status == 503
    said = b.fill("connection refused by {address}")
    assert said in caplog.text
    assert health.models == "failed"
    assert health.models_error is not None
    assert health.models_error.startswith(said)
    assert b.records[0].reason == "list_missing"
    assert_no_canary(*everything_logged(caplog), health)


async def test_an_upstream_that_works_is_seen_to() -> None:
    async with broken(Fault("", None, status=200)) as b:
        assert (await happen(Fault("", None), b)).status == 200
        health = b.gateway.health().upstreams["U"]
    assert health.last_failure is None
    assert health.last_success is not None
    assert health.last_success.endswith("+00:00")
