"""The fake upstream as most tests use it."""

from __future__ import annotations

from openai_gateway_asgi.testing.answers import (
    Answer,
    bytes_answer,
    error_answer,
    json_answer,
    sse,
    stream_answer,
)
from openai_gateway_asgi.testing.fake_upstream import FakeUpstream as Recorder
from openai_gateway_asgi.testing.fake_upstream import Respond
from openai_gateway_asgi.testing.requests import FakeRequest as Recorded

__all__ = [
    "Answer",
    "Recorded",
    "Recorder",
    "Respond",
    "bytes_answer",
    "error_answer",
    "json_answer",
    "sse",
    "stream_answer",
]
