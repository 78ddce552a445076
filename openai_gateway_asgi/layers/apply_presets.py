"""What presets and defaults set in this attempt's body."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Literal

from starlette.requests import Request

from ..exchange import Exchange
from ..host.hooks import Hook
from ..host.users import User
from ..host.variables import Facts
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..models import Via
from ..presets.apply import applied, refuse_going_around
from ..presets.forms import form_edits, refuse_locked_fields
from ..presets.naming import NamePreset
from ..presets.parameters import refuse_locked
from ..presets.plan import Plan, plan_of

Context = Hook[[User, Request], Mapping[str, str]]


class ApplyPresets:
    """Fills in and locks parameters, and puts system prompts in front, where presets or defaults stand on the way.

    The answer then names the preset.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        on_locked: Literal["override", "refuse"],
        secret: bytes | None,
        context: Context | None,
    ) -> None:
        """``secret`` hides users' ids in prompts; ``context`` is asked where a prompt needs it."""
        self.app = app
        self._refuses = on_locked == "refuse"
        self._secret = secret
        self._context = context

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        via = exchange.via
        if via is None:
            return self.app(scope, receive, send)
        if via.preset is not None:
            exchange.stages = (
                *exchange.stages,
                NamePreset(via.preset, exchange.pass_unchanged, streams=exchange.streams),
            )
        plan = plan_of(via, exchange.upstream_match.endpoint.operation)
        if plan.asks_context and exchange.context is None and self._context is not None:
            return self._ask_first(self._context, plan, via, scope, receive, send)
        self._apply(exchange, plan, via)
        return self.app(scope, receive, send)

    async def _ask_first(
        self, context: Context, plan: Plan, via: Via, scope: Scope, receive: Receive, send: Send
    ) -> None:
        exchange = Exchange.of(scope)
        exchange.context = await context(exchange.user, exchange.request()) or {}
        self._apply(exchange, plan, via)
        await self.app(scope, receive, send)

    def _apply(self, exchange: Exchange, plan: Plan, via: Via) -> None:
        operation = exchange.upstream_match.endpoint.operation
        if plan.guarded:
            refuse_going_around(plan, operation, exchange.model, nested=len(exchange.model_at) > 1)
        if self._refuses and plan.locks:
            refuse_locked(exchange.payload, plan.locks, plan.lock_names, exchange.model)
        if exchange.upload is not None:
            if self._refuses and plan.locks:
                refuse_locked_fields(exchange.upload.fields, plan, exchange.model)
            exchange.form_edits = form_edits(plan)
        elif exchange.opaque is None and not exchange.bodiless:
            facts = Facts(exchange.user, exchange.model, operation, exchange.context or {}, self._secret)
            exchange.attempt_payload = applied(exchange.attempt_payload, plan, operation, facts)
