"""A gateway in front of a recorder that answers anything, and requests to it for every row of the API's surface."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from openai_gateway_asgi import Gateway, Model, Settings, Upstream, User
from openai_gateway_asgi.testing import Answer, FakeUpstream
from openai_gateway_asgi.testing.answers import bytes_answer
from tests.support.asgi import Response, ask

BOUNDARY = "frontier"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
JSON = "application/json"
SDP = "application/sdp"
SOUND = bytes(range(256)) * 9 + b"\r\n--fron\r\n\r\n"

PEOPLE = {"ada": User("ada", role="admin"), "una": User("una"), "val": User("val", groups={"staff"})}
DENIED = "pre.secret"
ASKED, SERVED = "pre.org/m.1:x", "org/m.1:x"
"""The model under its public id, and as its upstream knows it."""


def keeper(**options: Any) -> Upstream:
    own = {"name": "A", "api_key": "ka", "prefix_id": "pre", "model_ids": [SERVED, "secret", "other"], **options}
    return Upstream("http://a/v1", **own)


def resolve_user(request: Request) -> User | None:
    return PEOPLE.get(request.headers.get("x-who", "una"))


def all_but_the_secret(user: User, model: Model) -> bool:
    return model.id != DENIED


@dataclass
class Surface:
    """``ask`` goes to the app that the gateway is mounted in, below ``/openai``."""

    gateway: Gateway
    app: Starlette
    up: FakeUpstream

    async def ask(self, method: str, path: str, *, who: str = "una", headers: Any = (), **options: Any) -> Response:
        pairs = [(name.lower().encode(), value.encode()) for name, value in dict(headers).items()]
        return await ask(
            self.app, method, "/openai" + path, headers=[*pairs, (b"x-who", who.encode())], strict=False, **options
        )


@asynccontextmanager
async def surface(*upstreams: Upstream, answer: Answer | None = None, **options: Any) -> AsyncIterator[Surface]:
    """``options`` are the gateway's, and ``settings`` may be given as a dict."""
    up = FakeUpstream()
    if answer is not None:
        up.answer("", answer)
    settings = options.pop("settings", {})
    settings = settings if isinstance(settings, Settings) else Settings(**{"retries": 0, **settings})
    given = {"resolve_user": resolve_user, "authorize_model": all_but_the_secret, "transport": up.transport()}
    gateway = Gateway(upstreams or [keeper()], settings=settings, **{**given, **options})
    async with gateway.lifespan():
        yield Surface(gateway, Starlette(routes=[Mount("/openai", gateway)]), up)


def form(*parts: tuple[str, bytes], boundary: str = BOUNDARY) -> bytes:
    """A body of parts, each by its parameters of Content-Disposition and its content."""
    pieces = [
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"
        for head, content in parts
    ]
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()


FILE = ('name="file"; filename="a.mp3"', SOUND)


def field(name: str, value: str | bytes) -> tuple[str, bytes]:
    return f'name="{name}"', value.encode() if isinstance(value, str) else value


def parts_of(body: bytes, content_type: str) -> list[tuple[bytes, bytes]]:
    """The parts of a body as they were sent: head lines and content."""
    boundary = content_type.partition("boundary=")[2].encode()
    assert body.endswith(b"\r\n--" + boundary + b"--\r\n")
    whole = (b"\r\n" + body).split(b"\r\n--" + boundary)[1:-1]
    return [(head[2:], content) for head, _, content in (piece.partition(b"\r\n\r\n") for piece in whole)]


@dataclass(frozen=True)
class Row:
    """One line of the surface with one of the media types its body may have; the answers to streams are not in it."""

    method: str
    path: str
    operation: str
    body_type: str
    answer_types: tuple[str, ...]
    streams: bool

    @property
    def id(self) -> str:
        kind = {"": "", JSON: " json", "multipart/form-data": " form", SDP: " sdp"}[self.body_type]
        return f"{self.operation}{kind}"


def _rows() -> list[dict[str, str]]:
    with (Path(__file__).parents[1] / "data" / "openai-surface.csv").open() as lines:
        return list(csv.DictReader(lines))


def is_administrative(path: str) -> bool:
    return path.startswith(("/organization", "/projects"))


EVERY_OPERATION = [row["operation"] for row in _rows()]
ADMINISTRATIVE = [(row["method"], row["path"]) for row in _rows() if is_administrative(row["path"])]
ROWS = [
    Row(
        row["method"],
        row["path"],
        row["operation"],
        body_type,
        tuple(kind for kind in row["response_types"].split("|") if kind not in ("", "text/event-stream")) or (JSON,),
        row["can_stream"] == "yes",
    )
    for row in _rows()
    if not is_administrative(row["path"])
    for body_type in row["request_types"].split("|")
]


def body_of(row: Row, model_at: str, model: str, **more: Any) -> tuple[bytes, dict[str, str], bytes]:
    """A body that names ``model`` where the operation has it, its headers, and the query that belongs to it."""
    if row.body_type == JSON:
        return _with_model(model_at, model, more), {"content-type": JSON}, b""
    if row.body_type == SDP:
        return b"v=0\r\no=- 0 0\r\n", {"content-type": SDP}, b"model=" + model.encode().replace(b"/", b"%2F")
    if not row.body_type:
        return b"", {}, b""
    fields = [field(name, json.dumps(value)) for name, value in more.items()]
    if model_at == "model":
        fields.append(field("model", model))
    elif model_at:
        fields.append(field("session", json.dumps({"type": "realtime", "model": model})))
    return form(*fields, FILE), {"content-type": FORM}, b""


def _with_model(model_at: str, model: str, more: dict[str, Any]) -> bytes:
    """JSON whose values are spelt in ways that reading and writing would change, but for its top level's spaces."""
    odd = '"number":1e2,"big":123456789012345678901234567890,"text":"\\u00e9\\/","inner":{ "b" : 1.50 ,"a":[ ] }'
    path, value = model_at.split(".") if model_at else [], json.dumps(model)
    for name in reversed(path[1:]):
        value = f'{{"{name}":{value},"kept":[1.0 , 2]}}'
    named = f'"{path[0]}":{value},' if path else ""
    extra = "".join(f",{json.dumps(name)}:{json.dumps(inner)}" for name, inner in more.items())
    return f"{{{named}{odd}{extra}}}".encode()


def everything_answered(body: bytes = SOUND, content_type: str = "application/octet-stream") -> Answer:
    return bytes_answer(body, content_type)
