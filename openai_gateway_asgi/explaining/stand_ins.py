"""In the place of what a call asks, takes or loads: they say what would be asked, taken or loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from starlette.requests import Request

from ..config import GatewayConfig
from ..config.upstream_fields import ENTRA
from ..errors import GatewayError
from ..host.access import Access, Authorize, Visible
from ..host.groups import AuthorizeGroupHook, Groups
from ..host.users import User
from ..limits.desk import Desk
from ..limits.limit import Limit
from ..limits.plans import Plan
from ..limits.reservation import Call, Reservation
from ..models import Catalogue, Model
from ..observe.explanation import Decision
from ..upstream.credentials import Caller, Credentials
from ..upstream.model_lists import ModelLists
from ..upstream.telling import Telling

PLACEHOLDER = "would-be-asked"
"""In the place of a token that nobody was asked for; it is masked like any."""


class Notes:
    """What comes out on the way."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.would_ask: list[str] = []

    def decide(self, about: str, verdict: str, by: str) -> None:
        self.decisions.append(Decision(about, verdict, by))

    def ask(self, what: str) -> None:
        if what not in self.would_ask:
            self.would_ask.append(what)


class Undecided(Exception):
    """Only a list that was never loaded could tell how it goes on."""


class NotedAccess(Access):
    """Asks the host's own callables, and notes what they say."""

    def __init__(self, authorize: Authorize, visible: Visible | None, *, bypass: bool, notes: Notes) -> None:
        super().__init__(authorize, visible, bypass=bypass)
        self._plain = Access(authorize, visible, bypass=bypass)
        self._notes = notes
        self._by = "Settings.bypass_model_access" if bypass else "authorize_model"
        self._lists_by = self._by if bypass or visible is None else "visible_models"

    async def allows(self, user: User, model: Model, operation: str) -> bool:
        with _Failing(self._notes, self._about(model), self._by):
            return self._noted(model, await self._plain.allows(user, model, operation))

    def allows_now(self, user: User, model: Model, operation: str) -> bool:
        with _Failing(self._notes, self._about(model), self._by):
            return self._noted(model, self._plain.allows_now(user, model, operation))

    async def visible(self, user: User, models: Sequence[Model]) -> Sequence[Model]:
        with _Failing(self._notes, "access to lists", self._lists_by):
            seen = await self._plain.visible(user, models)
        self._notes.decide("access to lists", f"{len(seen)} of {len(models)} models", self._lists_by)
        return seen

    def _noted(self, model: Model, verdict: bool) -> bool:
        self._notes.decide(self._about(model), "allowed" if verdict else "denied", self._by)
        return verdict

    def _about(self, model: Model) -> str:
        return f"access to model {model.id}"


class NotedGroups(Groups):
    """The same for kinds of stored objects."""

    def __init__(self, open: Collection[str], authorize: AuthorizeGroupHook | None, notes: Notes) -> None:
        super().__init__(open, authorize)
        self._notes = notes

    async def allows(self, user: User, group: str) -> bool:
        by = "authorize_group" if self._authorize is not None else "Settings.open_groups"
        if user.is_admin:
            by = "the role admin"
        elif group in self._open:
            by = "Settings.open_groups"
        with _Failing(self._notes, f"access to group {group}", by):
            verdict = await super().allows(user, group)
        self._notes.decide(f"access to group {group}", "allowed" if verdict else "denied", by)
        return verdict


class _Failing:
    """Notes that a callable gave no verdict."""

    def __init__(self, notes: Notes, about: str, by: str) -> None:
        self._notes, self._about, self._by = notes, about, by

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, GatewayError):
            self._notes.decide(self._about, f"no verdict, {error.code or error.type}", self._by)


class KnownLists(ModelLists):
    """The lists as they are; what is missing or due is named."""

    def __init__(self, lists: ModelLists, notes: Notes) -> None:
        self._lists = lists
        self._notes = notes

    def at_hand(self, config: GatewayConfig, caller: Caller | None, ids: Iterable[str]) -> Catalogue | None:
        return None

    async def for_call(self, config: GatewayConfig, caller: Caller | None, ids: Iterable[str]) -> Catalogue:
        return await self._known(config, caller, tuple(ids))

    async def for_listing(self, config: GatewayConfig, caller: Caller | None) -> Catalogue:
        return await self._known(config, caller, None)

    async def _known(self, config: GatewayConfig, caller: Caller | None, ids: Sequence[str] | None) -> Catalogue:
        known = await self._lists.known(config, caller, ids)
        for name in known.due:
            self._notes.ask(f"ask upstream {name} for its list of models")
        if known.awaited:
            raise Undecided(f"the list of models of {', '.join(known.awaited)} was never loaded")
        return known.catalogue


class NamedToken:
    """In the place of ``session_token``."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    async def __call__(self, user: User, request: Request) -> str | None:
        self._notes.ask("ask session_token for the caller's own token")
        return PLACEHOLDER


class ShownCredentials(Credentials):
    """Asks neither the host nor Entra ID for tokens."""

    def __init__(self, notes: Notes, telling: Telling) -> None:
        super().__init__(telling=telling)
        self._notes = notes

    async def _ask(self, plan: Any, caller: Caller | None) -> str:
        kind = plan.upstream.auth_type
        if kind == "session":
            return await super()._ask(plan, caller)
        asked = "Microsoft Entra ID" if kind == ENTRA else "oauth_token"
        self._notes.ask(f"ask {asked} for a token for upstream {plan.upstream.name}")
        return PLACEHOLDER


class NotedDesk(Desk):
    """Takes nothing from limits."""

    def __init__(self, desk: Desk, notes: Notes) -> None:
        self._desk = desk
        self._notes = notes
        self.known = desk.known

    async def limits_for(self, user: User, model: Model | None) -> Sequence[Limit]:
        return await self._desk.limits_for(user, model)

    def reserve_now(self, *asked: object) -> None:
        """Nothing."""

    async def reserve(self, call: Call) -> Reservation:
        for limit in call.limits:
            if limit.concerns(call.subject.models):
                self._notes.ask(
                    f"take from the limit {told(limit)}{', once an upstream is chosen' * limit.per_attempt}"
                )
        return Reservation(call.subject.user, Plan((), call.subject, 0.0))


def told(limit: Limit) -> str:
    amount = f"{getattr(limit, limit.unit)} {limit.unit}"
    period = f" per {limit.per}" if limit.per else ""
    by = "" if callable(limit.by) else f" by {', '.join(limit.scopes)}" if limit.scopes else ""
    return f"{f'{limit.name}: ' if limit.name else ''}{amount}{period}{by}"
