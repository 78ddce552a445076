"""What administrators can ask of a running gateway: its configuration, and whether an upstream answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ..config import GatewayConfig, Settings, Upstream, VersionConflict, from_wire, to_wire, verify_target
from ..config.live import LiveConfig
from ..errors import (
    ConfigError,
    GatewayDisabled,
    GatewayError,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    UpstreamError,
)
from ..http.asgi import NamedHeaders, RawHeaders
from ..models.listing import read_listing
from ..observe.health import Health
from ..rewrites.azure import azure_path
from ..upstream.connections import Connections
from ..upstream.credentials import Caller, Credentials
from ..upstream.requests import fetch

CHECK_LIMIT = 16 * 1024 * 1024
"""The longest model list that a check reads, in bytes."""


@dataclass(frozen=True, slots=True)
class Admin:
    """The administrators' operations; each gives an answer's headers and body."""

    live: LiveConfig
    settings: Settings
    connections: Connections
    credentials: Credentials
    has_oauth_token: bool
    health: Callable[[], Health]

    def read(self, config: GatewayConfig) -> tuple[RawHeaders, bytes]:
        """The configuration, secrets masked, its version in the ETag."""
        body = to_wire(config) | {"shared": self.live.store.shared}
        if self.live.fault is not None:
            body["fault"] = "The stored configuration cannot be read; this is the last good one."
        return [(b"etag", _etag(config))], msgspec.json.encode(body)

    async def update(self, config: GatewayConfig, headers: NamedHeaders, body: bytes) -> tuple[RawHeaders, bytes]:
        """Replaces the configuration whole, or not at all.

        Raises ``InvalidRequest`` naming the field, ``PreconditionFailed`` when ``If-Match`` or the body's ``version``
        is not the version in force, or when somebody else saved in the same moment.
        """
        wanted = headers.get(b"if-match")
        if wanted is not None and not {b"*", _etag(config)}.intersection(map(bytes.strip, wanted.split(b","))):
            raise PreconditionFailed("The configuration has changed since it was read.", param="if-match")
        proposed = await asyncio.to_thread(from_wire, _decoded(body), config)  # a thousand upstreams take 150 ms
        for index, upstream in enumerate(proposed.upstreams):
            self._check_credentials(f"OPENAI_API_CONFIGS.{index}", upstream)
        try:
            saved = await self.live.save(proposed, replaces=config.version)
        except VersionConflict as error:
            raise PreconditionFailed("The configuration has changed meanwhile; read it and try again.") from error
        except ConfigError as error:
            raise GatewayError("The configuration cannot be stored.", code="configuration_unavailable") from error
        return self.read(saved)

    async def verify(self, config: GatewayConfig, caller: Caller, body: bytes) -> tuple[RawHeaders, bytes]:
        """Tries an upstream out before it is saved. Of its answer only the models' ids are shown.

        Raises ``UpstreamError`` or one of its kin when it refuses, fails or is silent.
        """
        upstream = verify_target(_decoded(body), config)
        self._check_credentials("config", upstream)
        return [], await self._models(upstream, caller)

    async def models(self, config: GatewayConfig, caller: Caller, index: str) -> tuple[RawHeaders, bytes]:
        """What one upstream lists, under the ids it uses itself."""
        if not config.enabled:
            raise GatewayDisabled("OpenAI API is disabled.")
        try:
            number = int(index)
        except ValueError as error:
            raise InvalidRequest("The upstream's index must be a whole number.", param="index") from error
        if not 0 <= number < len(config.upstreams):
            raise NotFound("There is no upstream with this index.", param="index")
        upstream = config.upstreams[number]
        if upstream.is_azure and not upstream.is_azure_v1:
            return [], _ids(upstream.model_ids)
        return [], await self._models(upstream, caller)

    async def _models(self, upstream: Upstream, caller: Caller) -> bytes:
        headers = await self.credentials.headers(upstream, caller)
        path = azure_path(upstream, "/models", "") if upstream.is_azure else "/models"
        timeouts = upstream.timeouts or self.settings.timeouts
        pool = self.connections.lease(upstream)
        try:
            answer = await fetch(
                pool, path, headers, query=upstream.fixed_query,
                connect=timeouts.connect, deadline=self.settings.admin_timeout, limit=CHECK_LIMIT,
            )  # fmt: skip
        finally:
            pool.release()
        if answer.status != 200:
            raise UpstreamError(f"The upstream refused with status {answer.status}.")
        try:
            listing = read_listing(_plain(upstream), 0, answer.body)
        except ValueError as error:
            raise UpstreamError("The upstream's answer is not a list of models.") from error
        return _ids(listing.models)

    def _check_credentials(self, place: str, upstream: Upstream) -> None:
        try:
            self.credentials.check(upstream, has_oauth_token=self.has_oauth_token)
        except ConfigError as error:
            field = f"{place}.{error.field}"
            raise InvalidRequest(f"{field}: {error.problem}", param=field, code="invalid_config") from error


def _decoded(body: bytes) -> Mapping[str, Any]:
    try:
        decoded: Mapping[str, Any] = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("The request body is not valid JSON.", code="invalid_json") from error
    return decoded


def _plain(upstream: Upstream) -> Upstream:
    return Upstream(upstream.base_url, name=upstream.name)


def _ids(ids: Any) -> bytes:
    return msgspec.json.encode({"object": "list", "data": [{"id": id, "object": "model"} for id in ids]})


def _etag(config: GatewayConfig) -> bytes:
    return f'"{config.version}"'.encode()
