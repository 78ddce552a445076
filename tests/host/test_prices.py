"""What a call costs: exact, and unknown where a price is not known."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_gateway_asgi import ConfigError
from openai_gateway_asgi.host.genai_prices import genai_prices
from openai_gateway_asgi.host.prices import Cost, Price, Priced, PriceTable, prices_of
from openai_gateway_asgi.host.usage import Usage

GPT = Price(input="2.50", output="10", cached="1.25")


def asked(*models: str, usage: Usage, base_url: str = "https://up.example/v1") -> Priced:
    return Priced("up", base_url, models, usage)


@pytest.mark.parametrize(
    ("price", "usage", "cost"),
    [
        (GPT, Usage(input=1_000_000, output=100_000), "3.5"),
        (GPT, Usage(input=1_000_000, output=0, cached=400_000), "2.0"),
        (GPT, Usage(input=10, cached=50), "0.0000125"),
        (GPT, Usage(input=1000, output=1000, reasoning=900), "0.0125"),
        (Price(input=1, output=2, reasoning=3), Usage(input=0, output=1_000_000, reasoning=500_000), "2.5"),
        (Price(input=1, output=2, audio_input=40), Usage(input=100, output=0, audio_input=50), "0.00205"),
        (Price(second="0.0001"), Usage(seconds=90.0), "0.0090"),
        (Price(character="0.000015"), Usage(characters=1000), "0.015"),
        (Price(image="0.04"), Usage(images=2), "0.08"),
        (Price(input=1, output=1, request="0.005"), Usage(input=0, output=0), "0.005"),
        (Price(input=0, output=0), Usage(input=5, output=5), "0"),
        (GPT, Usage(seconds=1.0), None),
        (Price(input=1), Usage(input=1, output=1), None),
        (Price(input=1), Usage(input=1, output=0), "0.000001"),
        (GPT, Usage(), None),
    ],
)
def test_a_price_times_what_was_used(price: Price, usage: Usage, cost: str | None) -> None:
    assert price.cost(usage) == (None if cost is None else Decimal(cost))


@given(
    st.builds(
        Price,
        input=st.decimals(0, 1000, places=6),
        output=st.decimals(0, 1000, places=3),
        cached=st.none() | st.decimals(0, 10, places=2),
        request=st.none() | st.decimals(0, 1, places=5),
    ),
    st.builds(Usage, input=st.integers(0, 10**12), output=st.integers(0, 10**9), cached=st.none() | st.integers(0, 10)),
)
def test_the_short_way_for_tokens_says_what_the_long_way_says(price: Price, usage: Usage) -> None:
    long = Price(**{name: getattr(price, name) for name in ("input", "output", "cached", "request")})
    object.__setattr__(long, "_of_tokens", None)
    assert price.cost(usage) == long.cost(usage)


@pytest.mark.parametrize("value", [0.1, True, "cheap", "-1", "NaN", "Infinity", [1]])
def test_an_amount_that_is_not_exact_is_refused_by_its_field(value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Price(input=value)
    assert caught.value.field == "prices.input"


def test_what_the_host_does_with_decimals_itself_changes_no_cost() -> None:
    with localcontext() as context:
        context.prec = 2
        assert GPT.cost(Usage(input=123_457, output=1)) == Decimal("0.3086525")


def test_the_most_exact_id_counts_then_patterns_in_their_order() -> None:
    mini, any_gpt = Price(input=1, output=1), Price(input=2, output=2)
    table = PriceTable({"gpt-*": any_gpt, "gpt-4o-mini": mini, "*": GPT})
    usage = Usage(input=1_000_000, output=0)
    found = [
        table.cost(asked(*models, usage=usage))
        for models in (("gpt-4o-mini-2024-07-18", "gpt-4o-mini"), ("gpt-5",), ("claude",))
    ]
    assert found == [Cost(Decimal(usd), "table") for usd in ("1", "2", "2.5")]
    assert PriceTable({"gpt-*": GPT}).cost(asked("claude", usage=usage)) is None


def test_a_callable_of_the_host_may_know_better(caplog: pytest.LogCaptureFixture) -> None:
    prices = prices_of(lambda priced: Decimal("0.5") if priced.models[0] == "m" else None)
    assert prices is not None
    assert prices.cost(asked("m", usage=Usage(input=1))) == Cost(Decimal("0.5"), "callable")
    assert prices.cost(asked("x", usage=Usage(input=1))) is None


@pytest.mark.parametrize("answer", [0.5, "a lot", Decimal("NaN"), -1])
def test_one_that_fails_makes_the_cost_unknown_and_is_told_of_once(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    prices = prices_of(lambda priced: answer)
    assert prices is not None
    assert [prices.cost(asked("m", usage=Usage(input=1))) for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1


async def asynchronous(priced: Priced) -> Decimal:
    return Decimal(1)


@pytest.mark.parametrize(
    "prices", [3, "cheap", {"m": 3}, {"": GPT}, {3: GPT}, asynchronous, lambda: Decimal(1), lambda user, model: None]
)
def test_what_is_no_source_of_prices_is_refused(prices: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        prices_of(prices)
    assert caught.value.field == "prices"


async def test_the_package_knows_most_models_and_the_hosts_table_comes_first() -> None:
    prices = genai_prices({"my-model": GPT})
    usage = Usage(input=1000, output=100)
    openai = "https://api.openai.com/v1"
    await prices.loaded()

    assert prices.cost(asked("gpt-4o", usage=usage, base_url=openai)) == Cost(Decimal("0.0035"), "genai-prices")
    assert prices.cost(asked("gpt-4o", usage=usage)) == Cost(Decimal("0.0035"), "genai-prices")
    assert prices.cost(asked("my-model", usage=usage)) == Cost(Decimal("0.0035"), "table")
    assert prices.cost(asked("no-such-model", usage=usage)) is None
    embedding = asked("text-embedding-3-small", usage=Usage(input=1000))  # behind an upstream that it does not know
    assert prices.cost(embedding) == Cost(Decimal("0.00002"), "genai-prices")


@pytest.mark.parametrize("table", [5, "gpt-4o", [GPT], {"m": 5}])
def test_a_table_of_ones_own_that_is_none_is_refused(table: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        genai_prices(table)
    assert caught.value.field == "prices"


async def test_a_unit_that_the_package_has_no_price_for_is_unknown_and_not_free() -> None:
    prices = genai_prices()
    await prices.loaded()
    openai = "https://api.openai.com/v1"
    assert prices.cost(asked("whisper-1", usage=Usage(input=10, output=10), base_url=openai)) is None
    assert prices.cost(asked("tts-1", usage=Usage(characters=1000), base_url=openai)) == Cost(
        Decimal("0.015"), "genai-prices"
    )
    assert prices.cost(asked("gpt-4o", usage=Usage(input=10, cached=20), base_url=openai)) is not None
