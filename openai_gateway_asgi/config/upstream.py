"""One OpenAI-compatible endpoint and how to speak to it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import KW_ONLY, dataclass, fields
from functools import cached_property
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from ..api.route_fields import route_rules
from ..errors import ConfigError
from ..hidden import HIDDEN, HiddenBytes, HiddenText, hidden
from . import addresses, query_rules
from .apis import AUTO, EITHER, Api, spoken_by
from .converted import Converted
from .hidden_values import HiddenValues
from .secret import Secret
from .templates import Template
from .timeouts import Timeouts
from .upstream_fields import DEFAULT_API_VERSION, ENTRA, RULES, api_version, is_private_key

SECRETS = frozenset({"api_key", "headers", "identity_key", "proxy", "query"})
"""Fields that hold some."""

SHORTEST_SHARED = 32
"""Characters of a secret that signs: as many bytes as the hash has (RFC 7518, 3.2)."""

T = TypeVar("T")
INSIDE = ".host-model.invalid"
"""How the hosts end of the upstreams that stand for handlers of the host's own."""

Names = Converted[tuple[str, ...], Iterable[str]]

# Typed as Any because a default is of the kind that is kept, where a type checker expects the descriptor.
_NO_KEY: Any = Secret()
_NONE: Any = ()
_UNSET: Any = None


class _Remembering:
    """Room for what follows from an heir's fields, so that it is worked out once."""


def _hiding_arguments(upstream: type[T]) -> type[T]:
    """The class, whose frames show no secret while one of it is made, be it in vain."""
    make: Any = upstream.__init__

    @functools.wraps(make)
    def init(self: Any, base_url: Any, **values: Any) -> None:
        if isinstance(base_url, str) and ("@" in base_url or "?" in base_url):
            base_url = HiddenText(base_url)
        for name in SECRETS.intersection(values):
            values[name] = hidden(values[name])
        make(self, base_url, **values)

    type.__setattr__(upstream, "__init__", init)
    return upstream


@_hiding_arguments
@dataclass(frozen=True, slots=True, repr=False)
class Upstream(_Remembering):
    """Immutable, checked and brought to one form when made; a fault raises ``ConfigError`` naming the field.

    ``repr`` shows what differs from the defaults, without the key, header values or the proxy's password. Equal
    upstreams hash alike, so one can be a key.
    """

    base_url: str
    """Absolute http(s) URL that the paths of the API follow, without a slash at its end. A query becomes ``query``."""
    _: KW_ONLY
    api_key: Converted[Secret, Secret | str] = _NO_KEY
    name: str = ""
    """Names it in logs, metrics and usage records; the host of ``base_url`` where none is given."""
    enabled: bool = True
    model_ids: Names = _NONE
    """The models it serves, in place of asking it; empty: ask."""
    prefix_id: str = ""
    """``p`` shows its model ``m`` as ``p.m``."""
    tags: Converted[tuple[Any, ...], Iterable[Any]] = _NONE
    """Replace the tags of all its models."""
    connection_type: str = "external"
    """Shown on its models; ``local`` and ``external`` are usual."""
    auth_type: str = "bearer"
    """One of ``AUTH_TYPES``; ``azure_ad`` is kept as ``microsoft_entra_id``."""
    headers: Mapping[str, str] = HiddenValues()
    """Sent with every request, over all others of the same name."""
    query: Mapping[str, str] = HiddenValues()
    """Parameters of every request's query, in the place of a client's own of the same name."""
    provider: str = ""
    """``azure`` for Azure OpenAI; others are shown on its models."""
    api: Api = AUTO
    """The API it has for conversations: ``chat``, ``responses`` or ``both``; ``auto``: as is known of its host, else
    asked. Or a mapping of these by model ids. Calls of the other API are translated."""
    api_version: str = ""
    """Of Azure: classic addresses always get one (``effective_api_version``), v1 what stands here and is no date."""
    timeouts: Timeouts | None = None
    """None: those of the settings."""
    weight: int | None = None
    """Its share of the requests among upstreams of one priority that serve the same model; None: asked in order."""
    priority: int = 0
    """Upstreams with a smaller number are asked first; among equals the order of the list decides, or the weights."""
    proxy: str | None = None
    """``http(s)://[user:password@]host:port``; the environment's proxies are never used."""
    verify_tls: bool | str | None = None
    """False accepts any certificate; a path names a file of authorities that are trusted besides the system's. None: as
    the settings say."""
    keepalive: float | None = None
    """Seconds that an idle connection is kept; see ``effective_keepalive``."""
    rewrites: Literal["auto", "off"] = "auto"
    """``off`` sends bodies as they came."""
    max_concurrency: int | None = None
    """Requests at one time; None sets no bound."""
    commit: Literal["told", "whole"] | None = None
    """When a stream of its is the client's: as soon as it tells something, or when it is whole. None: as the settings
    say."""
    stream_usage: Literal["auto", "always", "never"] = "auto"
    """Whether streams of chat and completions are asked for their usage where the client does not, who sees nothing of
    it. ``auto``: but at Mistral, OpenRouter and Azure before 2024-09-01-preview, and with ``rewrites="off"``."""
    on_leave: Literal["cancel", "finish"] = "cancel"
    """What becomes of its answer to a client that leaves: it is cancelled, and its usage estimated; or it is read to
    its end for the exact usage, where not too many are already."""
    reports_cost: bool | None = None
    """Whether what it says a call cost (``usage.cost``, in USD) is believed. None: OpenRouter's is."""
    reasoning_models: Converted[tuple[str, ...] | None, Iterable[str] | None] = _UNSET
    """Ids of reasoning models, ``*`` for any run of characters; None: decided by name."""
    developer_role: bool | None = None
    """Whether it knows messages of the role ``developer``, which are sent as ``system`` where not. None: OpenAI and
    Azure do, and whoever passes on calls to OpenAI's reasoning models."""
    route_fields: Names = _NONE
    """Fields of requests that it does not get because they could choose another route, beside those of the table
    (``api/route_fields.py``); with a minus before the name, one of the table that it may get. ``*`` at the end stands
    for the rest of a name."""
    drop_fields: Names = _NONE
    """Top-level fields never sent to it."""
    drop_nulls: bool = False
    drop_hosted_tools: bool = False
    """Of calls that are translated to chat, leave out the tools that only OpenAI's Responses API runs; else they are
    refused."""
    images_in_tools: bool = False
    """Calls that are translated to chat may have images and files in its tool messages, as tools gave them back; else
    they are refused."""
    repair_responses: bool = False
    """Mend its streams of the Responses API: numbers, ids and events that official clients need."""
    flatten_tool_content: bool = False
    """Send the text of tool messages as one string."""
    forward_cookies: Names = _NONE
    """Names of the caller's cookies that it gets."""
    identity: Literal["", "jwt"] = ""
    """``jwt``: a signed token says who asks, in ``identity_header``, beside the credential."""
    identity_key: Converted[Secret, Secret | str] = _NO_KEY
    """What signs it: an Ed25519 private key in PEM (EdDSA), or a secret of 32 characters or more (HS256) that this
    upstream alone shares."""
    identity_header: str = "X-OpenWebUI-User-Jwt"
    stamp: Mapping[str, str] = HiddenValues()
    """Fields of JSON bodies that say who asks, as ``metadata.team``, with variables; in place of a client's own."""
    list_per_user: bool = False
    """Whether it is asked for its models with what says who asks, and each user sees their own list."""
    token_scope: str = ""
    """Of Entra ID tokens; chosen by the kind of address where empty."""

    def __post_init__(self) -> None:
        address, of_url = query_rules.split("base_url", self.base_url)
        object.__setattr__(self, "base_url", address)
        for name, rule in RULES.items():
            object.__setattr__(self, name, rule(name, getattr(self, name)))
        object.__setattr__(self, "query", query_rules.joined("query", self.query, of_url))
        if self.is_azure:
            self._take_version_from_query()
        if not self.name:
            object.__setattr__(self, "name", self.host)
        _ = self.header_templates
        _check_identity(self)
        if self.auth_type == ENTRA and not (self.base_url.startswith("https:") or addresses.is_loopback(self.host)):
            raise ConfigError("auth_type", "Entra ID tokens go to https or loopback addresses only; write https://...")

    def _take_version_from_query(self) -> None:
        """Azure's api-version is known by its field alone, so that all who read it find the same."""
        rest = dict(self.query)
        for name in [name for name in rest if name.lower() == query_rules.API_VERSION]:
            version = api_version(f"query.{name}", rest.pop(name))
            if self.api_version not in ("", version):
                raise ConfigError("api_version", "is another than the query's api-version; write one of them")
            object.__setattr__(self, "api_version", version)
        object.__setattr__(self, "query", HiddenValues(rest))

    def spoken_for(self, model: str) -> frozenset[str] | None:
        """The APIs for conversations that it has for a model; None: that is not known."""
        return self._spoken if isinstance(self.api, str) else spoken_by(self.api, self.host, model)

    @cached_property
    def takes_any_api(self) -> bool:
        """Whether nothing that is known of it makes a translation necessary, for any of its models."""
        return isinstance(self.api, str) and self._spoken in (None, EITHER) and not self.is_openai

    @cached_property
    def surely_speaks(self) -> Set[str]:
        """The APIs for conversations that it is known to have for all of its models."""
        return (self._spoken if isinstance(self.api, str) else None) or frozenset()

    @cached_property
    def _spoken(self) -> frozenset[str] | None:
        return spoken_by(self.api, self.host, "")

    def refuses_route(self, name: str) -> bool:
        """Whether a request with this field must not reach it."""
        return route_rules(self.route_fields).refuses(name)

    @cached_property
    def header_templates(self) -> Mapping[str, Template]:
        """Headers whose values have variables, by name."""
        read = {name: Template(text, f"headers.{name}") for name, text in self.headers.items()}
        return {name: template for name, template in read.items() if not template.plain}

    @cached_property
    def call_headers(self) -> Mapping[str, Template]:
        """Those of them that say more than who asks."""
        return {name: template for name, template in self.header_templates.items() if not template.of_user}

    @cached_property
    def stamps(self) -> Mapping[str, Template]:
        return {name: Template(text, f"stamp.{name}") for name, text in self.stamp.items()}

    @cached_property
    def stamps_of_user(self) -> bool:
        """Whether they all say no more than who asks."""
        return all(template.of_user for template in self.stamps.values())

    @cached_property
    def templates(self) -> Mapping[str, Template]:
        """All its texts with variables, by field."""
        headers = {f"headers.{name}": template for name, template in self.header_templates.items()}
        return headers | {f"stamp.{name}": template for name, template in self.stamps.items()}

    @cached_property
    def tells_user(self) -> bool:
        """Whether its requests say who asks, beside the headers of the settings."""
        return bool(self.header_templates or self.stamp or self.identity)

    @cached_property
    def tells_user_in_lists(self) -> bool:
        """The same of requests for its list of models, which have no context and no body."""
        return bool(self.identity) or any(not each.context_keys for each in self.header_templates.values())

    @cached_property
    def asks_context(self) -> bool:
        return any(template.context_keys for template in self.templates.values())

    @cached_property
    def host(self) -> str:
        return urlsplit(self.base_url).hostname or ""

    @cached_property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own API, in any of its regions."""
        return self.host == "api.openai.com" or self.host.endswith(".api.openai.com")

    @cached_property
    def tells_cost(self) -> bool:
        if self.reports_cost is None:
            return self.host == "openrouter.ai" or self.host.endswith(".openrouter.ai")
        return self.reports_cost

    @cached_property
    def is_inside(self) -> bool:
        """Whether it stands for a handler of the host's own."""
        return self.host.endswith(INSIDE)

    @cached_property
    def is_azure(self) -> bool:
        return self.provider == "azure"

    @cached_property
    def knows_developer(self) -> bool:
        """Whether it knows messages of the role ``developer``, as far as that does not depend on the model."""
        return self.is_openai or self.is_azure if self.developer_role is None else self.developer_role

    @cached_property
    def is_azure_v1(self) -> bool:
        """Whether the address is of Azure's v1 API, which needs no api-version and no deployments in paths."""
        return re.search(r"/openai/v1(/|$)", urlsplit(self.base_url).path) is not None

    @cached_property
    def is_plain(self) -> bool:
        """Whether it asks for no rewrites of its own: no Azure, and nothing to be dropped or flattened."""
        return not (self.is_azure or self.drop_fields or self.drop_nulls or self.flatten_tool_content)

    @property
    def effective_api_version(self) -> str:
        return self.api_version or DEFAULT_API_VERSION

    @cached_property
    def fixed_query(self) -> bytes:
        """What stands at the end of every request's query, encoded."""
        return HiddenBytes(query_rules.encoded(self._own_query))

    @cached_property
    def fixed_names(self) -> frozenset[bytes]:
        """The names in ``fixed_query``, in lower case: a client's own of these do not cross."""
        return frozenset(name.lower().encode() for name in self._own_query)

    @cached_property
    def _own_query(self) -> Mapping[str, str]:
        version = self.api_version if self.is_azure_v1 else self.effective_api_version
        if not self.is_azure or not version or (self.is_azure_v1 and query_rules.is_dated(version)):
            return self.query
        return {**self.query, query_rules.API_VERSION: version}

    @cached_property
    def effective_keepalive(self) -> float:
        """Seconds. Local servers close idle connections after 5; over https a new one costs a handshake."""
        if self.keepalive is not None:
            return self.keepalive
        return 30.0 if self.base_url.startswith("https:") else 4.0

    @cached_property
    def connection_key(self) -> tuple[str, str, str | None, float, bool | str | None]:
        """Upstreams with the same one share their connections."""
        return (self.name, self.base_url, self.proxy, self.effective_keepalive, self.verify_tls)

    def __hash__(self) -> int:
        return hash((self.base_url, self.name))

    def __repr__(self) -> str:
        shown = [repr(self.base_url)]
        for spec in fields(self)[1:]:
            value = getattr(self, spec.name)
            if value != spec.default:
                safe = hide_userinfo(str(value)) if spec.name == "proxy" else value
                shown.append(f"{spec.name}={safe!r}")
        return f"Upstream({', '.join(shown)})"


def hide_userinfo(proxy: str, hidden: str = HIDDEN) -> str:
    """The proxy's URL with ``hidden`` in the place of user name and password."""
    scheme, _, rest = proxy.partition("://")
    userinfo, at, address = rest.rpartition("@")
    return f"{scheme}://{hidden}@{address}" if at and userinfo else proxy


def _check_identity(upstream: Upstream) -> None:
    key = HiddenText(upstream.identity_key.reveal())
    if not upstream.identity:
        if key:
            raise ConfigError("identity_key", 'has no effect without identity="jwt"; write both')
        return
    if not key:
        raise ConfigError("identity_key", "is missing; write a secret of 32 characters, or a private key in PEM")
    if not is_private_key(key) and len(key) < SHORTEST_SHARED:
        raise ConfigError("identity_key", f"must have {SHORTEST_SHARED} characters or more (RFC 7518, 3.2)")
    if upstream.identity_header.lower() in map(str.lower, upstream.headers):
        raise ConfigError("identity_header", "is one of the headers; name another, or leave that one out")
