"""Those who look on at a gateway's calls: the log, and whom the host adds."""

from __future__ import annotations

from ..errors import ConfigError
from ..exchange import Exchange
from ..host.notices import Notices
from ..host.observers import CallFacts, Observer, Watch, tell_of, trace_id_of
from .call_log import CallLog, Users, is_logged


class Observers:
    """The log is always one of them; it looks on where its lines would be seen."""

    def __init__(self, notices: Notices, users: Users = "id") -> None:
        self._notices = notices
        self._log = CallLog(users)
        self._added: tuple[Observer, ...] = ()

    def add(self, observer: Observer) -> None:
        """It is told of the calls that start from now on. Raises ``ConfigError`` for what is no observer."""
        if not callable(getattr(observer, "call_started", None)):
            raise ConfigError("observer", "must have a method call_started(facts); see the protocol Observer")
        self._added = (*self._added, observer)

    def watch(self, exchange: Exchange) -> Watch | None:
        """Whoever wants to look on at this call, None where nobody does."""
        logged = is_logged()
        if not logged and not self._added:
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
        if logged:
            found.append(self._log)
        return Watch(call, found, self._notices) if found else None
