"""One attempt's call in the words of the API that its upstream speaks, and who tells its answer in the client's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Protocol

import msgspec
from msgspec import convert
from msgspec.structs import asdict

from ..api.conversations import CHAT, MATCHES, RESPONSES
from ..api.endpoints import Match
from ..bodies.outline import Fields
from ..bodies.payload import NOTHING, Payload
from ..config import Upstream
from ..http.stages import Stage
from .chat_request import READ as READ_OF_CHAT
from .chat_request import responses_call
from .dialect import Dialect
from .fields import FALSE, NULL, given, read
from .params import chat_param, responses_param
from .response_objects import ECHOED_NAMES, Echoed, Frame
from .responses_request import READ as READ_OF_RESPONSES
from .responses_request import chat_call
from .responses_tools import ChatTools
from .to_chat import ToChat
from .to_responses import ToResponses


class Back(Protocol):
    """What is kept of a call, to tell its answer in the client's words."""

    def stage(self, limit: int, /) -> Stage:
        """Translates the answer. ``limit``: bytes of an answer that it may keep."""
        ...

    def param(self, name: str, /) -> str | None:
        """The client's own name of a field that the upstream complains about."""
        ...


class Translation(msgspec.Struct, gc=False):
    api: str
    """The one that the upstream speaks."""
    match: Match
    """What it is asked for."""
    payload: Payload
    """The body, until it is taken."""
    dropped: tuple[str, ...]
    """What was left out, because the upstream is set so, as ``tools[0] (web_search)``, or because it refuses it."""
    back: Back
    """How what comes back is told."""

    def take(self) -> Payload:
        """The body, once: a stream may be long, and the body large."""
        payload, self.payload = self.payload, NOTHING
        return payload


def to_responses(payload: Payload, upstream: Upstream, public_id: str) -> Translation:
    """Of a chat call. ``public_id`` is what the model is called here.

    Raises ``InvalidRequest`` for what cannot be said in Responses, naming the client's field.
    """
    fields = _readable(payload, READ_OF_CHAT) if payload.texts else payload.outline
    call = responses_call(fields, dropped=upstream.drop_fields)
    include_usage, structured = _wants_usage(fields), _wants_json(fields)
    old = "functions" in fields and given(fields, "functions") is not None and given(fields, "tools") is None
    if old:
        call.body["parallel_tool_calls"] = FALSE  # such an answer has one call
    back = _BackToChat(tuple(fields), call.places, include_usage, structured, public_id, old)
    return Translation(RESPONSES, MATCHES[RESPONSES], Payload(call.body, payload.texts), (), back)


class _BackToChat(msgspec.Struct, gc=False):
    fields: tuple[str, ...]
    places: Sequence[str]
    include_usage: bool
    structured: bool
    model: str
    old: bool

    def stage(self, limit: int) -> Stage:
        return ToChat(
            include_usage=self.include_usage, structured=self.structured, model=self.model, old=self.old, limit=limit
        )

    def param(self, name: str) -> str | None:
        return chat_param(name, self.fields, self.places)


def to_chat(payload: Payload, upstream: Upstream, public_id: str, dialect: Dialect) -> Translation:
    """Of a Responses call; ``dialect`` is the upstream's."""
    fields = _readable(payload, READ_OF_RESPONSES) if payload.texts else payload.outline
    if upstream.drop_fields:
        fields = {name: value for name, value in fields.items() if name not in upstream.drop_fields}
    call = chat_call(fields, dialect)
    hints = sorted(dialect.unknown.intersection(fields)) if dialect.unknown else ()
    for name in hints:
        del call.body[name]
    back = _BackToResponses(tuple(fields), call.places, call.calls, call.tools, _echoed(payload), public_id)
    return Translation(CHAT, MATCHES[CHAT], Payload(call.body, payload.texts), (*call.tools.dropped, *hints), back)


class _BackToResponses(msgspec.Struct, gc=False):
    fields: tuple[str, ...]
    places: Sequence[str]
    calls: Mapping[int, Sequence[str]]
    tools: ChatTools
    echoed: Mapping[str, Any]
    model: str

    def stage(self, limit: int) -> Stage:
        return ToResponses(Frame(self.echoed, self.model), self.tools, limit=limit)

    def param(self, name: str) -> str | None:
        return responses_param(name, self.fields, self.places, self.calls, self.tools.places)


def _wants_usage(fields: Fields) -> bool:
    if "stream_options" not in fields:
        return False
    options: Fields = read(fields, "stream_options", Fields) or {}
    return bool(read(options, "include_usage", bool, "stream_options."))


def _wants_json(fields: Fields) -> bool:
    if "response_format" not in fields:
        return False
    form: Fields = read(fields, "response_format", Fields) or {}
    return read(form, "type", str, "response_format.") in ("json_schema", "json_object")


def _readable(payload: Payload, names: Set[str]) -> Fields:
    """The fields, those of these ``names`` in a form that can be decoded. Raises ``PayloadTooLarge``."""
    return {name: _field(payload, name) if name in names else raw for name, raw in payload.outline.items()}


def _field(payload: Payload, name: str) -> Any:
    return payload.readable(name)


MOST_ECHOED = 256 * 1024
"""Bytes of a field of a large body that a response repeats: a stream does so three times."""


def _echoed(payload: Payload) -> Mapping[str, Any]:
    """What a response repeats of its request."""
    fields = payload.outline
    if payload.texts:
        names = [name for name in ECHOED_NAMES.intersection(fields) if payload.size(name) <= MOST_ECHOED]
        fields = {name: payload.raw(name) or NULL for name in names}
    if NULL in fields.values():
        fields = {name: value for name, value in fields.items() if value != NULL}
    return asdict(convert(fields, Echoed))
