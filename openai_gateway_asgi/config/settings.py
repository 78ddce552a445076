"""What holds for the whole gateway: clocks, limits, lifetimes, header names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from ..errors import ConfigError
from ..hidden import HiddenDict
from . import addresses, checks, header_rules, opened_paths, variables
from .converted import Converted
from .secret import Secret
from .timeouts import COMMITS, Timeouts, timeout_rule
from .trust import verify_tls

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

Names = Converted[tuple[str, ...], Iterable[str]]
Kinds = Converted[frozenset[str], Iterable[str]]

_NO_NAMES: Any = ()
_NO_KINDS: Any = frozenset()
_NO_SECRET: Any = None

SHORTEST_SECRET = 16
"""Characters of a secret that signs or hides something."""

FORWARDED_HEADERS = (
    "accept",
    "content-type",
    "user-agent",
    "openai-beta",
    "idempotency-key",
    "x-client-request-id",
    "x-stainless-*",
    "traceparent",
    "tracestate",
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
)

_FORWARDED: Any = FORWARDED_HEADERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Immutable and checked when made; a fault raises ``ConfigError`` naming the field. Units: bytes and seconds."""

    enabled: bool = True
    """A gateway that was mounted is meant to serve. Stored configurations carry their own switch, which wins."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    """For upstreams without their own."""

    model_list_timeout: float = 10.0
    """A list is small; an upstream that needs longer is down as far as its users can tell."""
    model_list_lifetime: float = 60.0
    """Lists change on the scale of days and each user asks for them. 0: ask every time."""
    model_list_stale: float = 3600.0
    """An upstream whose list fails may still answer, so an hour of outage leaves its models callable."""
    model_list_retry: float = 5.0
    """A dead upstream is asked for its list this often at most, however many users are waiting."""

    json_limit: int = 32 * MIB
    """Room for a dozen images in one chat body, and few enough to hold one per request in memory."""
    decode_limit: int = 8 * MIB
    """Bytes of one field of a JSON body, beside long texts, that may be decoded where a rewrite has to read it: what is
    made of them takes several times their room."""
    upload_limit: int = GIB
    """Uploads are streamed, so this bounds what an upstream is charged with, not memory. OpenAI takes 512 MB a file."""
    spool_per_user: int = GIB
    """A file that comes before its model, or faster than its upstream reads, waits on disk: of one user's uploads as
    much as the largest single one."""
    upload_idle: float = 30.0
    """Of any body: a live client sends something within seconds; a stalled one holds its call, and an upload holds an
    upstream's connection."""
    send_timeout: float = 60.0
    """A client that takes no bytes for a minute is gone; servers would wait for it for ever."""
    comment_hold: float = 15.0
    """How long the head and comments wait for something to be told: a failure within it has a status of its own, and
    proxies keep quiet lines for longer."""
    keepalive_comments: float | None = None
    """Seconds of silence after which a stream gets a comment, for proxies that cut quiet lines. The head goes with the
    first one, so that what fails later has no status of its own: only where something in between needs it."""
    commit: Literal["told", "whole"] = "told"
    """``whole`` tells nothing of a stream before it is whole, so that a cut, a stall or an error in its middle is
    mended by the next attempt: for agents and batches, while people read along. Up to 8 MiB of a stream are held."""
    hold_limit: int = 64 * KIB
    """An event is a few hundred bytes; a longer one streams through instead of waiting whole in memory."""

    event_limit: int = 16 * MIB
    """Bytes of an event, or of an answer that is no stream, that is read whole where something changes it on its way.
    An image is some MiB; what is longer is never passed on unchanged, and fails."""

    retries: int = 2
    """More tries on the same upstream before the next one: transient faults are over by then, others are not."""
    max_attempts: int = 6
    """For one call in all, on all upstreams: users wait for the sum."""
    retry_time: float = 30.0
    """For trying the same upstream again; asking another one is not bounded by it."""
    retry_executed: bool = True
    """Whether a POST that an upstream may have executed is tried again: twice is paid for, once is not answered."""
    queue_time: float = 5.0
    """How long a call waits while its upstream is at its ``max_concurrency``."""
    show_routing: Literal["admins", "all", "nobody"] = "admins"
    """Who sees in the headers which upstream answered, after how many attempts: the host's own people."""
    record: Literal["models", "all"] = "models"
    """Which calls ``record_usage`` gets: those on stored objects too (``all``) would be counted by some hosts."""
    log_users: Literal["id", "hash", "none"] = "id"
    """How the log names users: ``hash`` is the SHA-256 of the id, cut short, which who can guess the id can tell."""
    log_upstream_messages: bool = False
    """Whether what upstreams say of any 4xx is logged: many repeat the prompt."""

    forwarded_headers: Names = _FORWARDED
    """What the OpenAI SDKs send about a call, tracing, and conditions on downloads; a trailing ``*`` is a prefix."""
    trusted_origins: Names = _NO_NAMES
    """Pages on other origins that may call with a cookie alone: none, unless the host names its own. Behind a proxy
    that rewrites ``Host`` these are the host's own pages as well."""
    credential_headers: Names = _NO_NAMES
    """More headers that say who asks and that no other site's page can send, as ``x-token``; beside ``Authorization:
    Bearer``, ``api-key`` and ``x-api-key``. ``authorization``: any scheme that browsers do not send by themselves."""
    ambient_bearer: bool = False
    """Whether a proxy in front adds a bearer token whoever asks: then it does not tell pages apart."""

    bypass_model_access: bool = False
    """True gives every user every model: a policy that is skipped unasked is none."""

    locked_params: Literal["override", "refuse"] = "override"
    """What becomes of a locked parameter that a client sets all the same: presets win silently, as most clients send
    what they always send; ``refuse`` answers 400."""
    identity_secret: Converted[Secret | None, Secret | str | None] = _NO_SECRET
    """What hides user ids in ``{user.id:hmac}``, at least 16 characters. None: such variables are refused."""

    unmetered: Kinds = _NO_KINDS
    """What users under limits of tokens or money may use although nobody tells what it used, such as ``batches``."""
    open_groups: Kinds = _NO_KINDS
    """Kinds of stored objects that every user may touch, as ``files``: none, for behind one key they are everyone's.
    The host's ``authorize_group`` can open some for some."""
    stored_upstream: str | None = None
    """The name of the upstream that keeps stored objects. None: the first one that is enabled."""
    passthrough: Names = _NO_NAMES
    """More paths than the API's, as ``GET /rerankers/{id}``; for administrators, and where the group ``passthrough`` is
    open. None: what no one has looked at is not served."""

    default_models: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """What answers a request that names no model, by operation, where it is another than the API's own default: the one
    your upstreams take, for the body goes on as it came. None: none, the model must be named."""

    forward_user_info: bool = False
    """Who asks is personal data, which upstreams do not need."""
    user_name_header: str = "X-OpenWebUI-User-Name"
    """This and the next four: the names that existing upstreams already read."""
    user_id_header: str = "X-OpenWebUI-User-Id"
    user_email_header: str = "X-OpenWebUI-User-Email"
    user_role_header: str = "X-OpenWebUI-User-Role"
    chat_id_header: str = "X-OpenWebUI-Chat-Id"
    attribution_title: str | None = None
    """What OpenRouter's rankings call the app. None: not sent, for it is advertising."""
    attribution_referer: str | None = None

    verify_tls: bool | str = True
    """False accepts any certificate; a path names a file of the authorities to trust instead of the system's."""

    speech_cache_bytes: int = 64 * MIB
    """Some hundred spoken minutes. 0: none are kept."""
    speech_entry_bytes: int = 8 * MIB
    """One long text must not push everything else out."""
    speech_cache_lifetime: float | None = None
    """None: as long as there is room, for the same text sounds the same tomorrow."""

    config_limit: int = MIB
    """Bytes of a configuration update; thousands of upstreams fit."""
    slow_callable: float = 0.05
    """A host's ``def`` that blocks this long delays every stream by as much, which readers begin to see."""
    filter_timeout: float = 10.0
    """Each call, and with ``event`` each event, waits for every filter in turn."""
    callable_timeout: float = 60.0
    """A host's ``async def`` asks a database or a token endpoint; one that takes a minute will not come back."""

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            object.__setattr__(self, name, rule(name, getattr(self, name)))

    @property
    def admin_timeout(self) -> float:
        """For trying out an upstream: that asks for its model list."""
        return self.model_list_timeout

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """From the documented variables; others keep their defaults. Raises ``ConfigError`` naming the variable."""
        environ = HiddenDict(environ)  # others of them are secret
        values, sources = variables.read(environ)
        timeouts = {name: values.pop(name) for name in ("idle", "total") if name in values}
        try:
            return cls(timeouts=Timeouts(**timeouts), **values)
        except ConfigError as error:
            raise ConfigError(sources.get(error.field, error.field), error.problem) from error


def _size(name: str, value: Any) -> int:
    return checks.whole(name, value, least=1)


def _size_or_zero(name: str, value: Any) -> int:
    return checks.whole(name, value, least=0)


def _duration(name: str, value: Any) -> float:
    return checks.seconds(name, value)


def _duration_or_zero(name: str, value: Any) -> float:
    return checks.seconds(name, value, zero=True)


def _secret(name: str, value: Any) -> Secret:
    if not isinstance(value, Secret | str):
        raise ConfigError(name, "must be text, or a Secret")
    secret = Secret(value)
    if len(secret.reveal()) < SHORTEST_SECRET:
        raise ConfigError(name, f"must have {SHORTEST_SECRET} characters or more, or who knows ids could try them all")
    return secret


def _header_value(name: str, value: Any) -> str:
    return checks.visible_ascii(name, checks.line(name, value))


def _origins(name: str, value: Any) -> tuple[str, ...]:
    return tuple(addresses.origin(f"{name}.{index}", item) for index, item in enumerate(checks.items(name, value)))


_RULES: dict[str, checks.Rule] = {
    "enabled": checks.flag,
    "timeouts": timeout_rule,
    "model_list_timeout": _duration,
    "model_list_lifetime": _duration_or_zero,
    "model_list_stale": _duration_or_zero,
    "model_list_retry": _duration_or_zero,
    "json_limit": _size,
    "decode_limit": _size,
    "upload_limit": _size,
    "spool_per_user": _size,
    "upload_idle": _duration,
    "send_timeout": _duration,
    "comment_hold": _duration_or_zero,
    "commit": lambda name, value: checks.choice(name, value, COMMITS),
    "hold_limit": _size,
    "event_limit": _size,
    "keepalive_comments": checks.optional(_duration),
    "retries": _size_or_zero,
    "max_attempts": _size,
    "retry_time": _duration_or_zero,
    "retry_executed": checks.flag,
    "queue_time": _duration_or_zero,
    "show_routing": lambda name, value: checks.choice(name, value, ("admins", "all", "nobody")),
    "record": lambda name, value: checks.choice(name, value, ("models", "all")),
    "log_users": lambda name, value: checks.choice(name, value, ("id", "hash", "none")),
    "log_upstream_messages": checks.flag,
    "forwarded_headers": header_rules.forwarded,
    "trusted_origins": _origins,
    "credential_headers": header_rules.credential_names,
    "ambient_bearer": checks.flag,
    "bypass_model_access": checks.flag,
    "locked_params": lambda name, value: checks.choice(name, value, ("override", "refuse")),
    "identity_secret": checks.optional(_secret),
    "open_groups": opened_paths.groups,
    "unmetered": opened_paths.unmetered,
    "stored_upstream": checks.optional(checks.line),
    "passthrough": opened_paths.passthrough,
    "default_models": opened_paths.default_models,
    "forward_user_info": checks.flag,
    "user_name_header": header_rules.identity_name,
    "user_id_header": header_rules.identity_name,
    "user_email_header": header_rules.identity_name,
    "user_role_header": header_rules.identity_name,
    "chat_id_header": header_rules.identity_name,
    "attribution_title": checks.optional(_header_value),
    "attribution_referer": checks.optional(_header_value),
    "verify_tls": verify_tls,
    "speech_cache_bytes": _size_or_zero,
    "speech_entry_bytes": _size,
    "speech_cache_lifetime": checks.optional(_duration),
    "config_limit": _size,
    "slow_callable": _duration,
    "filter_timeout": _duration,
    "callable_timeout": _duration,
}
