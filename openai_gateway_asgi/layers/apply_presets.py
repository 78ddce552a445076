"""What presets and defaults set in this attempt's body."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Literal

from ..errors import InvalidRequest
from ..exchange import Exchange
from ..host.facts import Context, asked_facts
from ..host.variables import Facts
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..presets.apply import applied
from ..presets.forms import form_edits, refuse_locked_fields
from ..presets.naming import NamePreset
from ..presets.parameters import refuse_locked
from ..presets.plan import Plan, plan_of
from ..rewrites.apply import in_json

TOP = ("model",)


class ApplyPresets:
    """Fills in and locks parameters, and puts system prompts in front, where presets or defaults stand on the way.

    The answer then names the preset. The host's ``context`` is asked here, where a preset or the upstream needs it.
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
        via, asks = exchange.via, exchange.upstream.asks_context
        if via is None and not asks:
            return self.app(scope, receive, send)
        plan: Plan | None = None
        if via is not None:
            operation = exchange.upstream_match.endpoint.operation
            plan = via.plans.get(operation) or plan_of(via, operation)
            asks = asks or plan.asks_context
        if asks and exchange.context is None and self._context is not None:
            return self._ask_first(self._context, plan, scope, receive, send)
        if plan is not None:
            self._apply(exchange, plan)
        return self.app(scope, receive, send)

    async def _ask_first(self, context: Context, plan: Plan | None, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        exchange.context = await asked_facts(context, exchange.user, exchange.request())
        if plan is not None:
            self._apply(exchange, plan)
        await self.app(scope, receive, send)

    def _apply(self, exchange: Exchange, plan: Plan) -> None:
        if plan.name is not None:
            exchange.stages += (NamePreset(plan.name, streams=True),) if exchange.streams else plan.naming
        if not plan.sets:
            return
        if plan.guarded and (plan.goes_around or len(exchange.model_at) > 1):
            raise InvalidRequest(
                f"The model `{exchange.model}` cannot be used for this kind of call.",
                param="model",
                code="unsupported_operation",
            )
        if self._refuses and plan.locks:
            refuse_locked(exchange.payload, plan.locks, plan.lock_names, exchange.model)
        if exchange.upload is not None:
            if self._refuses and plan.locks:
                refuse_locked_fields(exchange.upload.fields, plan, exchange.model)
            exchange.form_edits = form_edits(plan)
        elif exchange.opaque is None and not exchange.bodiless:
            values: Exchange | Facts = exchange if plan.asks_who else exchange.variables(self._secret)
            model = exchange.upstream_model
            named = in_json(model) if model and model != exchange.model and exchange.model_at == TOP else None
            exchange.attempt_payload = applied(exchange.attempt_payload, plan, values, named)
