"""What a call costs, by the host's own prices or a callable of the host's.

Money is exact: ``Decimal`` throughout. A price that is not known makes the cost unknown, never 0.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Context, Decimal, InvalidOperation
from typing import Any, Protocol, runtime_checkable

import msgspec

from ..config.model_ids import Pattern, is_pattern
from ..config.rules.callables import innermost, misfit
from ..errors import ConfigError
from .usage import Usage

logger = logging.getLogger("openai_gateway_asgi")

MOST_FOUND = 1024
"""Models whose price by pattern is remembered."""
MILLION = Decimal(1_000_000)
TABLE = "table"
"""The source of a price that is the host's."""
Amount = Decimal | str | int


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a model costs, in USD: per million tokens, and per ``second``, ``character`` and ``image``.

    Amounts are ``Decimal``, text or whole numbers; a float is refused, because it is not what was written. A count
    without a price of its own takes the next one: ``cached``, ``cache_write``, ``audio_input`` and ``image_input`` that
    of ``input``; ``reasoning``, ``audio_output`` and ``image_output`` that of ``output``. ``request`` is added to every
    call. Raises ``ConfigError`` naming the field.
    """

    input: Amount | None = None
    output: Amount | None = None
    cached: Amount | None = None
    cache_write: Amount | None = None
    reasoning: Amount | None = None
    audio_input: Amount | None = None
    audio_output: Amount | None = None
    image_input: Amount | None = None
    image_output: Amount | None = None
    second: Amount | None = None
    character: Amount | None = None
    image: Amount | None = None
    request: Amount | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name) if each.init else None
            if value is not None:
                object.__setattr__(self, each.name, _amount(f"prices.{each.name}", value))
        object.__setattr__(self, "_of_tokens", self._tokens_alone())

    _of_tokens: _OfTokens | None = field(init=False, repr=False, compare=False)

    def cost(self, usage: Usage) -> Decimal | None:
        """What that usage costs, in USD; None where a count that is known has no price, or nothing is known."""
        of_tokens, input, output = self._of_tokens, usage.input, usage.output
        if (
            of_tokens is not None and input is not None and output is not None
            and usage.seconds is None and usage.characters is None and usage.images is None
        ):  # fmt: skip
            per_input, per_output, request, smallest, own = of_tokens
            for name in own:
                if getattr(usage, name):
                    break
            else:
                amount = input * per_input + output * per_output + request
                if amount < _EXACT:
                    return _product(amount, smallest)
        return self._in_parts(usage)

    def _in_parts(self, usage: Usage) -> Decimal | None:
        parts: list[Decimal | None] = []
        parts += _tokens(
            usage.input,
            self.input,
            (
                (usage.cached, self.cached),
                (usage.cache_write, self.cache_write),
                (usage.audio_input, self.audio_input),
                (usage.image_input, self.image_input),
            ),
        )
        parts += _tokens(
            usage.output,
            self.output,
            (
                (usage.reasoning, self.reasoning),
                (usage.audio_output, self.audio_output),
                (usage.image_output, self.image_output),
            ),
        )
        others = ((usage.seconds, self.second), (usage.characters, self.character), (usage.images, self.image))
        parts += [_times(count, price) for count, price in others if count is not None]
        if not parts or None in parts:
            return None
        return sum((part for part in parts if part is not None), Decimal(self.request or 0))

    def _tokens_alone(self) -> _OfTokens | None:
        if self.input is None or self.output is None:
            return None
        amounts = [Decimal(self.input).scaleb(-6), Decimal(self.output).scaleb(-6), Decimal(self.request or 0)]
        exponent = min(int(amount.as_tuple().exponent) for amount in amounts)
        input, output, request = [int(amount.scaleb(-exponent)) for amount in amounts]
        own = tuple([name for name in _DETAILS if getattr(self, name) is not None])
        return input, output, request, Decimal(1).scaleb(exponent), own


_DETAILS = (
    "cached", "cache_write", "audio_input", "image_input", "reasoning", "audio_output", "image_output"
)  # fmt: skip


_OfTokens = tuple[int, int, int, Decimal, tuple[str, ...]]
"""For what nearly every call has: input, output and request as whole numbers of the smallest amount, that amount, and
the details that have a price of their own."""

_EXACT = 10**27
"""Amounts up to which it rounds nothing."""
_product = Context(prec=28).multiply
"""Not the context of whoever calls: each task would have to make one of its own first, and its host may have set it."""

Details = tuple[tuple[int | None, Amount | None], ...]


def _tokens(whole: int | None, price: Amount | None, details: Details) -> list[Decimal | None]:
    """The parts of the input, or of the output: details that have a price of their own are taken out of the whole."""
    if whole is None:
        return []
    rest, parts = whole, list[Decimal | None]()
    for count, own in details:
        if count and own is not None:
            count = min(count, rest)
            rest -= count
            parts.append(_times(count, own, MILLION))
    return [*parts, _times(rest, price, MILLION) if rest or not parts else Decimal(0)]


def _times(count: float, price: Amount | None, per: Decimal = Decimal(1)) -> Decimal | None:
    if not count:
        return Decimal(0)
    return None if price is None else Decimal(str(count)) * Decimal(price) / per


def _amount(field: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ConfigError(field, f"must be a Decimal, a text such as '2.50' or a whole number, not {value!r}")
    try:
        amount = Decimal(value)
    except InvalidOperation as error:
        raise ConfigError(field, f"{value!r} is no number") from error
    if not amount.is_finite() or amount < 0:
        raise ConfigError(field, "must be 0 or more")
    return amount


class Priced(msgspec.Struct, frozen=True):
    """What prices are asked for: who served, under which ids, and what was used."""

    upstream: str
    """The upstream's name."""
    base_url: str
    models: tuple[str, ...]
    """Ids of the model that answered, the most exact first: the answer's own, the upstream's, the public one."""
    usage: Usage


class Cost(msgspec.Struct, frozen=True):
    """``usd``, and where the price is from: ``table``, ``callable``, ``genai-prices`` or ``upstream``."""

    usd: Decimal
    source: str


@runtime_checkable
class Prices(Protocol):
    """A source of prices. ``cost`` never waits and never raises."""

    def cost(self, priced: Priced) -> Cost | None: ...

    def known(self, priced: Priced) -> bool:
        """Whether there is a price at all, for limits in money."""
        ...


PriceCallable = Callable[[Priced], Decimal | None]


class PriceTable:
    """The host's table: the first of a model's ids in it counts; exact ids first, then patterns in order."""

    def __init__(self, prices: Mapping[str, Price]) -> None:
        given: Any = prices
        if not isinstance(given, Mapping):
            raise ConfigError("prices", "must be a mapping of model ids or patterns to Price(...)")
        for id, price in given.items():
            if not isinstance(id, str) or not id or not isinstance(price, Price):
                raise ConfigError("prices", "must be a mapping of model ids or patterns to Price(...)")
        self._exact = {id: price for id, price in prices.items() if not is_pattern(id)}
        self._patterns = [(Pattern(id), price) for id, price in prices.items() if is_pattern(id)]
        self._found: dict[tuple[str, ...], Price | None] = {}
        """By the ids of a model; patterns are gone through once."""

    def find(self, models: tuple[str, ...]) -> Price | None:
        for id in models:
            if (price := self._exact.get(id)) is not None:
                return price
        if not self._patterns:
            return None
        if models not in self._found:
            if len(self._found) >= MOST_FOUND:
                self._found.clear()
            self._found[models] = self._by_pattern(models)
        return self._found[models]

    def _by_pattern(self, models: tuple[str, ...]) -> Price | None:
        for id in models:
            for pattern, price in self._patterns:
                if pattern.matches(id):
                    return price
        return None

    def cost(self, priced: Priced) -> Cost | None:
        models = priced.models
        price = self._exact.get(models[0]) or self.find(models) if models else None
        usd = None if price is None else price.cost(priced.usage)
        return None if usd is None else Cost(usd, TABLE)

    def known(self, priced: Priced) -> bool:
        return self.find(priced.models) is not None


class PricesOfHost:
    """A callable of the host's. What it raises makes the cost unknown, and is logged once."""

    def __init__(self, call: PriceCallable) -> None:
        self._call = call
        self._warned = False

    def cost(self, priced: Priced) -> Cost | None:
        try:
            usd = self._call(priced)
            if usd is None:
                return None
            return Cost(_amount("prices", usd), "callable")
        except Exception as error:
            if not self._warned:
                self._warned = True
                logger.error("prices raised %s; costs are unknown", type(error).__name__, exc_info=error)
            return None

    def known(self, priced: Priced) -> bool:
        return self.cost(priced) is not None


def prices_of(prices: Mapping[str, Price] | PriceCallable | Prices | None) -> Prices | None:
    """What a host gave as ``prices``. Raises ``ConfigError``."""
    if prices is None:
        return None
    if isinstance(prices, Mapping):
        return PriceTable(prices)
    if isinstance(prices, Prices):
        return prices
    if callable(prices):
        if inspect.iscoroutinefunction(prices) or inspect.iscoroutinefunction(innermost(prices)):
            raise ConfigError("prices", "must be a plain function: write `def`, not `async def`")
        if (taken := misfit(prices, 1)) is not None:
            raise ConfigError("prices", f"takes ({taken}) and is called with (priced); write it so")
        return PricesOfHost(prices)
    raise ConfigError("prices", "must be a mapping {pattern: Price(...)}, a callable, or genai_prices()")
