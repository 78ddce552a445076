"""Chat messages as the input items of a Responses call, in their places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..bodies.outline import Fields
from .fields import NULL, Raw, encode, given, is_text, missing, raw, read, read_list, unsupported

INSTRUCTING = ("system", "developer")


class Item(NamedTuple):
    """An input item, and where in the client's body stands what it says."""

    fields: Fields
    at: str


def items_of(fields: Fields) -> Iterator[Item]:
    """One item or more for each message. Raises ``InvalidRequest`` for what no item can say."""
    if given(fields, "messages") is None:
        raise missing("messages")
    custom_calls: set[str] = set()
    last_call = ""
    for index, message in enumerate(read_list(fields, "messages")):
        at = f"messages[{index}]"
        role = read(message, "role", str, f"{at}.")
        if role in ("user", *INSTRUCTING):
            content = message.get("content")
            yield Item(_message(role, _parts(content, f"{at}.content", "input_text")), at)
        elif role == "assistant":
            for item in _assistant(message, at):
                last_call = _text(item.fields.get("call_id")) or last_call
                if _text(item.fields.get("type")) == "custom_tool_call":
                    custom_calls.add(last_call)
                yield item
        elif role == "tool":
            id = read(message, "tool_call_id", str, f"{at}.")
            if id is None:
                raise missing(f"{at}.tool_call_id")
            kind = "custom_tool_call_output" if id in custom_calls else "function_call_output"
            output = _output(message.get("content"), f"{at}.content")
            yield Item({"type": raw(kind), "call_id": raw(id), "output": output}, at)
        elif role == "function":
            output = _output(message.get("content"), f"{at}.content")
            yield Item({"type": raw("function_call_output"), "call_id": raw(last_call), "output": output}, at)
        else:
            raise unsupported(f"{at}.role", "Responses knows no such role")


def _message(role: str, parts: Raw) -> Fields:
    return {"type": raw("message"), "role": raw(role), "content": parts}


def _assistant(message: Fields, at: str) -> Iterator[Item]:
    if given(message, "audio") is not None:
        raise unsupported(f"{at}.audio", "Responses cannot go on from a spoken answer")
    content = message.get("content")
    parts: list[Any] = []
    if given(message, "content") is not None:
        parts += _decoded_parts(content, f"{at}.content", "output_text")
    refusal = given(message, "refusal")
    if refusal is not None:
        parts.append({"type": "refusal", "refusal": refusal})
    if [part for part in parts if part.get("text") != Raw(b'""')]:
        yield Item(_message("assistant", raw(parts)), at)
    for number, call in enumerate(read_list(message, "tool_calls", f"{at}.")):
        place = f"{at}.tool_calls[{number}]"
        yield Item(_call(call, place), place)
    old: Fields | None = read(message, "function_call", Fields, f"{at}.")
    if old is not None:
        call = {"type": raw("function_call"), "call_id": raw(f"call_{at[9:-1]}"), **old}
        yield Item(call, f"{at}.function_call")


def _call(call: Fields, at: str) -> Fields:
    id = given(call, "id")
    if id is None:
        raise missing(f"{at}.id")
    if read(call, "type", str, f"{at}.") == "custom":
        custom: Fields = read(call, "custom", Fields, f"{at}.") or {}
        return {"type": raw("custom_tool_call"), "call_id": id, **custom}
    function: Fields = read(call, "function", Fields, f"{at}.") or {}
    return {"type": raw("function_call"), "call_id": id, **function}


def _parts(content: Raw | None, at: str, text: str) -> Raw:
    return raw(_decoded_parts(content, at, text))


def _decoded_parts(content: Raw | None, at: str, text: str) -> list[dict[str, Any]]:
    """A text is one part; texts keep their bytes."""
    if content is None or content == NULL:
        raise missing(at)
    if is_text(content):
        return [{"type": text, "text": content}]
    parts: list[Fields] = read_list({"": content}, "", at)
    return [_part(part, f"{at}[{index}]", text) for index, part in enumerate(parts)]


def _part(part: Fields, at: str, text: str) -> dict[str, Any]:
    kind = read(part, "type", str, f"{at}.")
    rest = {name: value for name, value in part.items() if name not in ("type", "text", "image_url", "file")}
    match kind:
        case "text":
            return {"type": text, "text": part.get("text", Raw(b'""')), **rest}
        case "refusal":
            return {"type": "refusal", **rest}
        case "image_url":
            image: Fields = read(part, "image_url", Fields, f"{at}.") or {}
            if given(image, "url") is None:
                raise missing(f"{at}.image_url.url")
            detail = given(image, "detail") or raw("auto")
            return {"type": "input_image", "image_url": image["url"], "detail": detail, **rest}
        case "file":
            file: Fields = read(part, "file", Fields, f"{at}.") or {}
            return {"type": "input_file", **file, **rest}
        case _:
            raise unsupported(f"{at}.type", f"Responses has no input of the type {kind!r}")


def _output(content: Raw | None, at: str) -> Raw:
    """What a tool gave back; it is required, even when it is nothing."""
    if content is None or content == NULL:
        return raw("")
    return content if is_text(content) else Raw(encode(_decoded_parts(content, at, "input_text")))


def _text(value: Raw | None) -> str:
    return "" if value is None else read({"": value}, "", str) or ""
