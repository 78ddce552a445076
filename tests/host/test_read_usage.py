from __future__ import annotations

from typing import Any

import pytest

from openai_gateway_asgi.host.read_usage import UsageSearch, read_usage
from tests.support.cost import assert_costs

USAGE = {"prompt_tokens": 7, "details": {"cached": 0}, "total_tokens": 11}
TEXT = b'{"prompt_tokens": 7, "details": {"cached": 0}, "total_tokens": 11}'


EVENTS = b"data: "
ZEROS = b'{"input_tokens": 0, "output_tokens": 0}'


@pytest.mark.parametrize(
    ("tail", "usage"),
    [
        (b"", None),
        (b"{}", None),
        (b'{"id": "x", "usage": ' + TEXT + b', "system_fingerprint": "f"}', USAGE),
        (b'{"usage" :\n' + TEXT + b"}", USAGE),
        (b'data: {"usage":null}\n\ndata: {"usage":' + TEXT + b"}\n\ndata: [DONE]\n\n", USAGE),
        (b'data: {"usage":' + TEXT + b'}\n\ndata: {"usage":null}\n\n', USAGE),
        (b'{"usage": {"a": 1}, "x": {"usage": ' + TEXT + b"}}", USAGE),
        (b'cut at the beginning", "usage": ' + TEXT + b"}", USAGE),
        (b'{"usage": ' + TEXT + b', "metadata": {"usage": "mine"}}', USAGE),
        (b'{"content": "\\"usage\\": {\\"prompt_tokens\\": 9}"}', None),
        (b'{"usage": null}', None),
        (b'{"usage": 7}', None),
        (b'{"usage": {"cut": ', None),
        (b'{"usage": ' + b'{"a":' * 100_000, None),
        (b'{"x": "usage"}', None),
        (b'{"usage": {"a": "\xff"}}', {"a": "\ufffd"}),
        (b'"usage"', None),
    ],
)
def test_the_last_usage_of_an_answer_is_found(tail: bytes, usage: dict[str, Any] | None) -> None:
    assert read_usage(tail, events=tail.startswith(EVENTS)) == usage


@pytest.mark.parametrize(
    "answer",
    [
        b'{"usage": %(told)s, "metadata": {"usage": %(zeros)s}}',
        b'{"usage": %(told)s, "tools": [{"name": "f", "parameters": {"usage": %(zeros)s}}]}',
        b'{"usage": %(told)s, "choices": [{"message": {"tool_calls": [{"arguments": {"usage": %(zeros)s}}]}}]}',
        b'{"metadata": {"usage": %(zeros)s}, "usage": %(told)s, "text": {"format": {"schema": {"usage": %(zeros)s}}}}',
        b'data: {"response": {"usage": %(told)s, "tools": [{"parameters": {"usage": %(zeros)s}}]}}\n\n',
        b'data: {"response": {"usage": %(told)s, "metadata": {"usage": %(zeros)s}}}\n\ndata: [DONE]\n\n',
        b'data: {"usage": %(told)s, "choices": []}\r\rdata: {"metadata": [{"usage": %(zeros)s}]}\r\r',
    ],
)
def test_what_an_answer_repeats_of_its_request_is_no_usage(answer: bytes) -> None:
    """Else a client has a quota of its own: it writes what is counted into its tools."""
    written = answer % {b"told": TEXT, b"zeros": ZEROS}
    assert read_usage(written, events=written.startswith(EVENTS)) == USAGE
    without = answer.replace(b'"usage": %(told)s', b'"usage": null') % {b"zeros": ZEROS}
    assert read_usage(without, events=without.startswith(EVENTS)) is None


@pytest.mark.parametrize(
    "event",
    [
        b'{"x_groq": {"id": "r", "usage": %b}}',
        b'{"choices": [{"index": 0, "delta": {}, "usage": %b}]}',
        b'{"type": "message_start", "message": {"role": "assistant", "usage": %b}}',
        b'{"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": %b}}',
        b'{"type": "response.completed", "response": {"usage": %b, "metadata": {}, "tools": []}}',
        b'{"choices": [], "usage": %b',
    ],
)
def test_a_usage_that_stands_elsewhere_in_an_event_is_found(event: bytes) -> None:
    assert read_usage(EVENTS + event % TEXT + b"\n\n", events=True) == USAGE


@pytest.mark.parametrize("size", [4096, 30_000, 100_000])
@pytest.mark.parametrize("place", ["first", "last"])
def test_of_a_long_answer_in_pieces_it_is_found_at_either_end(place: str, size: int) -> None:
    usage = b'"usage": ' + TEXT
    data = b'"data": [' + b"0.5," * 100_000 + b'0.5], "metadata": {"usage": ' + ZEROS + b"}"
    answer = b"{" + b", ".join([usage, data] if place == "first" else [data, usage]) + b"}"
    pieces = [answer[begin : begin + size] for begin in range(0, len(answer), size)]
    search = UsageSearch(events=False)
    for piece in pieces[:-2]:
        search.look_at(piece)
    assert search.usage(b"".join(pieces[-2:])) == USAGE


def test_a_key_that_is_everywhere_takes_no_time() -> None:
    many = b'{"usage":{"prompt_tokens":7},' + b'"usage",' * 500_000
    assert_costs(lambda: read_usage(many), at_most=2)
    many = b'{"usage":{"prompt_tokens":7},' + b'"usage":null,' * 1_000 + b'"x":0}'
    assert read_usage(many) == {"prompt_tokens": 7}


FAKES = b'{"usage": {"prompt_tokens": 0}},'


@pytest.mark.parametrize("events", [False, True])
@pytest.mark.parametrize(
    "tools",
    [
        FAKES * 8_000,
        b"1," * 120_000 + FAKES * 64,
        (FAKES + b'"' + b"x" * 100_000 + b'",') * 100,
        FAKES * 64 + b"1," * 120_000,
    ],
)
def test_usages_that_are_nobodys_take_little_time(events: bool, tools: bytes) -> None:
    many = b'{"tools": [' + tools + b"0]}"
    if events:
        many = EVENTS + many + b"\n\n"
    assert_costs(lambda: read_usage(many, events=events), at_most=20)
    assert read_usage(many, events=events) is None
