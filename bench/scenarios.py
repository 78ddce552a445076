"""What is measured: the loads, as data, and the requests they send."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

MEGABYTE = 1_000_000
BOUNDARY = b"7d1f0c5be2a94f0e8b1c6d3a7f20e915"  # as long as the SDK's
USER_KEY = "sk-bench-8e1c6f0a94d24b5f9d3c7a1b6e2f8d05"  # LiteLLM refuses to start with a short one
UPSTREAMS = 20  # of the gateway's profile; requests go to models of all of them

Kind = Literal["chat", "models", "upload", "download"]


@dataclass(frozen=True)
class Setting:
    """What a target is started with: scenarios that share one share the running processes."""

    models: int = 100
    tls: bool = False
    fresh: bool = False  # its own processes, so that memory is not hidden in what earlier scenarios freed
    loads: str = "calls"  # large bodies have processes to themselves: what others freed decides what memory costs


@dataclass(frozen=True)
class Scenario:
    """One load. ``events`` of 0 asks for plain JSON; ``pace`` is in milliseconds, 0 for as fast as they are taken."""

    name: str
    title: str
    clients: int
    kind: Kind = "chat"
    size: int = 0  # bytes added to the request, or asked for in the answer
    events: int = 0
    pace: int = 0
    model_last: bool = False  # of an upload: its model stands after the file
    once: bool = False  # one request per client, all at once, in place of a closed loop
    setting: Setting = Setting()
    targets: tuple[str, ...] = ()  # empty: all
    least_answer: int = 0  # bytes; a shorter body is an error
    open_calls: int = 0  # further ones, which wait for their first event all the while

    @property
    def unit(self) -> str:
        return "stream" if self.events else "request"


GATEWAY_ONLY = ("passthrough", "gateway-starlette")
JSON_ANSWER = 900


def _curve(models: int) -> Scenario:
    setting = Setting(models=models)
    title = f"small JSON, 64 clients, {models:,} models known"
    return Scenario(f"models-{models}", title, 64, setting=setting, targets=GATEWAY_ONLY, least_answer=JSON_ANSWER)


def _among(calls: int) -> Scenario:
    title = f"small JSON, 64 clients, {calls:,} other calls open"
    return Scenario(f"open-{calls}", title, 64, targets=GATEWAY_ONLY, least_answer=JSON_ANSWER, open_calls=calls)


SCENARIOS = (
    Scenario("json-1", "small JSON, 1 client", 1, least_answer=JSON_ANSWER),
    Scenario("json-64", "small JSON, 64 clients", 64, least_answer=JSON_ANSWER),
    Scenario("json-256", "small JSON, 256 clients", 256, least_answer=JSON_ANSWER),
    Scenario("json-1mb", "1 MB JSON, 8 clients", 8, size=MEGABYTE, least_answer=JSON_ANSWER),
    Scenario("stream-1", "stream of 200 events, 1 client", 1, events=200),
    Scenario("stream-64", "stream of 200 events, 64 clients", 64, events=200),
    Scenario("paced-16", "stream of 200 events, one every 5 ms, 16 clients", 16, events=200, pace=5, once=True),
    # 1,000 streams at 5 ms would be 200,000 writes a second: more than one core of upstream and client can make
    Scenario(
        "paced-1000",
        "1,000 open streams, one event every 400 ms",
        1000,
        events=10,
        pace=400,
        once=True,
        setting=Setting(fresh=True),
    ),
    Scenario(
        "upload",
        "100 MB multipart upload",
        1,
        kind="upload",
        size=100 * MEGABYTE,
        setting=Setting(loads="uploads"),
        least_answer=JSON_ANSWER,
    ),
    Scenario(
        "upload-model-last",
        "100 MB multipart upload, the model after the file",
        1,
        kind="upload",
        size=100 * MEGABYTE,
        model_last=True,
        setting=Setting(loads="uploads"),
        least_answer=JSON_ANSWER,
    ),
    Scenario(
        "download",
        "100 MB download",
        1,
        kind="download",
        size=100 * MEGABYTE,
        setting=Setting(loads="downloads"),
        least_answer=100 * MEGABYTE,
    ),
    Scenario("tls-json-64", "small JSON, 64 clients, TLS upstream", 64, setting=Setting(tls=True), least_answer=700),
    Scenario(
        "tls-stream-64", "stream of 200 events, 64 clients, TLS upstream", 64, events=200, setting=Setting(tls=True)
    ),
    _among(100),
    _among(1_000),
    _curve(10),
    _curve(1_000),
    _curve(100_000),
    Scenario(
        "list-10000",
        "list of 10,000 models, 8 clients",
        8,
        kind="models",
        setting=Setting(models=10_000),
        targets=(*GATEWAY_ONLY, "handwritten"),
        least_answer=500_000,
    ),
)
QUICK = ("json-1", "json-64", "json-1mb", "stream-64")
GUARD = ("json-64", "stream-64")


def requests(scenario: Scenario, prefix: str) -> list[bytes]:
    """The whole HTTP requests that the clients send in turn, to a target that serves the API under ``prefix``."""
    if scenario.kind == "models":
        return [_request("GET", f"{prefix}/models")]
    if scenario.kind == "download":
        return [_request("GET", f"{prefix}/files/file-{scenario.size}/content")]
    if scenario.kind == "upload":
        kind = b"multipart/form-data; boundary=" + BOUNDARY
        return [_request("POST", f"{prefix}/audio/transcriptions", _multipart(scenario), kind)]
    models = range(min(UPSTREAMS, scenario.setting.models))
    return [_request("POST", f"{prefix}/chat/completions", _chat(scenario, number)) for number in models]


def waiting_request(prefix: str) -> bytes:
    """A call whose first event comes in a minute."""
    waiting = Scenario("waiting", "", 1, events=1, pace=60_000)
    return _request("POST", f"{prefix}/chat/completions", _chat(waiting, 0))


def _request(method: str, path: str, body: bytes = b"", kind: bytes = b"application/json") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {USER_KEY}\r\n".encode()
    if body:
        head += b"content-type: %s\r\ncontent-length: %d\r\n" % (kind, len(body))
    return head + b"\r\n" + body


def _chat(scenario: Scenario, number: int) -> bytes:
    wish = f"bench events={scenario.events} pace={scenario.pace}" if scenario.events else "bench"
    fields = {
        "model": f"model-{number}",
        "user": wish,  # the mock upstream looks for its wish near the beginning
        "stream": bool(scenario.events),
        "temperature": 0.7,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant. " * 12},
            {"role": "user", "content": "What does a call cost? " * (20 + scenario.size // 23)},
        ],
    }
    return json.dumps(fields).encode()


def _multipart(scenario: Scenario) -> bytes:
    part = b'--%s\r\ncontent-disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    model = part % (BOUNDARY, b"model", b"", b"model-0")
    file_head = b'; filename="speech.wav"\r\ncontent-type: audio/wav'
    file = part % (BOUNDARY, b"file", file_head, b"\0" * scenario.size)
    return (file + model if scenario.model_last else model + file) + b"--" + BOUNDARY + b"--\r\n"
