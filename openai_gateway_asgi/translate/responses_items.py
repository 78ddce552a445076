"""The input items of a Responses call as chat messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ..bodies.outline import Fields
from ..bodies.payload import decode_field
from .dialect import Dialect
from .fields import (
    EMPTY,
    NULL,
    Raw,
    encode,
    invalid,
    is_text,
    joined,
    missing,
    read_all,
    read_list,
    text_in,
    unsupported,
)
from .responses_parts import output_of, parts_of, simplest_of

WITHOUT_A_PLACE = ("web_search_call",)
"""Items that say nothing which the message behind them does not say."""
SPEAKING = ("user", "system", "developer")
A_MESSAGE = (None, "message")
OUTPUTS = ("function_call_output", "custom_tool_call_output")


class InputItem(msgspec.Struct, gc=False):
    """What is read of an input item; of a message that says no type the type is meant."""

    type: str | None = None
    role: str | None = None
    content: Raw = NULL
    summary: Raw = NULL
    call_id: str | None = None
    namespace: str | None = None
    name: Raw = EMPTY
    arguments: Raw = EMPTY
    input: Raw = EMPTY
    output: Raw = NULL
    extra_content: Raw = NULL


class Turn(msgspec.Struct):
    """What the assistant said and called in one go: one message, however many items it came in."""

    texts: list[Raw] = []
    refusals: list[Raw] = []
    calls: list[dict[str, Any]] = []
    thoughts: list[Raw] = []

    def __bool__(self) -> bool:
        """Whether there is something to say: a thought alone is none, and many servers refuse a message without."""
        return bool(self.texts or self.refusals or self.calls)

    def message(self, *, thoughts: str) -> dict[str, Any]:
        """``thoughts``: what the server calls that which was thought; empty where it may not be told."""
        message: dict[str, Any] = {"role": "assistant", "content": joined(self.texts) if self.texts else None}
        if self.refusals:
            message["refusal"] = joined(self.refusals)
        if self.thoughts and thoughts:
            message[thoughts] = joined(self.thoughts, rb"\n\n")
        if self.calls:
            message["tool_calls"] = self.calls
        return message


class Assembly(msgspec.Struct):
    """Messages in the making. What stands between a call and its output cannot stay there, because a chat's tool
    messages must follow their calls at once: the assistant's own joins the turn that called, the others come behind."""

    dialect: Dialect
    items: Sequence[InputItem]
    at: str = ""
    """Where in the client's body the item at hand stands."""
    messages: list[dict[str, Any]] = []
    places: list[str] = []
    """Where in the client's body stands what each message begins with."""
    calls: dict[int, list[str]] = {}
    """By the index of a message, where its calls stand."""
    _turn: Turn | None = None
    _turn_at: int = 0
    _called: dict[str, bool] = {}
    """Ids of calls, and whether they have their output."""
    _awaited: set[str] = set()
    """Those whose outputs are still to come; of a call that was broken off there is none."""
    _behind: list[tuple[str, Any, str]] = []
    _outputs: set[str] | None = None
    """The ids of calls whose outputs are somewhere; looked for with the first call."""

    def say(self, role: str, content: Any, at: str) -> None:
        if role == "developer" and not self.dialect.developer:
            role = "system"
        if self._turn is not None:
            if self._awaited:
                self._behind.append((role, content, at))
                return
            self._close(self._turn)
        self.messages.append({"role": role, "content": content})
        self.places.append(at)

    def call(self, id: str, call: dict[str, Any]) -> None:
        self.spoken().calls.append(call)
        self.calls.setdefault(self._turn_at, []).append(self.at)
        self._called[id] = False
        if self._outputs is None:
            self._outputs = {item.call_id for item in self.items if item.type in OUTPUTS and item.call_id is not None}
        if id in self._outputs:
            self._awaited.add(id)

    def output(self, id: str, content: Any, at: str) -> None:
        if id not in self._called:
            raise invalid(at, "answers no call that stands before it")
        if self._called[id]:
            raise invalid(at, "answers a call that has its output already")
        self._called[id] = True
        self._awaited.discard(id)
        self._append({"role": "tool", "tool_call_id": id, "content": content})
        if not self._awaited:
            behind, self._behind = self._behind, []
            for said in behind:
                self.say(*said)

    def spoken(self) -> Turn:
        """The assistant's turn that goes on, or a new one: after its calls were all answered it is another."""
        turn = self._turn
        if turn is not None and self._turn_at < len(self.messages) - 1 and not self._awaited:
            self._close(turn)
            turn = None
        if turn is None:
            turn = self._turn = Turn()
            self._turn_at = len(self.messages)
            self._append({})
        return turn

    def finish(self) -> None:
        if self._turn is not None:
            self._close(self._turn)

    def _append(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        self.places.append(self.at)

    def _close(self, turn: Turn) -> None:
        if turn:
            self.messages[self._turn_at] = turn.message(thoughts=self.dialect.thoughts)
        else:
            del self.messages[self._turn_at], self.places[self._turn_at]
        self._turn = None


def messages_of(fields: Fields, dialect: Dialect) -> Assembly:
    """All messages, and where they come from. Raises ``InvalidRequest`` for what no message can say."""
    said = fields.get("input", NULL)
    is_one_text = is_text(said)
    items = () if is_one_text else read_all(fields, "input", list[InputItem]) or ()
    assembly = Assembly(dialect, items)
    if "instructions" in fields and fields["instructions"] != NULL:
        assembly.say("system", text_in(fields, "instructions"), "instructions")
    if is_one_text:
        assembly.say("user", said, "input")
    for index, item in enumerate(items):
        if item.role in SPEAKING and item.type in A_MESSAGE and is_text(item.content):
            assembly.say(item.role, item.content, f"input[{index}]")
        else:
            assembly.at = f"input[{index}]"
            _take(assembly, item, dialect)
    assembly.finish()
    if not assembly.messages:
        raise missing("input")
    return assembly


def _take(assembly: Assembly, item: InputItem, dialect: Dialect) -> None:
    kind, at = item.type or "message", assembly.at
    match kind:
        case "message":
            _take_message(assembly, item, at)
        case "reasoning":
            assembly.spoken().thoughts += _thoughts(item, at)
        case "function_call" | "custom_tool_call":
            id = _call_id(item, at)
            assembly.call(id, _call(kind, id, item, dialect, at))
        case _ if kind in OUTPUTS:
            id = _call_id(item, at)
            assembly.output(id, output_of(item.output, f"{at}.output", images=dialect.images_in_tools), f"{at}.call_id")
        case _ if kind in WITHOUT_A_PLACE:
            return
        case "item_reference":
            raise unsupported(f"{at}.type", "nothing is kept there, so send the item itself, as with `store: false`")
        case _:
            raise unsupported(f"{at}.type", f"a chat knows no item of the type {kind!r}")


def _call_id(item: InputItem, at: str) -> str:
    if not item.call_id:
        raise missing(f"{at}.call_id")
    return item.call_id


def _take_message(assembly: Assembly, item: InputItem, at: str) -> None:
    role, content = item.role, item.content
    if content == NULL:
        raise missing(f"{at}.content")
    if role == "assistant":
        turn = assembly.spoken()
        for index, part in enumerate(parts_of(content, f"{at}.content")):
            match part["type"]:
                case "text":
                    turn.texts.append(part["text"])
                case "refusal":
                    turn.refusals.append(part["refusal"])
                case _:
                    raise unsupported(f"{at}.content[{index}].type", "an assistant's message of a chat is text")
    elif role in SPEAKING:
        assembly.say(role, simplest_of(content, f"{at}.content"), at)
    else:
        raise unsupported(f"{at}.role", "a chat knows no such role")


def _thoughts(item: InputItem, at: str) -> list[Raw]:
    for name, said in (("summary", item.summary), ("content", item.content)):
        parts = read_list({name: said}, name, f"{at}.")
        texts = [text_in(part, "text", f"{at}.{name}[{index}].") for index, part in enumerate(parts)]
        if any(text != EMPTY for text in texts):
            return texts
    return []


def _call(kind: str, id: str, item: InputItem, dialect: Dialect, at: str) -> dict[str, Any]:
    call = _named_call(kind, item, dialect.custom_tools, at)
    if item.extra_content != NULL and dialect.signatures:
        call["extra_content"] = item.extra_content
    return {"id": id, **call}


def _named_call(kind: str, item: InputItem, custom_tools: bool, at: str) -> dict[str, Any]:
    name: Any = item.name
    if item.namespace:
        name = f"{item.namespace}__{decode_field(f'{at}.name', item.name, str)}"
    if kind == "function_call":
        return {"type": "function", "function": {"name": name, "arguments": item.arguments}}
    if custom_tools:
        return {"type": "custom", "custom": {"name": name, "input": item.input}}
    arguments = encode({"input": item.input}).decode()
    return {"type": "function", "function": {"name": name, "arguments": arguments}}
