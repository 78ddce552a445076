from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest

from openai_gateway_asgi import Outcome, UsageRecord, User
from openai_gateway_asgi.observe.call_log import log_call

PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|\S+)(?: |$)')
"""How readers of such lines take them apart: a quote or a space ends a value."""

NASTY = [
    "two words",
    "ann status=200",
    'ann" status="200',
    "ann\nroot",
    "ann\r\n12 createChatCompletion user=root",
    "ann\u2028root",
    "ann\x1b[2Kroot",
    "ann\\",
    "ann\\u000a",
    "\u202eann",
    "\ud83d",
    "None",
    "",
    '"',
    "=",
]


def record(**fields: Any) -> UsageRecord:
    given = {
        "request_id": "1",
        "upstream_request_id": None,
        "operation": "createChatCompletion",
        "user": User("ann"),
        "model": "m",
        "upstream": "u",
        "upstream_model": "m",
        "status": 200,
        "outcome": Outcome.COMPLETED,
        "error": None,
        "attempts": 1,
        "streamed": False,
        "first_byte": 0.5,
        "total": 1.0,
        "usage": None,
        **fields,
    }
    return UsageRecord(**given)


def logged(caplog: pytest.LogCaptureFixture, **fields: Any) -> str:
    caplog.clear()
    with caplog.at_level(logging.INFO, "openai_gateway_asgi"):
        log_call(record(**fields))
    [line] = caplog.records
    return line.getMessage()


def test_the_usual_line(caplog: pytest.LogCaptureFixture) -> None:
    line = logged(caplog, user=User("u-17@x.test"), model="org/m.1:free", upstream="api.openai.com")
    assert line == (
        "1 createChatCompletion user=u-17@x.test model=org/m.1:free upstream=api.openai.com status=200 "
        "outcome=completed attempts=1 first_byte=0.500 total=1.000"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [(name, text) for name in ("user", "model", "upstream") for text in NASTY if text or name != "user"],
)
def test_case_256_no_value_makes_a_line_or_a_field_of_its_own(
    name: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    plain = logged(caplog)
    line = logged(caplog, **{name: User(text) if name == "user" else text})
    fields = dict(PAIR.findall(line))

    assert line.isprintable()
    assert line.encode()
    assert [key for key, _ in PAIR.findall(line)] == [key for key, _ in PAIR.findall(plain)]
    assert {**fields, name: ""} == {**dict(PAIR.findall(plain)), name: ""}
    if text.isprintable():
        assert json.loads(fields[name]) == text


def test_letters_of_any_script_are_readable(caplog: pytest.LogCaptureFixture) -> None:
    assert ' user="Zoë Ω" ' in logged(caplog, user=User("Zoë Ω"))


def test_what_is_not_known_is_no_text(caplog: pytest.LogCaptureFixture) -> None:
    line = logged(caplog, model=None, upstream=None, status=None, first_byte=None)
    assert " model=None upstream=None status=None " in line
