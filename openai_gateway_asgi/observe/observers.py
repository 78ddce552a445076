"""Those who look on at a gateway's calls."""

from __future__ import annotations

from ..errors import ConfigError
from ..exchange import Exchange
from ..host.notices import Notices
from ..host.observers import CallFacts, Observer, Watch, tell_of, trace_id_of
from ..host.records import UsageRecord
from .call_log import Users, is_logged, log_call


class Observers:
    """Whom the host adds. The log is told of records alone, and its lines cost nothing where they would not be seen."""

    def __init__(self, notices: Notices, users: Users = "id") -> None:
        self._notices = notices
        self._users = users
        self._added: tuple[Observer, ...] = ()

    def add(self, observer: Observer) -> None:
        """It is told of the calls that start from now on. Raises ``ConfigError`` for what is no observer."""
        if not callable(getattr(observer, "call_started", None)):
            raise ConfigError("observer", "must have a method call_started(facts); see the protocol Observer")
        self._added = (*self._added, observer)

    def watch(self, exchange: Exchange) -> Watch | None:
        """Whoever wants to look on at this call, None where nobody does."""
        if not self._added:
            return None
        call = CallFacts(
            request_id=exchange.request_id,
            operation=exchange.match.endpoint.operation,
            arrived=exchange.arrived,
            headers=exchange.named,
            trace_id=trace_id_of(exchange.named),
        )
        found = []
        for observer in self._added:
            try:
                if (one := observer.call_started(call)) is not None:
                    found.append(one)
            except Exception as error:
                tell_of(error, self._notices)
        return Watch(call, found, self._notices) if found else None

    def limit_store_failed(self, operation: str) -> None:
        for observer in self._added:
            told = getattr(observer, "limit_store_failed", None)
            if told is not None:
                try:
                    told(operation)
                except Exception as error:
                    tell_of(error, self._notices)

    @property
    def wants_records(self) -> bool:
        """Whether the log would show a line."""
        return is_logged()

    def finished(self, exchange: Exchange, record: UsageRecord) -> None:
        """The call is over: whoever looked on is told, and the log."""
        if exchange.watch is not None:
            exchange.watch.finished(record)
        if is_logged():
            log_call(record, self._users)
