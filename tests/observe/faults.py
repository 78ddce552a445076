"""Ways in which a call goes wrong, as data: what was set up, what was asked, and what an operator must be told."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from openai_gateway_asgi import Gateway, MemoryStore, Settings, Timeouts, Upstream, UsageRecord, User, everyone
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import (
    JSON,
    Call,
    Connection,
    WireScript,
    answer,
    close_before_headers,
    hang,
    raw,
    reset,
    sse,
)
from tests.reliability.gateways import trust
from tests.support.certificates import server_tls
from tests.support.servers import free_port

KEY = "sk-canary-0123456789-of-the-gateway"
FIXED = "canary-of-a-fixed-header-4711"
QUERY = "canary-of-the-query-4712"
TOKEN = "canary-of-the-client-4713"
PROMPT = "canary of the prompt"
CANARY = "canary"
"""Stands in every credential and in every prompt, and must stand nowhere else."""

CHAT = "/v1/chat/completions"
BODY = {"model": "m1", "messages": [{"role": "user", "content": PROMPT}], "user": PROMPT, "metadata": {"a": PROMPT}}
HEADERS = {"authorization": f"Bearer {TOKEN}", "cookie": f"theirs={TOKEN}"}


def refuses(status: int, message: str, code: str | None = None, type: str = "invalid_request_error") -> WireScript:
    error = {"message": message, "type": type, "param": None, "code": code}
    return answer(status, JSON, json.dumps({"error": error}).encode())


@dataclass(frozen=True)
class Fault:
    """``said`` is what the log says of an attempt that failed, ``{address}`` being the upstream's; None: no attempt did.

    ``verified`` is how the message of ``/verify`` begins, where that is for it to find.
    """

    name: str
    reason: str | None
    """In the record; in the line of a request that has none."""
    said: str | None = None
    script: WireScript = field(default_factory=answer)
    status: int | None = 502
    url: Callable[[str], str] = lambda url: f"{url}/v1"
    """The base URL, of that of a server that runs the script."""
    tls: bool = False
    on_connect: Any = None
    verified: str | None = None
    method: str = "POST"
    path: str = CHAT
    body: Any = field(default_factory=lambda: BODY)
    headers: Mapping[str, str] = field(default_factory=dict)
    upstream: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    recorded: bool = True
    before: Callable[[Gateway], Any] = lambda gateway: None


def resolve_user(request: Request) -> User | None:
    named = request.headers.get("x-test-user", "ann")
    return None if named == "nobody" else User(named, role="admin" if named == "root" else "user")


async def speaks_plainly(connection: Connection) -> None:
    connection.writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    connection.writer.close()


def no_token(user: User, request: Request, upstream: Upstream) -> None:
    return None


def raising(user: User, model: Any) -> bool:
    raise LookupError("no database")


async def echoing_loop(call: Call) -> None:
    """Answers with its own request, which is what happens when a base URL is the gateway's own."""
    await call.read_body()
    body = b'{"error": {"message": "It came back.", "type": "x", "param": null, "code": "loop_detected"}}'
    await answer(508, JSON, body)(call)


UPSTREAMS = (
    Fault("dead port", "refused", "connection refused by {address}", url=lambda url: f"http://127.0.0.1:{free_port()}/v1",
          verified="Connection refused by {address}. See whether it runs"),
    Fault("unknown host", "refused", "the name nowhere.invalid cannot be resolved",
          url=lambda url: "http://nowhere.invalid/v1", verified="The name nowhere.invalid cannot be resolved"),
    Fault("TLS against plain", "refused", "{address} does not speak TLS", on_connect=speaks_plainly,
          url=lambda url: url.replace("http:", "https:") + "/v1", verified="{address} does not speak TLS"),
    Fault("plain against TLS", "cut", "{address}: Server disconnected without sending a response.", tls=True,
          url=lambda url: url.replace("https:", "http:") + "/v1", verified="{address}: Server disconnected"),
    Fault("self-signed", "refused", "certificate of 127.0.0.1 is self-signed", tls=True,
          upstream={"verify_tls": True}, settings={"verify_tls": True},
          verified="Certificate of 127.0.0.1 is self-signed. Verify_tls can name a file"),
    Fault("wrong key", "credential", "401: Incorrect API key provided: ***",
          script=refuses(401, f"Incorrect API key provided: {KEY}.", "invalid_api_key"),
          verified="401: Incorrect API key provided: ***. The upstream refuses the gateway's credential"),
    Fault("key shown in part", "credential", "401: Incorrect API key provided: ***",
          script=refuses(401, "Incorrect API key provided: sk-canar********eway.", "invalid_api_key"),
          verified="401: Incorrect API key provided: ***"),
    Fault("unpaid", "account", "402: Insufficient credits", script=refuses(402, "Insufficient credits"),
          verified="402: Insufficient credits. See to the account's plan and credit."),
    Fault("missing /v1", "unable", "404 at {base}/chat/completions: does the base URL lack /v1?",
          script=answer(404, JSON, b'{"detail":"Not Found"}'), url=lambda url: url, status=404,
          verified="404 at {base}/models: does the base URL lack /v1?"),
    Fault("rate limit", "rate_limited", "429: Slow down", script=refuses(429, "Slow down", "rate_limit_exceeded"),
          status=429, verified="429: Slow down. The account is at its limit there."),
    Fault("overloaded", "overloaded", "503: Loading the model", script=refuses(503, "Loading the model"), status=503,
          verified="503: Loading the model."),
    Fault("repeats its credentials", "server_error", "500: I got ***", status=500,
          script=refuses(500, f"I got {KEY} and {FIXED} and {QUERY}"), verified="500: I got *** and *** and ***."),
    Fault("repeats the prompt", "content", "400: code invalid_prompt", status=400,
          script=refuses(400, f"No good: {PROMPT}", "invalid_prompt"), verified="400: code invalid_prompt."),
    Fault("too long", "context_length", "400: code context_length_exceeded", status=400,
          script=refuses(400, f"Too long: {PROMPT}", "context_length_exceeded")),
    Fault("silent", "timeout", "{address} did not answer in time", script=hang, status=504,
          upstream={"timeouts": Timeouts(answer=0.2, first_event=0.2)}, settings={"model_list_timeout": 0.2},
          verified="{address} did not answer in time"),
    Fault("closes", "cut", "{address}: Server disconnected without sending a response.", script=close_before_headers,
          verified="{address}: Server disconnected"),
    Fault("resets", "cut", "the connection to {address} broke: Connection reset by peer", script=reset,
          verified="The connection to {address} broke: Connection reset by peer"),
    Fault("not HTTP", "cut", "{address}: The upstream sent what is not HTTP.",
          script=raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", close=True), verified="{address}: The upstream sent what is not HTTP"),
    Fault("redirect", "redirect", "302: redirected to https://login.test/in",
          script=answer(302, ((b"Location", f"https://u:{KEY}@login.test/in?k={KEY}".encode()),)),
          verified="302: redirected to https://login.test/in. Redirects are never followed"),
    Fault("a page", "server_error", "The upstream answered with a page instead of a stream.", body={**BODY, "stream": True},
          script=answer(200, ((b"Content-Type", b"text/html"),), b"<html>canary</html>"),
          verified="200 at {base}/models, but with no list of models"),
    Fault("error inside a success", "server_error", "an error inside a successful answer: out of memory",
          script=answer(200, JSON, b'{"error": {"message": "out of memory", "type": "server_error"}}'), status=500),
    Fault("cut in the middle", "cut", "{address}: The upstream cut its response short.", body={**BODY, "stream": True}, status=200,
          script=sse(b'data: {"choices": [{"delta": {"content": "canary"}}]}\n\n', ending="cut")),
    Fault("repeats the caller's token", "server_error", "500: I got ***", status=500,
          upstream={"auth_type": "session", "api_key": ""}, script=refuses(500, f"I got {TOKEN}")),
    Fault("repeats the caller's cookie", "server_error", "500: I got ***", status=500,
          upstream={"forward_cookies": ["theirs"], "auth_type": "session", "api_key": ""},
          script=refuses(500, f"I got {TOKEN}")),
    Fault("dead proxy", "refused", "connection refused by the proxy 127.0.0.1:1",
          upstream={"proxy": f"http://{TOKEN}:{TOKEN}@127.0.0.1:1"}),
    Fault("no token of the user's", "no_credential", "", upstream={"auth_type": "system_oauth", "api_key": ""},
          options={"oauth_token": no_token}),
    Fault("a loop", "server_error", "508: It came back.", script=echoing_loop, status=508),
)  # fmt: skip

GATEWAY = (
    Fault("denied", "denied", status=404, options={"authorize_model": lambda user, model: False}),
    Fault("unknown", "unknown", status=404, body={**BODY, "model": "m2"}),
    Fault("policy that fails", "host_failure", status=500, options={"authorize_model": raising}),
    Fault("closed group", "group_closed", status=404, method="GET", path="/v1/files", body=None),
    Fault("stored object of a closed group", "group_closed", status=400, path="/v1/responses",
          body={"model": "m1", "input": PROMPT, "previous_response_id": "resp_1"}),
    Fault("too large", "payload_too_large", status=413, settings={"json_limit": 64}),
    Fault("bad JSON", "invalid_json", status=400, body=b'{"model": "canary'),
    Fault("no JSON", "unsupported_media_type", status=415, body=b"canary", headers={"content-type": "text/plain"}),
    Fault("disabled", "gateway_disabled", status=503, settings={"enabled": False}),
    Fault("draining", "gateway_draining", status=503, before=lambda gateway: gateway.begin_drain(30)),
    Fault("nobody", "unauthenticated", status=401, headers={"x-test-user": "nobody"}, recorded=False),
    Fault("another site's page", "cross_site_request", status=403, recorded=False,
          headers={"authorization": "", "sec-fetch-site": "cross-site"}),
    Fault("no such path", "not_found", status=404, path="/v1/nothing", recorded=False),
    Fault("administrators only", "permission_denied", status=403, method="GET", path="/v1/config", body=None,
          recorded=False),
)  # fmt: skip


@dataclass
class Broken:
    """A gateway that the fault will happen in."""

    gateway: Gateway
    upstream: Upstream
    records: list[UsageRecord]

    @property
    def posted(self) -> dict[str, Any]:
        """For ``/verify``."""
        config: dict[str, Any] = {"name": "verified", "headers": dict(self.upstream.headers)}
        config["query"] = dict(self.upstream.query)
        if self.upstream.verify_tls is not None:
            config["verify_tls"] = self.upstream.verify_tls
        return {"url": self.upstream.base_url, "key": KEY, "config": config}

    def fill(self, expected: str) -> str:
        base = self.upstream.base_url
        return expected.format(address=base.partition("://")[2].partition("/")[0], base=base)


@contextlib.asynccontextmanager
async def broken(fault: Fault) -> AsyncIterator[Broken]:
    async with FakeUpstream(
        wire=[fault.script], tls=server_tls() if fault.tls else None, on_connect=fault.on_connect
    ) as server:
        given = {
            "name": "U", "api_key": KEY, "model_ids": ["m1"], "headers": {"x-fixed": FIXED}, "query": {"q": QUERY},
            **fault.upstream,
        }  # fmt: skip
        upstream = Upstream(fault.url(server.url), **given)
        records: list[UsageRecord] = []
        gateway = Gateway(
            MemoryStore([upstream], enabled=fault.settings.get("enabled", True)),
            **{
                "resolve_user": resolve_user,
                "authorize_model": everyone,
                "record_usage": records.append,
                "settings": Settings(**{"retries": 0, "verify_tls": trust(), "record": "all", **fault.settings}),
                **fault.options,
            },
        )
        try:
            yield Broken(gateway, upstream, records)
        finally:
            await gateway.aclose()
