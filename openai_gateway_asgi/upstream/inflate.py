"""Undoing an upstream's compression where it must be undone, in bounded pieces: a bomb never grows unseen."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator

from ..errors import UpstreamError

PIECE = 64 * 1024
"""Bytes that one step yields at most."""

_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def inflater(encoding: str) -> Callable[[bytes], Iterable[bytes]]:
    """A function from a read to what it holds. Raises ``UpstreamError`` for a coding that we did not ask for."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return lambda data: (data,)
    window = _WINDOWS.get(encoding)
    if window is None:
        raise UpstreamError("The upstream's answer is compressed in a way that was not asked for.")
    stream = zlib.decompressobj(window)

    def inflate(data: bytes) -> Iterator[bytes]:
        nonlocal stream
        while True:
            try:
                piece = stream.decompress(data, PIECE)
            except zlib.error as error:
                raise UpstreamError("The upstream's answer cannot be decompressed.") from error
            if piece:
                yield piece
            data = stream.unconsumed_tail
            if stream.eof:  # one gzip member may follow another (RFC 1952, 2.2)
                data = stream.unused_data
                stream = zlib.decompressobj(window)
                if not data:
                    return
            elif not data and len(piece) < PIECE:
                return

    return inflate


def inflated(body: bytes, coding: bytes, most: int) -> bytes | None:
    """What a whole body holds, or as much of it as came; None where it cannot be read, or is longer than ``most``."""
    pieces, size = [], 0
    try:
        for piece in inflater(coding.decode("latin-1"))(body):
            pieces.append(piece)
            if (size := size + len(piece)) > most:
                return None
    except UpstreamError:
        return None
    return b"".join(pieces)
