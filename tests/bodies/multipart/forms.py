"""Multipart bodies to send, clients that send them, and what comes of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from openai_gateway_asgi.bodies.multipart import Edits, Event, Limits, Parser, Rules, Share, Shares, Upload
from openai_gateway_asgi.http.asgi import Message

BOUNDARY = b"frontier"
CONTENT_TYPE = b"multipart/form-data; boundary=frontier"
MODEL_HEAD = b'Content-Disposition: form-data; name="model"'
FILE_HEAD = b'Content-Disposition: form-data; name="file"; filename="a.mp3"\r\nContent-Type: audio/mpeg'
MODEL = (MODEL_HEAD, b"whisper-1")
FILE = (FILE_HEAD, b"ID3 sound")


def form(*parts: tuple[bytes, bytes], boundary: bytes = BOUNDARY) -> bytes:
    """A whole body of parts, each given by its header lines and its content."""
    pieces = [b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary, head, content) for head, content in parts]
    return b"".join(pieces) + b"--%b--\r\n" % boundary


def field(name: str, value: bytes) -> tuple[bytes, bytes]:
    return (f'Content-Disposition: form-data; name="{name}"'.encode(), value)


def share(limit: int = 2**40) -> Share:
    """Of a user who uploads nothing else."""
    return Shares(limit).of("ann")


def cut(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def merged(events: Iterable[Event]) -> list[Event]:
    """The events with neighbouring pieces of content put together."""
    whole: list[Event] = []
    for event in events:
        if isinstance(event, bytes) and whole and isinstance(whole[-1], bytes):
            whole[-1] += event
        else:
            whole.append(event)
    return whole


def read(pieces: Iterable[bytes], boundary: bytes = BOUNDARY) -> list[Event]:
    """What the parser finds in a whole body that arrives in these pieces."""
    parser = Parser(boundary)
    events = [event for piece in pieces for event in parser.feed(piece)]
    parser.close()
    return merged(events)


class Client:
    """The server's side of ``receive``: hands over what was sent, and blocks when there is nothing, as servers do."""

    def __init__(self, pieces: Iterable[bytes], *, ends: bool = True) -> None:
        self._messages: deque[Message] = deque()
        self._news = asyncio.Event()
        self._left = False
        self.taken = 0
        """Bytes that have been received of it."""
        pieces = list(pieces) or [b""]
        for number, piece in enumerate(pieces, 1):
            self.send(piece, more=not ends or number < len(pieces))

    def send(self, chunk: bytes, *, more: bool = True) -> None:
        self._messages.append({"type": "http.request", "body": chunk, "more_body": more})
        self._news.set()

    def leave(self) -> None:
        """As on a connection: the news comes behind all that was sent."""
        self._left = True
        self._news.set()

    async def receive(self) -> Message:
        while not self._messages:
            if self._left:
                return {"type": "http.disconnect"}
            self._news.clear()
            await self._news.wait()
        # A server's protocol is fed by the loop, never within one turn of the one who receives.
        await asyncio.sleep(0)
        message = self._messages.popleft()
        self.taken += len(message["body"])
        return message


def rules(*, refused: Iterable[str] = (), wanted: str | None = "model", **limits: float) -> Rules:
    return Rules(wanted=wanted, refused=frozenset(refused), limits=Limits(**limits))  # type: ignore[arg-type]


async def send_through(
    pieces: Iterable[bytes],
    *,
    by: Rules | None = None,
    content_type: bytes = CONTENT_TYPE,
    replace: Mapping[str, bytes] = {},
    sent: list[bytes] | None = None,
) -> tuple[bytes, bytes]:
    """A whole body from the client to the upstream: the new body and its boundary. ``sent`` gets each piece."""
    pieces_out = [] if sent is None else sent
    upload = await Upload.open(Client(pieces).receive, content_type, by or rules(), share())
    try:
        async for piece in upload.body(Edits(replace)):
            pieces_out.append(piece)
    finally:
        await upload.aclose()
    return b"".join(pieces_out), upload.content_type.partition(b"boundary=")[2]
