"""What administrators can ask of a running gateway: its configuration, and whether an upstream answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec

from ..config import GatewayConfig, Settings, Upstream, VersionConflict, from_wire, to_wire, verify_target
from ..config.document import wire_field
from ..config.findings import Finding
from ..config.judge import Judge
from ..config.live import LiveConfig
from ..config.wire import VERIFIED, refused_as_request
from ..errors import (
    GatewayDisabled,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    UpstreamError,
)
from ..hidden import hidden
from ..host.users import User
from ..http.asgi import NamedHeaders, RawHeaders
from ..http.pacing import in_turns
from ..http.threads import in_own_thread
from ..http.timers import Clock
from ..models import read_listing, static_listing
from ..observe.health import Health
from ..upstream.credentials import Caller, Credentials
from ..upstream.list_request import ListRequests
from ..upstream.memory import Memory
from ..upstream.words import no_list
from .explain import Explain
from .list_faults import LIST_PATH, explained, sentence


def require_admin(user: User) -> None:
    if not user.is_admin:
        raise PermissionDenied("This is for administrators only: for users to whom the application gives that role.")


@dataclass(frozen=True, slots=True)
class Admin:
    """The administrators' operations; each gives an answer's headers and body."""

    live: LiveConfig
    judge: Judge
    settings: Settings
    lists: ListRequests
    credentials: Credentials
    memory: Memory
    health: Callable[[], Health]
    explain: Explain

    def read(self, config: GatewayConfig, notes: Iterable[Finding] = ()) -> tuple[RawHeaders, bytes]:
        """The configuration, secrets masked, its version in the ETag; the warnings, and notes on what was posted."""
        warnings = [_shown(each) for each in (*notes, *self.judge.warnings)]
        body = to_wire(config) | {"shared": self.live.store.shared, "warnings": warnings}
        if self.live.fault is not None:
            body["fault"] = "The stored configuration cannot be read; this is the last good one."
        return [(b"etag", _etag(config))], msgspec.json.encode(body)

    async def update(
        self, config: GatewayConfig, user: User, headers: NamedHeaders, body: bytes
    ) -> tuple[RawHeaders, bytes]:
        """Replaces the configuration whole, or not at all.

        Raises ``InvalidRequest`` naming the field, ``PreconditionFailed`` when ``If-Match`` or the body's ``version``
        is not the version in force, or when somebody else saved in the same moment.
        """
        wanted = headers.get(b"if-match")
        if wanted is not None and not {b"*", _etag(config)}.intersection(map(bytes.strip, wanted.split(b","))):
            raise PreconditionFailed("The configuration has changed since it was read.", param="if-match")
        # A thousand upstreams take it 150 ms.
        proposed = await in_own_thread("read-config", partial(self._proposed, _decoded(body), config))
        try:
            saved = await self.live.save(replace(proposed, notes=()), replaces=config.version, by=user.id)
        except VersionConflict as error:
            raise PreconditionFailed("The configuration has changed meanwhile; read it and try again.") from error
        self.judge.log(proposed.notes)
        return self.read(saved, proposed.notes)

    async def verify(self, config: GatewayConfig, caller: Caller, body: bytes) -> tuple[RawHeaders, bytes]:
        """Tries an upstream out before it is saved. Of its answer only the models' ids are shown.

        What was held against it, where it is in use already, is forgotten.
        Raises ``UpstreamError`` or one of its kin when it refuses, fails or is silent.
        """
        upstream = verify_target(_decoded(body), config)
        with refused_as_request(VERIFIED.of):
            self.judge.examine_target(upstream)
        models = await self._models(upstream, caller)
        self.memory.forget([entry.name for entry in config.upstreams if _is_same(entry, upstream)])
        return [], models

    async def models(self, config: GatewayConfig, caller: Caller, index: str) -> tuple[RawHeaders, bytes]:
        """What one upstream lists, under the ids it uses itself."""
        if not config.enabled:
            raise GatewayDisabled("OpenAI API is disabled.")
        try:
            number = int(index)
        except ValueError as error:
            raise InvalidRequest(
                "The upstream's index must be a whole number, as 0.", param="index", code="invalid_value"
            ) from error
        if not 0 <= number < len(config.upstreams):
            raise NotFound(f"There is no upstream with this index; there are {len(config.upstreams)}.", param="index")
        upstream = config.upstreams[number]
        if upstream.is_azure and not upstream.is_azure_v1:
            return [], _ids(upstream.model_ids)
        return [], await self._models(upstream, caller)

    def _proposed(self, body: Mapping[str, Any], config: GatewayConfig) -> GatewayConfig:
        proposed = from_wire(body, config)
        with refused_as_request(wire_field):
            self.judge.examine(proposed)
        return proposed

    async def _models(self, upstream: Upstream, caller: Caller) -> bytes:
        try:
            body = await self.lists.body(upstream, caller, within=self.settings.admin_timeout)
        except UpstreamError as error:
            raise explained(error, upstream, self.settings) from None
        try:
            return await in_turns(_ids_in(upstream, body), Clock.of(asyncio.get_running_loop()).slices)
        except ValueError as error:
            raise UpstreamError(sentence(no_list(upstream, LIST_PATH))) from error


def _decoded(body: bytes) -> Any:
    """Of hidden types. Why it is no JSON is not told: some errors hold what they cannot read."""
    try:
        return hidden(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    raise InvalidRequest("The request body is not valid JSON.", code="invalid_json")


def _ids_in(upstream: Upstream, body: bytes) -> Generator[None, None, bytes]:
    """Of all that it lists, under the ids that it uses itself."""
    plain = Upstream(upstream.base_url, name=upstream.name)
    return _ids((yield from read_listing(static_listing(plain, 0), body)).models)


def _shown(finding: Finding) -> dict[str, str]:
    field = wire_field(finding.field)
    return {"code": finding.code, "field": field, "seen": finding.seen, "instead": finding.instead}


def _is_same(entry: Upstream, tried: Upstream) -> bool:
    """Whether what was seen of one holds for the other: the address and the credential are the same."""
    seen = (tried.base_url, tried.auth_type, tried.api_key, tried.headers)
    return (entry.base_url, entry.auth_type, entry.api_key, entry.headers) == seen


def _ids(ids: Any) -> bytes:
    return msgspec.json.encode({"object": "list", "data": [{"id": id, "object": "model"} for id in ids]})


def _etag(config: GatewayConfig) -> bytes:
    return f'"{config.version}"'.encode()
