"""The gateway: options in, a chain of layers out."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from .admin.routes import Admin
from .api.default_models import default_models
from .config import ConfigStore, GatewayConfig, MemoryStore, Settings, Upstream, upstreams_from_env
from .config.live import LiveConfig
from .exchange import KEY, Exchange
from .host.access import Access
from .host.groups import Groups
from .host.hooks import (
    AuthorizeGroup,
    AuthorizeModel,
    Hook,
    OAuthToken,
    RecordUsage,
    RequestContext,
    ResolveUser,
    VisibleModels,
)
from .host.host_route import HostRoute
from .host.notices import Notices
from .host.users import User
from .http.asgi import ASGIApp, Receive, Scope, Send
from .http.background import Background
from .http.drain import Drain
from .http.headers import named_headers
from .http.lifespan import answer_lifespan, refuse_websocket
from .http.loop_guard import LoopGuard
from .http.timers import Clock
from .layers.adapt_payload import AdaptPayload
from .layers.attach_credential import AttachCredential
from .layers.authenticate import Authenticate
from .layers.check_model_access import CheckModelAccess
from .layers.forward import Forward
from .layers.guard_group import GuardGroup
from .layers.list_models import ListModels
from .layers.match_endpoint import MatchEndpoint
from .layers.read_payload import ReadPayload
from .layers.read_upload import ReadUpload
from .layers.record_usage import RecordUsage as RecordUsageLayer
from .layers.refuse_cross_site import RefuseCrossSite
from .layers.refuse_disabled import RefuseDisabled
from .layers.refuse_loops import RefuseLoops
from .layers.render_errors import RenderErrors
from .layers.resolve_model import ResolveModel
from .layers.route_stored import RouteStored
from .layers.select_upstream import SelectUpstream
from .layers.serve_admin import ServeAdmin
from .layers.serve_speech import ServeSpeech
from .layers.take_config import TakeConfig
from .layers.take_refusals import TakeRefusals
from .layers.take_turns import TakeTurns
from .observe.health import Health
from .speech.cache import SpeechCache
from .upstream.breaker import Breakers
from .upstream.concurrency import AllSlots
from .upstream.connections import Connections
from .upstream.credentials import Credentials
from .upstream.model_lists import ModelLists

if TYPE_CHECKING:
    from aiocache.base import BaseCache  # imports the redis client where that is installed

T = TypeVar("T")
Layer = Callable[[ASGIApp], ASGIApp] | Middleware


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
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """
        ``upstreams``: where calls go: ``Upstream`` objects, a ``ConfigStore``, or None for the ``OPENAI_API_BASE_URLS``
        family of environment variables. ``resolve_user`` says who asks (None: users come with ``response(user)`` only),
        ``authorize_model`` which models they may call and see, ``visible_models`` the same for whole lists;
        ``authorize_group`` which kinds of stored objects they may touch (administrators all, and everyone those of
        ``settings.open_groups``).
        ``oauth_token`` gives users' own tokens for ``auth_type="system_oauth"``, ``context`` facts for the user-info
        headers; ``record_usage`` takes one record per model call. ``layers`` are your own ASGI layers: they run when
        user, model and payload are known and nothing is rewritten yet, and do not read the body. ``speech_cache`` is
        any aiocache cache (default: in memory, bounded). ``transport`` replaces the connections; yours is yours to
        close.

        Raises ``ConfigError``, naming the field or variable and what to write instead.
        """
        self.settings = settings = settings or Settings()
        self._id = secrets.token_hex(8)
        self._count = itertools.count()
        self._connections = Connections(settings, transport)
        self._credentials = Credentials()
        self._breakers = Breakers()
        self._slots = AllSlots()
        self._drain = Drain()
        self._loops = LoopGuard()
        self._notices = Notices()
        self._background = Background()
        self._lists = ModelLists(settings, self._connections, self._credentials, self._notices)
        self._live = LiveConfig(self._store(upstreams, has_oauth_token=oauth_token is not None), adopted=self._adopted)

        def hook(name: str, call: Callable[..., Any] | None) -> Any:
            return (
                None
                if call is None
                else Hook(name, call, slow=settings.slow_callable, patience=settings.callable_timeout)
            )

        self._app = _compose(
            self._chain(
                access=Access(
                    hook("authorize_model", authorize_model),
                    hook("visible_models", visible_models),
                    bypass=settings.bypass_model_access,
                ),
                groups=Groups(settings.open_groups, hook("authorize_group", authorize_group)),
                resolve_user=hook("resolve_user", resolve_user),
                oauth_token=hook("oauth_token", oauth_token),
                context=hook("context", context),
                record_usage=hook("record_usage", record_usage),
                layers=layers,
                speech=SpeechCache(speech_cache, settings),
            ),
            Forward(connections=self._connections, loops=self._loops, settings=settings),
        )

    def _chain(
        self,
        *,
        access: Access,
        groups: Groups,
        resolve_user: Hook[..., Any] | None,
        oauth_token: Hook[..., Any] | None,
        context: Hook[..., Any] | None,
        record_usage: Hook[..., Any] | None,
        layers: Sequence[Layer],
        speech: SpeechCache,
    ) -> tuple[Layer, ...]:
        """The layers, in the order in which a request meets them. Nothing else decides order."""
        settings = self.settings
        admin = Admin(
            self._live, settings, self._lists.requests, self._credentials, oauth_token is not None, self.health
        )
        return (
            Middleware(
                RenderErrors,
                show_routing=settings.show_routing,
                send_timeout=settings.send_timeout,
                notices=self._notices,
            ),
            Middleware(RefuseLoops, loops=self._loops),
            Middleware(TakeConfig, live=self._live),
            TakeTurns,
            Middleware(MatchEndpoint, passthrough=settings.passthrough),
            Middleware(RefuseCrossSite, trusted_origins=settings.trusted_origins),
            Middleware(Authenticate, resolve_user=resolve_user, oauth_token=oauth_token, notices=self._notices),
            Middleware(ServeAdmin, admin=admin, limit=settings.config_limit, idle=settings.upload_idle),
            Middleware(RefuseDisabled, drain=self._drain),
            Middleware(RecordUsageLayer, record_usage=record_usage, background=self._background),
            Middleware(ListModels, lists=self._lists, access=access),
            Middleware(GuardGroup, groups=groups),
            Middleware(ReadUpload, groups=groups, settings=settings),
            Middleware(ReadPayload, limit=settings.json_limit, idle=settings.upload_idle),
            Middleware(ResolveModel, lists=self._lists, defaults=default_models(settings.default_models)),
            Middleware(CheckModelAccess, access=access),
            Middleware(RouteStored, groups=groups, upstream=settings.stored_upstream),
            *((TakeRefusals, *layers) if layers else ()),
            Middleware(ServeSpeech, cache=speech, credentials=self._credentials, settings=settings),
            Middleware(SelectUpstream, breakers=self._breakers, slots=self._slots, settings=settings),
            AdaptPayload,
            Middleware(AttachCredential, credentials=self._credentials, settings=settings, context=context),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve(scope, receive, send, None)
        elif scope["type"] == "websocket":
            await refuse_websocket(receive, send)
        elif scope["type"] == "lifespan":
            await answer_lifespan(receive, send, self.aclose)
        else:
            raise RuntimeError(f"unknown ASGI scope type {scope['type']!r}")

    def response(self, user: User, *, prefix: str | None = None, request: Request | None = None) -> Response:
        """The gateway's answer as a route of the host's own, to a user whom the route has let in.

        The route ends in a path parameter (``/openai/{path:path}``); ``prefix`` names what comes before the API's path
        where it does not. Where the route or one of its dependencies has read the body, by ``request.body()`` or
        ``request.json()``, ``request`` is the one that kept it; otherwise the body is the gateway's to read.
        """
        return HostRoute(self._serve, user, prefix, request)

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
        self._drain.begin(within)

    @contextmanager
    def drain_on(self, signum: int = signal.SIGTERM, *, within: float = 30.0) -> Iterator[None]:
        """Begins to drain when the process gets the signal, before the server's own handler acts on it.

        To be entered on the main thread while the server runs, as in a lifespan: servers set their handlers before.
        On another thread, as where a test client runs the lifespan, it does nothing and says so in the log.
        """
        with self._drain.on_signal(signum, within):
            yield

    def health(self) -> Health:
        """What is known without asking anybody: it costs nothing and spends no tokens."""
        config = self._live.known
        now = monotonic()
        lists = {} if config is None else self._lists.states(config)
        return Health.of(
            config,
            draining=self._drain.active,
            lists=lists,
            breakers=self._breakers.states(now),
            in_use=self._slots.in_use(),
        )

    async def aclose(self) -> None:
        """Closes every connection of this event loop. A request that comes later opens its own."""
        await self._background.aclose()
        await self._live.aclose()
        await self._lists.aclose()
        await self._credentials.aclose()
        await self._connections.aclose()

    async def _serve(self, scope: Scope, receive: Receive, send: Send, user: User | None) -> None:
        headers = list(scope["headers"])
        scope = {**scope, "headers": headers}
        scope[KEY] = Exchange(
            request_id=f"{self._id}{next(self._count):010x}",
            method=scope["method"],
            clock=Clock.of(asyncio.get_running_loop()),
            arrived=monotonic(),
            headers=headers,
            named=named_headers(headers),
            query=scope.get("query_string", b""),
            scope=scope,
            given_user=user,
        )
        try:
            await self._app(scope, receive, send)
        finally:
            del scope[KEY]  # the exchange knows its scope: a cycle, which would wait for the next collection

    def _store(self, upstreams: Iterable[Upstream] | ConfigStore | None, *, has_oauth_token: bool) -> ConfigStore:
        if isinstance(upstreams, ConfigStore):
            return upstreams
        config = GatewayConfig(self.settings.enabled, upstreams_from_env() if upstreams is None else upstreams)
        for upstream in config.upstreams:
            self._credentials.check(upstream, has_oauth_token=has_oauth_token)
        return MemoryStore(config.upstreams, config.enabled)

    def _adopted(self, config: GatewayConfig) -> None:
        self._connections.keep_only(config.upstreams)
        self._credentials.keep_only(config.upstreams)


def _compose(chain: Sequence[Layer], last: ASGIApp) -> ASGIApp:
    app = last
    for layer in reversed(chain):
        app = layer.cls(app, *layer.args, **layer.kwargs) if isinstance(layer, Middleware) else layer(app)
    return app
