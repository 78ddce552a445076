"""One attempt's answer: of what kind it is, and so who brings it to the client."""

from __future__ import annotations

import re
from time import monotonic

import httpx

from ..config import Settings, Timeouts
from ..errors import UpstreamError
from ..exchange import Exchange
from ..http.asgi import NamedHeaders, RawHeaders, Send
from ..http.cancellation import Deadline
from ..http.headers import EVENT_STREAM, LONGEST_VALUE, OTHERS, challenges, media_type, named_headers, response_headers
from ..upstream.inflate import inflater
from ..upstream.response_reads import Reads
from .answer_clocks import Clocks
from .at_hand import Answer
from .endings import RESPONSES, RUNS, STREAMED
from .error_model_names import names_behind
from .events import WHOLE, Events
from .for_clients import error_for_client
from .refusal import AS_CALLER, redirected, refusal, refused_inside
from .upstream_errors import LONGEST, error_in_events, error_in_json
from .whole_bodies import SPOKEN, relay_whole
from .whole_json import HELD as JSON_HELD
from .whole_json import empty

_FIELD = re.compile(rb"(?:data|event|id|retry|error)?:")
_BLANK = b"\xef\xbb\xbf \t\n\v\f\r"
_LONGEST_FIELD = len(b"event:")

CODED = (b"content-encoding", b"content-length")
"""What a body that is decompressed here has no longer."""
OF_MODEL = b"openai-model"
"""Names the model behind a preset (OpenAI's completions)."""
PAGES = frozenset({b"text/html", b"application/xhtml+xml"})
"""The API answers in none of these, but for files: a login page, or a proxy's own."""


class Relay:
    """Relays the answer of one attempt; its clocks run from here, before the request is sent."""

    __slots__ = ("_clocks", "_exchange", "_send", "_settings", "reads")

    def __init__(
        self, exchange: Exchange, send: Send, deadline: Deadline, settings: Settings, timeouts: Timeouts
    ) -> None:
        self._exchange = exchange
        self._send = send
        self._settings = settings
        self._clocks = Clocks(deadline, exchange, settings, timeouts)
        self.reads: Reads | None = None
        """What is left of the answer, once it is there."""

    def wait_anew(self) -> None:
        """The upstream has taken a piece of the body, so that its time to answer begins again."""
        self._clocks.restart()

    async def answer(self, response: httpx.Response) -> None:
        """Relays a success; raises ``UpstreamRefused`` and its kin for whatever came before something was told."""
        status = response.status_code
        headers = [(name.lower(), value) for name, value in response.headers.raw if len(value) <= LONGEST_VALUE]
        named = named_headers(headers)
        kind = media_type(named.get(b"content-type", b""))
        exchange = self._exchange
        exchange.answered, exchange.upstream_status = monotonic(), status
        exchange.upstream_request_id = _text(named.get(b"x-request-id"))
        exchange.answered_since = exchange.answered_since or exchange.answered
        coding = None
        if b"content-encoding" in named and (kind == EVENT_STREAM or exchange.stages) and status < 400:
            coding = _text(named[b"content-encoding"])
            if coding and exchange.stages:
                headers = [pair for pair in headers if pair[0] not in CODED]
                named = named_headers(headers)
        if OF_MODEL in named and exchange.stages and names_behind(exchange) is not None:
            headers = [pair for pair in headers if pair[0] != OF_MODEL]
            named = named_headers(headers)
        self.reads = reads = Reads(response, inflater(coding) if coding else None)
        if exchange.reservation is None or exchange.shared:  # several clients are each told their own figures
            start = response_headers(headers, named)
        else:
            start = response_headers(headers, named, prefixes=OTHERS)
            exchange.reservation.tell(start)
        try:
            if status >= 300:
                await self._refuse(status, headers, named, start, reads)
            if kind in PAGES and not exchange.upstream_match.endpoint.downloads:
                wanted = "a stream" if exchange.streams else "what was asked for"
                raise UpstreamError(f"The upstream answered with a page instead of {wanted}.")
            whole = (exchange.upstream.commit or self._settings.commit) == "whole"
            answer = Answer(exchange, self._send, self._clocks, self._settings, start, reads)
            streams = kind == EVENT_STREAM and exchange.method != "HEAD"
            if streams != exchange.streams and self._knows_what_was_asked(streams):
                streams = await self._is_stream_after_all(reads)
            if streams:
                await Events(answer, whole=whole).relay()
            else:
                most = WHOLE if whole else JSON_HELD
                await relay_whole(answer, named=named, kind=kind, status=status, most=most)
        except UpstreamError as refused:
            if refused.cause is None:
                raise
            raise error_for_client(refused, exchange) from None

    async def _refuse(
        self, status: int, headers: RawHeaders, named: NamedHeaders, start: RawHeaders, reads: Reads
    ) -> None:
        upstream = self._exchange.upstream
        if status >= 600:
            raise UpstreamError("The upstream answered with a status that there is not.")
        if status >= 400:
            if status in (401, 403) and upstream.auth_type == AS_CALLER:
                start += challenges(headers)
            raise await refusal(status, start, reads, upstream, head=self._exchange.method == "HEAD")
        if 300 <= status < 400 and status != 304:
            raise redirected(status, named)

    def _knows_what_was_asked(self, streams: bool) -> bool:
        """Whether an answer that is none, or one, is not what the client asked for. Not every model streams everything
        it is asked to; speech has another word for it; and of a form the field may not have been read."""
        exchange, operation = self._exchange, self._exchange.upstream_match.endpoint.operation
        if operation in STREAMED | RESPONSES | RUNS:
            return True
        return streams and bool(exchange.model) and exchange.upload is None and operation not in SPOKEN

    async def _is_stream_after_all(self, reads: Reads) -> bool:
        """Whether an answer that calls itself something else than what was asked for comes in events.

        Raises where it does and must not, or must and does not.
        """
        exchange = self._exchange
        if exchange.method == "HEAD":
            return False
        beginning = await _beginning(reads)
        if not beginning:
            raise empty()
        if exchange.streams:
            if _FIELD.match(beginning.lstrip(_BLANK)):
                return True
            said, instead = error_in_json(beginning), "The upstream answered with something else than a stream."
        else:
            said, instead = error_in_events(beginning), "The upstream answered with a stream, which nobody asked for."
        raise refused_inside(said, exchange.upstream) if said is not None else UpstreamError(instead)


async def _beginning(reads: Reads) -> bytes:
    """Enough of an answer to know what it is: all of one that is short, for it may be an error."""
    pieces, size, first = [], 0, b""
    while size < LONGEST and (chunk := await reads.next()) is not None:
        pieces.append(chunk)
        size += len(chunk)
        if len(first) < _LONGEST_FIELD:
            first = (first + chunk).lstrip(_BLANK)
            if _FIELD.match(first):
                break
    reads.put_back(pieces)
    return b"".join(pieces)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
