from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi.config.model_ids import MAX_ID, ModelIds, Pattern
from tests.support.operations import operations


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("m", "m", True),
        ("m", "m2", False),
        ("", "", True),
        ("*", "", True),
        ("*", "any/thing:at\nall", True),
        ("gpt-*", "gpt-", True),
        ("gpt-*", "my-gpt-4", False),
        ("*-mini", "o9-mini", True),
        ("*-mini", "o9-mini-2", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("ab*ba", "aba", False),
        ("a*b*c", "a-c-b", False),
        ("a*b*b", "ab", False),
        ("a**b", "ab", True),
        ("*a*", "xay", True),
        ("a.b*", "axb", False),
        ("[a]*", "a", False),
        ("GPT*", "gpt-4", False),
    ],
)
def test_a_star_stands_for_any_run_and_the_rest_for_itself(pattern: str, text: str, fits: bool) -> None:
    assert (text in ModelIds([pattern])) is fits


@given(st.text("ab*", max_size=9), st.text("ab", max_size=14))
@settings(max_examples=2000, derandomize=True)
def test_it_says_what_a_regular_expression_would(pattern: str, text: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert (text in ModelIds([pattern])) is (re.fullmatch(expression, text, re.DOTALL) is not None)


@pytest.mark.parametrize("pattern", ["a*" * 120 + "b", "*a" * 120 + "*b", "*" * 250 + "b", "*" + "a" * 120 + "b*"])
def test_case_283_no_pattern_takes_long(pattern: str) -> None:
    """A regular expression would take longer than anybody could wait for the first of these."""
    fits = Pattern(pattern).matches
    assert not fits("a" * MAX_ID)
    assert operations(lambda: fits("a" * MAX_ID)) < 5_000


@pytest.mark.parametrize("id", ["model-9999", "gpt-4", "unheard-of"])
def test_case_283_ids_without_wildcards_cost_nothing_each(id: str) -> None:
    costs = {operations(lambda ids=ids: id in ids) for ids in (many(10), many(10_000))}
    assert len(costs) == (2 if id == "model-9999" else 1)  # which is found among the plain ones of the second
    assert max(costs) < 200


def many(count: int) -> ModelIds:
    return ModelIds([*(f"model-{number}" for number in range(count)), "gpt-*"])


def test_none_is_none() -> None:
    assert not ModelIds([])
    assert ModelIds(["m"])
    assert ModelIds(["*"])
