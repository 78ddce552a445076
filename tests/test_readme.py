"""README says what is there: every setting, variable, error code and public name; and what it promises is tested."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import pytest

import openai_gateway_asgi
from openai_gateway_asgi import Settings, Timeouts, Upstream, errors
from openai_gateway_asgi.config import variables
from openai_gateway_asgi.upstream.failures import ACTIONS, Action

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
HAPPENS = (ROOT / "docs" / "what-happens-when.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def mentioned(name: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", README) is not None


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Settings)])
def test_every_setting_is_documented(name: str) -> None:
    assert mentioned(name)


@pytest.mark.parametrize("name", [field.name for kind in (Upstream, Timeouts) for field in dataclasses.fields(kind)])
def test_every_field_of_an_upstream_is_documented(name: str) -> None:
    assert mentioned(name)


@pytest.mark.parametrize("name", sorted(variable.name for variable in variables.VARIABLES))
def test_every_environment_variable_is_documented(name: str) -> None:
    assert mentioned(name)


@pytest.mark.parametrize("name", openai_gateway_asgi.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert mentioned(name)


@pytest.mark.parametrize(
    "error", [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.GatewayError)]
)
def test_every_error_code_is_documented(error: type[errors.GatewayError]) -> None:
    assert error.code is None or mentioned(error.code)


@pytest.mark.parametrize("block", BLOCKS)
def test_the_code_is_python(block: str) -> None:
    ast.parse(block)


TESTS = frozenset(
    name
    for path in Path(__file__).parent.rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", README + HAPPENS))))
def test_a_promise_is_held_by_a_test_that_is_there(name: str) -> None:
    assert name in TESTS


def rows(title: str, page: str = README) -> list[list[str]]:
    """The table below a title, without its head."""
    table = re.search(r"\n\|[^\n]*\n\|---.*?\n\n", page[page.index(f"# {title}\n") :], re.DOTALL)
    assert table is not None
    return [
        [cell.strip() for cell in line.removesuffix("|").removeprefix("|").split(" | ")]
        for line in table[0].strip().splitlines()[2:]
    ]


@pytest.mark.parametrize("row", rows("What happens when", HAPPENS), ids=lambda row: row[0])
def test_every_line_of_what_happens_names_the_tests_that_hold_it(row: list[str]) -> None:
    assert re.fullmatch(r"`test_\w+`(, `test_\w+`)*", row[2].rstrip(" |"))


def test_every_clock_is_in_the_table_with_its_default() -> None:
    defaults = {spec.name: spec.default for kind in (Settings, Timeouts) for spec in dataclasses.fields(kind)}
    printed = {row[0].strip("`"): row[1] for row in rows("What happens when")}

    assert printed.keys() >= {spec.name for spec in dataclasses.fields(Timeouts)}
    for name, seconds in printed.items():
        assert seconds == ("-" if defaults[name] is None else f"{defaults[name]:g}"), name


def test_the_table_of_failures_is_the_one_in_force() -> None:
    """Kinds of which the same is made stand in one row."""
    table: dict[Action, list[str]] = {}
    for failure, action in ACTIONS.items():
        table.setdefault(action, []).append(failure.value)

    def held(action: Action) -> str:
        return action.remembered.value + (", once it is not one caller's alone" if action.doubted else "")

    def word(yes: bool) -> str:
        return "yes" if yes else "no"

    assert rows("Who answers, and what is tried again") == [
        ["; ".join(failures), action.again.value, word(action.next), word(action.fallback), held(action)]
        for action, failures in table.items()
    ]
