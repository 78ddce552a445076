"""The input items of a Responses call as chat messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..bodies.outline import Fields
from .fields import given, invalid, is_text, missing, raw, read, read_list, unsupported

WITHOUT_A_PLACE = ("web_search_call",)
"""Items that say nothing which the message behind them does not say."""
INSTRUCTING = ("system", "developer")


@dataclass(slots=True)
class Turn:
    """What the assistant said and called in one go: one message, however many items it came in."""

    texts: list[Any] = field(default_factory=list)
    refusals: list[Any] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.texts or self.refusals or self.calls or self.thoughts)

    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": _joined(self.texts)}
        if self.refusals:
            message["refusal"] = "".join(self.refusals)
        if self.thoughts:
            message["reasoning_content"] = "\n\n".join(self.thoughts)
        if self.calls:
            message["tool_calls"] = self.calls
        return message


class Assembly:
    """Messages in the making. A message between a call and its output joins the turn that called, because a chat's tool
    messages must follow their calls at once."""

    def __init__(self, instructing: str | None, *, custom_tools: bool, images_in_tools: bool) -> None:
        self.messages: list[dict[str, Any]] = []
        self.places: list[str] = []
        """Where in the client's body stands what each message begins with."""
        self.at = ""
        """The item at hand."""
        self.custom_tools = custom_tools
        self.images_in_tools = images_in_tools
        self._instructing = instructing
        self._turn = Turn()
        self._turn_at = -1
        self._open: set[str] = set()
        self._called: set[str] = set()

    def say(self, role: str, content: Any) -> None:
        self._close()
        role = (self._instructing or role) if role in INSTRUCTING else role
        self._append({"role": role, "content": content})

    def turn(self) -> Turn:
        """The assistant's turn that goes on, or a new one."""
        if self._turn_at < 0:
            self._turn = Turn()
            self._turn_at = len(self.messages)
            self._append({})
        return self._turn

    def call(self, id: str, call: dict[str, Any]) -> None:
        if self._turn_at >= 0 and self._turn_at < len(self.messages) - 1 and not self._open:
            self._close()
        self.turn().calls.append(call)
        self._open.add(id)
        self._called.add(id)

    def output(self, id: str, content: Any, at: str) -> None:
        if id not in self._called:
            raise invalid(at, "answers no call that stands before it")
        if id not in self._open:
            raise invalid(at, "answers a call that has its output already")
        self._open.discard(id)
        self._append({"role": "tool", "tool_call_id": id, "content": content})

    def spoken(self) -> Turn:
        """The turn that an assistant's text belongs to: after its calls were all answered it is a new one."""
        if self._turn_at >= 0 and self._turn_at < len(self.messages) - 1 and not self._open:
            self._close()
        return self.turn()

    def finish(self) -> None:
        self._close()

    def _append(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        self.places.append(self.at)

    def _close(self) -> None:
        if self._turn_at >= 0:
            if self._turn:
                self.messages[self._turn_at] = self._turn.message()
            else:
                del self.messages[self._turn_at], self.places[self._turn_at]
            self._turn_at = -1


def messages_of(fields: Fields, developer: bool, custom_tools: bool, images_in_tools: bool) -> Assembly:
    """All messages, and where they come from. Raises ``InvalidRequest`` for what no message can say."""
    assembly = Assembly(None if developer else "system", custom_tools=custom_tools, images_in_tools=images_in_tools)
    instructions = given(fields, "instructions")
    if instructions is not None:
        assembly.at = "instructions"
        assembly.say("system", read(fields, "instructions", str))
    given_input = given(fields, "input")
    if given_input is not None and is_text(given_input):
        assembly.at = "input"
        assembly.say("user", given_input)
    else:
        for index, item in enumerate(read_list(fields, "input")):
            assembly.at = f"input[{index}]"
            _take(assembly, item, assembly.at)
    assembly.finish()
    if not assembly.messages:
        raise missing("input")
    return assembly


def _take(assembly: Assembly, item: Fields, at: str) -> None:
    kind = read(item, "type", str, f"{at}.") or "message"
    match kind:
        case "message":
            _take_message(assembly, item, at)
        case "reasoning":
            assembly.spoken().thoughts += _thoughts(item, at)
        case "function_call" | "custom_tool_call":
            id = read(item, "call_id", str, f"{at}.")
            if not id:
                raise missing(f"{at}.call_id")
            assembly.call(id, _call(kind, id, item, assembly.custom_tools, at))
        case "function_call_output" | "custom_tool_call_output":
            id = read(item, "call_id", str, f"{at}.")
            if not id:
                raise missing(f"{at}.call_id")
            content = _output(item, f"{at}.output", images=assembly.images_in_tools)
            assembly.output(id, content, f"{at}.call_id")
        case _ if kind in WITHOUT_A_PLACE:
            return
        case _:
            raise unsupported(f"{at}.type", f"a chat knows no item of the type {kind!r}")


def _take_message(assembly: Assembly, item: Fields, at: str) -> None:
    role = read(item, "role", str, f"{at}.")
    if given(item, "content") is None:
        raise missing(f"{at}.content")
    if role == "assistant":
        turn = assembly.spoken()
        for part in _parts(item, f"{at}.content"):
            if part.get("type") == "refusal":
                turn.refusals.append(part["refusal"])
            else:
                turn.texts.append(part["text"])
    elif role in ("user", *INSTRUCTING):
        content = item["content"]
        plain = is_text(content)
        assembly.say(role, content if plain else _simplest(_parts(item, f"{at}.content")))
    else:
        raise unsupported(f"{at}.role", "a chat knows no such role")


def _parts(item: Fields, at: str) -> list[dict[str, Any]]:
    content = item["content"]
    if is_text(content):
        return [{"type": "text", "text": read(item, "content", str, at)}]
    parts: list[Fields] = read_list({"": content}, "", at)
    return [_part(part, f"{at}[{index}]") for index, part in enumerate(parts)]


def _part(part: Fields, at: str) -> dict[str, Any]:
    match read(part, "type", str, f"{at}."):
        case "input_text" | "output_text" | "text":
            kept = {n: v for n, v in part.items() if n not in ("type", "text", "annotations", "logprobs")}
            return {"type": "text", "text": read(part, "text", str, f"{at}.") or "", **kept}
        case "refusal":
            return {"type": "refusal", "refusal": read(part, "refusal", str, f"{at}.") or ""}
        case "input_image":
            url = given(part, "image_url")
            if url is None:
                raise unsupported(f"{at}.file_id", "a chat takes an image by its address or its data")
            detail = given(part, "detail")
            return {"type": "image_url", "image_url": {"url": url, **({"detail": detail} if detail else {})}}
        case "input_file":
            if given(part, "file_url") is not None:
                raise unsupported(f"{at}.file_url", "a chat takes a file by its id or its data")
            kept = {name: part[name] for name in ("file_id", "file_data", "filename") if given(part, name) is not None}
            return {"type": "file", "file": kept}
        case kind:
            raise unsupported(f"{at}.type", f"a chat knows no part of the type {kind!r}")


def _simplest(parts: list[dict[str, Any]]) -> Any:
    """Many servers take a text alone where there is nothing but one."""
    return parts[0]["text"] if len(parts) == 1 and set(parts[0]) == {"type", "text"} else parts


def _thoughts(item: Fields, at: str) -> list[str]:
    for name in ("summary", "content"):
        parts: list[Fields] = read_list(item, name, f"{at}.")
        texts = [read(part, "text", str, f"{at}.{name}.") or "" for part in parts]
        if any(texts):
            return texts
    return []


def _call(kind: str, id: str, item: Fields, custom_tools: bool, at: str) -> dict[str, Any]:
    name = item.get("name", raw(""))
    namespace = read(item, "namespace", str, f"{at}.")
    if namespace:
        name = raw(f"{namespace}__{read(item, 'name', str, f'{at}.')}")
    if kind == "function_call":
        return {"id": id, "type": "function", "function": {"name": name, "arguments": item.get("arguments", raw(""))}}
    text = item.get("input", raw(""))
    if custom_tools:
        return {"id": id, "type": "custom", "custom": {"name": name, "input": text}}
    arguments = raw({"input": text})
    return {"id": id, "type": "function", "function": {"name": name, "arguments": bytes(arguments).decode()}}


def _output(item: Fields, at: str, *, images: bool) -> Any:
    output = given(item, "output")
    if output is None:
        raise missing(at)
    if is_text(output):
        return output
    parts = _parts({"content": output}, at)
    for index, part in enumerate(parts):
        if part["type"] != "text" and not images:
            raise unsupported(f"{at}[{index}].type", "a tool message of a chat is text")
    return parts if any(part["type"] != "text" for part in parts) else "".join(part["text"] for part in parts)


def _joined(texts: list[Any]) -> str | None:
    return "".join(texts) if texts else None
