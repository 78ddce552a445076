"""What an attempt used, and what that cost: by what its upstream told, else by what the gateway can count itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from ..answers.endings import CHAT, RESPONSES, choices_asked
from ..answers.estimated import told_tokens
from ..config import Upstream
from ..errors import ClientDisconnected
from ..exchange import Exchange
from ..host.notices import Notices
from ..host.prices import TABLE, Cost, Price, Priced, Prices, PriceTable
from ..host.read_usage import read_usage
from ..host.tops import stands_at_top
from ..host.usage import Usage, counts_something, normal_usage, reported_cost
from ..http.sse import last_events
from ..limits.estimate import input_tokens

READS = frozenset({"GET", "HEAD"})
"""They make nothing: a usage in their answer is that of a call before."""
ESTIMATED = CHAT | RESPONSES | {"createEmbedding"}
"""Operations whose input is text, of which a token has about four bytes."""
MOST_WARNED = 1024
"""Models without a price that are warned of, once each."""

MOST_NAMES = 8
"""Names of models in an answer that are looked at, for the one by which it is priced."""

MOST_USUAL = 1024
"""Models whose price is at hand."""

_KEY = b'"model"'
_MODEL = re.compile(_KEY + rb'\s*:\s*"([^"\\]{1,256})"')
_ID = re.compile(rb'[^"\\]{1,256}')


class Counted(NamedTuple):
    """``raw`` is the usage as the upstream sent it."""

    usage: Usage | None = None
    raw: Mapping[str, Any] | None = None
    cost: Cost | None = None


NOTHING = Counted()


Usual = tuple[tuple[bytes, ...], Price | None]
"""Of a model that answers under the id by which its client asked for it, as nearly all do: how its answers name it, and
its price."""


class Counting:
    """By the host's prices, where there are some, and by an upstream's own where those are believed."""

    def __init__(self, prices: Prices | None, notices: Notices) -> None:
        self._prices = prices
        self._table = prices if type(prices) is PriceTable else None
        self._usual: dict[str, Usual] = {}
        self._notices = notices
        self._warned: set[tuple[str, str]] = set()

    def count(self, exchange: Exchange, error: BaseException | None) -> Counted:
        """``error`` is what ended the attempt, None where it was answered."""
        answer = _answer(exchange)
        raw = _raw(exchange, answer)
        usage = normal_usage(raw)
        if usage is None:
            usage = _untold(exchange, error, answer)
        cost = None
        if raw is not None and exchange.upstream.tells_cost:
            cost = reported_cost(raw)
        if cost is not None:
            return Counted(usage, raw, Cost(cost, "upstream"))
        if usage is None:
            return NOTHING if raw is None else Counted(None, raw)
        return Counted(usage, raw, None if self._prices is None else self._cost(self._prices, exchange, usage, answer))

    def told(self, exchange: Exchange) -> Counted:
        """By what was told of a stream of text, and by what was sent."""
        operation = exchange.upstream_match.endpoint.operation
        if operation not in CHAT | RESPONSES:
            return NOTHING
        answer = _answer(exchange)
        usage = _estimate(exchange, operation, answer)
        return Counted(usage, None, None if self._prices is None else self._cost(self._prices, exchange, usage, answer))

    def _cost(self, prices: Prices, exchange: Exchange, usage: Usage, answer: bytes) -> Cost | None:
        model = exchange.model
        if self._table is not None and exchange.upstream_model == model and exchange.via is None:
            named, price = self._usual.get(model) or self._look_up(self._table, model)
            if price is not None and answer.startswith(named, answer.find(_KEY)):
                usd = price.cost(usage)
                if usd is not None:
                    return Cost(usd, TABLE)
        cost = prices.cost(_priced(exchange, usage, answer))
        if cost is None:
            self._warn(exchange.upstream, exchange.served.label or exchange.served.id if exchange.served else "")
        return cost

    def _look_up(self, table: PriceTable, model: str) -> Usual:
        id = model.encode("utf-8", "surrogatepass")
        named = tuple([_KEY + colon + b'"' + id + b'"' for colon in (b":", b": ")]) if _ID.fullmatch(id) else ()
        if len(self._usual) >= MOST_USUAL:
            self._usual.clear()
        usual = self._usual[model] = named, table.find((model,))
        return usual

    def _warn(self, upstream: Upstream, model: str) -> None:
        about = (upstream.name, model)
        if about not in self._warned and len(self._warned) < MOST_WARNED:
            self._warned.add(about)
            text = f"what model {model} of upstream {upstream.name} costs is unknown; add its price to `prices`."
            self._notices.warn("unpriced", text, same=about)


def _answer(exchange: Exchange) -> bytes:
    """What is at hand of it."""
    if exchange.unsent:
        return exchange.unsent
    tail = exchange.tail
    if not tail:
        return b""
    if exchange.sse:
        return last_events(tail)
    return tail[0] if len(tail) == 1 else b"".join(tail)


def _raw(exchange: Exchange, answer: bytes) -> Mapping[str, Any] | None:
    if exchange.method in READS:
        return None
    if exchange.searched is not None:
        return exchange.searched.usage(answer)
    if exchange.usage_told is not None and counts_something(exchange.usage_told):
        return exchange.usage_told
    return read_usage(answer, events=exchange.is_of_events) if answer else None


def _priced(exchange: Exchange, usage: Usage, answer: bytes) -> Priced:
    """By the ids of the model that answered, the answer's own first."""
    upstream, model, served = exchange.upstream, exchange.model, exchange.served
    named = _MODEL.search(answer)
    told = named[1].decode("utf-8", "replace") if named is not None else ""
    if told and told != exchange.upstream_model:
        told = _model_told(answer, events=exchange.is_of_events)
    if told == exchange.upstream_model == model and exchange.via is None:
        return Priced(upstream.name, upstream.base_url, (told,), usage)  # as nearly always
    hops = () if exchange.via is None else reversed(exchange.via.hops)
    ids = (told, exchange.upstream_model, served.id if served is not None else "", *hops, model)
    return Priced(upstream.name, upstream.base_url, tuple(dict.fromkeys([id for id in ids if id])), usage)


def _model_told(answer: bytes, *, events: bool) -> str:
    """The model by which an answer says that it is; what it repeats of the request is no reason for another price."""
    for named in islice(_MODEL.finditer(answer), MOST_NAMES):
        if stands_at_top(answer, *named.span(), events=events):
            return named[1].decode("utf-8", "replace")
    return ""


def _untold(exchange: Exchange, error: BaseException | None, answer: bytes) -> Usage | None:
    """What can be counted where the upstream told nothing."""
    operation = exchange.upstream_match.endpoint.operation
    left = isinstance(error, ClientDisconnected | asyncio.CancelledError)
    if (rule := _COUNTED.get(operation)) is not None:
        return rule(exchange, answer) if error is None or left else None
    if operation in ESTIMATED and (left or (exchange.told and (error is not None or exchange.failed_in_band))):
        return _estimate(exchange, operation, answer)
    return None


def _estimate(exchange: Exchange, operation: str, answer: bytes) -> Usage:
    sent = exchange.sent_tokens
    if sent is None:
        sent = input_tokens(exchange.payload)
    return Usage(input=sent, output=told_tokens(operation, answer, exchange.delivered), estimated=True)


def _characters(exchange: Exchange, _answer: bytes) -> Usage | None:
    try:
        text = exchange.payload.read("input", str)
    except Exception:  # what cannot be read is the upstream's to refuse
        return None
    return None if text is None else Usage(characters=len(text))


def _images(exchange: Exchange, answer: bytes) -> Usage | None:
    """As many as were asked for; of a form as many as the answer has."""
    if exchange.upload is None:
        return Usage(images=choices_asked("createImage", exchange.payload))
    made = answer.count(b'"b64_json"') or answer.count(b'"url"')
    return Usage(images=made) if made else None


class _Spoken(msgspec.Struct):
    duration: float | str | None = None


_spoken = msgspec.json.Decoder(_Spoken).decode


def _seconds(_exchange: Exchange, answer: bytes) -> Usage | None:
    """As ``verbose_json`` tells them."""
    try:
        duration = _spoken(answer).duration
        seconds = None if duration is None else float(duration)
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None
    return Usage(seconds=seconds) if seconds is not None and 0 <= seconds < float("inf") else None


_COUNTED: Mapping[str, Callable[[Exchange, bytes], Usage | None]] = {
    "createSpeech": _characters,
    "createImage": _images,
    "createImageEdit": _images,
    "createImageVariation": _images,
    "createTranscription": _seconds,
    "createTranslation": _seconds,
}
