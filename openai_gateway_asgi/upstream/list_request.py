"""Asking an upstream for its models."""

from __future__ import annotations

import asyncio

from ..causes import Cause
from ..config import Settings, Upstream
from ..errors import UpstreamError
from ..hidden import HiddenList
from ..host.access import LISTING
from ..host.variables import Facts
from ..http.asgi import RawHeaders
from ..rewrites.azure import azure_path
from .connections import Connections
from .credentials import Caller, Credentials
from .requests import Answer, fetch
from .response_reads import too_late
from .sent_secrets import Secrets

LIST_LIMIT = 8 * 1024 * 1024
"""The longest model list that is read, in bytes: ten times the longest that is known."""


class ListRefused(UpstreamError):
    """The upstream answered, but not with a list. ``sent`` is the credential that it was asked with."""

    def __init__(self, answer: Answer, sent: RawHeaders) -> None:
        super().__init__(f"The upstream refused with status {answer.status}.")
        self.answered = answer.status
        self.answer = answer
        self.sent = sent
        self.because(Cause("status", status=answer.status))


class ListRequests:
    """``GET /models``, within one deadline for all that it takes: a credential, a connection, the whole answer."""

    def __init__(self, settings: Settings, connections: Connections, credentials: Credentials) -> None:
        self._settings = settings
        self._connections = connections
        self._credentials = credentials

    async def body(self, upstream: Upstream, caller: Caller | None, *, within: float) -> bytes:
        """What the upstream answers ``within`` seconds. A credential that it refuses is fetched anew, once.

        Raises ``ListRefused``, ``UpstreamTimeout`` and their kin, and what the credentials raise.
        """
        try:
            async with asyncio.timeout(within):
                credential = await self._headers(upstream, caller)
                answer = await self._fetch(upstream, credential, within)
                if answer.status == 401 and self._credentials.after_refusal(upstream, credential):
                    credential = await self._headers(upstream, caller)
                    answer = await self._fetch(upstream, credential, within)
        except TimeoutError as error:
            raise too_late() from error
        if answer.status != 200:
            raise ListRefused(answer, credential)
        return answer.body

    async def _headers(self, upstream: Upstream, caller: Caller | None) -> RawHeaders:
        """The credential, and what says who asks where somebody does."""
        headers = await self._credentials.headers(upstream, caller)
        if caller is None or not upstream.tells_user:
            return headers
        told = self._credentials.telling.headers(
            upstream, caller.user, lambda secret: Facts(caller.user, "", LISTING, {}, secret)
        )
        return HiddenList([*headers, *told])

    async def _fetch(self, upstream: Upstream, credential: RawHeaders, within: float) -> Answer:
        path = azure_path(upstream, "/models", "") if upstream.is_azure else "/models"
        timeouts = upstream.timeouts or self._settings.timeouts
        pool = self._connections.lease(upstream)
        try:
            return await fetch(
                pool, path, credential, query=upstream.fixed_query,
                connect=timeouts.connect, deadline=within, limit=LIST_LIMIT,
            )  # fmt: skip
        except UpstreamError as error:
            Secrets.sent(upstream, credential).cut_out_of_cause(error)
            raise
        finally:
            pool.release()
