"""Who looks on at calls: the protocol that the log, traces and metrics are written over.

``gateway.observe(observer)`` adds one. Of each call it hears in this order:

    call_started                     when the user is known, before the body is read
    (attempt_started, attempt_ended)     once per request that is sent to an upstream, one after the other
    finished                         with the record, whatever became of the call

Observers run inline, on the event loop, so they must not block. Of one that raises the log tells; the call goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from ..errors import raw_headers
from ..http.asgi import NamedHeaders, RawHeaders
from .notices import Notices
from .records import AttemptRecord, UsageRecord

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")


class CallFacts(msgspec.Struct, kw_only=True):
    """What is known of a call when it starts. Nothing of it says who asks, but for ``headers``."""

    request_id: str
    operation: str
    """OpenAI's ``operationId``, as ``createChatCompletion``."""
    arrived: float
    """In seconds of ``time.monotonic``; the times of records count from here."""
    headers: NamedHeaders
    """As the client sent them, names in lower case; credentials are among them."""
    trace_id: str | None = None
    """32 hexadecimal digits, from the request's ``traceparent`` where it has one. An observer that traces the call sets
    its own; the record and the log tell this one."""


class AttemptFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a request to an upstream when it is about to be sent."""

    number: int
    """From 1, within the call."""
    upstream: str
    """Its name in the configuration."""
    provider: str
    """Its ``provider`` there, often empty."""
    base_url: str
    """Empty where a handler of the host's own answers."""
    model: str | None
    """The model's id at that upstream; None where the call names none, as on stored objects."""
    public_model: str | None
    """Its id at the gateway, which a fallback has other than the one that was asked for."""
    model_label: str | None
    """What stands for that model where values must be few; see ``UsageRecord.model_label``."""
    streamed: bool
    """Whether events were asked for."""
    number_at: Callable[[str], int | float | bool | None]
    """A number or a flag of the request's JSON body by its key, as ``temperature``; None for all else, so that nothing
    that was written reaches an observer. To be asked while the attempt starts, not later."""


class CallObserver(Protocol):
    """One observer's part in one call: a place for what belongs to it, as a span."""

    def attempt_started(self, attempt: AttemptFacts) -> Mapping[str, str]:
        """Gives headers to send with this request, as ``traceparent``: in place of the client's of these names. Of one
        without a value neither is sent."""

    def attempt_ended(self, attempt: AttemptRecord) -> None:
        """Its ``number`` is that of the attempt that started last."""

    def finished(self, record: UsageRecord) -> None:
        """The call is over; nothing more comes. Who asks stands in ``record.user``."""


class Observer(Protocol):
    """Looks on at every model call, and at every call on stored objects, of a user who is known."""

    def call_started(self, call: CallFacts) -> CallObserver | None:
        """Gives whoever is told of the rest of this call, often ``self`` where nothing has to be kept; None: nobody."""


class StoreObserver(Protocol):
    """What an observer may have beside: it is told when the store of limits does not answer."""

    def limit_store_failed(self, operation: str) -> None:
        """``operation`` is ``take``, ``settle`` or ``renew``."""


class Watch:
    """Those who look on at one call. None of them can harm it."""

    __slots__ = ("_notices", "_observers", "_open", "_over", "call")

    def __init__(self, call: CallFacts, observers: Sequence[CallObserver], notices: Notices) -> None:
        self.call = call
        self._observers = observers
        self._notices = notices
        self._open = False
        self._over = False

    def attempt_started(self, attempt: AttemptFacts) -> RawHeaders:
        if self._over:
            return []
        self._open = True
        headers: RawHeaders = []
        for observer in self._observers:
            try:
                if sent := observer.attempt_started(attempt):
                    headers += raw_headers(sent)
            except Exception as error:
                tell_of(error, self._notices)
        return headers

    def attempt_ended(self, attempt: AttemptRecord) -> None:
        """Of one that outlives its call, as when others go on listening, the end comes too late to be told."""
        if not self._open:
            return
        self._open = False
        for observer in self._observers:
            try:
                observer.attempt_ended(attempt)
            except Exception as error:
                tell_of(error, self._notices)

    def finished(self, record: UsageRecord) -> None:
        self._over, self._open = True, False
        for observer in self._observers:
            try:
                observer.finished(record)
            except Exception as error:
                tell_of(error, self._notices)


def tell_of(error: Exception, notices: Notices) -> None:
    notices.warn("observer_failed", "an observer of calls raised; the calls go on.", seen=type(error).__name__)


def trace_id_of(headers: NamedHeaders) -> str | None:
    """That of ``traceparent`` (W3C Trace Context, 3.2.2), None where there is none that is valid."""
    sent = headers.get(b"traceparent")
    found = None if sent is None else _TRACEPARENT.fullmatch(sent)
    return None if found is None else found[1].decode()
