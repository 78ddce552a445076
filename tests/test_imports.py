"""The package imports one way, so that what is low can be read without what is high."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import openai_gateway_asgi

PACKAGE = "openai_gateway_asgi"
ROOT = Path(openai_gateway_asgi.__file__).parent

# The bottom is plain data and pure functions; a folder is one room. Lower floors stand first. The package's own module,
# which hands out the public names, is above all.
FLOORS = (
    ["causes", "hidden"],
    ["errors"],
    ["http"],
    ["api"],
    ["config"],
    ["bodies", "models"],
    ["rewrites", "translate", "host", "presets"],
    ["upstream"],
    ["exchange", "speech", "limits"],
    ["answers", "observe", "extensions"],
    ["admin", "parts"],
    ["layers"],
    ["chain", "explaining"],
    ["gateway", "contrib", "testing", "commands"],
    ["__main__"],
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def modules() -> dict[str, Path]:
    """By dotted name below the package; a folder's own module has the folder's name."""
    named = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


MODULES = modules()
# Parsed before any test runs: CPython 3.11's parser fails when a collection in its middle runs what a test left behind.
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def imports(module: str) -> Iterator[tuple[str, bool]]:
    """What a module imports, absolute, and whether at its top level."""
    path = MODULES[module]
    package = [PACKAGE, *path.relative_to(ROOT).parts[:-1]]
    tree = TREES[module]
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{source}.{alias.name}" for alias in node.names]
            found = [name for name in names if name.removeprefix(f"{PACKAGE}.") in MODULES]
            yield from ((name, id(node) in top) for name in (found or [source]))


def ours(module: str) -> set[str]:
    """The modules of the package that a module imports."""
    inside = (name.removeprefix(f"{PACKAGE}.") for name, _ in imports(module) if name.startswith(f"{PACKAGE}."))
    return {name for name in inside if name in MODULES} - {module}


def room(module: str) -> str:
    return module.partition(".")[0]


def circle(below: Mapping[str, set[str]]) -> list[str] | None:
    """The first circle found, of any length; None where all goes one way."""
    done: set[str] = set()

    def visit(place: str, trail: list[str]) -> list[str] | None:
        if place in trail:
            return [*trail[trail.index(place) :], place]
        if place in done:
            return None
        found = (visit(each, [*trail, place]) for each in sorted(below.get(place, ())))
        first = next((each for each in found if each), None)
        done.add(place)
        return first

    return next((each for each in (visit(place, []) for place in sorted(below)) if each), None)


def test_every_room_has_its_floor() -> None:
    assert {room(module) for module in MODULES if module} == set(FLOOR)


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name))
def test_a_module_imports_from_its_own_floor_or_below(module: str) -> None:
    higher = {name for name in ours(module) if not name or FLOOR[room(name)] > FLOOR[room(module)]}
    assert higher == set()


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.startswith("layers.")))
def test_no_layer_imports_another(module: str) -> None:
    assert {name for name in ours(module) if name.startswith("layers.")} == set()


@pytest.mark.parametrize(
    ("below", "found"),
    [
        ({"a": {"b"}, "b": {"c"}}, None),
        ({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}, None),
        ({"a": {"b"}, "b": {"a"}}, ["a", "b", "a"]),
        ({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}, ["b", "c", "d", "b"]),
    ],
)
def test_circles_of_any_length_are_found(below: dict[str, set[str]], found: list[str] | None) -> None:
    assert circle(below) == found


def test_there_are_no_circles_between_modules() -> None:
    assert circle({module: ours(module) for module in MODULES}) is None


def test_there_are_no_circles_between_rooms() -> None:
    below: dict[str, set[str]] = {}
    for module in filter(None, MODULES):
        below.setdefault(room(module), set()).update(room(name) for name in ours(module) if room(name) != room(module))
    assert circle(below) is None


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("aiohttp", {"upstream.transport", "upstream.call", "upstream.protocol", "upstream.dns"}),
        ("azure", {"upstream.entra"}),
        ("httpx2", {"upstream.httpx2_transport"}),
        ("redis", {"limits.redis"}),
        ("jwt", {"upstream.signed_identity"}),
        ("cryptography", {"upstream.signed_identity", "config.rules.identity"}),
        ("opentelemetry", {module for module in MODULES if module.startswith("contrib.opentelemetry")}),
        ("prometheus_client", {module for module in MODULES if module.startswith("contrib.prometheus")}),
        ("django", {module for module in MODULES if module.startswith("contrib.django")}),
    ],
)
def test_a_library_is_known_in_its_place_only(library: str, allowed: set[str]) -> None:
    found = {module for module in MODULES for name, _ in imports(module) if name.partition(".")[0] == library}
    assert found <= allowed


@pytest.mark.parametrize("library", ["azure", "redis", "jwt", "cryptography"])
def test_an_optional_library_is_never_imported_at_the_top(library: str) -> None:
    found = {module for module in MODULES for name, top in imports(module) if top and name.split(".")[0] == library}
    assert found == set()


def imported_after(statement: str) -> set[str]:
    code = f"import sys, {PACKAGE} as package; {statement}; print(*sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in ran.stdout.split()}


def test_the_engine_comes_with_the_first_gateway_not_with_its_first_request() -> None:
    assert "aiohttp" not in imported_after("pass")
    assert "aiohttp" in imported_after("package.Gateway([], authorize_model=package.everyone)")


def test_importing_the_package_imports_nothing_optional() -> None:
    roots = imported_after("pass")
    assert PACKAGE in roots
    assert not roots & {
        "azure",
        "httpx2",
        "pytest",
        "redis",
        "django",
        "prometheus_client",
        "opentelemetry",
        "fastapi",
        "uvicorn",
        "openai",
        "msal",
        "requests",
    }
