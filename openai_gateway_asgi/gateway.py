"""The gateway: options in, a chain of layers out."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import httpx
from starlette.requests import Request
from starlette.responses import Response

from .chain import chain
from .config import ConfigStore, Defaults, Finding, Preset, Settings, Upstream
from .config.rules import Setup
from .exchange import KEY, Exchange
from .explaining.asked import Asked, GivenHeaders
from .explaining.explainer import Explainer
from .explaining.user import user_of
from .extensions.filter import Filter
from .extensions.host_model import HostModel, checked_host_models
from .extensions.in_process import openai_client
from .extensions.inner_calls import Within
from .hidden import HiddenBytes, HiddenList
from .host.descriptions import DescribeModel, ModelInfo
from .host.hooks import (
    AuthorizeGroup,
    AuthorizeModel,
    FindUser,
    OAuthToken,
    RecordUsage,
    RequestContext,
    ResolveUser,
    SessionToken,
    VisibleModels,
)
from .host.host_route import HostRoute
from .host.observers import Observer
from .host.prices import Price, PriceCallable, Prices
from .host.users import User
from .http.asgi import ASGIApp, PrivateScope, Receive, Scope, Send
from .http.chain import Layer, compose
from .http.headers import named_headers
from .http.lifespan import answer_lifespan, refuse_websocket
from .http.request_ids import RequestIds
from .http.timers import Clock
from .layers.forward import Forward
from .limits import Limit, LimitStore
from .limits.hosts import LimitsOfUser
from .observe.explanation import Explanation
from .observe.health import Health
from .parts import Parts
from .upstream.given_transport import AsyncTransport

if TYPE_CHECKING:
    from aiocache.base import BaseCache  # imports the redis client where that is installed
    from openai import AsyncOpenAI


class Gateway:
    """An ASGI application that lets a host's users call OpenAI-compatible models. Mount it under any path."""

    def __init__(
        self,
        upstreams: Iterable[Upstream] | ConfigStore | None = None,
        *,
        resolve_user: ResolveUser | None = None,
        authorize_model: AuthorizeModel,
        authorize_group: AuthorizeGroup | None = None,
        visible_models: VisibleModels | None = None,
        oauth_token: OAuthToken | None = None,
        context: RequestContext | None = None,
        record_usage: RecordUsage | None = None,
        layers: Sequence[Layer] = (),
        settings: Settings | None = None,
        speech_cache: BaseCache | None = None,
        transport: httpx.AsyncBaseTransport | AsyncTransport | None = None,
        limits: Sequence[Limit] | LimitsOfUser = (),
        limit_store: LimitStore | None = None,
        prices: Mapping[str, Price] | PriceCallable | Prices | None = None,
        find_user: FindUser | None = None,
        host_models: Sequence[HostModel] = (),
        filters: Sequence[Filter] = (),
        presets: Iterable[Preset | Defaults] = (),
        session_token: SessionToken | None = None,
        describe_model: DescribeModel | Mapping[str, ModelInfo] | None = None,
    ) -> None:
        """
        Args:
            upstreams: Where calls go: ``Upstream`` objects, a ``ConfigStore``, or None for the
                ``OPENAI_API_BASE_URLS`` family of environment variables.
            resolve_user: Says who asks. None: users come with ``response(user)`` only.
            authorize_model: Which models a user may call and see.
            authorize_group: Which kinds of stored objects a user may touch. Administrators may touch all, and everyone
                those of ``settings.open_groups``.
            visible_models: The same as ``authorize_model`` for a whole list at once.
            oauth_token: A user's own token, for upstreams with ``auth_type="system_oauth"``.
            context: Facts of yours for the headers that tell upstreams who asks.
            record_usage: Takes one record per model call.
            layers: Your own ASGI layers. They run when user, model and payload are known and nothing is rewritten yet.
                They do not read the body.
            settings: Everything else that can be set.
            speech_cache: Any aiocache cache for spoken text; in memory and bounded where none is given.
            transport: Replaces the connections: any ``AsyncBaseTransport`` of httpx or httpx2. It stays yours to close.
            limits: ``Limit`` objects, or a callable ``(user, model)`` that gives some: plans may stand in a database.
            limit_store: Where limits are counted; in the memory of this process where none is given.
            prices: What a call costs: ``{pattern: Price(...)}``, a callable, or ``genai_prices()``.
            find_user: The user of an id, for administrators who ask what another's request would meet.
            host_models: Models that functions of yours answer.
            filters: They look at what goes to models and at what comes from them.
            presets: Models of your own over others, beside those of the environment; a store has its own.
            session_token: A caller's own token, for upstreams with ``auth_type="session"``, where callers bring none.
            describe_model: What lists show of a model: a mapping by id, or a callable ``(user, model)``.

        Raises:
            ConfigError: It names the field or variable, and says what to write instead.
        """
        self.settings = settings = Settings() if settings is None else settings
        given: Any = layers
        layers = tuple(given) if isinstance(given, Iterable) else given  # what can be gone through only once is kept
        callables = {
            "resolve_user": resolve_user,
            "authorize_model": authorize_model,
            "authorize_group": authorize_group,
            "visible_models": visible_models,
            "oauth_token": oauth_token,
            "context": context,
            "record_usage": record_usage,
            "limits": limits if callable(limits) else None,
            "find_user": find_user,
            "session_token": session_token,
            "describe_model": describe_model if callable(describe_model) else None,
        }
        served = checked_host_models(host_models)
        own = frozenset(model.id for model in served)
        setup = Setup(settings, callables, layers, speech_cache, transport, upstreams, presets, own)
        self._parts = parts = Parts(
            setup,
            limits=limits,
            limit_store=limit_store,
            prices=prices,
            host_models=served,
            filters=filters,
            describe_model=describe_model,
            ask=self._client_within,
        )
        self._ids = RequestIds()
        forward = Forward(
            connections=parts.connections, loops=parts.loops, settings=settings, finishing=parts.finishing
        )
        self._app = compose(chain(parts, health=self.health, explain=self.explain), forward)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = PrivateScope(scope)
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            await refuse_websocket(receive, send)
        elif scope["type"] == "lifespan":
            await answer_lifespan(receive, send, self.aclose)
        else:
            raise RuntimeError(f"unknown ASGI scope type {scope['type']!r}")

    def response(
        self, user: User, *, prefix: str | None = None, request: Request | None = None, checked_origin: bool = False
    ) -> Response:
        """The gateway's answer as a route of the host's own, to a user whom the route has let in.

        The route ends in a path parameter (``/openai/{path:path}``); ``prefix`` names what comes before the API's path
        where it does not. Where the route or one of its dependencies has read the body, by ``request.body()`` or
        ``request.json()``, ``request`` is the one that kept it; otherwise the body is the gateway's to read.
        ``checked_origin`` says that the route has made sure, by a CSRF token or the like, that no other site's page
        asks with the user's cookie.
        """
        return HostRoute(self._serve, user, prefix, request, checked_origin)

    def openai(self, user: User, *, request: Request | None = None) -> AsyncOpenAI:
        """The OpenAI SDK's client for calls as this user, without a socket; the extra ``openai`` installs it.

        The same access, limits, filters and records hold as for the user's own requests. ``request`` is the one that
        is being answered, where there is one: its session, cookies and bearer token are the user's for these calls
        as well, as upstreams with ``auth_type="session"`` need it.
        """
        if not isinstance(user, User):
            raise TypeError(f"gateway.openai() takes a User, got {type(user).__name__}; write User(id=...)")
        return openai_client(self._serve_inside, Within(user, {} if request is None else request.scope))

    def _client_within(self, outer: Exchange) -> AsyncOpenAI:
        return openai_client(self._serve_inside, Within(outer.user, outer.scope, outer))

    def _serve_inside(
        self, scope: PrivateScope, receive: Receive, send: Send, user: User, outer: Exchange | None
    ) -> Awaitable[None]:
        return self._run(self._app, scope, receive, send, user, True, outer)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is odd about the options and the configuration in force; each was logged once. Errors stop the start."""
        return self._parts.judge.warnings

    async def check(self) -> tuple[Finding, ...]:
        """The warnings for what is stored now, read anew: ``python -m openai_gateway_asgi check`` prints them.

        Raises ``ConfigError`` where the configuration cannot be read or has errors; ``others`` are the further ones.
        """
        config = await self._parts.live.read()
        return (*self._parts.judge.of(config), *self._parts.unpriced(config))

    async def explain(
        self, user: User | str, method: str, path: str, headers: GivenHeaders = (), body: bytes = b""
    ) -> Explanation:
        """What would become of this request of the user's; nothing is sent. ``str`` of it reads well.

        ``user`` is one, or the id of one whom ``find_user`` gives. ``path`` is written as in a URL below the gateway's
        mount, query included; a body without a ``content-type`` is taken for JSON. The host's policies and ``context``
        are asked, nobody else: lists of models, tokens, limits and places are named only. Raises ``InvalidRequest`` for
        what no request could be, and for an id that is no user's.
        """
        asked = Asked.of(method, path, headers, body)
        known = user if isinstance(user, User) else await user_of(user, self._parts.hooks["find_user"])
        return await Explainer(self._parts).explain(asked, known, self._run)

    @property
    def finds_users(self) -> bool:
        """Whether it has ``find_user``, so that ``explain`` takes ids."""
        return self._parts.hooks["find_user"] is not None

    def observe(self, observer: Observer) -> None:
        """Adds who looks on at the calls that start from now on, as for traces or metrics.

        Raises ``ConfigError`` for what is no ``Observer``.
        """
        self._parts.observers.add(observer)

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Closes the gateway when the host stops: ``FastAPI(lifespan=gateway.lifespan)``. Everything opens lazily."""
        try:
            yield
        finally:
            await self.aclose()

    def begin_drain(self, within: float = 30.0) -> None:
        """Makes ready to stop: new calls get a 503, streams may go on for ``within`` seconds and then end in an error.

        Call it on the event loop when the process is told to stop; servers tell the lifespan only after all streams
        have ended. ``drain_on`` does it on a signal.
        """
        self._parts.drain.begin(within)

    @contextmanager
    def drain_on(self, signum: int = signal.SIGTERM, *, within: float = 30.0) -> Iterator[None]:
        """Begins to drain when the process gets the signal, before the server's own handler acts on it.

        To be entered on the main thread while the server runs, as in a lifespan: servers set their handlers before.
        On another thread, as where a test client runs the lifespan, it does nothing and says so in the log.
        """
        with self._parts.drain.on_signal(signum, within):
            yield

    def health(self) -> Health:
        """What is known without asking anybody: it costs nothing and spends no tokens."""
        return self._parts.health()

    async def aclose(self) -> None:
        """Closes every connection of this event loop. A request that comes later opens its own."""
        await self._parts.aclose()

    def _serve(
        self, scope: PrivateScope, receive: Receive, send: Send, user: User | None = None, checked_origin: bool = False
    ) -> Awaitable[None]:
        return self._run(self._app, scope, receive, send, user, checked_origin)

    async def _run(
        self,
        app: ASGIApp,
        scope: PrivateScope,
        receive: Receive,
        send: Send,
        user: User | None,
        checked_origin: bool = False,
        outer: Exchange | None = None,
    ) -> None:
        """``scope`` is ours to write to."""
        scope["headers"] = headers = HiddenList(scope["headers"])
        scope[KEY] = Exchange(
            request_id=next(self._ids),
            method=scope["method"],
            clock=Clock.of(asyncio.get_running_loop()),
            arrived=monotonic(),
            headers=headers,
            named=named_headers(headers),
            query=HiddenBytes(scope.get("query_string", b"")),
            scope=scope,
            given_user=user,
            checked_origin=checked_origin,
            outer=outer,
        )
        try:
            await app(scope, receive, send)
        finally:
            del scope[KEY]  # the exchange knows its scope: a cycle, which would wait for the next collection
