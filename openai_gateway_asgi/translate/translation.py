"""One attempt's call in the words of the API that its upstream speaks, and who tells its answer in the client's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

import msgspec

from ..api.conversations import CHAT, MATCHES
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
from .response_objects import ECHOED_NAMES, Frame
from .responses_request import READ as READ_OF_RESPONSES
from .responses_request import chat_call
from .to_chat import ToChat
from .to_responses import ToResponses


class Translation(msgspec.Struct, gc=False):
    api: str
    """The one that the upstream speaks."""
    match: Match
    """What it is asked for."""
    payload: Payload
    """The body, until it is taken."""
    dropped: tuple[str, ...]
    """What was left out, because the upstream is set so, as ``tools[0] (web_search)``."""
    stage: Callable[[int], Stage]
    """Makes the stage that translates the answer; takes how many bytes of an answer it may keep."""
    param: Callable[[str], str | None]
    """The client's own name of a field that the upstream complains about."""

    def take(self) -> Payload:
        """The body, once: a stream may be long, and the body large."""
        payload, self.payload = self.payload, NOTHING
        return payload


def translation(
    api: str, payload: Payload, upstream: Upstream, *, public_id: str, dialect: Dialect | None = None
) -> Translation:
    """Of a call that is to be said in ``api``. ``public_id`` is what the model is called here, ``dialect`` the
    upstream's, where it is known.

    Raises ``InvalidRequest`` for what cannot be said there, naming the client's field.
    """
    if api == CHAT:
        return _to_chat(payload, upstream, dialect or Dialect.of(upstream), public_id)
    return _to_responses(payload, upstream, public_id)


def _to_responses(payload: Payload, upstream: Upstream, public_id: str) -> Translation:
    fields = _readable(payload, READ_OF_CHAT) if payload.texts else payload.outline
    call = responses_call(fields, dropped=upstream.drop_fields)
    include_usage, structured = _wants_usage(fields), _wants_json(fields)
    old = "functions" in fields and given(fields, "functions") is not None and given(fields, "tools") is None
    if old:
        call.body["parallel_tool_calls"] = FALSE  # such an answer has one call
    names, places = tuple(fields), call.places
    return Translation(
        "responses",
        MATCHES["responses"],
        Payload(call.body, payload.texts),
        (),
        lambda limit: ToChat(include_usage=include_usage, structured=structured, model=public_id, old=old, limit=limit),
        lambda param: chat_param(param, names, places),
    )


def _to_chat(payload: Payload, upstream: Upstream, dialect: Dialect, public_id: str) -> Translation:
    fields = _readable(payload, READ_OF_RESPONSES) if payload.texts else payload.outline
    if upstream.drop_fields:
        fields = {name: value for name, value in fields.items() if name not in upstream.drop_fields}
    call = chat_call(fields, dialect)
    echoed = _echoed(payload)
    names, places, calls, tools = tuple(fields), call.places, call.calls, call.tools
    return Translation(
        "chat",
        MATCHES["chat"],
        Payload(call.body, payload.texts),
        tuple(tools.dropped),
        lambda limit: ToResponses(Frame(echoed, public_id), tools, limit=limit),
        lambda param: responses_param(param, names, places, calls, tools.places),
    )


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
    return {name: fields[name] for name in ECHOED_NAMES.intersection(fields) if fields[name] != NULL}
