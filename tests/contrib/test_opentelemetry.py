"""Spans and metrics as OpenTelemetry's own SDK sees them, and as they arrive over OTLP."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from openai_gateway_asgi import CallFacts, ConfigError, HostModel, Limit, ModelCall, Price, Settings, Upstream, User
from openai_gateway_asgi.contrib.opentelemetry import _Instrumented, instrument
from openai_gateway_asgi.contrib.opentelemetry.names import server_of
from openai_gateway_asgi.limits import Claim, Decision, MemoryLimits, StoreDown
from openai_gateway_asgi.testing import error_answer, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import USAGE, chat_events, sse
from tests.cases.gateways import World, chat, upstream_a, upstream_b, world
from tests.contrib.shared_speech import left_by_the_first_of_two

CHAT = "/chat/completions"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
STREAM = stream_answer([b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', b"data: [DONE]\n\n"])


class Seen:
    """What the SDK got of a gateway's calls."""

    def __init__(self, w: World, *, off: bool = False) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider(sampler=ALWAYS_OFF) if off else TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._meters = MeterProvider([self._reader])
        instrument(w.gateway, self.tracers, self._meters)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    @property
    def call(self) -> ReadableSpan:
        (call,) = [span for span in self.spans if span.kind is not SpanKind.CLIENT and span.name != "host"]
        return call

    @property
    def attempts(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.kind is SpanKind.CLIENT]

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        data = self._reader.get_metrics_data()
        return [
            (dict(point.attributes or {}), point)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def everything(self) -> str:
        data = self._reader.get_metrics_data()
        return "".join(span.to_json() for span in self.spans) + (data.to_json() if data else "")


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    return dict(span.attributes or {})


async def test_a_call_is_a_span_and_its_attempt_another_below_it() -> None:
    async with world(Upstream("https://api.openai.com/v1", name="A", api_key="k", model_ids=["m1"])) as w:
        seen = Seen(w)
        w.upstream.answer(CHAT, json_answer({"usage": USAGE}, 200, [("x-request-id", "req_up")]))
        assert (await w.chat(temperature=0.5, max_tokens=9, n=2, seed=3, top_p=1)).status == 200
        (record,) = w.records
    (attempt,), call = seen.attempts, seen.call
    assert (call.name, call.kind, call.status.status_code) == ("chat m1", SpanKind.SERVER, StatusCode.UNSET)
    assert attributes(call) == {
        "openai_gateway.operation": "createChatCompletion",
        "openai_gateway.request_id": record.request_id,
        "openai_gateway.outcome": "completed",
        "openai_gateway.attempts": 1,
        "openai_gateway.model": "m1",
        "openai_gateway.upstream": "A",
        "http.response.status_code": 200,
    }
    assert (attempt.name, attempt.status.status_code) == ("chat m1", StatusCode.UNSET)
    assert record.usage is not None
    details = {
        f"gen_ai.usage.{name}": number
        for name, number in (
            ("cache_read.input_tokens", record.usage.cached),
            ("reasoning.output_tokens", record.usage.reasoning),
        )
        if number
    }
    assert attributes(attempt) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m1",
        "server.address": "api.openai.com",
        "server.port": 443,
        "openai_gateway.upstream": "A",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.seed": 3,
        "gen_ai.request.choice.count": 2,
        "http.response.status_code": 200,
        "openai_gateway.upstream_request_id": "req_up",
        "gen_ai.usage.input_tokens": record.usage.input,
        "gen_ai.usage.output_tokens": record.usage.output,
        **details,
    }
    assert attempt.parent is not None
    assert attempt.parent.span_id == call.context.span_id
    assert record.trace_id == f"{call.context.trace_id:032x}"


async def test_each_attempt_has_its_own_error_and_the_call_none_where_one_answered() -> None:
    async with world(upstream_a(), upstream_b()) as w:
        seen = Seen(w)
        w.upstream.answer(CHAT, error_answer(503), json_answer({}))
        assert (await w.chat()).status == 200
    first, second = seen.attempts
    assert (attributes(first)["error.type"], first.status.status_code) == ("overloaded", StatusCode.ERROR)
    assert "error.type" not in attributes(second)
    assert attributes(second)["http.request.resend_count"] == 1
    assert [attributes(each)["server.address"] for each in (first, second)] == ["a", "b"]
    assert first.end_time is not None
    assert second.start_time is not None
    assert first.end_time <= second.start_time
    assert (attributes(seen.call)["openai_gateway.attempts"], seen.call.status.status_code) == (2, StatusCode.UNSET)
    errors = sorted(
        point["error.type"] for point, _ in seen.points("gen_ai.client.inference.duration") if len(point) > 5
    )
    assert errors == ["overloaded"]


async def test_a_call_that_failed_says_why() -> None:
    async with world() as w:
        seen = Seen(w)
        w.upstream.answer(CHAT, error_answer(500))
        assert (await w.chat()).status >= 500
    assert seen.call.status.status_code is StatusCode.ERROR
    assert attributes(seen.call)["error.type"] == attributes(seen.call)["openai_gateway.reason"] == "server_error"


async def test_a_refused_call_is_no_error_of_the_gateways() -> None:
    async with world() as w:
        seen = Seen(w)
        assert (await w.chat("made-up")).status == 404
    assert (seen.call.name, seen.call.status.status_code, seen.attempts) == ("chat", StatusCode.UNSET, [])
    assert attributes(seen.call)["openai_gateway.reason"] == "unknown"


async def test_the_attempts_own_traceparent_goes_upstream() -> None:
    async with world(upstream_a(), upstream_b()) as w:
        seen = Seen(w)
        w.upstream.answer(CHAT, error_answer(503), json_answer({}))
        await w.chat(headers={"traceparent": PARENT, "tracestate": "a=b", "baggage": "user=u1"})
        sent = [dict(each.headers) for each in w.upstream.requests]
    assert [each[b"traceparent"].decode() for each in sent] == [
        f"00-{TRACE}-{attempt.context.span_id:016x}-01" for attempt in seen.attempts
    ]
    assert all(each[b"tracestate"] == b"a=b" and b"baggage" not in each for each in sent)
    assert seen.call.parent is not None
    assert f"{seen.call.parent.span_id:016x}" == "00f067aa0ba902b7"


async def test_a_tracestate_without_its_parent_is_not_sent() -> None:
    async with world() as w:
        Seen(w)
        await w.chat(headers={"traceparent": "nonsense", "tracestate": "a=b"})
        names = [name for name, _ in w.upstream.last.headers]
    assert b"tracestate" not in names
    assert names.count(b"traceparent") == 1


async def test_a_traceparent_that_the_host_does_not_forward_is_not_sent() -> None:
    async with world(settings=Settings(retries=0, forwarded_headers=["accept"])) as w:
        seen = Seen(w)
        await w.chat(headers={"traceparent": PARENT})
        assert b"traceparent" not in dict(w.upstream.last.headers)
    assert len(seen.attempts) == 1


async def test_the_hosts_current_span_is_the_parent() -> None:
    async with world() as w:
        seen = Seen(w)
        with seen.tracers.get_tracer("host").start_as_current_span("host") as host:
            await w.chat(headers={"traceparent": PARENT})
        assert seen.call.kind is SpanKind.INTERNAL
        assert seen.call.parent == host.get_span_context()


async def test_what_is_sampled_out_is_passed_on_as_such() -> None:
    async with world() as w:
        seen = Seen(w, off=True)
        await w.chat(headers={"traceparent": PARENT})
        sent = dict(w.upstream.last.headers)[b"traceparent"].decode()
        assert w.records[0].trace_id == TRACE
    assert seen.spans == ()
    assert sent.startswith(f"00-{TRACE}-")
    assert sent.endswith("-00")


async def test_metrics_are_of_attempts_by_the_conventions_names() -> None:
    async with world(prices={"m1": Price(input="2", output="10")}) as w:
        seen = Seen(w)
        w.upstream.answer(CHAT, json_answer({"usage": USAGE}), STREAM)
        await w.chat()
        await w.chat(stream=True)
        usage = w.records[0].usage
    assert usage is not None
    about = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "A",
        "gen_ai.request.model": "m1",
        "server.address": "a",
        "server.port": 80,
    }
    ((asked, duration),) = seen.points("gen_ai.client.inference.duration")
    assert (asked, duration.count) == (about, 2)
    assert list(duration.explicit_bounds) == [0.01 * 2**power for power in range(14)]
    ((asked, first),) = seen.points("gen_ai.client.inference.time_to_first_chunk")
    assert (asked, first.count) == (about, 1)
    for side, number in (("input", usage.input), ("output", usage.output)):
        ((asked, used),) = seen.points(f"gen_ai.client.inference.operation.{side}_tokens")
        assert (asked, used.count, used.sum) == (about, 1, number)
        assert list(used.explicit_bounds) == [4**power for power in range(14)]
        ((asked, total),) = seen.points(f"gen_ai.client.inference.usage.{side}_tokens")
        assert (asked, total.value) == ({**about, "gen_ai.token.modality": "unknown"}, number)
    ((_, cost),) = seen.points("openai_gateway.cost")
    assert cost.value == pytest.approx(float(w.records[0].cost or 0))
    ((asked, calls),) = seen.points("openai_gateway.call.duration")
    assert asked == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m1",
        "openai_gateway.outcome": "completed",
    }
    assert calls.count == 2


async def test_refusals_by_limits_and_a_store_that_does_not_answer_are_counted() -> None:
    class Away(MemoryLimits):
        async def take(self, claims: Sequence[Claim]) -> Decision:
            raise StoreDown("away")

    async with world(limits=[Limit(tokens=10, per="day")], limit_store=Away()) as w:
        seen = Seen(w)
        await w.chat()
        assert (await w.chat()).status == 200
        ((asked, failures),) = seen.points("openai_gateway.limit_store.failures")
    assert (asked, failures.value) == ({"openai_gateway.limit_store.operation": "take"}, 2)
    async with world(limits=[Limit(requests=1, per="day", name="one")]) as w:
        seen = Seen(w)
        await w.chat()
        await w.chat()
        ((asked, refusals),) = seen.points("openai_gateway.limit.refusals")
    assert (asked["openai_gateway.limit"], refusals.value) == ("one", 1)


async def test_what_a_failed_attempt_used_stands_on_its_own_span() -> None:
    failed = stream_answer([*chat_events({"model": "m1"})[:2], sse({"choices": [], "usage": USAGE})])
    async with world(upstream_a(commit="whole"), upstream_b(commit="whole")) as w:
        seen = Seen(w)
        w.upstream.host("a").answer(CHAT, failed)
        await w.chat(stream=True)
    used = [span.attributes.get("gen_ai.usage.output_tokens") for span in seen.spans if span.attributes]
    assert sorted(used, key=str) == [4, 4, None]


async def test_embeddings_have_metrics_of_their_own() -> None:
    async with world() as w:
        seen = Seen(w)
        w.upstream.answer("/embeddings", json_answer({"usage": {"prompt_tokens": 7, "total_tokens": 7}}))
        await w.post("/embeddings", {"model": "m1", "input": "x", "dimensions": 8})
    assert attributes(seen.attempts[0])["gen_ai.embeddings.dimension.count"] == 8
    assert seen.attempts[0].name == "embeddings m1"
    assert [point.count for _, point in seen.points("gen_ai.client.embeddings.duration")] == [1]
    assert [point.sum for _, point in seen.points("gen_ai.client.embeddings.operation.input_tokens")] == [7]
    assert seen.points("gen_ai.client.inference.duration") == []


async def test_tokens_are_counted_by_modality_and_each_once() -> None:
    details = {"prompt_tokens_details": {"audio_tokens": 3, "cached_tokens": 2}}
    async with world() as w:
        seen = Seen(w)
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, **details}
        w.upstream.answer(CHAT, json_answer({"usage": usage}))
        await w.chat()
    found = {
        asked["gen_ai.token.modality"]: point.value
        for asked, point in seen.points("gen_ai.client.inference.usage.input_tokens")
    }
    assert found == {"audio": 3, "text": 7}
    assert attributes(seen.attempts[0])["gen_ai.usage.audio.input_tokens"] == 3
    assert [p.value for _, p in seen.points("gen_ai.client.inference.usage.cache_read.input_tokens")] == [2]


async def test_models_that_strangers_make_up_add_no_series() -> None:
    async with world(upstream_a("*")) as w:
        seen = Seen(w)
        for number in range(200):
            await w.chat(f"made-up-{number}")
        series = seen.points("gen_ai.client.inference.duration")
        calls = seen.points("openai_gateway.call.duration")
    assert [(asked["gen_ai.request.model"], point.count) for asked, point in series] == [("*", 200)]
    assert [point.count for _, point in calls] == [200]
    assert {span.name for span in seen.spans if span.kind is SpanKind.SERVER} == {"chat *"}


async def test_a_client_that_leaves_is_no_error_and_all_spans_end() -> None:
    async with world() as w:
        seen = Seen(w)
        waiting = asyncio.Event()

        async def never(*_: Any) -> Any:
            waiting.set()
            await asyncio.Event().wait()

        w.upstream.answer(CHAT, never)
        async with w.conversation(CHAT, chat()):
            await waiting.wait()
    assert attributes(seen.call)["openai_gateway.outcome"] == "client_gone_before_first_byte"
    (attempt,) = seen.attempts
    assert attributes(attempt)["openai_gateway.cause"] == "abandoned"
    assert {each.status.status_code for each in seen.spans} == {StatusCode.UNSET}


async def test_the_span_of_an_attempt_that_outlives_its_call_ends_with_it() -> None:
    async with world() as w:
        seen = Seen(w)
        async with left_by_the_first_of_two(w):
            assert sorted(span.kind.name for span in seen.spans) == ["CLIENT", "SERVER"]
    assert sorted(span.kind.name for span in seen.spans) == ["CLIENT", "SERVER", "SERVER"]
    assert {span.name for span in seen.spans} == {"speech m1"}


async def test_nothing_of_what_was_written_and_of_who_asks_is_in_any_of_it() -> None:
    async with world(upstream_a(), upstream_b()) as w:
        seen = Seen(w)
        said = json_answer({"choices": [{"message": {"content": "CANARY-answer"}}], "usage": USAGE})
        failed = json_answer({"error": {"message": "CANARY-error", "type": "CANARY-type", "code": "CANARY-code"}}, 503)
        w.upstream.answer(CHAT, failed, said)
        messages = [{"role": "user", "content": "CANARY-prompt"}]
        fields = {"model": "m1", "messages": messages, "stop": "CANARY-stop", "user": "CANARY-user", "seed": "CANARY"}
        headers = {"authorization": "Bearer CANARY-token", "x-test-user": "u1"}
        assert (await w.post(CHAT, fields, headers=headers)).status == 200
        told = seen.everything()
    assert "CANARY" not in told
    assert "u1@x.test" not in told
    assert '"ka"' not in told


async def test_without_an_sdk_nobody_looks_on_and_the_clients_traceparent_passes() -> None:
    async with world() as w:
        instrument(w.gateway)
        await w.chat(headers={"traceparent": PARENT, "tracestate": "a=b"})
        sent = dict(w.upstream.last.headers)
        assert (sent[b"traceparent"], sent[b"tracestate"]) == (PARENT.encode(), b"a=b")
    call = CallFacts(request_id="r", operation="createChatCompletion", arrived=0.0, headers={})
    assert _Instrumented(None, None, sends=True).call_started(call) is None


def test_a_provider_that_the_host_sets_later_is_used() -> None:
    code = """
import asyncio, httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from openai_gateway_asgi import Gateway, Upstream, User, everyone
from openai_gateway_asgi.contrib import opentelemetry as ours
from tests.support.asgi import ask

gateway = Gateway([Upstream("http://up/v1", name="up", model_ids=["m1"])], resolve_user=lambda _: User("u"),
    authorize_model=everyone, transport=httpx.MockTransport(lambda request: httpx.Response(200, json={})))

async def main():
    ours.LOOKS = 0.0  # so that it looks at each call
    ours.instrument(gateway)
    await ask(gateway, "POST", "/v1/chat/completions", json={"model": "m1", "messages": []})
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    await ask(gateway, "POST", "/v1/chat/completions", json={"model": "m1", "messages": []})
    await gateway.aclose()
    print(*[span.kind.name for span in spans.get_finished_spans()])

asyncio.run(main())
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": "."}
    )
    assert ran.stdout.split() == ["CLIENT", "SERVER"]


async def test_a_gateway_is_instrumented_once() -> None:
    async with world() as w:
        instrument(w.gateway)
        with pytest.raises(ConfigError, match="once"):
            instrument(w.gateway)


async def test_streams_end_their_spans_wherever_they_are_closed(caplog: pytest.LogCaptureFixture) -> None:
    """Spans that were made current would be detached in another context, which the API logs as an error."""
    async with world() as w:
        seen = Seen(w)
        w.upstream.answer(CHAT, STREAM)
        with caplog.at_level(logging.ERROR, "opentelemetry"):
            assert (await w.chat(stream=True)).status == 200
        assert not trace.get_current_span().get_span_context().is_valid
    assert caplog.records == []
    attempt = attributes(seen.attempts[0])
    assert attempt["gen_ai.request.stream"] is True
    assert 0 <= attempt["gen_ai.response.time_to_first_chunk"] < 5


@pytest.mark.parametrize(
    ("provider", "url", "named"),
    [
        ("", "https://api.openai.com/v1", ("openai", "api.openai.com", 443)),
        ("", "https://eu.api.openai.com/v1", ("openai", "eu.api.openai.com", 443)),
        ("azure", "https://gateway.example/x", ("azure.ai.openai", "gateway.example", 443)),
        ("", "https://r.openai.azure.com", ("azure.ai.openai", "r.openai.azure.com", 443)),
        ("", "https://api.groq.com/openai/v1", ("groq", "api.groq.com", 443)),
        ("vllm", "http://10.0.0.7:8000/v1", ("vllm", "10.0.0.7", 8000)),
        ("", "http://10.0.0.7/v1", ("own", "10.0.0.7", 80)),
        ("", "https://notapi.openai.com.example/v1", ("own", "notapi.openai.com.example", 443)),
    ],
)
def test_providers_have_the_conventions_names(provider: str, url: str, named: tuple[str, str, int]) -> None:
    assert server_of(provider, url, "own") == named


@contextmanager
def receiver() -> Iterator[tuple[str, dict[str, list[bytes]]]]:
    """An OTLP/HTTP receiver on loopback, and what it got, by path."""
    got: dict[str, list[bytes]] = {}

    class Receives(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["content-type"] == "application/x-protobuf"
            got.setdefault(self.path, []).append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receives) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()
            thread.join()


async def test_it_arrives_over_otlp() -> None:
    with receiver() as (url, got):
        tracers = TracerProvider()
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces")))
        metrics = OTLPMetricExporter(endpoint=f"{url}/v1/metrics")
        meters = MeterProvider([PeriodicExportingMetricReader(metrics, export_interval_millis=60_000)])
        async with world() as w:
            instrument(w.gateway, tracers, meters)
            w.upstream.answer(CHAT, json_answer({"usage": USAGE}))
            assert (await w.chat()).status == 200
        await asyncio.to_thread(tracers.shutdown)
        await asyncio.to_thread(meters.shutdown)
    (traces,) = map(ExportTraceServiceRequest.FromString, got["/v1/traces"])
    (scope,) = traces.resource_spans[0].scope_spans
    assert scope.scope.name == "openai_gateway_asgi"
    attempt, call = sorted(scope.spans, key=lambda span: not span.parent_span_id)
    assert attempt.parent_span_id == call.span_id
    assert {each.key for each in attempt.attributes} >= {"gen_ai.provider.name", "gen_ai.usage.input_tokens"}
    exported = [ExportMetricsServiceRequest.FromString(each) for each in got["/v1/metrics"]]
    names = {metric.name for each in exported for metric in each.resource_metrics[0].scope_metrics[0].metrics}
    assert names >= {"gen_ai.client.inference.duration", "openai_gateway.call.duration"}


async def test_a_handler_of_the_hosts_own_has_no_address() -> None:
    async def says(call: ModelCall) -> str:
        return "Hello."

    async with world(upstream_a(), host_models=[HostModel("agent", says)]) as w:
        seen = Seen(w)
        assert (await w.chat("agent")).status == 200
        explained = await w.gateway.explain(
            User("a1"), "POST", "/chat/completions", body=b'{"model":"agent","messages":[]}'
        )
    (attempt,) = seen.attempts
    told = attributes(attempt)
    assert (told["gen_ai.provider.name"], told["openai_gateway.upstream"]) == ("host:agent", "host:agent")
    assert "server.address" not in seen.everything()
    assert "host-model.invalid" not in seen.everything() + str(explained)
