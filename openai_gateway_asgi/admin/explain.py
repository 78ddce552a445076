"""What an administrator asks about a request: what would become of it, for them or for another user."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from ..errors import InvalidRequest
from ..hidden import HiddenBytes, HiddenDict
from ..host.users import User
from ..observe.explanation import Explanation

Explain = Callable[[User | str, str, str, dict[str, str], bytes], Awaitable[Explanation]]


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """``body`` is JSON as it is, or a text."""

    path: str
    method: str = "POST"
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: msgspec.Raw = msgspec.Raw(b"null")
    user: str | None = None

    def __repr__(self) -> str:
        return f"<a question about {self.method}>"


def question_of(body: bytes) -> Question:
    """Raises ``InvalidRequest`` naming the field."""
    try:
        return msgspec.json.decode(body, type=Question)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        told = str(error) if isinstance(error, msgspec.ValidationError) else "the body is not valid JSON"
    raise InvalidRequest(
        f"Send `path`, and where they are needed `method`, `headers`, `body` and `user`: {told}.", code="invalid_json"
    )


def body_of(question: Question) -> bytes:
    raw = bytes(question.body)
    if raw == b"null":
        return b""
    return HiddenBytes(msgspec.json.decode(raw, type=str).encode() if raw.startswith(b'"') else raw)


async def answer(explain: Explain, admin: User, body: bytes) -> bytes:
    """The explanation as JSON, and as ``text``. Raises ``InvalidRequest`` naming the field."""
    question = question_of(body)
    user = admin if question.user in (None, admin.id) else question.user or ""
    headers = HiddenDict(question.headers)
    explanation = await explain(user, question.method, question.path, headers, body_of(question))
    return msgspec.json.encode(explanation.to_data() | {"text": str(explanation)})
