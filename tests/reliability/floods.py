"""Everything that strangers and upstreams can send too much of: each flood presses on the bounds of some modules.

A flood goes on until it is stopped, in as many clients as it has; what it is answered it does not care.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from starlette.requests import Request

from openai_gateway_asgi import Gateway, Limit, Settings, Timeouts, Upstream, User
from openai_gateway_asgi.contrib.prometheus import metrics_app
from openai_gateway_asgi.testing.answers import Answer, bytes_answer, error_answer, json_answer
from openai_gateway_asgi.testing.requests import FakeRequest
from tests.reliability.clients import Client, request
from tests.reliability.deaf import DeafClient
from tests.support.servers import Program

KIB = 1024
MIB = 1024 * KIB
PREFIX = "/openai/v1"


async def resolve_user(request: Request) -> User:
    token = request.headers.get("authorization", "")[7:]
    return User(token or "nobody", role="admin" if token == "root" else random.choice(["user", "odd", token]))


def flooded_gateway(url: str) -> Gateway:
    """With all that keeps something, and clocks that come round within the flood."""
    gateway = Gateway(
        [
            Upstream(f"{url}/chat/v1", name="chat", model_ids=["gpt", "tts", "bad-*", "any-*"]),
            Upstream(f"{url}/own/v1", name="own", auth_type="session", prefix_id="own"),
            Upstream(f"{url}/listed/v1", name="listed", prefix_id="listed"),
        ],
        resolve_user=resolve_user,
        authorize_model=lambda user, model: True,
        authorize_group=lambda user, group: True,
        settings=Settings(
            timeouts=Timeouts(connect=1, first_event=2, answer=3, idle=1),
            send_timeout=1,
            upload_idle=1,
            model_list_timeout=2,
            model_list_lifetime=0.2,
            model_list_retry=0.2,
            forward_user_info=True,
        ),
        limits=[
            Limit(requests=1_000_000, per="minute", by=("user", "model")),
            Limit(tokens=10**12, per="day", by="user"),
            Limit(concurrent=1_000, by="user"),
        ],
    )
    metrics_app(gateway)
    return gateway


def answer(came: FakeRequest) -> Answer | Awaitable[Answer]:
    """What an upstream says that means no good."""
    if came.path.endswith("/models"):
        return lists(came)
    if came.path.endswith("/speech"):
        return Answer([bytes(KIB)] * 500, 200, [("content-type", "audio/mpeg")])
    model = came.model or ""
    if model.startswith("bad-"):
        status = random.choice([429, 500, 503])
        return error_answer(
            status, "no" * random.choice([1, 100_000]), headers=[("retry-after", str(random.choice([0, 1e9])))]
        )
    return random.choice(HOSTILE)()


def lists(came: FakeRequest) -> Answer:
    if "/own/" in came.path:
        whose = (came.header("authorization") or "")[7:]
        count = random.choice([300] * 19 + [15_000])
        return json_answer({"data": [{"id": f"{whose}-{n}", "about": whose * 20} for n in range(count)]})
    return bytes_answer(
        random.choice(
            [
                b"[" + b"{}," * 2_000_000 + b"{}]",
                b'{"data":[' + b",".join(b'{"id":"m%d"}' % n for n in range(90_000)) + b"]}",
                b'{"data":[' + b",".join(b'"m%d"' % n for n in range(200_000)) + b"]}",
                b'["' + b"\\ud83d" * 150_000 + b'"]',
                b" " * 9 * MIB,
                b"[" * 100_000,
            ]
        ),
        "application/json",
    )


EVENTS = [("content-type", "text/event-stream")]


async def comments() -> AsyncIterator[bytes]:
    while True:
        yield b": wait\n\n" * 100
        await asyncio.sleep(0.001)


async def one_event() -> AsyncIterator[bytes]:
    yield b"data: "
    for _ in range(300):
        yield b"x" * 64 * KIB


async def starts() -> AsyncIterator[bytes]:
    event = json.dumps({"type": "response.created", "response": {"instructions": "x" * 50_000}})
    for _ in range(100):
        yield f"event: response.created\ndata: {event}\n\n".encode()


async def drip() -> AsyncIterator[bytes]:
    for _ in range(5_000):
        yield b"d"


HOSTILE: list[Callable[[], Answer]] = [
    lambda: Answer(comments(), 200, EVENTS),
    lambda: Answer(one_event(), 200, EVENTS),
    lambda: Answer(starts(), 200, EVENTS),
    lambda: Answer(drip(), 200, EVENTS),
    lambda: Answer([gzip.compress(bytes(20 * MIB))], 200, [*EVENTS, ("content-encoding", "gzip")]),
    lambda: bytes_answer(b'{"error": {"message": "' + b"x" * 3 * MIB + b'"}}', "application/json", 400),
    lambda: bytes_answer(b'{"error":' + b"[" * 500_000, "application/json", 500),
    lambda: bytes_answer(b"<p>" * 300_000, "text/html", 200),
    lambda: Answer([b"{}"], 200, [(f"x-ratelimit-{n}", "x" * 30_000) for n in range(50)]),
    lambda: Answer([b'{"x":"' + b"x" * 2 * MIB], 200, [("content-type", "application/json")], "cut"),
    lambda: json_answer({"choices": [{"message": {"content": "y" * MIB}, "finish_reason": "stop"}]}),
]


def bodies() -> bytes:
    """Up to 8 MiB of JSON: within a bound or just beyond it."""
    return random.choice(
        [
            lambda: b'{"model":"gpt","messages":[],"x":[' + b"{}," * 2_000_000 + b"{}]}",
            lambda: b'{"model":"gpt","messages":[],"file_id":[' + b"0," * 3_000_000 + b"0]}",
            lambda: b'{"model":"gpt","messages":[' + b"[" * 150 + b"]" * 150 + b"]}",
            lambda: b'{"model":"gpt","messages":' + b"[" * 300_000 + b"}",
            lambda: b'{"model":"gpt",' + b",".join(b'"%d":0' % n for n in range(900)) + b"}",
            lambda: b'{"model":"gpt",' + b",".join(b'"%d":0' % n for n in range(300_000)) + b"}",
            lambda: b'{"model":"gpt","' + b"k" * MIB + b'":[' + b"0," * 500_000 + b"0]}",
            lambda: b'{"model":"gpt","models":[' + b",".join(b'"any-%d"' % n for n in range(200_000)) + b"]}",
            lambda: b'{"model":"gpt","messages":[{"role":"user","content":"' + "\u044f".encode() * 3 * MIB + b'"}]}',
            lambda: b'{"model":"gpt","messages":[{"role":"user","content":"' + b"\\u0041" * MIB + b'"}]}',
            lambda: b'{"model":"gpt","logit_bias":"' + b"1:1," * 500_000 + b'"}',
            lambda: b'{"model":"gpt","messages":[' + b'{"role":"developer","content":"x"},' * 100_000 + b"{}]}",
        ]
    )()


def forms() -> bytes:
    part = b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    model = part % (b"model", b"", b"gpt")
    return random.choice(
        [
            lambda: b"".join(part % (b"f%d" % n, b"", b"x") for n in range(1_500)),
            lambda: part % (b"f", b"; x=" + b"x" * 20_000, b""),
            lambda: part % (b"f", b"\r\n" + b"X-H: 1\r\n" * 30 + b"X: 1", b""),
            lambda: part % (b"file", b'; filename="a"', bytes(4 * MIB)) + model + b"--b--\r\n",
            lambda: model + part % (b"file", b'; filename="a"', bytes(2 * MIB)) + b"--b--\r\n",
            lambda: part % (b"file", b'; filename="a"', bytes(MIB)),
            lambda: part % (b"metadata", b"", b'{"a":[' + b"{}," * random.choice([21_000, 100_000]) + b"{}]}"),
        ]
    )()


@dataclass(slots=True)
class Site:
    program: Program
    sent: dict[str, int] = field(default_factory=dict)
    numbers: random.Random = field(default_factory=lambda: random.Random(7))

    async def ask(self, data: bytes, *, patience: float = 5.0, reads: int = 64 * KIB) -> bytes:
        """What comes of it, up to so many bytes; then the client leaves."""
        client = await Client.to(self.program)
        try:
            async with asyncio.timeout(patience):
                await client.send(data)
                return await client.reader.read(reads)
        except (TimeoutError, ConnectionError):
            return b""
        finally:
            client.leave()

    def post(
        self, path: str, body: bytes, *, token: bytes = b"ann", content_type: bytes = b"application/json"
    ) -> bytes:
        return request(body, path=PREFIX + path, token=token, content_type=content_type, close=True)

    def get(self, path: str, token: bytes = b"ann", headers: bytes = b"") -> bytes:
        return b"GET %b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n%bConnection: close\r\n\r\n" % (
            (PREFIX + path).encode(),
            token,
            headers,
        )


async def large_bodies(site: Site) -> None:
    await site.ask(site.post(random.choice(["/chat/completions", "/responses", "/embeddings"]), bodies()))


async def strange_forms(site: Site) -> None:
    await site.ask(
        site.post("/audio/transcriptions", forms(), content_type=b"multipart/form-data; boundary=b"), patience=3
    )


async def ever_new_models(site: Site) -> None:
    kind = random.choice(["bad", "any"])
    body = json.dumps(
        {"model": f"{kind}-{random.random()}{'x' * 200}", "messages": [], "stream": random.random() < 0.5}
    )
    await site.ask(site.post("/chat/completions", body.encode(), token=b"u%d" % random.randrange(500)))


async def ever_new_users(site: Site) -> None:
    user = b"%d" % random.randrange(3_000)
    await site.ask(site.get("/models", random.choice([user, user + b"-%d" % random.randrange(100)])), reads=1)


async def ever_new_speech(site: Site) -> None:
    body = json.dumps({"model": "tts", "input": str(random.random()), "voice": "x"}).encode()
    await site.ask(site.post("/audio/speech", body), reads=random.choice([1, MIB]))


async def hostile_answers(site: Site) -> None:
    path, rest = random.choice([("/chat/completions", {"messages": []}), ("/responses", {"input": "x"})])
    body = json.dumps({"model": "gpt", "stream": random.random() < 0.8, **rest}).encode()
    await site.ask(site.post(path, body), patience=random.choice([0.2, 5]), reads=random.choice([1, MIB]))


async def hostile_lists(site: Site) -> None:
    await site.ask(site.get(random.choice(["/models", "/models/listed.m1", "/models/listed.none"])), reads=1)


async def odd_requests(site: Site) -> None:
    path = random.choice(
        ["/" + "%41" * 2_000, f"/{random.random()}", "/models/" + "x" * 300, "/files/" + "f" * 90, "/health"]
    )
    headers = random.choice(
        [
            b"X-%f: 1\r\n" % random.random(),
            b"X-Gateway-Hops: " + b"0" * 400 + b"\r\n",
            b"Cookie: a=b\r\nSec-Fetch-Site: cross-site\r\n",
        ]
    )
    await site.ask(site.get(path, b"u%d" % random.randrange(3_000), headers), patience=2)


async def stalled_uploads(site: Site) -> None:
    body = site.post("/chat/completions", b'{"model": "gpt", "messages": ["' + b"x" * 100_000)
    await site.ask(body.replace(b"Content-Length: 1", b"Content-Length: 9", 1), patience=4)


async def deaf_clients(site: Site) -> None:
    stream = site.post("/chat/completions", b'{"model": "gpt", "messages": [], "stream": true}')
    async with DeafClient(site.program.port) as client:
        await client.send(random.choice([site.get("/models"), stream, site.get("/config", b"root")]))
        await asyncio.sleep(2)


async def configurations(site: Site) -> None:
    entries = {str(n): {"prefix_id": f"p{n}", "model_ids": ["m"]} for n in range(200)}
    posted = {
        "OPENAI_API_BASE_URLS": ["http://x/v1"] * 200,
        "OPENAI_API_KEYS": ["k"] * 199 + [7],
        "OPENAI_API_CONFIGS": entries,
    }
    body = random.choice([json.dumps(posted).encode(), b"[" * 500_000, b" " * 2 * MIB])
    await site.ask(random.choice([site.post("/config/update", body, token=b"root"), site.get("/config", b"root")]))
    await asyncio.sleep(0.1)


Flood = Callable[[Site], Awaitable[None]]

FLOODS: dict[Flood, tuple[int, str]] = {
    large_bodies: (2, "bodies.findings bodies.grammar bodies.long_texts bodies.looks bodies.nested_fields bodies.outline bodies.parts bodies.scanner bodies.spelling bodies.zones rewrites.instruction_roles rewrites.logit_bias layers.select_upstream api.route_fields http.arrival http.pacing"),
    strange_forms: (3, "bodies.form_values bodies.multipart.handover bodies.multipart.headers bodies.multipart.parser bodies.multipart.shares bodies.multipart.spool bodies.multipart.upload layers.read_upload"),
    ever_new_models: (4, "models.merged rewrites.reasoning upstream.breaker upstream.memory upstream.failures config.model_ids host.notices http.retry_after limits.memory limits.ledger limits.estimate limits.claims limits.limit limits.standings limits.settling limits.plans limits.told contrib.prometheus.counting observe.few_values"),
    ever_new_users: (3, "upstream.list_views upstream.own_lists upstream.identity host.roles"),
    ever_new_speech: (4, "speech.cache speech.memory speech.shared_request layers.serve_speech"),
    hostile_answers: (6, "answers.error_kinds answers.error_shapes answers.estimated answers.told host.read_usage host.tops observe.counting observe.fields upstream.apis upstream.usage_refusals answers.answer_clocks answers.client_stream answers.endings answers.events answers.one_read answers.plain_answer answers.whole_json http.headers layers.forward upstream.response_reads upstream.sent_secrets answers.refusal answers.upstream_errors causes exchange http.sse upstream.call upstream.causes upstream.inflate http.stages observe.attempts host.usage http.timers http.cancellation"),
    hostile_lists: (2, "host.access models.elements models.list_answers models.listing models.catalogue upstream.list_request upstream.list_sources upstream.model_lists"),
    odd_requests: (2, "layers.match_endpoint http.paths http.loop_guard upstream.request_head upstream.request_body"),
    stalled_uploads: (4, "http.request_body"),
    deaf_clients: (4, "http.whole_answers"),
    configurations: (1, "config.judge config.live config.query_rules"),
}  # fmt: skip
"""How many clients each has, and the modules on whose bounds it presses."""

NOT_FLOODED = {
    "contrib.opentelemetry.__init__": "one for each call that is under way",
    "contrib.opentelemetry.names": "one for each upstream that is configured",
    "contrib.prometheus.__init__": "who asks for metrics is the operator's",
    "observe.body_changes": "an explanation is the operator's",
    "answers.finishing": "who leaves is left by default; its tests are beside it",
    "commands.check": "a command of the operator's",
    "commands.search": "a command of the operator's",
    **dict.fromkeys(
        ("config.preset_book", "config.presets", "config.settings", "config.stamps", "config.upstream"),
        "what an operator writes",
    ),
    "config.file_store": "a file of the operator's; its tests are beside it",
    "contrib.django.allowed_hosts": "Django's own tests have it",
    "contrib.django.mounting": "Django's own tests have it",
    "contrib.django.orm_threads": "Django's own tests have it",
    **dict.fromkeys(
        ("extensions.chain", "extensions.inner_calls", "extensions.running", "http.pipe"),
        "the host's own code: what loads it is beside its tests",
    ),
    **dict.fromkeys(("host.descriptions", "host.prices", "limits.unpriced", "parts"), "what the host writes"),
    **dict.fromkeys(
        ("answers.too_much", "extensions.filter_event", "extensions.texts"), "hostile bodies and answers have it"
    ),
    **dict.fromkeys(
        (
            "translate.fields",
            "translate.plain_input",
            "translate.response_objects",
            "translate.responses_tools",
            "translate.streamed_items",
            "translate.to_chat",
            "translate.translation",
        ),
        "its tests, and those of large bodies, have it",
    ),
    "http.background": "the end of a process",
    "layers.attach_credential": "one for each upstream that is configured",
    **dict.fromkeys(("limits.patience", "limits.redis"), "the tests of limits have it"),
    "observe.health": "who asks for health is the operator's",
    "presets.apply": "forms of bodies with fields of the API alone; its tests hold what it keeps to them",
    "presets.naming": "what answers of a preset begin with; its tests are beside it",
    **dict.fromkeys(("answers.error_model_names", "presets.plan"), "one for each preset that is called"),
    "rewrites.apply": "one for each operation of the API",
    "upstream.concurrency": "its load is beside it",
    "upstream.connections": "a fixed query of the operator's",
    "upstream.credentials": "one for each upstream that is configured",
    **dict.fromkeys(
        ("upstream.kept_of_users", "upstream.signed_identity", "upstream.stamping"),
        "what is told of users, where an operator wants it; its tests are beside it",
    ),
    "upstream.entra": "its endpoint's tests are beside it",
    **dict.fromkeys(("upstream.protocol", "upstream.transport"), "one for each connection to an upstream"),
}


async def flood(site: Site, what: Flood, until: float) -> None:
    loop = asyncio.get_running_loop()
    name = what.__name__  # type: ignore[attr-defined]
    while loop.time() < until:
        await what(site)
        site.sent[name] = site.sent.get(name, 0) + 1
