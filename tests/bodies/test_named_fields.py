"""The tables of what a body may name, and the page that shows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from openai_gateway_asgi.api.endpoints import ENDPOINTS, OPENABLE
from openai_gateway_asgi.api.route_fields import KNOWN, ROUTE_FIELDS, route_rules
from openai_gateway_asgi.bodies.named_fields import FIELDS, IN_FORMS, INSIDE, ITEMS_AT, SOURCES, What

PAGE = (Path(__file__).parents[2] / "docs" / "bodies.md").read_text()
MODELS = {What.MODEL: "a model", What.MODELS: "models", What.MODELS_INSIDE: "models"}


def test_every_row_has_a_source() -> None:
    assert all(row.source for row in FIELDS)
    assert all(ROUTE_FIELDS.values())


def test_groups_are_those_that_can_be_opened() -> None:
    assert {row.group for row in FIELDS if row.group} | set(SOURCES.values()) | set(IN_FORMS.values()) <= OPENABLE


def test_operations_are_those_of_the_api() -> None:
    assert ITEMS_AT.keys() <= {endpoint.operation for endpoint in ENDPOINTS}


def test_names_are_written_as_the_walk_compares_them() -> None:
    for name in (*ROUTE_FIELDS, *(row.name for row in FIELDS), *(name for name, _, _ in INSIDE)):
        assert re.fullmatch(r"\*?[a-z0-9_:-]+\*?", name), name


@pytest.mark.parametrize(
    "row",
    [
        *(f"| `{name}` | {source} |" for name, source in ROUTE_FIELDS.items()),
        *(
            f"| `{row.name}` | {MODELS.get(row.what) or f'`{row.group}`'} | {row.source} |"
            for row in FIELDS
            if row.what in MODELS or row.group
        ),
    ],
)
def test_the_page_shows_the_tables(row: str) -> None:
    assert row in PAGE


@pytest.mark.parametrize(
    ("name", "known"),
    [("api_base", True), ("aws_region_name", True), ("aws_", True), ("aws", False), ("mock_response", True),
     ("model", False), ("Api_Base", False), ("extra_body", False), ("metadata", False)],
)  # fmt: skip
def test_fields_of_routes_are_known_by_name_or_beginning(name: str, known: bool) -> None:
    assert (name in KNOWN) is known


def test_an_upstream_widens_and_narrows_the_table() -> None:
    rules = route_rules(("mine", "yours_*", "-api_version", "-aws_*", "-vertex_project"))
    refused = {name for name in ("mine", "yours_1", "api_version", "aws_x", "vertex_project", "vertex_x", "api_base", "other")
               if rules.refuses(name)}  # fmt: skip
    assert refused == {"mine", "yours_1", "vertex_x", "api_base"}
