"""Sends a request through the layers that calls meet, to an end that sends nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from starlette.middleware import Middleware

from ..admin.routes import require_admin
from ..api.default_models import default_models
from ..api.endpoints import Kind
from ..errors import GatewayError
from ..exchange import Exchange
from ..host.users import User
from ..http.asgi import ASGIApp, Message, PrivateScope, Receive, Scope, Send
from ..http.chain import Layer, compose
from ..layers.adapt_payload import AdaptPayload
from ..layers.apply_presets import ApplyPresets
from ..layers.ask_usage import AskUsage
from ..layers.attach_credential import AttachCredential
from ..layers.authenticate import Authenticate
from ..layers.check_model_access import CheckModelAccess
from ..layers.enforce_limits import EnforceLimits
from ..layers.guard_group import GuardGroup
from ..layers.guard_routes import GuardRoutes
from ..layers.guard_unseen import GuardUnseen
from ..layers.list_models import ListModels
from ..layers.match_endpoint import MatchEndpoint
from ..layers.read_payload import ReadPayload
from ..layers.read_upload import ReadUpload
from ..layers.refuse_cross_site import RefuseCrossSite
from ..layers.refuse_disabled import RefuseDisabled
from ..layers.refuse_loops import RefuseLoops
from ..layers.resolve_model import ResolveModel
from ..layers.route_stored import RouteStored
from ..layers.serve_limits import ServeLimits
from ..layers.serve_speech import SPEECH
from ..layers.take_config import TakeConfig
from ..layers.translate import Translate
from ..observe.explanation import Explanation
from ..parts import Parts
from ..presets.resolution import likeliest
from .asked import Asked
from .candidates import Candidates
from .deciders import decider_of, reason_of
from .facts import facts, served_model
from .stand_ins import KnownLists, NamedToken, NotedAccess, NotedDesk, NotedGroups, Notes, ShownCredentials, Undecided

Run = Callable[[ASGIApp, PrivateScope, Receive, Send, User], Awaitable[None]]
"""Gives an app a request of this user's, as the gateway gives its own."""


class Explainer:
    """Made anew for each request: what comes out on the way is noted here."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._notes = notes = Notes()
        self._status: int | None = None
        self._exchange: Exchange | None = None
        credentials, context = ShownCredentials(notes, parts.credentials.telling), parts.hooks["context"]
        attempt: tuple[Layer, ...] = (
            Middleware(Translate, event_limit=parts.settings.event_limit),
            Middleware(AskUsage, refusals=parts.usage_refusals, notices=parts.notices),
            Middleware(
                ApplyPresets,
                on_locked=parts.settings.locked_params,
                secret=parts.identity_secret,
                context=context,
            ),
            Middleware(AdaptPayload, stamping=parts.stamping),
            Middleware(AttachCredential, credentials=credentials, settings=parts.settings, context=context),
        )
        self._candidates = Candidates(
            compose(attempt, _nothing),
            memory=parts.memory,
            in_use=parts.slots.in_use,
            credentials=credentials,
            settings=parts.settings,
            apis=parts.apis,
        )
        self._app = compose(self._chain(), self._candidates)

    def _chain(self) -> tuple[Layer, ...]:
        """Those of a gateway that decide something, in its order; what asks, takes or loads has a stand-in."""
        parts, notes, settings = self._parts, self._notes, self._parts.settings
        hooks, wait = parts.hooks, settings.send_timeout
        access = NotedAccess(
            hooks["authorize_model"], hooks["visible_models"], bypass=settings.bypass_model_access, notes=notes
        )
        groups = NotedGroups(settings.open_groups, hooks["authorize_group"], notes)
        lists = KnownLists(parts.lists, notes)
        desk = None if parts.desk is None else NotedDesk(parts.desk, notes)
        return (
            Middleware(RefuseLoops, loops=parts.loops),
            Middleware(TakeConfig, live=parts.live),
            Middleware(MatchEndpoint, passthrough=settings.passthrough),
            Middleware(RefuseCrossSite, rule=parts.rule),
            Middleware(
                Authenticate,
                resolve_user=None,
                session_token=None if hooks["session_token"] is None else NamedToken(notes),
                roles=parts.roles,
            ),
            _EndAtAdmin,
            Middleware(RefuseDisabled, drain=parts.drain),
            Middleware(ServeLimits, desk=parts.desk, lists=lists, access=access, send_timeout=wait),
            Middleware(ListModels, lists=lists, access=access, send_timeout=wait),
            Middleware(GuardGroup, groups=groups),
            Middleware(ReadUpload, groups=groups, settings=settings),
            Middleware(ReadPayload, settings=settings),
            Middleware(ResolveModel, lists=lists, defaults=default_models(settings.default_models), draw=likeliest),
            Middleware(CheckModelAccess, access=access),
            Middleware(RouteStored, groups=groups, upstream=settings.stored_upstream, apis=parts.apis),
            GuardRoutes,
            *((Middleware(GuardUnseen, filters=parts.filters),) if parts.filters else ()),
            *((Middleware(EnforceLimits, desk=desk, unmetered=settings.unmetered),) if desk else ()),
        )

    async def explain(self, asked: Asked, user: User, run: Run) -> Explanation:
        """``run`` gives the request to the layers."""
        explanation = Explanation(asked.method, asked.path, user.id, "answered")
        try:
            await run(self._seen, asked.scope(), asked.receive(), self._note_answer, user)
        except Undecided as open_question:
            self._notes.decide("outcome", str(open_question), "Upstream.model_ids, where they name it")
            explanation = replace(explanation, outcome="undecided", message=str(open_question))
        except GatewayError as error:
            explanation = self._refused(explanation, error)
        else:
            sent = any(each.asked for each in self._candidates.found)
            explanation = replace(explanation, outcome="sent" if sent else "answered", status=self._status)
        return self._told(explanation)

    async def _seen(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._exchange = Exchange.of(scope)
        await self._app(scope, receive, send)

    async def _note_answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]

    def _refused(self, explanation: Explanation, error: GatewayError) -> Explanation:
        reason = reason_of(error)
        self._notes.decide("outcome", f"refused, {reason}", decider_of(error))
        return replace(
            explanation,
            outcome="refused", status=error.status, code=error.code, reason=reason, message=error.message,
        )  # fmt: skip

    def _told(self, explanation: Explanation) -> Explanation:
        exchange = self._exchange
        assert exchange is not None
        first = tuple(facts(exchange))
        match = getattr(exchange, "match", None)
        if explanation.outcome == "sent":
            self._name_the_rest(exchange)
        return replace(
            explanation,
            operation=None if match is None else match.endpoint.operation,
            model=served_model(exchange),
            streams=getattr(exchange, "streams", False),
            decisions=(*first, *self._notes.decisions),
            candidates=tuple(self._candidates.found),
            would_ask=tuple(self._notes.would_ask),
        )

    def _name_the_rest(self, exchange: Exchange) -> None:
        parts, ask = self._parts, self._notes.ask
        if parts.filters and exchange.model:
            ask(f"go through the host's filters, as far as they concern the call ({len(parts.filters)} in all)")
        if parts.layers:
            ask(f"go through {len(parts.layers)} of the host's own layers")
        if exchange.match.endpoint.operation == SPEECH:
            ask("look into the cache of spoken text")
        if parts.hooks["record_usage"] is not None and (exchange.resolved or parts.settings.record == "all"):
            ask("give its record to record_usage")


class _EndAtAdmin:
    """The administrators' own routes are not gone through: they change things."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if exchange.match.endpoint.kind is Kind.ADMIN:
            require_admin(exchange.user)
            return _nothing(scope, receive, send)
        return self.app(scope, receive, send)


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """The end."""
