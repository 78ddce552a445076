"""Paths beyond the table of the API that a host opens by hand: ``"GET /rerankers/{id}"``.

They go by the same rules as stored objects, in a group of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .endpoints import ADMIN_ENDPOINTS, EITHER, ENDPOINTS, PASSTHROUGH, Endpoint, Kind, Node, tree

_PATTERN = re.compile(r"(GET|POST|PUT|PATCH|DELETE) ((?:/(?:[A-Za-z0-9._~-]+|\{[a-z_]+\}))+)")
_TABLE = tree(ENDPOINTS + ADMIN_ENDPOINTS)
_NEVER = ("organization", "projects")
"""They manage the account whose key the gateway holds."""


def problem_of(pattern: str) -> str | None:
    """What is wrong with a pattern, None where nothing is."""
    matched = _PATTERN.fullmatch(pattern)
    if matched is None:
        return "must be a method and a path below the version, such as GET /rerankers/{id}"
    method, path = matched[1], matched[2]
    parts = path[1:].split("/")
    if parts[0] in _NEVER or parts[0].startswith("{"):
        return "must name a part of the API first, and none that manages the account (organization, projects)"
    if parts[0] in ("v1", "openai", "deployments"):
        return "must be written as OpenAI writes its paths, without a version or a deployment in front"
    if any(part in (".", "..") for part in parts):
        return "must not have a dot segment"
    if path.startswith("/models/"):
        return "must not be below /models/: there everything is the id of a model"
    if any(_shape(each) == _shape_of(method, path) for each in ENDPOINTS + ADMIN_ENDPOINTS):
        return "is served already; leave it out"
    return None


def table_with(patterns: Iterable[str]) -> Node | None:
    """The table of the API and these beside it, None where there are none."""
    more = [_endpoint(pattern) for pattern in patterns]
    return tree(ENDPOINTS + ADMIN_ENDPOINTS + tuple(more)) if more else None


def _endpoint(pattern: str) -> Endpoint:
    method, _, path = pattern.partition(" ")
    bodies = () if method == "GET" else EITHER
    return Endpoint("passthrough", method, _with_names_of_the_table(path), Kind.STORED, PASSTHROUGH, bodies)


def _with_names_of_the_table(path: str) -> str:
    """One place in a path has one name for its parameter: the table's, or else its number."""
    node: Node | None = _TABLE
    parts = path[1:].split("/")
    for index, part in enumerate(parts):
        if part.startswith("{"):
            name = (node and node.param) or f"p{index}"
            parts[index] = f"{{{name}}}"
            node = node and node.after_param
        else:
            node = node and node.words.get(part)
    return "/" + "/".join(parts)


def _shape(endpoint: Endpoint) -> tuple[str, str]:
    return _shape_of(endpoint.method, endpoint.template)


def _shape_of(method: str, path: str) -> tuple[str, str]:
    """Parameters are told apart by their place, not their name."""
    return method, re.sub(r"\{[a-z_]+\}", "{}", path)
