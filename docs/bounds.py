"""Makes ``docs/bounds.md`` from the package: ``python -m docs.bounds`` writes it, and a test compares the two.

A bound is a number at the top of a module, in capitals, with a line below it (or behind it) that says of what; or the
size of a ``lru_cache``; or a setting. So a new one need not be told to anybody. Numbers that bound nothing are named
below, with the reason.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

from openai_gateway_asgi import Settings, Timeouts

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "openai_gateway_asgi"
PAGE = ROOT / "docs" / "bounds.md"

HEAD = """# Bounds

Everything that is read, kept or waited for has an end. This page lists them all; it is made from the code by
`python -m docs.bounds`, and a test compares the two. The first table has the settings; what follows is fixed, and named
as it is in the code.

Nothing is kept per user without a bound on the number of users. Where a bound is reached, what was used longest ago
goes first, or whoever comes is refused with a 4xx or a 503 that names the field or says when to come back.
"""

UNITS = {"KIB": 1024, "MIB": 1024**2, "GIB": 1024**3}

ROOMS = {
    "http": "Requests and the event loop",
    "bodies": "Bodies",
    "rewrites": "Rewrites",
    "translate": "Translation",
    "models": "Models",
    "presets": "Presets",
    "upstream": "Upstreams and their lists",
    "answers": "Answers",
    "extensions": "The host's own code",
    "speech": "Speech",
    "limits": "Limits",
    "config": "Configuration",
    "host": "What the host says and is told",
    "observe": "Log, records and health",
    "layers": "Layers",
    "contrib": "Django and others",
    "commands": "Commands",
    "": "One call",
}

UNBOUNDED = ("keepalive_comments", "speech_cache_lifetime")
"""Settings of numbers that are None where nothing is set."""

NOT_BOUNDS: Mapping[str, str] = {
    "bodies.long_texts._DIGITS": "a length of names",
    "bodies.multipart.limits.KIB": "a unit",
    "bodies.multipart.limits.MIB": "a unit",
    "config.masks.LONG_ENOUGH": "how much of a secret is shown",
    "config.masks.SHOWN": "how much of a secret is shown",
    "config.settings.GIB": "a unit",
    "config.settings.KIB": "a unit",
    "config.settings.MIB": "a unit",
    "http.sse._LONGEST": "the length of a blank line",
    "limits.limit.NANO": "a unit",
    "limits.scripts.WORDS": "a format",
    "observe.call_log.DIGITS": "a format",
    "rewrites.logit_bias._LIMIT": "a rule of the API",
    "speech.shared.PIECE": "what is counted for a piece",
    "upstream.own_lists.MODEL": "what is counted for a model",
    "upstream.own_lists.PLACE": "what is counted for a model",
}
"""Numbers that bound nothing, each with what it is."""


@dataclass(frozen=True, slots=True)
class Bound:
    name: str
    """As ``http.paths.MAX_LENGTH``, or as it is set."""
    value: str
    of: str


def constants() -> Iterator[tuple[str, float, str]]:
    """Every number at the top of a module in capitals: its name, its value, and what is said of it."""
    for module, source in _modules():
        yield from _constants(module, source)


def _constants(module: str, source: str) -> Iterator[tuple[str, float, str]]:
    lines = source.splitlines()
    body = ast.parse(source).body
    known: dict[str, float] = dict(UNITS)
    for node, after in pairwise([*body, ast.Pass()]):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if name.strip("_").isupper():
                number = _number(value, known)
                if number is not None:
                    known[name] = number
                    yield f"{module}.{name}", number, _said_below(after) or _said_behind(lines[node.lineno - 1])


_DO = {ast.Mult: operator.mul, ast.Pow: operator.pow, ast.Add: operator.add, ast.Sub: operator.sub}


def _number(node: ast.expr, known: Mapping[str, float]) -> float | None:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.Name(id=name):
            return known.get(name)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _DO:
            one, other = _number(left, known), _number(right, known)
            return None if one is None or other is None else _DO[type(op)](one, other)
    return None


def _said_below(node: ast.stmt) -> str:
    match node:
        case ast.Expr(value=ast.Constant(value=str() as text)):
            return " ".join(text.split())
    return ""


def _said_behind(line: str) -> str:
    text = line.partition("  # ")[2].strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") or not text else ".")


def remembered() -> Iterator[tuple[str, int, str]]:
    """Every function whose results are remembered, and how many of them."""
    for module, source in _modules():
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.FunctionDef(name=name, decorator_list=decorators):
                    sizes = [size for each in decorators if (size := _most_remembered(each)) is not None]
                case ast.Call(func=ast.Call() as cache, args=[called]):
                    name, size = ast.unparse(called), _most_remembered(cache)
                    sizes = [] if size is None else [size]
                case _:
                    continue
            for size in sizes:
                yield f"{module}.{name.removeprefix('self.')}", size, "Results that are remembered."


def _most_remembered(node: ast.expr) -> int | None:
    match node:
        case ast.Call(keywords=[ast.keyword(arg="maxsize", value=ast.Constant(value=int() as size))]):
            return size
    return None


def _modules() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if not module.startswith("testing."):
            yield module, path.read_text()


def settings() -> Iterator[Bound]:
    """Those that bound something, with what their table says of them."""
    table = (PAGE.parent / "settings.md").read_text()
    said = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| [^|]* \| (.*) \|$", table, re.MULTILINE))
    given = Settings()
    for spec in fields(Settings):
        value = getattr(given, spec.name)
        if spec.name in UNBOUNDED or (isinstance(value, int | float) and not isinstance(value, bool)):
            of = said[spec.name].rstrip(".")
            yield Bound(f"Settings({spec.name}=...)", _shown(value, of), of[:1].upper() + of[1:] + ".")


def clocks() -> Iterator[Bound]:
    """Of one request to an upstream."""
    said = _said_of_fields(PACKAGE / "config" / "timeouts.py", "Timeouts")
    for spec in fields(Timeouts):
        yield Bound(f"Timeouts({spec.name}=...)", _shown(getattr(Timeouts(), spec.name), "Seconds"), said[spec.name])


def _said_of_fields(path: Path, name: str) -> Mapping[str, str]:
    (body,) = [
        node.body for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef) and node.name == name
    ]
    return {
        node.target.id: _said_below(after)
        for node, after in pairwise([*body, ast.Pass()])
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _shown(value: float | None, said: str) -> str:
    if value is None:
        return "none"
    if re.match(r"bytes\b", said, re.IGNORECASE) or "in bytes" in said:
        return _size(int(value))
    if isinstance(value, float) or re.match(r"seconds?\b", said, re.IGNORECASE) or "in seconds" in said:
        return f"{value:g} s"
    return f"{value:,}"


def _size(value: int) -> str:
    for name, unit in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if value >= unit and value % unit == 0:
            return f"{value // unit} {name}"
    return f"{value:,} bytes"


def bounds() -> Mapping[str, list[Bound]]:
    """All of them, by what they are about."""
    found = {"Settings": [*settings(), *clocks()]} | {title: [] for title in ROOMS.values()}
    for name, value, said in [*constants(), *remembered()]:
        if name not in NOT_BOUNDS:
            room = name.partition(".")[0]
            found[ROOMS.get(room, ROOMS[""])].append(Bound(name, _shown(value, said), said))
    return found


def page() -> str:
    parts = [HEAD]
    for title, rows in bounds().items():
        if rows:
            parts.append(f"## {title}\n\n| | bound | of what |\n|---|---|---|\n" + "".join(map(_row, rows)))
    return "\n".join(parts)


def _row(bound: Bound) -> str:
    of = bound.of.replace("``", "`").replace("|", "\\|")
    return f"| `{bound.name}` | {bound.value} | {of} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
