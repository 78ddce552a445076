"""Reading a body's values without decoding what nobody looks at, and refusing what the other API cannot say."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, TypeVar

import msgspec

from ..bodies.outline import Fields
from ..bodies.parts import refuse_many_parts
from ..bodies.payload import decode_field
from ..errors import InvalidRequest, PayloadTooLarge

T = TypeVar("T")
Raw = msgspec.Raw
NULL = Raw(b"null")
TRUE, FALSE = Raw(b"true"), Raw(b"false")
EMPTY = Raw(b'""')

QUOTE = ord('"')

encode = msgspec.json.Encoder().encode


def raw(value: Any) -> Raw:
    """Any value as one that keeps its bytes; ``Raw`` values inside it keep theirs."""
    return Raw(encode(value))


def given(fields: Fields, name: str) -> Raw | None:
    """The field, None where it is missing or null."""
    value = fields.get(name)
    return None if value is None or value == NULL else value


def is_text(value: Raw) -> bool:
    """Whether it is a JSON string; a large one is not copied for that."""
    return memoryview(value)[0] == QUOTE


def text_in(fields: Fields, name: str, at: str = "") -> Raw:
    """A text, with its bytes; an empty one where it is missing or null. A wrong type is a 400 naming ``at.name``."""
    value = fields.get(name, NULL)
    if not is_text(value):
        read(fields, name, str, at)
        return EMPTY
    return value


def joined(texts: Sequence[Raw], between: bytes = b"") -> Raw:
    """Texts as one, with their bytes; ``between`` is as it stands in JSON."""
    if len(texts) == 1:
        return texts[0]
    return Raw(b'"%b"' % between.join([memoryview(text)[1:-1] for text in texts]))


def read(fields: Fields, name: str, kind: type[T] | Hashable, at: str = "") -> Any:
    """The field as ``kind``, None where it is missing or null. A wrong type is a 400 that names ``at.name``.

    Raises ``PayloadTooLarge`` for a field of the body itself that has too many parts; ``at`` is the place of others.
    """
    value = fields.get(name)
    if value is None:
        return None
    if not at:
        refuse_many_parts(name, value)
    return decode_field(f"{at}{name}", value, kind)  # type: ignore[arg-type]


MOST = 4_096
"""Messages, items, parts or tools in one list that is translated; to read more would keep all other calls waiting."""


def read_all(fields: Fields, name: str, kind: type[list[T]], at: str = "") -> list[T] | None:
    """A list, None where it is missing or null. Raises ``PayloadTooLarge`` for more than ``MOST``."""
    found: list[T] | None = read(fields, name, kind, at)
    if found is not None:
        refuse_more(found, f"{at}{name}")
    return found


def refuse_more(found: Sequence[Any], param: str) -> None:
    """Raises ``PayloadTooLarge`` for more than ``MOST``."""
    if len(found) > MOST:
        raise PayloadTooLarge(
            f"`{param}` holds more than can be carried to the API that serves this model.", param=param
        )


def read_list(fields: Fields, name: str, at: str = "") -> list[Fields]:
    """A list of objects, empty where it is missing or null. Raises ``PayloadTooLarge`` for more than ``MOST``."""
    return read_all(fields, name, list[Fields], at) or []


def unsupported(param: str, why: str) -> InvalidRequest:
    """400 ``unsupported_parameter``, as OpenAI answers for a parameter that a model does not take."""
    return InvalidRequest(
        f"`{param}` cannot be carried to the API that serves this model: {why}.",
        param=param,
        code="unsupported_parameter",
    )


def missing(param: str) -> InvalidRequest:
    """400 ``missing_required_parameter``."""
    return InvalidRequest(f"The field `{param}` is missing.", param=param, code="missing_required_parameter")


def invalid(param: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"`{param}` {why}.", param=param, code="invalid_value")


SAME = frozenset(
    """metadata model moderation parallel_tool_calls prompt_cache_key prompt_cache_options prompt_cache_retention
    safety_identifier service_tier stream temperature top_p user""".split()
)
"""Fields with one name and one meaning in both APIs (openai-openapi: CreateChatCompletionRequest, CreateResponse)."""
