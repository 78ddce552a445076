"""Errors of upstreams, as whoever asked for a preset may have them: an upstream says which model it means, and what is
behind a preset is the host's own to know. Records and the log keep what was said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote

import msgspec

from ..errors import UpstreamError, UpstreamRefused
from ..exchange import Exchange
from ..http.asgi import JSON
from ..http.sse import data_replaced, raw_events

MOST_KEPT = 256
"""Presets whose names are kept ready to be looked for."""
LONGEST = 64 * 1024
"""Bytes of an error in which names are replaced. Of a longer one that has such a name nothing is told: to look at each
of its texts would keep other calls waiting."""

_OF_MODEL = frozenset({"choices", "output", "response"})
"""What stands beside an error and is the model's own to write."""
_STRING = re.compile(rb'"[^"\\]*+(?>(?:\\.[^"\\]*+)*)"', re.DOTALL)

_UNTOLD = UpstreamError("The upstream refused this call.")

Fields = dict[str, msgspec.Raw]
_decode = msgspec.json.Decoder(Fields).decode
_encode = msgspec.json.Encoder().encode


class Names:
    """What is not to be told, and what stands in its place. Found as words, in any letter case."""

    def __init__(self, shown: str, hidden: Iterable[str]) -> None:
        spellings = {spelt for id in hidden for spelt in (id, quote(id), quote(id, safe=""))}
        ids = sorted({shown, *spellings}, key=len, reverse=True)  # what is shown may hold what is not
        pattern = rf"(?<![0-9A-Za-z_])(?:{'|'.join(map(re.escape, ids))})(?![0-9A-Za-z_])"
        self._spellings = [id.lower().encode() for id in spellings]
        self._in_bytes = re.compile(pattern.encode(), re.IGNORECASE)
        self._in_text = re.compile(pattern, re.IGNORECASE | re.ASCII)
        self._shown = shown

    def in_body(self, body: bytes) -> bytes:
        """A whole error answer: every text of it, or all that is no JSON. The rest keeps its bytes."""
        if len(body) > LONGEST:
            return _UNTOLD.body() if self._stand_in(body) else body
        return self._in_strings(body) if body.lstrip()[:1] in (b"{", b"[", b'"') else self._in_plain(body)

    def in_last_event(self, events: bytes) -> bytes:
        """Whole events, the last of which tells of an error."""
        *others, last = raw_events(events) if events else (b"",)
        if len(last) > LONGEST:
            return b"".join((*others, b"event: error\ndata: %b\n\n" % _UNTOLD.body() if self._stand_in(last) else last))
        changed = data_replaced(last, lambda data: self._in_error(data) or self._in_plain(data))
        return b"".join((*others, changed if changed != last else self._in_strings(last)))

    def _stand_in(self, data: bytes) -> bool:
        lowered = data.lower()
        return any(id in lowered for id in self._spellings)

    def _in_error(self, data: bytes) -> bytes | None:
        fields = _fields(data)
        if fields is None:
            return None
        changed = {name: self._in_raw(raw) for name, raw in fields.items() if name not in _OF_MODEL}
        response = _fields(fields.get("response"))
        if response is not None and "error" in response:
            inner = response | {"error": self._in_raw(response["error"])}
            changed["response"] = msgspec.Raw(_encode(inner))
        return _encode(fields | changed)

    def _in_raw(self, raw: msgspec.Raw) -> msgspec.Raw:
        return msgspec.Raw(self._in_strings(bytes(raw)))

    def _in_strings(self, data: bytes) -> bytes:
        return _STRING.sub(self._in_string, data)

    def _in_string(self, found: re.Match[bytes]) -> bytes:
        string = found[0]
        if b"\\" not in string and self._in_bytes.search(string) is None:
            return string
        try:
            text: str = json.loads(string, strict=False)
        except ValueError:
            return string
        told = self._in_text.sub(lambda _: self._shown, text)
        return string if told == text else json.dumps(told).encode()

    def _in_plain(self, data: bytes) -> bytes:
        return self._in_bytes.sub(lambda _: self._shown.encode(), data)


def names_behind(exchange: Exchange) -> Names | None:
    """What the attempt at hand is not to tell; None where a model was asked for by its own name."""
    via = exchange.via
    if via is None or via.preset is None:
        return None
    served = "" if exchange.served is None else exchange.served.id
    return _names(via.preset, (*via.hops, exchange.upstream_model, served))


def with_preset_named(error: UpstreamError, exchange: Exchange) -> UpstreamError:
    """What the upstream refused the attempt at hand with; what it is on record with stays."""
    if not isinstance(error, UpstreamRefused) or (names := names_behind(exchange)) is None:
        return error
    body = error.body()
    told = names.in_body(body)
    content_type = JSON if len(body) > LONGEST else error.content_type
    return error if told == body else error.with_body(error.headers, told, content_type=content_type)


@lru_cache(maxsize=MOST_KEPT)
def _names(preset: str, ids: tuple[str, ...]) -> Names | None:
    hidden = {id for id in ids if id and id != preset}
    return Names(preset, hidden) if hidden else None


def _fields(data: bytes | msgspec.Raw | None) -> Fields | None:
    try:
        return None if data is None else _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
