from __future__ import annotations

import json
from typing import Any

import pytest

from openai_gateway_asgi.http.pacing import at_once
from openai_gateway_asgi.models import list_answers
from openai_gateway_asgi.models.list_answers import (
    LONGEST_ENTRY,
    MENDED,
    MOST_MODELS,
    MOST_VALUES,
    raw_entries,
    read_entry,
)
from tests.support.cost import assert_costs

BOM = b"\xef\xbb\xbf"


def ids(data: Any) -> list[str]:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return [found[0] for raw in at_once(raw_entries(body)) if (found := read_entry(memoryview(raw))) is not None]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"object": "list", "data": [{"id": "m", "object": "model"}]}, ["m"]),
        ({"data": [{"id": "m"}], "has_more": False, "first_id": "m"}, ["m"]),
        ([{"id": "m"}, {"id": "n"}], ["m", "n"]),
        ({"models": [{"name": "llama3:8b", "model": "llama3:8b"}]}, ["llama3:8b"]),
        (
            {"models": [{"name": "models/gemini-2.5-pro", "version": "2.5"}], "nextPageToken": ""},
            ["models/gemini-2.5-pro"],
        ),
        ({"models": [{"model": "only-model"}]}, ["only-model"]),
        ({"models": [{"type": "llm", "key": "qwen/qwen3-8b"}]}, ["qwen/qwen3-8b"]),
        ({"data": [{"model_name": "azure-gpt", "litellm_params": {}}]}, ["azure-gpt"]),
        ({"data": [{"model_id": "ibm/granite"}]}, ["ibm/granite"]),
        ({"model_names": ["a", "b"]}, ["a", "b"]),
        ({"models": ["a", "b"]}, ["a", "b"]),
        ({"data": ["a"]}, ["a"]),
        (["a", "b"], ["a", "b"]),
        # llama.cpp has both, each with what the other leaves out; one lists in its own key and leaves OpenAI's null
        ({"models": [{"name": "x.gguf", "details": {}}], "object": "list", "data": [{"id": "x.gguf"}]}, ["x.gguf"]),
        ({"data": None, "models": ["a"]}, ["a"]),
        ({"data": [], "models": ["a"]}, []),
    ],
)
def test_case_243_the_spellings_of_a_list(answer: Any, expected: list[str]) -> None:
    assert ids(answer) == expected
    assert ids(BOM + json.dumps(answer).encode()) == expected
    assert ids(json.dumps(answer, indent=2).encode() + b"\r\n") == expected


@pytest.mark.parametrize(
    "answer",
    [
        {"object": "list", "data": None},
        {"object": "list", "data": []},
        {"object": "list"},
        {"data": None},
        {"models": None},
        {"models": []},
        {"model_names": []},
        {"data": None, "error": None},
        {"data": [], "success": True},
        [],
    ],
)
def test_case_243_no_models_are_an_empty_list(answer: Any) -> None:
    assert ids(answer) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nope",
        b"\xff",
        b'"str"',
        b"1",
        b"null",
        b"{}",
        b'{"detail": "Not Found"}',
        b'{"error": {"message": "no"}}',
        b'{"object": "list", "error": "no"}',
        b'{"data": null, "error": {"message": "no"}}',
        b'{"data": null, "success": false, "message": "no"}',
        b'{"data": {"x": 1}}',
        b'{"data": "x"}',
        b'{"object": "error", "message": "no"}',
        b'{"data": [{"id": "cut"}',
        b"[" * 100_000,
        b"\xff\xfe[\x00]\x00",
    ],
)
def test_what_is_no_list_of_models_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="no list of models"):
        at_once(raw_entries(body))


def test_a_list_that_would_take_the_decoder_long_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(ValueError, match="values"):
        at_once(raw_entries(b"[" + b"0," * (MOST_VALUES + 1) + b"0]"))
    with pytest.raises(ValueError, match="models"):
        at_once(raw_entries(b"[" + b"0," * MOST_MODELS + b"0]"))
    assert len(at_once(raw_entries(b"[" + b"0," * (MOST_MODELS - 1) + b"0]"))) == MOST_MODELS


@pytest.mark.parametrize(("size", "found"), [(LONGEST_ENTRY, True), (LONGEST_ENTRY + 1, False)])
def test_an_entry_that_is_too_long_is_left_out(size: int, found: bool) -> None:
    entry = b'{"id": "m", "image": ""}'
    entry = entry[:-2] + b"x" * (size - len(entry)) + entry[-2:]
    assert len(entry) == size
    assert (read_entry(entry) is not None) is found


@pytest.mark.parametrize(
    "raw", [b"7", b"null", b"[]", b"{}", b'{"id": 5, "name": "n"}', b'{"id": {"a": 1}}', b'""', b'"\\ud800"']
)
def test_what_has_no_id_is_no_model(raw: bytes) -> None:
    assert read_entry(raw) is None


def test_of_ids_the_first_that_is_not_empty_counts() -> None:
    names = [{key: key for key in list_answers.ID_KEYS[start:]} for start in range(len(list_answers.ID_KEYS))]
    assert ids(names) == list(list_answers.ID_KEYS)
    assert ids([{"id": "", "name": None, "model": "m"}]) == ["m"]


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        (b'{"id": "m", "about": "cut \\ud83d"}', {"about": "cut \ufffd"}),
        (b'{"id": "m", "about": "\\ude00 \\ud83d\\ude00 \\\\ud83d"}', {"about": "\ufffd \U0001f600 \\ud83d"}),
        (
            b'{"id": "m", "price": NaN, "most": Infinity, "least": -Infinity}',
            {"price": None, "most": None, "least": None},
        ),
        (b'{"id": "m", "about": "NaN \\" -Infinity"}', {"about": 'NaN " -Infinity'}),
    ],
)
def test_what_is_nearly_json_is_read(entry: bytes, kept: dict[str, Any]) -> None:
    """A text that JavaScript has cut in the middle of a letter, and numbers that Python writes, cost nobody a list."""
    [before, raw, after] = at_once(raw_entries(b'{"data": [{"id": "a"}, ' + entry + b', {"id": "z"}]}'))
    assert read_entry(memoryview(raw)) == ("m", {"id": "m", **kept})
    assert [read_entry(memoryview(each)) for each in (before, after)] == [("a", {"id": "a"}), ("z", {"id": "z"})]


@pytest.mark.parametrize(
    "entry", [b'{"id": "m", "x": "\xff"}', b'{"id": "m", "x": ' + b"9" * 5000 + b"}", b'{"id": "m", "x": 1e5000}']
)
def test_an_entry_that_cannot_be_read_costs_itself_alone(entry: bytes) -> None:
    assert ids(b'[{"id": "a"}, ' + entry + b', {"id": "z"}]') == ["a", "z"]


@pytest.mark.parametrize(
    "body",
    [
        b'["' + b"x" * MENDED,
        b"[" + b'""' * (MENDED // 2),
        b'"\\' * (MENDED // 2),
        b"[" + b" " * MENDED,
        b"[NaN" * (MENDED // 4),
    ],
    ids=lambda body: body[:8].decode(),
)
def test_no_answer_takes_long_to_be_mended(body: bytes) -> None:
    def mended() -> None:
        with pytest.raises(ValueError, match="no list"):
            at_once(raw_entries(body[:MENDED]))

    assert_costs(mended, at_most=400)
