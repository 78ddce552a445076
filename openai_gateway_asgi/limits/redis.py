"""Limits that several processes share, in Redis or Valkey (extra ``redis``)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from ..config import checks
from ..errors import ConfigError
from . import scripts
from .claims import Balance, Change, Claim, Decision, StoreDown, balance_of
from .patience import LONGEST, Patience

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.connection import Connection

T = TypeVar("T")

CONNECTIONS = 16
"""Of one process and event loop; a call that finds none free waits for one."""
FAILURES = 3
"""In a row, until the server is left alone for a while."""
FIRST_REST = 1.0
"""Seconds that a server which fails is left alone for the first time."""
LONGEST_REST = 15.0
"""Seconds; doubles while the server stays away."""


class RedisLimits:
    """A store of limits in a Redis or Valkey server.

    ``url`` as ``redis://host:6379/0`` (``rediss`` and ``unix`` too). ``prefix`` keeps several gateways on one server
    apart; all keys bear it as their hash tag, so that a cluster keeps them together. ``timeout`` is for how long the
    server may be silent, in seconds: one that hangs costs a call no more, and nothing once it has failed a few times in
    a row. While it answers others a call waits, so that no burst of them passes unlimited. Raises ``ConfigError``
    naming the field, and without the extra.
    """

    def __init__(self, url: str, *, prefix: str = "openai-gateway", timeout: float = 0.1) -> None:
        try:
            import redis.asyncio
        except ImportError as error:
            raise ConfigError(
                "limit_store", "RedisLimits needs the extra: pip install 'openai-gateway-asgi[redis]'"
            ) from error
        given: Any = url
        if not isinstance(given, str) or not given.startswith(("redis://", "rediss://", "unix://")):
            raise ConfigError("limit_store", "the url must begin with redis://, rediss:// or unix://")
        self._module = redis.asyncio
        self._url = url
        if not {"{", "}"}.isdisjoint(checks.line("limit_store.prefix", prefix)):
            raise ConfigError("limit_store.prefix", "must not have braces: it stands between two, as a hash tag")
        self._tag = "{" + prefix + "}:"
        self._timeout = checks.seconds("limit_store.timeout", timeout)
        self._clients: dict[asyncio.AbstractEventLoop, Redis] = {}
        self._patience = Patience()
        self._failures = 0
        self._rest = 0.0
        """How long it is left alone, in seconds; 0 where it answers."""
        self._rests_until = 0.0
        self._probe: asyncio.Task[None] | None = None
        self._check_url()

    def __repr__(self) -> str:
        return f"RedisLimits(prefix={self._tag[1:-2]!r})"

    async def take(self, claims: Sequence[Claim]) -> Decision:
        found = await self._run(scripts.TAKE, claims, [claim.reserved for claim in claims])
        granted = bool(found[0])
        wanted = [None if granted else claim.reserved for claim in claims]
        return Decision(granted, _balances(claims, found, wanted))

    async def settle(self, changes: Sequence[Change]) -> None:
        marks = dict.fromkeys(f"settled/{change.mark}" for change in changes if change.mark)
        claims, amounts = [change.claim for change in changes], [change.amount for change in changes]
        await self._run(scripts.SETTLE, claims, amounts, *marks)

    async def renew(self, claims: Sequence[Claim]) -> None:
        await self._run(scripts.RENEW, claims, [claim.amount for claim in claims])

    async def balances(self, claims: Sequence[Claim]) -> tuple[Balance, ...]:
        found = await self._run(scripts.LOOK, claims, [0 for _ in claims])
        return _balances(claims, found, [None for _ in claims])

    async def forget(self, keys: Sequence[str]) -> None:
        if keys:
            await self._within(lambda client: client.delete(*(self._tag + key for key in keys)))

    async def erase(self, mark: str) -> int:
        async def erased(client: Redis) -> int:
            count = 0
            async for key in client.scan_iter(match=f"{_literal(self._tag)}*/{_literal(mark)}*", count=1000):
                if mark in key.decode().removeprefix(self._tag).split("/"):
                    count += await client.delete(key)
            return count

        return await self._within(erased, timeout=60.0)

    async def aclose(self) -> None:
        """Closes what belongs to this event loop."""
        if self._probe is not None and self._probe.get_loop() is asyncio.get_running_loop():
            self._probe.cancel()
            await asyncio.wait((self._probe,))
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def _run(self, script: str, claims: Sequence[Claim], amounts: Sequence[int], *more: str) -> list[Any]:
        if not claims:
            return [1, b"0"]
        keys = [self._tag + key for key in (*(claim.key for claim in claims), *more)]
        words = [word for claim, amount in zip(claims, amounts, strict=True) for word in _words(claim, amount)]

        async def evaluated(client: Redis) -> list[Any]:
            # One EVALSHA; where the server does not know the script (it was restarted), it is sent along.
            answer: Any = await client.register_script(script)(keys=keys, args=words)
            return answer if isinstance(answer, list) else [answer]

        return await self._within(evaluated)

    async def _within(self, work: Callable[[Redis], Awaitable[T]], timeout: float | None = None) -> T:
        if self._rest:
            if monotonic() >= self._rests_until:
                self._look_for_it()
            raise StoreDown("the limit store is left alone for a while after failing")
        return await self._tried(work, timeout or self._timeout)

    async def _tried(self, work: Callable[[Redis], Awaitable[T]], timeout: float) -> T:
        try:
            result = await self._patience.answer(work(self._client()), timeout)
        except (OSError, TimeoutError, self._module.RedisError) as error:
            self._note_failure()
            raise StoreDown(f"the limit store failed: {type(error).__name__}") from error
        self._failures, self._rest = 0, 0.0
        return result

    def _look_for_it(self) -> None:
        """Beside the calls, none of which waits for a server that may still be away."""
        if self._probe is None or self._probe.done() or self._probe.get_loop().is_closed():
            self._probe = asyncio.get_running_loop().create_task(self._looked_for())

    async def _looked_for(self) -> None:
        with suppress(StoreDown):
            await self._tried(lambda client: client.ping(), self._timeout)

    def _note_failure(self) -> None:
        now = monotonic()
        if now < self._rests_until:
            return  # one of several that were under way
        self._failures += 1
        if self._failures >= FAILURES:
            self._rest = min(max(self._rest * 2, FIRST_REST), LONGEST_REST)
            self._rests_until = now + self._rest
            self._failures = FAILURES - 1  # the next one that fails prolongs the rest at once

    async def _greeted(self, connection: Connection) -> None:
        """What redis-py does by itself where a connection is new; that the server says anything is an answer."""
        await connection.on_connect()
        self._patience.answers += 1

    def _client(self) -> Redis:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            for ended in [each for each in self._clients if each.is_closed()]:
                del self._clients[ended]
            client = self._clients[loop] = self._connect()
        return client

    def _check_url(self) -> None:
        """Redis' own client reads most of it only when it connects: each call would fail then."""
        try:
            pool = self._connect().connection_pool
            _ = pool.connection_class(**pool.connection_kwargs)
        except Exception as error:
            # Its message may repeat the url, in which a password stands.
            problem = f"the url cannot be read ({type(error).__name__}); write one as redis://host:6379/0"
            raise ConfigError("limit_store", problem) from None

    def _connect(self) -> Redis:
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        # ``Patience`` says when the server is silent for too long; redis-py would say so of each call by itself.
        longest = self._timeout * LONGEST
        pool = self._module.BlockingConnectionPool.from_url(
            self._url,
            max_connections=CONNECTIONS,
            timeout=longest,
            socket_timeout=longest,
            socket_connect_timeout=longest,
            redis_connect_func=self._greeted,
            retry=Retry(NoBackoff(), 0),
        )
        client: Redis = self._module.Redis.from_pool(pool)
        return client


def _words(claim: Claim, amount: int) -> tuple[str | int | float, ...]:
    return (
        claim.account.value,
        claim.capacity,
        amount,
        repr(claim.rate),
        repr(claim.ends),
        claim.lease,
        repr(claim.lease_seconds),
    )


def _balances(claims: Sequence[Claim], found: list[Any], wanted: Sequence[int | None]) -> tuple[Balance, ...]:
    now = float(found[1])
    return tuple(
        balance_of(claim, float(used), now=now, last=float(last), wanted=want)
        for claim, (used, last), want in zip(claims, found[2:], wanted, strict=True)
    )


def _literal(text: str) -> str:
    """For a pattern of SCAN."""
    return "".join(f"\\{letter}" if letter in "*?[]\\^" else letter for letter in text)
