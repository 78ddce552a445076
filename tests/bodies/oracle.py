"""What readers of JSON take a body for: the rules of those that upstreams are written with, one by one.

Nothing here is the gateway's: neither its table of fields nor its ways to read keys.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from typing import Any, Literal

import msgspec
import orjson

NODE = shutil.which("node")

_PARSE = """
const lines = require("fs").readFileSync(0, "latin1").split("\\n").filter(Boolean);
const assigned = (value) => {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  const made = Object.assign({}, value), seen = {};
  for (const key in made) seen[key] = made[key];
  return seen;
};
for (const line of lines) {
  const text = new TextDecoder("utf-8").decode(Buffer.from(line, "base64"));
  let read = [];
  try { const value = JSON.parse(text); read = [value, assigned(value)]; } catch {}
  console.log(JSON.stringify(read));
}
"""


class Pairs(list):  # type: ignore[type-arg]
    """An object as the list of its pairs."""


@dataclass(frozen=True)
class Reader:
    """How the keys of an object are taken: ``canon`` of each, and of equal ones the first, the last, or any."""

    canon: Callable[[str], str]
    pick: Literal["first", "last", "any"]

    def fields(self, read: Any) -> list[tuple[str, Any]]:
        pairs = read if isinstance(read, Pairs) else list(read.items())
        named = [(self.canon(key), value) for key, value in pairs]
        if self.pick == "any":
            return named
        return list(dict(reversed(named) if self.pick == "first" else named).items())


# Keys


def exactly(key: str) -> str:
    return key


def as_go(key: str) -> str:
    """encoding/json: the letters that fold into ASCII ones are the long s and the Kelvin sign."""
    return key.translate({0x17F: "s", 0x212A: "k"}).lower()


def as_dotnet(key: str) -> str:
    """OrdinalIgnoreCase: each letter by its simple upper case."""
    return "".join(upper if len(upper := letter.upper()) == 1 else letter for letter in key).lower()


def as_java(key: str) -> str:
    """equalsIgnoreCase: upper case first, then lower; both Turkish letters are an i."""
    return key.translate({0x130: "i", 0x131: "i", 0x17F: "s", 0x212A: "k"}).lower()


def as_c(key: str) -> str:
    return key.partition("\0")[0]


def trimmed(key: str) -> str:
    """Of all that one language or another calls white space."""
    return key.strip("".join(map(chr, range(33))) + "\x7f\x85\xa0\xad\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
        map(chr, range(0x2000, 0x2010))
    ))  # fmt: skip


def without_halves(key: str) -> str:
    """Half characters are dropped by who cannot write them."""
    return key.encode("utf-8", "ignore").decode()


def as_lenient(key: str) -> str:
    return as_java(trimmed(as_c(trimmed(without_halves(key)))))


LAST = Reader(exactly, "last")
READERS = (
    Reader(exactly, "first"),
    LAST,
    Reader(as_go, "last"),
    Reader(as_dotnet, "first"),
    Reader(as_java, "any"),
    Reader(as_c, "first"),
    Reader(as_c, "last"),
    Reader(trimmed, "any"),
    Reader(without_halves, "any"),
    Reader(as_lenient, "any"),
)


# Bytes


def charset(content_type: str) -> str:
    """As Express takes it: what the header says, else UTF-8."""
    head = Message()
    head["content-type"] = content_type
    return str(head.get_param("charset") or "utf-8")


def texts(body: bytes, content_type: str) -> Iterator[str]:
    with contextlib.suppress(LookupError):
        yield body.decode(codecs.lookup(charset(content_type)).name, "replace")
    yield body.decode(json.detect_encoding(body), "surrogatepass" if body.isascii() else "replace")
    yield body.decode("utf-8-sig", "replace")
    yield body.decode("utf-8", "ignore")


def readings(body: bytes, content_type: str) -> Iterator[tuple[Any, Sequence[Reader]]]:
    """All that is read, with who reads it so; one that refuses the body reads nothing."""
    for text in set(texts(body, content_type)):
        with contextlib.suppress(ValueError, RecursionError):
            yield json.loads(text, strict=False, object_pairs_hook=Pairs), READERS
    for parse in (msgspec.json.decode, orjson.loads):
        with contextlib.suppress(ValueError, RecursionError):
            yield parse(body), (LAST,)


def read_by_node(bodies: Sequence[bytes]) -> list[list[Any]]:
    """Of each body what ``JSON.parse`` makes of it, and what is seen of that once it was assigned to an object."""
    assert NODE is not None
    lines = b"\n".join(base64.b64encode(body) for body in bodies)
    done = subprocess.run([NODE, "-e", _PARSE], input=lines, capture_output=True, check=True, timeout=120)
    return [json.loads(line) for line in done.stdout.splitlines()]


# What is named

ROUTES = frozenset(
    "api_base base_url api_key deployment_id fallbacks user_config mock_response headers extra_headers preset "
    "aws_access_key_id vertex_project data_sources custom_llm_provider model_list router_settings_override".split()
)
OBJECTS = frozenset("file_id file_ids vector_store_ids previous_response_id container_id skill_id".split())
NOTES = frozenset("metadata annotations schema json_schema input_schema arguments functions".split())
FORMATS = frozenset("response_format format grammar".split())
"""At the top: how an answer is to look, and no more."""
SCHEMAS = (None, "function", "custom")
"""Types of tools whose ``parameters`` are a schema."""

OBJECTS_IN = {
    **dict.fromkeys(("top", "below"), OBJECTS),
    **dict.fromkeys(("items", "inside", "tools"), OBJECTS - {"previous_response_id"}),
    "messages": frozenset(["file_id", "file_ids"]),
}

Named = tuple[str, str]
"""A kind (``model``, ``route``, ``object``) and which."""
Where = Literal["top", "below", "messages", "items", "inside", "tools"]


def named(read: Any, where: Where, reader: Reader, items: str = "") -> Iterator[Named]:
    """``items`` is the field that holds items of the Responses API, where one does."""
    if isinstance(read, list) and not isinstance(read, Pairs):
        for each in read:
            yield from named(each, where, reader, items)
        return
    if not isinstance(read, Pairs | dict):
        return
    fields = [(key, value) for key, value in reader.fields(read) if value is not None]
    if where == "items":
        yield from _item(fields)
    types = [value for key, value in fields if key == "type"] or [None]
    for key, value in fields:
        if key in NOTES or (where == "top" and key in FORMATS) or (where == "tools" and key == "function"):
            continue
        if where == "tools" and key == "parameters" and all(type in SCHEMAS for type in types):
            continue
        if key in OBJECTS_IN[where] or (where == "top" and key == "conversation"):
            yield from (("object", str(id)) for id in _ids(value))
        if where == "top" and key == "prompt":
            yield from _held(value, reader)
        if where == "top" and key in ROUTES:
            yield "route", key
        if where in ("top", "below", "tools") and _names_models(key):
            yield from (("model", id) for id in _texts(value))
        yield from named(value, _inside(where, key, items), reader, items)


def _inside(where: Where, key: str, items: str) -> Where:
    if where == "top" and key in ("extra_body", "__proto__"):
        return "top"
    if where == "top" and key == "messages":
        return "messages"
    if where == "top" and items and key == items:
        return "items"
    if key == "tools" and where != "messages":
        return "tools"
    return {"top": "below", "items": "inside"}.get(where, where)  # type: ignore[return-value]  # it is one of them


def _names_models(key: str) -> bool:
    return key in ("model", "models") or key.endswith(("_model", "_models"))


def _item(fields: Sequence[tuple[str, Any]]) -> Iterator[Named]:
    """One that is looked up by its id."""
    types = [value for key, value in fields if key == "type"] or [None]
    if any(type == "item_reference" for type in types) or not any(
        key in ("content", "output", "arguments", "encrypted_content") for key, _ in fields
    ):
        yield from (("object", str(value)) for key, value in fields if key == "id" and value)


def _ids(value: Any) -> Iterable[Any]:
    each_of = value if isinstance(value, list) and not isinstance(value, Pairs) else [value]
    return [each for each in each_of if isinstance(each, str | int) and not isinstance(each, bool)]


def _held(value: Any, reader: Reader) -> Iterator[Named]:
    if isinstance(value, Pairs | dict):
        yield from (("object", str(id)) for key, id in reader.fields(value) if key == "id" and id)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and not isinstance(value, Pairs):
        for each in value:
            yield from _texts(each)
