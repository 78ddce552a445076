"""What an answer has too much of to be decoded."""

from __future__ import annotations

import json

import pytest

from openai_gateway_asgi.answers.too_much import (
    EVERYTHING,
    KEPT_AS_WRITTEN,
    LIGHT,
    MOST_ESCAPES,
    MOST_PARTS,
    MOST_TEXTS,
    MOST_VALUES,
    Bounds,
    too_much_in,
)
from openai_gateway_asgi.http.pacing import at_once


@pytest.mark.parametrize(
    ("answer", "bounds", "said"),
    [
        pytest.param([{}] * (MOST_PARTS - 1), EVERYTHING, "", id="as many objects as may be"),
        pytest.param([{}] * MOST_PARTS, EVERYTHING, "objects and lists", id="objects"),
        pytest.param([[]] * MOST_PARTS, EVERYTHING, "objects and lists", id="lists"),
        pytest.param(["{"] * MOST_PARTS, EVERYTHING, "objects and lists", id="braces in texts"),
        pytest.param([""] * MOST_TEXTS, EVERYTHING, "", id="as many texts as may be"),
        pytest.param([""] * (MOST_TEXTS + 1), EVERYTHING, "texts", id="texts"),
        pytest.param(dict.fromkeys(map(str, range(MOST_TEXTS + 1)), 0), EVERYTHING, "texts", id="keys"),
        pytest.param(json.dumps([""] * MOST_TEXTS), KEPT_AS_WRITTEN, "", id="JSON in a text"),
        pytest.param([1] * (MOST_VALUES + 1), EVERYTHING, "", id="as many numbers as may be"),
        pytest.param([1] * (MOST_VALUES + 2), EVERYTHING, "values", id="numbers"),
        pytest.param("\n" * MOST_ESCAPES, EVERYTHING, "", id="as many escapes as may be"),
        pytest.param("\n" * (MOST_ESCAPES + 1), EVERYTHING, "escapes", id="escapes"),
        pytest.param("\n" * (MOST_ESCAPES + 1), KEPT_AS_WRITTEN, "", id="escapes that nobody decodes"),
        pytest.param("x" * 8_000_000, EVERYTHING, "", id="a text"),
        pytest.param([[]] * (LIGHT // 4), EVERYTHING, "", id="little"),
    ],
)
def test_what_costs_is_counted(answer: object, bounds: Bounds, said: str) -> None:
    counted = at_once(too_much_in(json.dumps(answer, separators=(",", ":")).encode(), bounds))
    assert counted.partition(" ")[0] == ("more" if said else "")
    assert counted.endswith(said)
