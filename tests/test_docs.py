"""The pages in ``docs``: their code is Python, what they link to is there, each is in the list of them; and their tables
have what the code has: every setting with its default, field, variable, error code, clock, failure and public name.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

import openai_gateway_asgi
from openai_gateway_asgi import GatewayConfig, Settings, Timeouts, Upstream, errors, testing
from openai_gateway_asgi.api.endpoints import ENDPOINTS
from openai_gateway_asgi.config import to_wire, variables
from openai_gateway_asgi.contrib import django, opentelemetry, prometheus
from openai_gateway_asgi.upstream.failures import ACTIONS, Action

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def names(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_is_python_and_the_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for block in re.findall(r"```python[^\n]*\n(.*?)```", text, re.DOTALL):
        ast.parse(block)
    for link in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
        assert (DOCS / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_is_in_the_list(page: Path) -> None:
    listed = (DOCS / "README.md").read_text()
    assert page.stem == "README" or f"]({page.name})" in listed, "Add a row to the table in docs/README.md."


def test_the_site_has_the_pages_of_the_list_in_its_order() -> None:
    (front, *groups) = tomllib.loads((DOCS.parent / "zensical.toml").read_text())["project"]["nav"]
    listed = re.findall(r"^\| (?:\*\*(.+)\*\*|\[.*?\]\((.+?)\)) \|", page("README"), re.MULTILINE)
    shown = [name for group in groups for title, pages in group.items() for name in (title, *pages)]
    assert front == {"Documentation": "README.md"}
    assert shown == [title or name for title, name in listed], "Give zensical.toml the rows of docs/README.md."


def rows(name: str, title: str) -> list[list[str]]:
    """The first table below a title of a page, without its head."""
    text = page(name)
    table = re.search(r"\n\|[^\n]*\n\|---.*?\n(?=\n|\Z)", text[text.index(f"# {title}\n") :], re.DOTALL)
    assert table is not None
    return [
        [cell.strip() for cell in line.removesuffix("|").removeprefix("|").split(" | ")]
        for line in table[0].strip().splitlines()[2:]
    ]


SETTINGS = {row[0].strip("`"): row for row in rows("settings", "Settings")}


@pytest.mark.parametrize("spec", dataclasses.fields(Settings), ids=lambda spec: spec.name)
def test_every_setting_is_in_the_table_with_its_default(spec: dataclasses.Field[Any]) -> None:
    assert spec.name in SETTINGS, f"Add a row for `{spec.name}` to the table in docs/settings.md."
    if spec.name != "forwarded_headers":  # its cell links to the list
        assert SETTINGS[spec.name][1] == f"`{shown(default(spec), SETTINGS[spec.name][3])}`"


def default(spec: dataclasses.Field[Any]) -> object:
    return spec.default if spec.default_factory is dataclasses.MISSING else spec.default_factory()


def shown(value: object, meaning: str) -> str:
    """A value as the table has it: sizes in MiB, texts in double quotes."""
    if meaning.startswith("bytes") and isinstance(value, int):
        return next(f"{value // size} {unit}" for unit, size in SIZES.items() if value % size == 0)
    if value == Timeouts():
        return "Timeouts()"
    return f'"{value}"' if isinstance(value, str) else "{}" if isinstance(value, Mapping) and not value else repr(value)


SIZES = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}


def test_the_table_has_no_settings_that_are_none() -> None:
    assert SETTINGS.keys() == {spec.name for spec in dataclasses.fields(Settings)}


@pytest.mark.parametrize("name", [spec.name for kind in (Upstream, Timeouts) for spec in dataclasses.fields(kind)])
def test_every_field_of_an_upstream_is_documented(name: str) -> None:
    assert names(name, page("upstreams")), f"Add `{name}` to the table of fields in docs/upstreams.md."


@pytest.mark.parametrize("name", sorted(variable.name for variable in variables.VARIABLES))
def test_every_environment_variable_is_documented(name: str) -> None:
    assert names(name, page("settings") + page("upstreams")), f"Add `{name}` to its row in docs/settings.md."


def test_every_route_of_the_api_is_documented() -> None:
    """Those with a model by their operation, stored objects by their paths, in the row of their group."""
    with_model = {(row[0].strip("`"), row[1].strip("`")) for row in rows("whole-api", "Operations with a model")}
    stored = {row[0].strip("`"): set(re.findall(r"`([^`]+)`", row[1])) for row in rows("whole-api", "Stored objects")}
    assert with_model == {(f"{each.method} {each.template}", each.operation) for each in ENDPOINTS if not each.group}
    assert stored == {group: {each.template for each in ENDPOINTS if each.group == group} for group in stored}
    assert set(stored) == {each.group for each in ENDPOINTS if each.group}


REFERENCE = set(re.findall(r"^::: (\S+)$", page("reference"), re.MULTILINE))


@pytest.mark.parametrize("module", [openai_gateway_asgi, testing, django, prometheus, opentelemetry])
def test_every_public_name_is_in_the_reference(module: Any) -> None:
    missing = {f"{module.__name__}.{name}" for name in module.__all__} - REFERENCE
    assert not missing, "Add them to docs/reference.md, each as a line `::: NAME`."


@pytest.mark.parametrize(
    "error", [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.GatewayError)]
)
def test_every_error_code_is_documented(error: type[errors.GatewayError]) -> None:
    assert error.code is None or names(error.code, page("errors")), "Add the code to the table in docs/errors.md."


def test_the_json_of_a_configuration_is_the_one_that_is_sent() -> None:
    printed = re.search(r"```json\n(.*?)```", page("stores"), re.DOTALL)
    assert printed is not None
    openai = Upstream(
        "https://api.openai.com/v1", api_key="sk-1234567890", model_ids=["gpt-4o", "gpt-4o-mini"], priority=1
    )
    ollama = Upstream("http://localhost:11434/v1", name="ollama", auth_type="none", prefix_id="local")
    config = GatewayConfig(True, [openai, ollama], {"gpt-4o": ["gpt-4o-mini"]}, version="0")
    assert json.loads(printed[1]) == json.loads(msgspec.json.encode(to_wire(config)))


TESTS = frozenset(
    name
    for path in Path(__file__).parent.rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
)


@pytest.mark.parametrize(
    "name", sorted({name for path in PAGES for name in re.findall(r"`(test_\w+)`", path.read_text())})
)
def test_a_promise_is_held_by_a_test_that_is_there(name: str) -> None:
    assert name in TESTS


@pytest.mark.parametrize("row", rows("what-happens-when", "What happens when"), ids=lambda row: row[0])
def test_every_line_of_what_happens_names_the_tests_that_hold_it(row: list[str]) -> None:
    assert re.fullmatch(r"`test_\w+`(, `test_\w+`)*", row[2].rstrip(" |"))


def test_every_clock_is_in_the_table_with_its_default() -> None:
    defaults = {spec.name: spec.default for kind in (Settings, Timeouts) for spec in dataclasses.fields(kind)}
    printed = {row[0].strip("`"): row[1] for row in rows("failures", "Clocks")}

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

    assert rows("failures", "Who answers, and what is tried again") == [
        ["; ".join(failures), action.again.value, word(action.next), word(action.fallback), held(action)]
        for action, failures in table.items()
    ]
