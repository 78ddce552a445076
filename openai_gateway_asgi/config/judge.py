"""Where findings go: an error refuses the configuration it is about, a warning is logged once and kept to be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from .findings import Finding, refuse
from .rules import Setup, judge_config, judge_setup, judge_target
from .store import GatewayConfig
from .upstream import Upstream

logger = logging.getLogger("openai_gateway_asgi")

MOST_LINES = 50
"""Of the log, for the warnings of one configuration: a thousand upstreams may all have the same."""


class Judge:
    """Judges what the host gave, once, and every configuration before it comes into force."""

    def __init__(self, setup: Setup, spelled: Callable[[str], str] = str) -> None:
        """``spelled`` gives a field the name that its writer knows. Raises ``ConfigError`` for the setup's errors."""
        self._setup = setup
        self._spelled = spelled
        self._of_setup = refuse(judge_setup(setup))
        self._of_config: tuple[Finding, ...] = ()
        self._of_calls: tuple[Finding, ...] = ()
        self._last: tuple[tuple[object, ...], tuple[Finding, ...]] = ((), ())
        self.log(self._of_setup)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Those of the setup, of the configuration in force, and of what calls have shown."""
        return (*self._of_setup, *self._of_config, *self._of_calls)

    def of(self, config: GatewayConfig) -> tuple[Finding, ...]:
        """The same for another configuration. Raises ``ConfigError`` as ``examine`` does."""
        return (*self._of_setup, *self._spelled_out(config))

    def examine(self, config: GatewayConfig) -> tuple[Finding, ...]:
        """The configuration's warnings. Raises ``ConfigError`` for the first error, which tells of the others too."""
        content = (config.upstreams, config.fallbacks, config.notes, config.presets)
        last, warnings = self._last
        if last != content:
            warnings = refuse(judge_config(config, self._setup), self._spelled)
            self._last = content, warnings
        return warnings

    def examine_target(self, upstream: Upstream) -> None:
        """Raises ``ConfigError`` for an upstream that could not even be tried out."""
        refuse(judge_target(upstream, self._setup))

    def adopt(self, config: GatewayConfig) -> None:
        """Keeps the warnings of a configuration that comes into force, and logs those that are new."""
        known = set(self._of_config)
        self._of_config = self._spelled_out(config)
        self.log(each for each in self._of_config if each not in known)

    def note(self, warning: Finding) -> None:
        """Keeps and logs what only a call could show. Whoever notes sees to it that there are not many."""
        self._of_calls = (*self._of_calls, warning)
        self.log([warning])

    def _spelled_out(self, config: GatewayConfig) -> tuple[Finding, ...]:
        return tuple(each.at(self._spelled(each.field)) for each in self.examine(config))

    def log(self, warnings: Iterable[Finding]) -> None:
        told = list(warnings)
        for warning in told[:MOST_LINES]:
            logger.warning("configuration: %s", warning)
        if len(told) > MOST_LINES:
            logger.warning("configuration: %d more warnings; gateway.warnings has them", len(told) - MOST_LINES)
