"""What a gateway is made of: the things that its layers share, each of which lives as long as it does."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from time import monotonic
from typing import Any

from .answers.finishing import Finishing
from .config import Finding, GatewayConfig, Secret, Settings
from .config.live import LiveConfig
from .config.rules import Setup
from .config.start import begin
from .extensions.filter import Filter, hooked
from .extensions.host_model import HostModel, checked_host_models
from .extensions.transport import Ask, transports_of
from .hidden import HiddenBytes
from .host.descriptions import Descriptions, checked_descriptions
from .host.hooks import Hook
from .host.notices import Notices
from .host.prices import Price, PriceCallable, Prices, prices_of
from .host.roles import Roles
from .http.background import Background
from .http.cross_site import OriginRule
from .http.drain import Drain
from .http.loop_guard import LoopGuard
from .limits import Limit, LimitStore
from .limits.desk import Desk
from .limits.hosts import LimitsOfUser, checked_limits, checked_store
from .limits.unpriced import WITHOUT_PRICES, finding_of, refuses_all, unpriced_models
from .observe.attempt_log import BreakerLog
from .observe.attempts import Attempts
from .observe.call_log import shown_user
from .observe.config_log import log_change
from .observe.counting import Counting
from .observe.health import Health
from .observe.observers import Observers
from .speech.cache import SpeechCache
from .upstream.apis import Apis
from .upstream.concurrency import AllSlots
from .upstream.connections import Connections
from .upstream.credentials import Credentials
from .upstream.given_transport import given_transport
from .upstream.memory import Memory
from .upstream.model_lists import ModelLists
from .upstream.stamping import Stamping
from .upstream.telling import Telling
from .upstream.usage_refusals import UsageRefusals

MOST_TOLD = 16
"""Warnings of models without a price, as configurations change."""


class Parts:
    """Parts that follow the configuration are told of each configuration that comes into force."""

    def __init__(
        self,
        setup: Setup,
        *,
        limits: Sequence[Limit] | LimitsOfUser,
        limit_store: LimitStore | None,
        prices: Mapping[str, Price] | PriceCallable | Prices | None,
        host_models: Sequence[HostModel] = (),
        filters: Sequence[Filter] = (),
        describe_model: Any = None,
        ask: Ask,
    ) -> None:
        """Raises ``ConfigError``, naming the field or variable and what to write instead."""
        self.settings = settings = setup.settings
        store, self.judge = begin(setup)
        self.layers = setup.layers
        """The host's own."""
        self.filters = hooked(filters, slow=settings.slow_callable, patience=settings.filter_timeout)
        self.rule = _origin_rule(settings)
        models = checked_host_models(host_models)
        self._stand_ins = tuple(model.upstream for model in models)
        inside = transports_of(models, ask, most=settings.event_limit)
        self.connections = Connections(settings, given_transport(setup.transport), inside)
        self.identity_secret = _secret_of(settings)
        """What hides users' ids."""
        self.credentials = Credentials(telling=Telling(self.identity_secret))
        self.stamping = Stamping(self.identity_secret)
        self.slots = AllSlots()
        self.drain = Drain()
        self.loops = LoopGuard()
        self.notices = Notices()
        self.apis = Apis()
        self.memory = Memory(BreakerLog(self.notices))
        self.usage_refusals = UsageRefusals()
        self.observers = Observers(self.notices, settings.log_users)
        self.prices = prices_of(prices)
        self.attempts = Attempts(settings, self.notices, Counting(self.prices, self.notices))
        self.background = Background()
        self.finishing = Finishing(self.background)
        self.roles = Roles(self.judge.note)
        own = [model.listing(index - len(models)) for index, model in enumerate(models)]
        self.lists = ModelLists(settings, self.connections, self.credentials, self.notices, own)
        self.live = LiveConfig(store, adopted=self._adopted, changed=self._changed, examine=self.judge.examine)
        self.hooks = _hooks(setup.callables, settings)
        """The host's callables by the option's name, None where there is none."""
        self.descriptions = _descriptions(self.hooks["describe_model"], describe_model)
        """What the host says of models; None where it says nothing."""
        self.desk: Desk | None = None
        """None where nothing is limited."""
        counted_in = checked_store(limit_store, settings.callable_timeout)
        if limits:
            chosen: Any = self.hooks["limits"] or checked_limits(limits)
            self.desk = Desk(chosen, counted_in, self.prices, self.background, failed=self.observers.limit_store_failed)
        self.speech = SpeechCache(setup.speech_cache, settings)
        self._told_unpriced: set[str] = set()
        if (peek := getattr(store, "peek", None)) is not None:
            self._tell_unpriced(peek())

    def health(self) -> Health:
        config = self.live.known
        return Health.of(
            config,
            draining=self.drain.active,
            lists={} if config is None else self.lists.states(config),
            breakers=self.memory.states(monotonic()),
            in_use=self.slots.in_use(),
            faults={} if config is None else self.lists.faults(config),
            seen=self.attempts.seen,
            presets={} if config is None else self.lists.missing_bases(config),
        )

    async def aclose(self) -> None:
        """Closes what is open on this event loop."""
        await self.background.aclose()
        await self.live.aclose()
        await self.lists.aclose()
        await self.credentials.aclose()
        await self.connections.aclose()
        if self.desk is not None:
            await self.desk.aclose()
        self.notices.flush()

    def _adopted(self, config: GatewayConfig) -> None:
        self.judge.adopt(config)
        if (loaded := getattr(self.prices, "loaded", None)) is None:
            self._tell_unpriced(config)
        else:
            _ = self.background.start(self._tell_unpriced_once(loaded(), config))
        upstreams = (*self._stand_ins, *config.upstreams)
        self.attempts.keep_only(upstreams)
        self.connections.keep_only(upstreams)
        self.credentials.keep_only(upstreams)
        self.stamping.forget()
        self.memory.keep_only(upstreams)
        self.apis.keep_only(upstreams)

    def unpriced(self, config: GatewayConfig) -> tuple[Finding, ...]:
        """What limits of money would refuse: where the host's callable says which hold, nobody knows before a call."""
        if self.desk is None or not self.desk.known:
            return ()
        upstreams = (*self._stand_ins, *config.upstreams)
        if refuses_all(self.desk.known, self.prices, upstreams):
            return (WITHOUT_PRICES,)
        models = unpriced_models(self.desk.known, self.prices, upstreams)
        return (finding_of(models),) if models else ()

    def _tell_unpriced(self, config: GatewayConfig) -> None:
        """Each finding once, however often the configuration is adopted."""
        if getattr(self.prices, "is_loaded", True):
            for finding in self.unpriced(config):
                if finding.seen not in self._told_unpriced and len(self._told_unpriced) < MOST_TOLD:
                    self._told_unpriced.add(finding.seen)
                    self.judge.note(finding)

    async def _tell_unpriced_once(self, loaded: Awaitable[None], config: GatewayConfig) -> None:
        await loaded
        self._tell_unpriced(config)

    def _changed(self, before: GatewayConfig, after: GatewayConfig, by: str | None) -> None:
        log_change(before, after, None if by is None else shown_user(by, self.settings.log_users))


def _secret_of(settings: Settings) -> HiddenBytes | None:
    secret = settings.identity_secret
    return HiddenBytes(secret.reveal().encode()) if isinstance(secret, Secret) else None


def _descriptions(hook: Any, given: Any) -> Descriptions | None:
    return None if given is None else Descriptions(hook or checked_descriptions(given))


def _hooks(callables: Mapping[str, Any], settings: Settings) -> Mapping[str, Any]:
    slow, patience = settings.slow_callable, settings.callable_timeout
    return {
        name: None if call is None else Hook(name, call, slow=slow, patience=patience)
        for name, call in callables.items()
    }


def _origin_rule(settings: Settings) -> OriginRule:
    return OriginRule(
        trusted_origins=frozenset(origin.lower().encode("ascii") for origin in settings.trusted_origins),
        credential_headers=frozenset(name.encode("ascii") for name in settings.credential_headers),
        ambient_bearer=settings.ambient_bearer,
    )
