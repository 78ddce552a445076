from __future__ import annotations

import math
from typing import Any

import pytest

from openai_gateway_asgi.config import Timeouts
from openai_gateway_asgi.errors import ConfigError

NAMES = ["connect", "first_event", "answer", "idle", "total"]


def test_defaults() -> None:
    assert Timeouts() == Timeouts(connect=5.0, first_event=300.0, answer=600.0, idle=300.0, total=None)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan, "5", True])
def test_a_timeout_is_a_finite_number_above_zero(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match="a number of seconds above zero") as raised:
        Timeouts(**{name: value})
    assert raised.value.field == name


@pytest.mark.parametrize("name", NAMES[:-1])
def test_only_the_total_may_be_absent(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Timeouts(**{name: None})  # type: ignore[arg-type]
    assert raised.value.field == name
