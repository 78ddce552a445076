from __future__ import annotations

import math
from typing import Any

import pytest

from openai_gateway_asgi.config import Timeouts
from openai_gateway_asgi.errors import ConfigError

OPTIONAL = ["total", "failover_after"]
NAMES = ["connect", "first_event", "answer", "idle", "stall", *OPTIONAL]


def test_defaults() -> None:
    by_hand = Timeouts(
        connect=5.0, first_event=300.0, failover_after=12.0, answer=600.0, idle=300.0, stall=30.0, total=None
    )
    assert Timeouts() == by_hand


@pytest.mark.parametrize(
    ("timeouts", "local", "other"),
    [
        (Timeouts(), None, 12.0),
        (Timeouts(first_event=900), None, 12.0),
        (Timeouts(failover_after=12.0), 12.0, 12.0),
        (Timeouts(failover_after=3), 3.0, 3.0),
        (Timeouts(failover_after=None), None, None),
    ],
)
def test_a_local_model_may_have_to_load_unless_somebody_says_otherwise(
    timeouts: Timeouts, local: float | None, other: float | None
) -> None:
    assert (timeouts.failover_for("local"), timeouts.failover_for("external")) == (local, other)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan, "5", True])
def test_a_timeout_is_a_finite_number_above_zero(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match="a number of seconds above zero") as raised:
        Timeouts(**{name: value})
    assert raised.value.field == name


@pytest.mark.parametrize("name", OPTIONAL)
def test_some_may_be_off(name: str) -> None:
    assert getattr(Timeouts(**{name: None}), name) is None


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OPTIONAL])
def test_the_others_may_not(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Timeouts(**{name: None})  # type: ignore[arg-type]
    assert raised.value.field == name
