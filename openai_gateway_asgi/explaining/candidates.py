"""The last of the chain: whom a call would be sent to, in which order, and as what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from time import monotonic

from ..bodies.payload import Payload
from ..config import Settings, Upstream, header_rules
from ..config.query_rules import PLAIN_NAMES
from ..errors import GatewayError
from ..exchange import Exchange
from ..http.asgi import ASGIApp, RawHeaders, Receive, Scope, Send
from ..layers.select_upstream import places_of, routes_of, translates, translation_of
from ..models import Candidate
from ..observe.body_changes import MOST_SHOWN, NAMED, changes
from ..observe.explanation import BodyChange, CandidateExplained, HeaderExplained, ParameterExplained
from ..presets.plan import Plan, plan_of
from ..presets.winners import CLIENT, deciders, winners
from ..upstream.apis import Apis
from ..upstream.memory import Memory, Places, Rest
from ..upstream.request_body import Body
from ..upstream.selection import Translated, likeliest_first, shares
from ..upstream.tries import Tries
from .stand_ins import ShownCredentials

HIDDEN = "***"
SHOWN = frozenset({b"accept", b"content-type", b"http-referer", b"user-agent", b"x-title", b"openai-beta"})
"""Headers whose values hold no secret, unless the configuration fixes them."""

OURS = {
    b"api-key": "Upstream.auth_type",
    b"authorization": "Upstream.auth_type",
    b"cookie": "Upstream.forward_cookies",
    b"http-referer": "Settings.attribution_referer",
    b"x-title": "Settings.attribution_title",
}
"""Which setting adds a header."""


class Candidates:
    """Goes through those whom ``SelectUpstream`` would go through, by the same ``Tries``; takes no place, no probe."""

    def __init__(
        self,
        attempt: ASGIApp,
        *,
        memory: Memory,
        in_use: Callable[[], Counter[str]],
        credentials: ShownCredentials,
        settings: Settings,
        apis: Apis,
    ) -> None:
        """``attempt`` makes the request ready for the upstream at hand, and sends nothing."""
        self.found: list[CandidateExplained] = []
        self._attempt = attempt
        self._memory = memory
        self._in_use = in_use
        self._credentials = credentials
        self._settings = settings
        self._apis = apis
        self._refused: dict[int, GatewayError | Rest] = {}
        self._unable: set[int] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises what a call would be told where nobody can be asked."""
        exchange = Exchange.of(scope)
        routes = routes_of(exchange)
        translated: Translated = lambda candidate: translates(exchange, candidate, self._apis)  # noqa: E731
        alone = len(routes) == 1 and len(routes[0][1]) == 1
        for served, candidates in routes:
            share = dict(zip(map(id, candidates), shares(candidates, translated), strict=True))
            for candidate in likeliest_first(candidates, translated):
                exchange.turn_to(served, candidate)
                explained = self._explained(exchange, share[id(candidate)])
                self.found.append(await self._judged(explained, candidate, alone, scope, receive, send))
        self._walk(exchange)

    def _walk(self, exchange: Exchange) -> None:
        """What is refused here fails at once in a call as well; whoever is left would be asked."""
        tries = Tries(
            routes_of(exchange),
            self._settings,
            repeatable=lambda: exchange.repeatable,
            once=lambda: False,
            translated=lambda candidate: translates(exchange, candidate, self._apis),
        )
        try:
            for this in tries:
                refused = self._refused.get(id(this.candidate))
                if refused is None:
                    return
                if isinstance(refused, Rest):
                    tries.passed_over(refused)
                elif id(this.candidate) in self._unable:
                    tries.unable(refused)
                else:
                    tries.failed(refused)
            raise tries.outcome()
        finally:
            tries.forget()

    async def _judged(
        self,
        explained: CandidateExplained,
        candidate: Candidate,
        alone: bool,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> CandidateExplained:
        exchange, now = Exchange.of(scope), monotonic()
        try:
            exchange.translation = translation = translation_of(exchange, self._apis)
        except GatewayError as error:
            self._refused[id(candidate)] = error
            self._unable.add(id(candidate))
            return replace(explained, asked=False, why=f"not asked: {error.message}", by="Upstream.api")
        said = exchange.payload if translation is None else translation.payload
        places = places_of(exchange, self._credentials, self._settings)
        rest = self._memory.rest_of(places, now, alone=alone)
        if rest is not None:
            self._refused[id(candidate)] = rest
            why = "at its rate limit" if rest.limited else "its breaker is open"
            return replace(
                explained, asked=False, why=f"skipped, {why}: {rest.seconds:.1f} s more", by="what calls met before"
            )
        try:
            await self._attempt(scope, receive, send)
        except GatewayError as error:
            self._refused[id(candidate)] = error
            return replace(explained, asked=False, why=f"not asked: {error.message}", by=error.code or error.type)
        return self._filled(replace(explained, why=self._why(explained, exchange, places, now)), exchange, said)

    def _why(self, explained: CandidateExplained, exchange: Exchange, places: Places, now: float) -> str:
        upstream, most = exchange.upstream, self._settings.max_attempts
        before = len([each for each in self.found if each.asked])
        drawn = f", first in {explained.share:.0%} of the calls" if 0 < explained.share < 1 else ""
        if before >= most:
            why = f"not reached, {most} attempts at most{drawn}"
        else:
            why = f"{'asked if those before it fail' if before else 'asked first'}{drawn}"
        if self._memory.resting(places, now):
            why += "; its breaker is open, and this call would show whether it works again"
        if upstream.max_concurrency is not None:
            why += f"; {self._in_use()[upstream.name]} of {upstream.max_concurrency} places taken"
        return why

    def _explained(self, exchange: Exchange, share: float) -> CandidateExplained:
        upstream, served = exchange.upstream, exchange.served
        by = "Upstream.weight" if 0 < share < 1 else "Upstream.priority, then their order"
        if exchange.bases is not None and any(served is base.model for base in exchange.bases):
            by = f"GatewayConfig.presets; {by}"
        elif served is not exchange.resolved:
            by = f"GatewayConfig.fallbacks; {by}"
        if served is None:
            by = "Settings.stored_upstream"
        return CandidateExplained(
            upstream.name,
            exchange.upstream_model,
            "" if served is None else served.id,
            True,
            "",
            by,
            share,
            way=() if exchange.via is None else exchange.via.hops,
        )

    def _filled(self, explained: CandidateExplained, exchange: Exchange, said: Payload) -> CandidateExplained:
        """``said``: the client's body, in the words of the upstream's API."""
        upstream = exchange.upstream
        fixed = frozenset(name.lower().encode() for name in upstream.headers)
        path = f"{upstream.base_url.rstrip('/')}{exchange.upstream_path}"
        timeouts = upstream.timeouts or self._settings.timeouts
        return replace(
            explained,
            url="a handler of the application" if upstream.is_inside else path + _masked_query(exchange.upstream_query),
            translated_to=None if (translation := exchange.translation) is None else translation.api,
            dropped=() if translation is None else translation.dropped,
            headers=_masked(exchange.upstream_headers, fixed, self._told(exchange), upstream),
            parameters=tuple(_parameters(exchange, said)),
            body=_changes(exchange),
            clocks={**asdict(timeouts), "failover_after": timeouts.failover_for(upstream.connection_type)},
            clocks_by="Upstream.timeouts" if upstream.timeouts else "Settings.timeouts",
        )

    def _told(self, exchange: Exchange) -> frozenset[bytes]:
        """The headers that say who asks, which is who the explanation is about."""
        own = {name.lower() for name in exchange.upstream.header_templates} - header_rules.CREDENTIALS
        told = frozenset(name.encode() for name in own)
        if not self._settings.forward_user_info:
            return told
        names = ("user_name_header", "user_id_header", "user_email_header", "user_role_header", "chat_id_header")
        return told | frozenset(getattr(self._settings, name).lower().encode() for name in names)


def _changes(exchange: Exchange) -> tuple[BodyChange, ...]:
    body = exchange.upstream_body
    if exchange.upload is not None:
        at = ".".join(exchange.model_at)
        moved = exchange.model_at and exchange.upstream_model not in ("", exchange.model)
        return (BodyChange(f"form field {at}", exchange.model, exchange.upstream_model, NAMED),) if moved else ()
    if exchange.bodiless or exchange.opaque is not None or not isinstance(body, Body):
        return ()
    return changes(b"".join(exchange.payload.pieces()), b"".join(body), _deciders(exchange))


def _plan(exchange: Exchange) -> Plan | None:
    return None if exchange.via is None else plan_of(exchange.via, exchange.upstream_match.endpoint.operation)


def _deciders(exchange: Exchange) -> dict[str, str]:
    plan = _plan(exchange)
    stamps = {f"$.{name}": "Upstream.stamp" for name in exchange.upstream.stamps}
    tops = {f"$.{name.partition('.')[0]}": "Upstream.stamp" for name in exchange.upstream.stamps}
    translated = {} if exchange.translation is None else {"$": "Upstream.api", "$.model": NAMED}
    return translated | ({} if plan is None else deciders(exchange.payload, plan)) | tops | stamps


def _parameters(exchange: Exchange, said: Payload) -> Iterator[ParameterExplained]:
    plan = _plan(exchange)
    if plan is None or exchange.upload is not None or exchange.opaque is not None:
        return
    for winner in winners(said, plan):
        value = None if winner.value is None else bytes(winner.value).decode("utf-8", "replace")
        if value is not None and (len(value) > MOST_SHOWN or (winner.by == CLIENT and value.startswith('"'))):
            value = f"{'a text' if value.startswith(chr(34)) else 'a value'} of {len(value)} characters"
        yield ParameterExplained(winner.name, value, winner.by, winner.locked, winner.over)


def _masked(
    headers: RawHeaders, fixed: frozenset[bytes], told: frozenset[bytes], upstream: Upstream
) -> tuple[HeaderExplained, ...]:
    signed = upstream.identity_header.lower().encode() if upstream.identity else b""
    found = []
    for name, sent in headers:
        by = "Upstream.identity" if name == signed else _sent_by(name, fixed, told)
        plain = name in told or (name in SHOWN and name not in fixed)
        found.append(HeaderExplained(name.decode("latin-1"), sent.decode("latin-1") if plain else HIDDEN, by))
    return tuple(found)


def _sent_by(name: bytes, fixed: frozenset[bytes], told: frozenset[bytes]) -> str:
    if name in fixed:
        return "Upstream.headers"
    if name in told:
        return "Settings.forward_user_info"
    return OURS.get(name, "Settings.forwarded_headers")


def _masked_query(query: bytes) -> str:
    if not query:
        return ""
    shown = []
    for pair in query.decode("latin-1").split("&"):
        name, is_pair, value = pair.partition("=")
        shown.append(f"{name}{is_pair}{value if name in PLAIN_NAMES else HIDDEN}" if is_pair else HIDDEN)
    return "?" + "&".join(shown)
