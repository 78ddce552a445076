"""A layer that holds both its neighbours to the ASGI HTTP specification (version 2.3)."""

from __future__ import annotations

from typing import Any, NoReturn

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Lint:
    """Wraps ``app``; raises ``AssertionError`` where the app, or the server around it, breaks a rule.

    The failure is raised at the offending call and, should the app swallow it, once more when the app returns.
    ``strict=False`` lets the app write into the scope. Other scope types than HTTP pass unchecked.
    """

    def __init__(self, app: ASGIApp, *, strict: bool = True) -> None:
        self.app = app
        self.strict = strict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        _check_scope(scope)
        before = _copied(scope)
        lines = _Lines(scope["method"], receive, send)
        try:
            await self.app(scope, lines.receive, lines.send)
        finally:
            lines.over = True
            if lines.failure is not None:
                raise lines.failure
            if self.strict:
                _check_unchanged(before, scope)
        lines.check_end()


class _Lines:
    """The two lines between app and server, for one request."""

    def __init__(self, method: str, receive: Receive, send: Send) -> None:
        self._method = method
        self._receive = receive
        self._send = send
        self._receiving = False
        self._request_ended = False
        self._disconnected = False
        self._started = False
        self._ended = False
        self._promised: int | None = None
        self._sent = 0
        self.over = False
        self.failure: AssertionError | None = None

    async def receive(self) -> Message:
        self._require(not self.over, "receive() called after the app had returned")
        self._require(not self._receiving, "receive() called while another call waits")
        self._receiving = True
        try:
            message = await self._receive()
        finally:
            self._receiving = False
        self._check_received(message)
        return message

    def _check_received(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self._disconnected = True
            return
        self._require(message["type"] == "http.request", f"the server sent a {message['type']!r}")
        self._require(not self._request_ended, "the server sent body after the end of the body")
        self._check_body(message)
        self._request_ended = not message.get("more_body", False)

    async def send(self, message: Message) -> None:
        self._require(not self.over, "send() called after the app had returned")
        self._require(not self._ended, f"{message['type']!r} sent after the end of the answer")
        if message["type"] == "http.response.start":
            self._check_start(message)
        else:
            self._check_response_body(message)
        await self._send(message)

    def _check_start(self, message: Message) -> None:
        self._require(not self._started, "the answer was started twice")
        status = message["status"]
        self._require(type(status) is int and 200 <= status <= 599, f"status is {status!r}")
        for header in message.get("headers", ()):
            self._check_header(header)
        self._promised = self._content_length(message, status)
        self._started = True

    def _check_header(self, header: Any) -> None:
        self._require(len(header) == 2, f"a header is a name and a value: {header!r}")
        name, value = header
        self._require(type(name) is bytes and type(value) is bytes, f"headers are bytes: {header!r}")
        self._require(name != b"" and name == name.lower(), f"header names are lower case: {name!r}")
        self._require(name != b"transfer-encoding", "the framing of the answer is the server's: transfer-encoding")
        self._require(not set(b"\r\n\0") & set(name + value), f"control characters in a header: {header!r}")

    def _content_length(self, message: Message, status: int) -> int | None:
        """The length that the body must have; None where none is promised or the body is left out by rule."""
        values = [value for name, value in message.get("headers", ()) if name == b"content-length"]
        self._require(len(values) <= 1, f"several content-lengths: {values}")
        self._require(all(value.isdigit() for value in values), f"content-length is {values}")
        if self._method == "HEAD" or status in (204, 304) or not values:
            return None
        return int(values[0])

    def _check_response_body(self, message: Message) -> None:
        self._require(message["type"] == "http.response.body", f"the app sent a {message['type']!r}")
        self._require(self._started, "body sent before the start of the answer")
        self._check_body(message)
        self._sent += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self._promised is not None:
            self._require(self._sent <= self._promised, f"more body than the content-length of {self._promised}")
            enough = not self._ended or self._sent == self._promised
            self._require(enough, f"{self._sent} bytes of body for a content-length of {self._promised}")

    def _check_body(self, message: Message) -> None:
        self._require(type(message.get("body", b"")) is bytes, f"body is {type(message.get('body')).__name__}")
        self._require(type(message.get("more_body", False)) is bool, f"more_body is {message.get('more_body')!r}")

    def check_end(self) -> None:
        """What a server that still has its client requires of an app that returns."""
        if not self._disconnected:
            self._require(self._started, "the app returned without an answer")
            self._require(self._ended, "the app returned without completing its answer")

    def _require(self, rule: bool, broken: str) -> None:
        if not rule:
            self._fail(broken)

    def _fail(self, broken: str) -> NoReturn:
        self.failure = self.failure or AssertionError(f"ASGI: {broken}.")
        raise self.failure


def _check_scope(scope: Scope) -> None:
    assert scope["method"] == scope["method"].upper(), f"ASGI: method is {scope['method']!r}."
    assert isinstance(scope["path"], str), f"ASGI: path is {scope['path']!r}."
    assert isinstance(scope.get("raw_path"), bytes | None), f"ASGI: raw_path is {scope['raw_path']!r}."
    assert isinstance(scope.get("query_string", b""), bytes), f"ASGI: query_string is {scope['query_string']!r}."
    assert isinstance(scope.get("root_path", ""), str), f"ASGI: root_path is {scope['root_path']!r}."
    for name, value in scope["headers"]:
        assert {type(name), type(value)} == {bytes}, f"ASGI: header {name!r} is not bytes."
        assert name == name.lower(), f"ASGI: header {name!r} is not lower case."


def _copied(value: Any) -> Any:
    """A copy of the containers; what they contain stays itself, since an app in a scope cannot be copied."""
    if type(value) is dict:
        return {key: _copied(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return [_copied(item) for item in value]
    return value


def _check_unchanged(before: dict[str, Any], scope: Scope) -> None:
    after = _copied(scope)
    for key in before.keys() | after.keys():
        assert key in before, f"ASGI: the app added {key!r} to a scope that is not its own."
        assert key in after, f"ASGI: the app took {key!r} out of a scope that is not its own."
        assert _same(before[key], after[key]), f"ASGI: the app changed {key!r} in a scope that is not its own."


def _same(before: Any, after: Any) -> bool:
    return before is after or bool(before == after)
