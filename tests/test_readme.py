"""README says what is there: every setting, variable, error code and public name."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import pytest

import openai_gateway_asgi
from openai_gateway_asgi import Settings, Timeouts, Upstream, errors
from openai_gateway_asgi.config import variables

README = (Path(__file__).parent.parent / "README.md").read_text()
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


def test_the_public_names_are_sorted_and_there() -> None:
    names = openai_gateway_asgi.__all__

    assert names == sorted(names)
    assert all(hasattr(openai_gateway_asgi, name) for name in names)


@pytest.mark.parametrize("error", [e for e in vars(errors).values() if isinstance(e, type) and hasattr(e, "code")])
def test_every_error_code_is_documented(error: type[errors.GatewayError]) -> None:
    assert error.code is None or mentioned(error.code)


@pytest.mark.parametrize("block", BLOCKS)
def test_the_code_is_python(block: str) -> None:
    ast.parse(block)
