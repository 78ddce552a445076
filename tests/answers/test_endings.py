from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from openai_gateway_asgi.answers.endings import FINAL_EVENTS, Course, State, choices_asked, decoded
from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.http.sse import events_in, next_event
from openai_gateway_asgi.testing.answers import DONE, chat_events, responses_events, sse

CHAT = "createChatCompletion"
DELTA = sse({"choices": [{"delta": {"content": "x"}, "finish_reason": None}]})
FINISH = sse({"choices": [{"delta": {}, "finish_reason": "stop"}]})
USAGE = sse({"choices": [], "usage": {"total_tokens": 3}})
OPEN, FINISHED, WHOLE, FAILED = State


def course(operation: str, events: bytes, choices: int = 1) -> Course:
    course = Course(operation, choices)
    course.take_all(events)
    return course


def delta(text: str) -> bytes:
    return sse({"choices": [{"delta": {"content": text}, "finish_reason": None}]})


def choice(index: int, finish_reason: Any = None) -> bytes:
    return sse({"choices": [{"index": index, "delta": {}, "finish_reason": finish_reason}]})


@pytest.mark.parametrize(
    ("operation", "events", "state"),
    [
        (CHAT, FINISH + DONE, WHOLE),
        (CHAT, DELTA + DONE, WHOLE),
        (CHAT, b"data:[DONE]\r\n\r\n", WHOLE),
        (CHAT, b"data: [DONE]", WHOLE),
        (CHAT, FINISH, FINISHED),
        (CHAT, FINISH + USAGE, FINISHED),
        (CHAT, b'data: {"choices":[{"finish_reason" : "length"}]}\n\n', FINISHED),
        (CHAT, choice(0) + choice(0, "stop") + choice(0), FINISHED),
        (CHAT, choice(0, "stop") + choice(1), OPEN),
        (CHAT, choice(1) + choice(0, "stop"), OPEN),
        (CHAT, choice(1) + choice(0, "stop") + DONE, WHOLE),
        (CHAT, choice(0, ""), OPEN),
        (CHAT, choice(0, "null"), OPEN),
        (CHAT, choice(0, 3), OPEN),
        (CHAT, choice(0, "None"), OPEN),
        (CHAT, choice(0, "error"), FAILED),
        (CHAT, choice(0, "insufficient_system_resource"), FAILED),
        (CHAT, choice(0, "network_error"), FAILED),
        (CHAT, choice(0, "abort"), FAILED),
        (CHAT, sse({"choices": [{"delta": {}, "finish_reason": "stop", "error": {"code": 502}}]}), FAILED),
        (CHAT, DELTA, OPEN),
        (CHAT, USAGE, OPEN),
        (CHAT, b"", OPEN),
        (CHAT, b": ping\n\n", OPEN),
        (CHAT, b"data: {oops\n\n" + FINISH, FINISHED),
        (CHAT, sse({"choices": None}), OPEN),
        (CHAT, sse({"choices": [None, {"finish_reason": "stop"}]}), FINISHED),
        (CHAT, delta('"finish_reason": "stop"'), OPEN),
        (CHAT, delta("\ndata: [DONE]\n"), OPEN),
        (CHAT, delta('"error": {"a": 1}') + FINISH, FINISHED),
        (CHAT, sse({"error": {"message": "No."}}), FAILED),
        (CHAT, sse({"choices": [{"finish_reason": "error"}], "error": {"code": 502}}) + DONE, FAILED),
        (CHAT, sse({"error": None, "choices": [{"finish_reason": "stop"}]}), FINISHED),
        (CHAT, sse({"choices": [{"finish_reason": "stop", "content_filter_results": {"error": {"code": "x"}}}]}), FINISHED),
        (CHAT, b'data: {"error": not JSON\n\n' + FINISH, FINISHED),
        (CHAT, b'error: {"code":500,"message":"x"}\n\n' + DONE, FAILED),
        (CHAT, b"event: error\ndata: x\n\n", FAILED),
        (CHAT, sse({"type": "error", "message": "x"}), FAILED),
        (CHAT, sse({"object": "error", "message": "x", "code": 500}), FAILED),
        ("createCompletion", sse({"choices": [{"text": "x", "finish_reason": None}]}), OPEN),
        ("createCompletion", sse({"choices": [{"text": "", "finish_reason": "stop"}]}), FINISHED),
        ("createResponse", b"".join(responses_events({})), WHOLE),
        ("createResponse", b"".join(responses_events({})[:-1]), OPEN),
        ("createResponse", b"".join(responses_events({})[:-1]) + DONE, FAILED),
        ("createResponse", b"".join(responses_events({})) + DONE, WHOLE),
        ("createImage", sse({"type": "image_generation.partial_image", "b64_json": "AA"}) + DONE, FAILED),
        ("createResponse", sse({"type": "response.output_text.delta", "delta": 'response.completed "type":"response.completed"'}), OPEN),
        ("createResponse", sse({"type": "response.incomplete", "response": {}}), WHOLE),
        ("createResponse", sse({"response": {}}, "response.completed"), WHOLE),
        ("createResponse", sse({"type": "response.failed", "response": {"error": {"code": "server_error"}}}), FAILED),
        ("createResponse", sse({"type": "error", "code": "server_error", "message": "No."}), FAILED),
        ("createResponse", b"event: error\ndata: {}\n\n", FAILED),
        ("getResponse", b"".join(responses_events({})), WHOLE),
        ("createImage", sse({"type": "image_generation.completed", "b64_json": "AA"}), WHOLE),
        ("createImage", sse({"type": "image_generation.partial_image", "b64_json": "AA"}), OPEN),
        ("createTranscription", sse({"type": "transcript.text.done", "text": "x"}), WHOLE),
        ("createSpeech", sse({"type": "speech.audio.done"}), WHOLE),
        ("createRun", sse({"id": "run"}, "thread.run.completed"), OPEN),
        ("createRun", sse("[DONE]", "done"), WHOLE),
        ("createEmbedding", b"data: {}\n\n", OPEN),
    ],
)  # fmt: skip
def test_a_stream_is_over_as_soon_as_it_has_said_so(operation: str, events: bytes, state: State) -> None:
    assert course(operation, events).state is state


@pytest.mark.parametrize(
    ("operation", "events", "whole"),
    [
        (CHAT, FINISH, True),
        (CHAT, DELTA, False),
        ("createResponse", b"".join(responses_events({})[:-1]), False),
        ("createRun", sse({"id": "run"}, "thread.run.completed"), False),
        ("createImage", sse({"type": "image_generation.partial_image"}), False),
        ("createEmbedding", b"data: {}\n\n", True),
    ],
)
def test_one_that_merely_stops_is_whole_only_where_nothing_says_the_end(
    operation: str, events: bytes, whole: bool
) -> None:
    assert course(operation, events).may_end is whole


@pytest.mark.parametrize(
    ("choices", "finished", "state"),
    [(2, (0,), OPEN), (2, (0, 1), FINISHED), (2, (0, 0), OPEN), (3, (2, 0, 1), FINISHED), (1, (0,), FINISHED)],
)
def test_all_the_choices_that_were_asked_for_must_have_finished(
    choices: int, finished: tuple[int, ...], state: State
) -> None:
    events = b"".join(choice(index, "stop") for index in finished)
    assert course(CHAT, events, choices).state is state


def test_each_image_has_its_own_final_event() -> None:
    final = sse({"type": "image_generation.completed", "b64_json": "AA"})
    assert course("createImage", final, 2).state is OPEN
    assert course("createImage", final + final, 2).state is WHOLE


@pytest.mark.parametrize(
    ("operation", "body", "choices"),
    [
        (CHAT, {}, 1),
        (CHAT, {"n": 3}, 3),
        (CHAT, {"n": None}, 1),
        (CHAT, {"n": 0}, 1),
        (CHAT, {"n": "2"}, 1),
        (CHAT, {"prompt": ["a", "b"]}, 1),
        ("createCompletion", {"prompt": "a", "n": 2}, 2),
        ("createCompletion", {"prompt": ["a", "b"], "n": 2}, 4),
        ("createCompletion", {"prompt": [1, 2, 3]}, 1),
        ("createCompletion", {"prompt": [[1, 2], [3]]}, 2),
        ("createCompletion", {"prompt": []}, 1),
        ("createImage", {"n": 2}, 2),
    ],
)
def test_how_many_a_body_asks_for(operation: str, body: Any, choices: int) -> None:
    assert choices_asked(operation, Payload.parse(json.dumps(body).encode())) == choices


def test_a_stream_that_stops_anywhere_before_its_end_has_been_cut() -> None:
    events = chat_events({"model": "m"})
    finished = next(n for n, event in enumerate(events) if b'"finish_reason": "stop"' in event)
    assert not any(course(CHAT, b"".join(events[:n])).may_end for n in range(finished + 1))


@pytest.mark.parametrize(("operation", "final"), [(o, f) for o, finals in FINAL_EVENTS.items() for f in finals])
def test_nothing_that_a_model_writes_ends_a_stream(operation: str, final: str) -> None:
    written = json.dumps({"type": final})
    for text in (final, written, f"\n\ndata: {written}\n\n", "event: error\n", "error: x", "data: [DONE]"):
        event = sse({"type": "some.delta", "delta": text})
        assert course(operation, event).state is OPEN, text
        assert not course(operation, event).may_end


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (sse({"error": {"message": "No."}}), True),
        (sse({"error": "No."}, "error"), True),
        (sse({"type": "response.failed", "response": {"error": {"code": "server_error"}}}), True),
        (sse({"type": "error", "message": "No."}), False),
        (sse({"object": "error", "message": "No."}), False),
        (sse({"message": "No."}, "error"), False),
        (b"event: error\ndata: No.\n\n", False),
        (b"error: No.\n\n", False),
    ],
)
def test_official_clients_raise_on_errors_under_their_own_key_alone(event: bytes, shown: bool) -> None:
    assert course("createResponse", event).shown is shown


# What is told by a search. It may find too much, never too little.

WITHOUT_SPACES = [
    json.dumps(json.loads(event[6:]), separators=(",", ":")) for event in chat_events({"model": "m"})[:-1]
]


@pytest.mark.parametrize(
    ("operation", "events"),
    [
        (CHAT, chat_events({"model": "m", "stream_options": {"include_usage": True}})),
        (CHAT, [*(sse(text) for text in WITHOUT_SPACES), DONE]),
        (CHAT, [*(sse(text) + b": comment\n\n" for text in WITHOUT_SPACES), DONE + b": ping\n\n"]),
        (CHAT, [*(sse(text).replace(b"\n", b"\r\n") for text in WITHOUT_SPACES), DONE.replace(b"\n", b"\r\n")]),
        (CHAT, [DELTA, b"error: {}\n\n"]),
        (CHAT, [DELTA, sse({"message": "No.", "code": 500}, "error")]),
        (CHAT, [DELTA, sse({"choices": [{"finish_reason": "error"}]})]),
        ("createResponse", responses_events({"model": "m"})),
        ("createResponse", [*responses_events({})[:-1], sse({"type": "response.failed", "response": {}})]),
        ("createResponse", [*responses_events({})[:-1], sse({"type": "error"})]),
        ("createImage", [sse({"type": "image_generation.partial_image"}), sse({"type": "image_generation.completed"})]),
        ("createTranscription", [sse({"type": "transcript.text.delta"}), sse({"type": "transcript.text.done"})]),
    ],
)
@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_a_search_finds_all_that_changes_anything(operation: str, events: list[bytes], at_once: int) -> None:
    searched, shown = Course(operation), Course(operation)
    for number in range(0, len(events), at_once):
        read = b"".join(events[number : number + at_once])
        if number:  # the first events are looked at one by one
            start, ahead = 0, dict[bytes, int]()
            while (start := searched.next_notable(read, start, ahead)) >= 0 and (
                found := list(events_in(read[start:]))
            ):
                assert searched.notable(read)
                searched.take(found[0], decoded(found[0].data))
                start += found[0].end
        else:
            searched.take_all(read)
            searched.learn(read)
        shown.take_all(read)
        assert searched.state is shown.state


@pytest.mark.parametrize("text", ["plain", "[DONE] or error", "error"])
def test_however_many_events_a_read_holds_none_is_looked_through_twice(text: str) -> None:
    looked = 0

    class Counting(bytes):
        def find(self, sign: Any, start: Any = 0, end: Any = None) -> int:  # type: ignore[override]
            nonlocal looked
            end = len(self) if end is None else end
            at = super().find(sign, start, end)
            looked += (end if at < 0 else at + len(sign)) - start
            return at

        def rfind(self, sign: Any, start: Any = 0, end: Any = None) -> int:  # type: ignore[override]
            nonlocal looked
            end = len(self) if end is None else end
            at = super().rfind(sign, start, end)
            looked += end - (start if at < 0 else at)
            return at

    course = Course(CHAT)
    read = Counting(b"".join(delta(text) for _ in range(300)))
    start, ahead = 0, dict[bytes, int]()
    while (start := course.next_notable(read, start, ahead)) >= 0 and (event := next_event(read, start)) is not None:
        start = event.end
    assert looked <= 8 * len(read)  # each of three signs twice at most, and each event


def test_most_events_of_a_chat_are_told_by_how_they_end() -> None:
    events = chat_events({"model": "m"})
    course = Course(CHAT)
    course.learn(events[1])
    told = [event.endswith(course.usual) for event in events]
    assert told == [True] * (len(events) - 2) + [False, False]


def test_with_several_choices_each_event_is_looked_at() -> None:
    course = Course(CHAT, 2)
    course.learn(DELTA)
    assert not DELTA.endswith(course.usual)
    assert course.notable(DELTA)


CHUNK = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": null}]}\n\n'
COUNTED = b'data: {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}\n\n'
TOLD_FLAT = b'data: {"detail": "Out of memory"}\n\n'


@pytest.mark.parametrize(
    ("before", "state"),
    [
        (CHUNK, State.WHOLE),
        (CHUNK * 40, State.WHOLE),
        (CHUNK + COUNTED, State.WHOLE),
        (TOLD_FLAT, State.FAILED),
        (CHUNK * 3 + TOLD_FLAT, State.FAILED),
        (CHUNK * 3 + TOLD_FLAT + COUNTED, State.FAILED),
    ],
)
@pytest.mark.parametrize("pieces", [1, 3])
def test_done_without_a_finish_is_doubted_by_what_stands_right_before_it(
    before: bytes, state: State, pieces: int
) -> None:
    course = Course("createChatCompletion")
    assert course.take_all(b"data: [DONE]\n\n") is State.WHOLE  # the others were not notable
    assert course.is_doubtful
    cuts = [len(before) * number // pieces for number in range(pieces + 1)]
    course.doubt([before[begin:end] for begin, end in itertools.pairwise(cuts)])
    assert course.state is state
