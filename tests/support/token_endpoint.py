"""A managed-identity token endpoint on loopback, as Azure App Service offers it to the code it runs.

azure-identity talks to it in plain HTTP when ``IDENTITY_ENDPOINT`` and ``IDENTITY_HEADER`` are set
(learn.microsoft.com, "REST endpoint reference" of App Service managed identities, api-version 2019-08-01). It runs in a
thread of its own, so that a test whose event loop stalls still gets its answers.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

PATIENCE = 10.0
SECRET = "identity-header-secret"

TOKEN_STEM = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwczovL2FpLmF6dXJlLmNvbSJ9."


class TokenEndpoint:
    """Issues ``TOKEN_STEM + "1"``, ``"2"``, ...; its attributes may be changed at any time.

    ``lifetime`` is in seconds, ``delay`` is how long an answer takes. ``broken`` is the body of the answer instead of a
    token, with status ``status``, and ``Retry-After: 600`` from 500 on. While ``gate`` is clear, requests hang: for
    ``PATIENCE``, so that a test whose event loop waits for the answer has an end.
    """

    def __init__(self) -> None:
        self.lifetime = 3600.0
        self.delay = 0.0
        self.status = 200
        self.broken: bytes | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.closing = threading.Event()
        self.resources: list[str] = []
        """What each request asked a token for; its length is the number of requests."""
        self.arrived = threading.Condition()
        self.issued = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/msi/token"

    @property
    def requests(self) -> int:
        return len(self.resources)

    def wait_for(self, requests: int) -> None:
        """Blocks until so many requests have arrived."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.requests >= requests, PATIENCE), self.resources

    def answer(self, resource: str) -> tuple[int, bytes]:
        with self.arrived:
            self.resources.append(resource)
            self.arrived.notify_all()
        self.closing.wait(self.delay)
        self.gate.wait(PATIENCE)
        if self.broken is not None:
            return self.status, self.broken
        with self.arrived:
            self.issued += 1
            token = f"{TOKEN_STEM}{self.issued}"
        expires_on = str(int(time.time() + self.lifetime))
        body = {"access_token": token, "expires_on": expires_on, "resource": resource, "token_type": "Bearer"}
        return 200, json.dumps(body).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                assert self.headers["X-IDENTITY-HEADER"] == SECRET
                status, body = endpoint.answer(parse_qs(urlsplit(self.path).query)["resource"][0])
                try:
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    if status >= 500:
                        self.send_header("retry-after", "600")
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True  # the asker did not wait

            def log_message(self, *args: Any) -> None:
                pass

        return Handler

    @contextmanager
    def running(self) -> Iterator[TokenEndpoint]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self.gate.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()


@contextmanager
def token_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenEndpoint]:
    """A running endpoint that a ``DefaultAzureCredential`` made in this process asks, and nothing else."""
    for name in list(os.environ):
        if name.startswith(("AZURE_", "IDENTITY_", "MSI_", "IMDS_")):
            monkeypatch.delenv(name)
    with TokenEndpoint().running() as endpoint:
        monkeypatch.setenv("IDENTITY_ENDPOINT", endpoint.url)
        monkeypatch.setenv("IDENTITY_HEADER", SECRET)
        monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
        # Proxies from the environment would be asked for loopback addresses too.
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield endpoint
