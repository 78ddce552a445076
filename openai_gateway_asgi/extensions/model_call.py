"""What a handler is told of the call that it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from ..bodies.payload import Payload
from ..errors import InvalidRequest
from ..host.users import User

if TYPE_CHECKING:
    from openai import AsyncOpenAI

FRAME = frozenset({"model", "messages", "stream", "stream_options"})
"""Fields of a body that are told otherwise."""


@dataclass(slots=True)
class ModelCall:
    """One call of a model that the host's own code serves."""

    user: User
    model: str
    """The id that the client asked for."""
    messages: Sequence[Any]
    """Of the chat, as mappings."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """All other fields of the body, such as ``temperature`` and ``tools``."""
    operation: str = "createChatCompletion"
    streams: bool = False
    """Whether the client asked for a stream; the handler need not care."""
    request: Request | None = None
    """The host's request, with its session and state; its body has been read."""
    asking: Callable[[], AsyncOpenAI] | None = field(default=None, repr=False)
    """Makes ``ask``."""
    _ask: AsyncOpenAI | None = field(default=None, init=False, repr=False)

    @property
    def ask(self) -> AsyncOpenAI:
        """A client of this gateway's, for calls as the same user: inside this call's place and its one request."""
        if self._ask is None:
            if self.asking is None:
                raise RuntimeError("this ModelCall was made without `asking`; give it a function that makes the client")
            self._ask = self.asking()
        return self._ask


def read_body(payload: Payload) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The messages, and the other fields. Raises ``InvalidRequest`` naming the field that is none of its kind."""
    messages = payload.read("messages", list[dict[str, Any]])
    if messages is None:
        raise InvalidRequest("The field `$.messages` is missing.", param="messages", code="missing_field")
    kind: Any = Any
    parameters = {name: payload.read(name, kind) for name in payload.outline if name not in FRAME}
    return messages, parameters
