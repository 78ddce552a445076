"""The layers, in the order in which a request meets them. Nothing else decides order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from starlette.middleware import Middleware

from .admin.explain import Explain
from .admin.routes import Admin
from .api.default_models import default_models
from .host.access import Access
from .host.groups import Groups
from .http.chain import Layer, compose, numbered
from .layers.adapt_payload import AdaptPayload
from .layers.apply_presets import ApplyPresets
from .layers.ask_usage import AskUsage
from .layers.attach_credential import AttachCredential
from .layers.authenticate import Authenticate
from .layers.begin_attempt import BeginAttempt
from .layers.check_model_access import CheckModelAccess
from .layers.enforce_limits import EnforceLimits
from .layers.filter_answer import FilterAnswer
from .layers.filter_payload import FilterPayload
from .layers.guard_group import GuardGroup
from .layers.guard_routes import GuardRoutes
from .layers.guard_unseen import GuardUnseen
from .layers.keep_alive import KeepAlive
from .layers.list_models import ListModels
from .layers.match_endpoint import MatchEndpoint
from .layers.read_payload import ReadPayload
from .layers.read_upload import ReadUpload
from .layers.record_usage import RecordUsage
from .layers.refuse_cross_site import RefuseCrossSite
from .layers.refuse_disabled import RefuseDisabled
from .layers.refuse_loops import RefuseLoops
from .layers.render_errors import RenderErrors
from .layers.resolve_model import ResolveModel
from .layers.route_stored import RouteStored
from .layers.select_upstream import SelectUpstream
from .layers.serve_admin import ServeAdmin
from .layers.serve_limits import ServeLimits
from .layers.serve_speech import ServeSpeech
from .layers.take_changes import TakeChanges
from .layers.take_config import TakeConfig
from .layers.take_refusals import TakeRefusals
from .layers.take_turns import TakeTurns
from .layers.translate import Translate
from .observe.health import Health
from .parts import Parts


def chain(parts: Parts, *, health: Callable[[], Health], explain: Explain) -> tuple[Layer, ...]:
    """All of them; the last one asks ``Forward``. ``health`` and ``explain`` are what administrators are served."""
    access = Access(
        parts.hooks["authorize_model"], parts.hooks["visible_models"], bypass=parts.settings.bypass_model_access
    )
    groups = Groups(parts.settings.open_groups, parts.hooks["authorize_group"])
    resolving = _resolving(parts, access, groups)
    every, send_timeout = parts.settings.keepalive_comments, parts.settings.send_timeout
    return (
        *_at_the_door(parts),
        *_served_here(parts, access, health, explain),
        Middleware(GuardGroup, groups=groups),
        Middleware(ReadUpload, groups=groups, settings=parts.settings),
        Middleware(ReadPayload, settings=parts.settings),
        *resolving,
        *_looks_of_the_host(parts, resolving),
        Middleware(ServeSpeech, cache=parts.speech, credentials=parts.credentials, settings=parts.settings),
        *((Middleware(KeepAlive, every=every, send_timeout=send_timeout),) if every is not None else ()),
        *_attempts(parts),
    )


def _at_the_door(parts: Parts) -> tuple[Layer, ...]:
    """Who asks, and whether such a request is taken at all."""
    settings, hooks = parts.settings, parts.hooks
    return (
        Middleware(
            RenderErrors,
            show_routing=settings.show_routing,
            log_users=settings.log_users,
            send_timeout=settings.send_timeout,
            notices=parts.notices,
        ),
        Middleware(RefuseLoops, loops=parts.loops),
        Middleware(TakeConfig, live=parts.live),
        TakeTurns,
        Middleware(MatchEndpoint, passthrough=settings.passthrough),
        Middleware(RefuseCrossSite, rule=parts.rule),
        Middleware(
            Authenticate,
            resolve_user=hooks["resolve_user"],
            oauth_token=hooks["oauth_token"],
            session_token=hooks["session_token"],
            roles=parts.roles,
        ),
        Middleware(
            RecordUsage,
            record_usage=hooks["record_usage"],
            of_all=settings.record == "all",
            observers=parts.observers,
            background=parts.background,
            desk=parts.desk,
            attempts=parts.attempts,
        ),
    )


def _served_here(parts: Parts, access: Access, health: Callable[[], Health], explain: Explain) -> tuple[Layer, ...]:
    """What no upstream is asked for."""
    settings = parts.settings
    admin = Admin(
        parts.live,
        parts.judge,
        settings,
        parts.lists.requests,
        parts.credentials,
        parts.memory,
        health,
        explain,
    )
    return (
        Middleware(
            ServeAdmin,
            admin=admin,
            desk=parts.desk,
            find_user=parts.hooks["find_user"],
            lists=parts.lists,
            limit=settings.config_limit,
            idle=settings.upload_idle,
            send_timeout=settings.send_timeout,
        ),
        Middleware(RefuseDisabled, drain=parts.drain),
        Middleware(
            ServeLimits,
            desk=parts.desk,
            lists=parts.lists,
            access=access,
            send_timeout=settings.send_timeout,
        ),
        Middleware(
            ListModels,
            lists=parts.lists,
            access=access,
            send_timeout=settings.send_timeout,
            descriptions=parts.descriptions,
        ),
    )


def _resolving(parts: Parts, access: Access, groups: Groups) -> tuple[Layer, ...]:
    """Which model is meant, and whether its caller may; passed again by a body that the host has changed."""
    settings = parts.settings
    return (
        Middleware(ResolveModel, lists=parts.lists, defaults=default_models(settings.default_models)),
        Middleware(CheckModelAccess, access=access),
        Middleware(RouteStored, groups=groups, upstream=settings.stored_upstream, apis=parts.apis),
        GuardRoutes,
        *((Middleware(GuardUnseen, filters=parts.filters),) if parts.filters else ()),
        *((Middleware(EnforceLimits, desk=parts.desk, unmetered=settings.unmetered),) if parts.desk else ()),
    )


def _looks_of_the_host(parts: Parts, resolving: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The host's filters, then its own layers."""
    room = parts.settings.decode_limit
    filters: tuple[Layer, ...] = ()
    if parts.filters:
        again = partial(compose, resolving)
        filters = (Middleware(FilterPayload, filters=parts.filters, again=again, decode_limit=room),)
    if not parts.layers:
        return filters
    again = partial(compose, (*resolving, *filters))
    return (*filters, TakeRefusals, *numbered(parts.layers), Middleware(TakeChanges, again=again, decode_limit=room))


def _attempts(parts: Parts) -> tuple[Layer, ...]:
    """One upstream after the other; all behind the first is passed anew by each attempt."""
    settings, context = parts.settings, parts.hooks["context"]
    filters: tuple[Layer, ...] = ()
    if parts.filters:
        filters = (Middleware(FilterAnswer, background=parts.background, most=settings.event_limit),)
    return (
        Middleware(
            SelectUpstream,
            memory=parts.memory,
            slots=parts.slots,
            credentials=parts.credentials,
            settings=settings,
            attempts=parts.attempts,
            apis=parts.apis,
            desk=parts.desk,
        ),
        Middleware(Translate, event_limit=settings.event_limit),
        Middleware(AskUsage, refusals=parts.usage_refusals, notices=parts.notices),
        *filters,
        Middleware(ApplyPresets, on_locked=settings.locked_params, secret=parts.identity_secret, context=context),
        Middleware(AdaptPayload, stamping=parts.stamping),
        Middleware(BeginAttempt, attempts=parts.attempts),
        Middleware(AttachCredential, credentials=parts.credentials, settings=settings, context=context),
    )
