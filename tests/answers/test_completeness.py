from __future__ import annotations

import json

import pytest

from openai_gateway_asgi.answers.completeness import FINAL_EVENTS, Ending, ending
from tests.support.answers import DONE, chat_events, responses_events, sse

CHAT = "createChatCompletion"
FINISH = sse({"choices": [{"delta": {}, "finish_reason": "stop"}]})
DELTA = sse({"choices": [{"delta": {"content": "x"}, "finish_reason": None}]})
USAGE = sse({"choices": [], "usage": {"total_tokens": 3}})


def delta(text: str) -> bytes:
    return sse({"choices": [{"delta": {"content": text}, "finish_reason": None}]})


def choice(index: int, finish_reason: str | None = None) -> bytes:
    return sse({"choices": [{"index": index, "delta": {}, "finish_reason": finish_reason}]})


@pytest.mark.parametrize(
    ("operation", "tail", "how"),
    [
        (CHAT, FINISH + DONE, Ending.COMPLETE),
        (CHAT, DONE, Ending.COMPLETE),
        (CHAT, b"data:[DONE]\r\n\r\n", Ending.COMPLETE),
        (CHAT, b"data: [DONE]", Ending.COMPLETE),
        (CHAT, FINISH, Ending.WITHOUT_DONE),
        (CHAT, FINISH + USAGE, Ending.WITHOUT_DONE),
        (CHAT, b'data: {"choices":[{"finish_reason" : "length"}]}\n\n', Ending.WITHOUT_DONE),
        (CHAT, choice(0, "stop") + choice(1, "stop"), Ending.WITHOUT_DONE),
        (CHAT, choice(0, "stop") + choice(1), Ending.CUT),
        (CHAT, choice(1) + choice(0, "stop"), Ending.CUT),
        (CHAT, choice(1) + choice(0, "stop") + DONE, Ending.COMPLETE),
        (CHAT, choice(0) + choice(0, "stop") + choice(0), Ending.WITHOUT_DONE),
        (CHAT, choice(0) + FINISH, Ending.WITHOUT_DONE),
        (CHAT, DELTA, Ending.CUT),
        (CHAT, USAGE, Ending.CUT),
        (CHAT, b"", Ending.CUT),
        (CHAT, b": ping\n\n", Ending.CUT),
        (CHAT, delta('"finish_reason": "stop"'), Ending.CUT),
        (CHAT, delta("\ndata: [DONE]\n"), Ending.CUT),
        (CHAT, delta('"error": {"a": 1}') + FINISH, Ending.WITHOUT_DONE),
        (CHAT, sse({"error": {"message": "No."}}), Ending.ERROR),
        (CHAT, sse({"id": "1", "choices": [{"finish_reason": "error"}], "error": {"code": 502}}) + DONE, Ending.ERROR),
        (CHAT, sse({"id": "1", "error": None, "choices": [{"finish_reason": "stop"}]}), Ending.WITHOUT_DONE),
        (CHAT, sse({"choices": [{"finish_reason": "stop", "content_filter_results": {"error": {"code": "x"}}}]}), Ending.WITHOUT_DONE),
        (CHAT, b'data: {"error": not JSON\n\n' + FINISH, Ending.WITHOUT_DONE),
        ("createCompletion", DELTA, Ending.CUT),
        ("createResponse", b"".join(responses_events({})), Ending.COMPLETE),
        ("createResponse", b"".join(responses_events({})[:-1]), Ending.CUT),
        ("createResponse", sse({"type": "response.output_text.delta", "delta": 'response.completed "type":"response.completed"'}), Ending.CUT),
        ("createResponse", sse({"type": "response.incomplete", "response": {}}), Ending.COMPLETE),
        ("createResponse", sse({"type": "response.failed", "response": {"error": {"code": "server_error"}}}), Ending.ERROR),
        ("createResponse", sse({"type": "error", "code": "server_error", "message": "No."}), Ending.ERROR),
        ("createResponse", b"event: error\ndata: {}\n\n", Ending.ERROR),
        ("createImage", sse({"type": "image_generation.completed", "b64_json": "AA"}), Ending.COMPLETE),
        ("createImage", sse({"type": "image_generation.partial_image", "b64_json": "AA"}), Ending.CUT),
        ("createEmbedding", b"data: {}\n\n", Ending.COMPLETE),
    ],
)  # fmt: skip
def test_a_stream_is_complete_only_if_it_says_so(operation: str, tail: bytes, how: Ending) -> None:
    assert ending(operation, tail) is how


def test_a_stream_that_stops_anywhere_before_its_end_has_been_cut() -> None:
    events = chat_events({"model": "m"})
    finished = next(n for n, event in enumerate(events) if b'"finish_reason": "stop"' in event)
    assert {ending(CHAT, b"".join(events[:n])) for n in range(finished + 1)} == {Ending.CUT}


@pytest.mark.parametrize(("operation", "final"), [(o, f) for o, finals in FINAL_EVENTS.items() for f in finals])
def test_nothing_that_a_model_writes_ends_a_stream(operation: str, final: str) -> None:
    written = json.dumps({"type": final})
    for text in (final, written, f"\n\ndata: {written}\n\n", "event: error\n", "data: [DONE]"):
        event = sse({"type": "some.delta", "delta": text})
        assert ending(operation, event) is Ending.CUT, text
