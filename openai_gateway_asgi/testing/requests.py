"""One request as a fake upstream got it."""

from __future__ import annotations

import email
import email.policy
import json as jsonlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FakeFile:
    """One part of a multipart body."""

    filename: str | None
    content_type: str
    content: bytes


@dataclass(slots=True)
class FakeRequest:
    """A request, byte for byte. Over a socket ``body`` is empty until it has been read, and without chunk framing."""

    method: str
    raw_path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    host: str
    extensions: dict[str, Any] = field(default_factory=dict)
    """Those of the ``httpx.Request``; empty over sockets."""
    connection: int = 0
    """The number of the connection it came on; 0 in process."""
    head: bytes = b""
    """The whole head as it came; empty in process."""
    target: bytes = b""
    """Path and query as they came."""

    @property
    def path(self) -> str:
        return self.raw_path.decode("ascii")

    @property
    def model(self) -> str | None:
        """The model that the body names, be it JSON or a form."""
        model = self.named().get("model")
        return model if isinstance(model, str) else None

    @property
    def stream(self) -> bool:
        """Whether the JSON body asks for a stream of events."""
        return self.fields().get("stream") is True

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Those of a chat; empty where there are none."""
        messages = self.fields().get("messages")
        return messages if isinstance(messages, list) else []

    @property
    def form(self) -> dict[str, str]:
        """The fields of a multipart body that are no files; of several with one name the last."""
        return {name: part.content.decode("utf-8", "replace") for name, part in self._parts() if part.filename is None}

    @property
    def files(self) -> dict[str, FakeFile]:
        """The files of a multipart body, by field."""
        return {name: part for name, part in self._parts() if part.filename is not None}

    def named(self) -> dict[str, Any]:
        """The fields of the body, be it JSON or a form; empty where it is neither."""
        return self.fields() or self.form

    def _parts(self) -> Iterator[tuple[str, FakeFile]]:
        content_type = self.header("content-type") or ""
        if not content_type.lower().startswith("multipart/"):
            return
        head = f"content-type: {content_type}\r\n\r\n".encode("latin-1")
        message = email.message_from_bytes(head + self.body, policy=email.policy.HTTP)
        for part in message.iter_parts():
            name = part.get_param("name", "", "content-disposition")
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            yield str(name), FakeFile(part.get_filename(), part.get_content_type(), content)

    def header(self, name: str) -> str | None:
        """The value of the header, or None; a header sent twice is a failure."""
        values = self.header_values(name)
        assert len(values) <= 1, f"{len(values)} headers named {name}: {values}"
        return values[0] if values else None

    def header_values(self, name: str) -> list[str]:
        return [value.decode("latin-1") for value in self.values(name)]

    def values(self, name: str) -> list[bytes]:
        """The header's values, as bytes."""
        wanted = name.lower().encode()
        return [value for key, value in self.headers if key.lower() == wanted]

    def json(self) -> Any:
        return jsonlib.loads(self.body)

    def fields(self) -> dict[str, Any]:
        """The JSON object in the body; empty where there is none."""
        try:
            data = jsonlib.loads(self.body)
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}


def parse_head(connection: int, head: bytes) -> FakeRequest:
    """A request's head with its closing empty line."""
    first, *lines = head[:-4].split(b"\r\n")
    method, target, _ = first.split(b" ", 2)
    fields = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    raw_path, _, query = target.partition(b"?")
    request = FakeRequest(method.decode(), raw_path, query, fields, b"", host_of(fields), target=target)
    request.connection, request.head = connection, head
    return request


def host_of(headers: list[tuple[bytes, bytes]]) -> str:
    """The host that the request names, without its port."""
    host = next((value for name, value in headers if name.lower() == b"host"), b"").decode("latin-1")
    return host.rpartition(":")[0] or host
