"""``explain``: what would become of a request, without sending it."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any, NamedTuple

from ..admin.explain import body_of, question_of
from ..errors import ConfigError, GatewayError
from ..gateway import Gateway
from ..host.users import User
from ..observe.explanation import Explanation
from .curl import NotUnderstood, request_of
from .targets import NothingThere, gateways_of

SERVED, REFUSED, NOTHING = 0, 1, 2


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    user: str | None = None


def add(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "explain",
        help="say what would become of a request",
        description="Says what a gateway would make of a request, step by step, and sends nothing. Exit status: 0 "
        "where it would be served, 1 where it would not, 2 where there is nothing to explain.",
    )
    parser.add_argument(
        "target", help="module:name of a gateway, an application that has one, or a function that makes one of them"
    )
    parser.add_argument(
        "request",
        help="a file, or - for standard input, with a curl command or with JSON: "
        '{"method", "path", "headers", "body", "user"}; or a curl command itself, as one argument',
    )
    parser.add_argument("--user", metavar="ID", help="whose request it is (default: the file's `user`, else anyone)")
    parser.add_argument("--role", help="the user's role; with it, or a group, find_user is not asked")
    parser.add_argument("--group", action="append", default=[], help="one of the user's groups; may be repeated")
    parser.add_argument("--mount", default="", metavar="PATH", help="where the gateway is mounted, as /openai")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--app-dir", default=".", metavar="DIR", help="where modules are looked for first (default: .)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    logging.getLogger("openai_gateway_asgi").addHandler(logging.NullHandler())
    try:
        request = _read(arguments.request, arguments.mount)
        gateway, *others = gateways_of(arguments.target, arguments.app_dir)
        explanation = asyncio.run(_explained(gateway, request, arguments))
    except (NothingThere, NotUnderstood) as problem:
        return _complain(str(problem))
    except ConfigError as error:
        return _complain(f"{error.field}: {error.problem}")
    except GatewayError as error:
        return _complain(error.message)
    if others:
        print(f"{arguments.target} has {1 + len(others)} gateways; this is the first", file=sys.stderr)
    print(json.dumps(explanation.to_data(), indent=2) if arguments.json else explanation)
    return SERVED if explanation.outcome in ("sent", "answered") else REFUSED


async def _explained(gateway: Gateway, request: Request, arguments: argparse.Namespace) -> Explanation:
    id = arguments.user or request.user
    user: User | str
    if id is not None and gateway.finds_users and not (arguments.role or arguments.group):
        user = id
    else:
        user = User(id or "anyone", role=arguments.role or "user", groups=arguments.group)
    try:
        return await gateway.explain(user, request.method, request.path, request.headers, request.body)
    finally:
        await gateway.aclose()


def _read(given: str, mount: str) -> Request:
    text = given if _is_curl(given) else _content(given)
    if _is_curl(text):
        request = Request(*request_of(text))
    else:
        question = question_of(text.encode())
        request = Request(question.method, question.path, question.headers, body_of(question), question.user)
    prefix = mount.rstrip("/")
    if not request.path.startswith(f"{prefix}/"):
        raise NotUnderstood(f"the path does not begin with the mount {mount}")
    return request._replace(path=request.path.removeprefix(prefix))


def _content(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise NotUnderstood(f"{name} cannot be read: {reason}") from None


def _is_curl(text: str) -> bool:
    return text.lstrip().startswith("curl ")


def _complain(problem: str) -> int:
    print(f"nothing to explain: {problem}", file=sys.stderr)
    return NOTHING
