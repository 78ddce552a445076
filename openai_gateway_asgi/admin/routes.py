"""What administrators can ask of a running gateway: its configuration, and whether an upstream answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
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
from ..http.threads import in_own_thread
from ..models import read_listing, static_listing
from ..observe.health import Health
from ..upstream.credentials import Caller, Credentials
from ..upstream.list_request import ListRequests


@dataclass(frozen=True, slots=True)
class Admin:
    """The administrators' operations; each gives an answer's headers and body."""

    live: LiveConfig
    settings: Settings
    lists: ListRequests
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
        proposed = await in_own_thread(
            "read-config", partial(from_wire, _decoded(body), config)
        )  # a thousand take it 150 ms
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
        body = await self.lists.body(upstream, caller, within=self.settings.admin_timeout)
        try:
            return await in_own_thread("read-models", partial(_ids_in, upstream, body))
        except ValueError as error:
            raise UpstreamError("The upstream's answer is not a list of models.") from error

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


def _ids_in(upstream: Upstream, body: bytes) -> bytes:
    """Of all that it lists, under the ids that it uses itself."""
    plain = Upstream(upstream.base_url, name=upstream.name)
    return _ids(read_listing(static_listing(plain, 0), body).models)


def _ids(ids: Any) -> bytes:
    return msgspec.json.encode({"object": "list", "data": [{"id": id, "object": "model"} for id in ids]})


def _etag(config: GatewayConfig) -> bytes:
    return f'"{config.version}"'.encode()
