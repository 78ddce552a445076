"""The elements of a JSON list, which no decoder holds in one go."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest

from openai_gateway_asgi.http.pacing import at_once
from openai_gateway_asgi.models import elements as module
from openai_gateway_asgi.models.elements import WINDOW, elements
from openai_gateway_asgi.models.list_answers import MOST_VALUES, raw_entries
from tests.support.cost import assert_costs


def read(data: bytes) -> list[Any]:
    return [msgspec.json.decode(raw) for window in elements(data) for raw in window]


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW", 40)


def some_list(numbers: random.Random) -> list[Any]:
    def value(depth: int) -> Any:
        kind = numbers.randrange(8 if depth < 4 else 5)
        if kind >= 5:
            count = numbers.randrange(5)
            made = [value(depth + 1) for _ in range(count)]
            return made if kind == 5 else {f"k{n}": each for n, each in enumerate(made)}
        return [numbers.choice(['"}, {"', "},", '\\",', "x" * numbers.randrange(60)]), 7, None, True, 1.5][kind]

    return [value(0) for _ in range(numbers.randrange(40))]


@pytest.mark.usefixtures("_small")
def test_they_are_those_of_the_list_wherever_it_is_cut() -> None:
    numbers = random.Random(12)
    for _ in range(2_000):
        wanted = some_list(numbers)
        data = json.dumps(wanted, indent=numbers.choice([None, None, 0, 1])).encode()
        assert read(b" " + data + b"\n") == wanted
        assert read(memoryview(data)) == wanted  # type: ignore[arg-type]  # what an answer's field is


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize(
    "data",
    [
        b'[{"a":1},{"a":2},{"a":3},{"a":4},{"a":5},,{"a":6}]',
        b'[{"a":1},{"a":2},{"a":3},{"a":4},{"a":5},{"a":6},]',
        b'[,{"a":1},{"a":2},{"a":3},{"a":4},{"a":5},{"a":6}]',
        b'[{"a":1},{"a":2},{"a":3},{"a":4},{"a":5},{"a":6}',
        b'[{"a":1},{"a":2},{"a":3},{"a":4},{"a":5},{"a":6}]]',
        b'[{"a":1},{"a":2},{"a":3},{"a":4},{"a":5}],[{"a":6}]',
        b'[{"a":1},{"a":2},{"a":3},{"a":4},{"a":5} {"a":6}]',
        b'{"a":[{"a":1},{"a":2},{"a":3},{"a":4},{"a":5}]}',
        b'[{"a":"1},{"a":2},{"a":3},{"a":4},{"a":5},{"a":6}]',
        b"[" * 100,
        b" " * 100,
    ],
)
def test_what_is_no_list_is_none_wherever_it_is_cut(data: bytes) -> None:
    for _ in range(50):
        with pytest.raises(msgspec.DecodeError):
            read(data)


@pytest.mark.parametrize("element", [b"{}", b'"word"', b"[]", b'{"id":"m","x":[{},{}]}', b"1"])
def test_no_window_is_much_larger_than_it_should_be(element: bytes) -> None:
    count = 3_000_000 // len(element)
    windows = list(elements(b"[" + b",".join([element] * count) + b"]"))
    assert sum(map(len, windows)) == count
    assert max(map(len, windows)) <= 2 * WINDOW // len(element)


def test_an_answer_of_very_many_fields_takes_no_longer_than_its_bytes() -> None:
    """Each of them was made, and nothing else ran meanwhile: a tenth of a second."""
    fields = b"{" + b",".join(b'"k%d":[]' % number for number in range(MOST_VALUES - 1)) + b',"data":["m"]}'
    assert_costs(lambda: at_once(raw_entries(fields)), at_most=20)
