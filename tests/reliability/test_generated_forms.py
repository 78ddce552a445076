"""Generated multipart forms: what any reader of an upstream's takes for the model is what access was checked on."""

from __future__ import annotations

import re
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi import Model, User
from openai_gateway_asgi.testing import FakeUpstream, json_answer
from tests.reliability.gateways import ANN, make_gateway, named
from tests.support.asgi import ask

PATH = "/v1/audio/transcriptions"
MODEL = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt\r\n'
FILE = (
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\nContent-Type: audio/mpeg\r\n\r\nsound\r\n'
)
PLAIN = b"multipart/form-data; boundary=x"


# Readers, each giving all values that it might take for the model


def by_the_standard_library(body: bytes, content_type: bytes) -> list[bytes]:
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type + b"\r\n\r\n" + body)
    return [
        part.get_payload(decode=True) or b""
        for part in message.walk()
        if str(part.get_param("name", "", "content-disposition")).strip().lower() == "model"
    ]


def by_its_lines(body: bytes, content_type: bytes) -> list[bytes]:
    """As hand-written readers do: any line end, any spelling of the head."""
    boundary = content_type.rpartition(b"boundary=")[2].strip(b'"')
    pieces = body.replace(b"\r\n", b"\n").split(b"--" + boundary)
    found = []
    for piece in pieces:
        head, _, content = piece.partition(b"\n\n")
        if re.search(rb'name\*?=["\' ]*(?:utf-8\'\')?model["\'; \n\[]', head + b"\n", re.IGNORECASE):
            found.append(content.removesuffix(b"\n"))
    return found


class Judge:
    """A gateway whose policy and upstream both write down which model they saw."""

    def __init__(self) -> None:
        self.upstream = FakeUpstream()
        self.upstream.answer("", json_answer({"text": "Hello."}))
        self.checked: list[str] = []

        def allowed(user: User, model: Model) -> bool:
            self.checked.append(model.id)
            return model.id == "gpt"

        self.gateway = make_gateway(
            [named("a", models=["gpt", "secret"])], allowed=allowed, transport=self.upstream.transport()
        )

    async def judge(self, body: bytes, content_type: bytes) -> int:
        """Asserts that the form is refused, or read by all as what was checked; the status."""
        self.checked.clear()
        self.upstream.requests.clear()
        headers = [*((name.encode(), value.encode()) for name, value in ANN.items()), (b"content-type", content_type)]
        answer = await ask(self.gateway, "POST", PATH, body=body, headers=headers)
        if answer.status == 200:
            (sent,) = self.upstream.requests
            assert set(self.checked) == {"gpt"}
            for read in (by_the_standard_library, by_its_lines):
                assert read(sent.body, sent.header("content-type").encode()) == [b"gpt"]  # type: ignore[union-attr]
        else:
            assert self.upstream.requests == []
            assert 400 <= answer.status < 500, answer.body
            assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
        return answer.status


judge = Judge()


# Forms

NAMES = (
    'name="model"', "name=model", 'name="Model"', 'name=" model"', 'name="model\0"', 'name="mod\\el"', 'name="model[]"',
    'name="%6dodel"', "name*=utf-8''model", 'name="x"', 'name="file"; filename="a.mp3"', 'name="model"; filename="a"',
    'filename="a"; name="model"', 'name="model"; filename=""', 'name="x"; name="model"', 'name="model"; name="x"',
    'name="a\r\nContent-Disposition: form-data; name="model"', 'name=\'model\'', 'name="x;name=model"', 'NAME="model"', "",
)  # fmt: skip
dispositions = st.tuples(
    st.sampled_from(
        ["form-data; ", "form-data;", "FORM-DATA; ", "attachment; ", "form-data;\r\n ", "form-data; x=y; "]
    ),
    st.sampled_from(NAMES),
).map(lambda found: f"Content-Disposition: {found[0]}{found[1]}\r\n")
lines = st.sampled_from(
    ["", "Content-Type: text/plain\r\n", "Content-Type: text/plain; charset=utf-16\r\n", "X: y\r\n", " folded\r\n",
     "Content-Transfer-Encoding: base64\r\n", "Content-Type: multipart/mixed; boundary=z\r\n", "no colon\r\n",
     'Content-Disposition: form-data; name="model"\r\n', "Content-Length: 1\r\n"]
)  # fmt: skip
contents = st.sampled_from(
    [b"gpt", b"secret", b"", b"gpt ", b"c2VjcmV0", b"gpt\r\n", b"\xff", b"gpt\0secret", b"\r\n\r\nsecret", b"--x", b"gpt\r\n--",
     b'\n--x\nContent-Disposition: form-data; name="model"\n\nsecret', b"s\x00e\x00c\x00r\x00e\x00t\x00"]
)  # fmt: skip
starts = st.sampled_from([b"--x\r\n", b"--x\r\n", b"--x\r\n", b"--x\n", b"--x \r\n", b"--xx\r\n", b"\r\n--x\r\n"])
odd_parts = st.tuples(starts, dispositions, lines, contents).map(
    lambda found: found[0] + (found[1] + found[2]).encode() + b"\r\n" + found[3] + b"\r\n"
)
parts = st.tuples(st.permutations([MODEL, FILE]), st.lists(odd_parts, max_size=2)).map(
    lambda found: [*found[1], *found[0]]
)
parts |= st.lists(st.sampled_from([MODEL, FILE]) | odd_parts, max_size=4)
ends = st.sampled_from([b"--x--\r\n"] * 6 + [b"--x--", b"", b"--x--\r\nmore", b"--x--\r\n" + MODEL, b"--x\r\n"])
preambles = st.sampled_from([b"", b"", b"", b"\r\n", b"before\r\n"])
forms = st.tuples(preambles, parts, ends).map(lambda found: found[0] + b"".join(found[1]) + found[2])
types = st.sampled_from(
    [PLAIN] * 6
    + [b'multipart/form-data; boundary="x"', PLAIN + b"; boundary=y", b"multipart/form-data; boundary=y; boundary=x",
       b"multipart/form-data", b"multipart/mixed; boundary=x", PLAIN + b"; charset=utf-16", b"Multipart/Form-Data;boundary=x"]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good form with a few bytes taken out, put in or doubled."""
    body = bytearray(draw(st.sampled_from([MODEL + FILE, FILE + MODEL])) + b"--x--\r\n")
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(body)


def generated(examples: int) -> Any:
    return settings(max_examples=examples, derandomize=True, deadline=None, database=None)


async def test_the_forms_that_are_generated_reach_the_upstream_at_all() -> None:
    assert await judge.judge(MODEL + FILE + b"--x--\r\n", PLAIN) == 200
    assert await judge.judge(FILE + MODEL + b"--x--\r\n", b'multipart/form-data; boundary="x"') == 200
    assert await judge.judge(MODEL.replace(b"gpt", b"secret") + FILE + b"--x--\r\n", PLAIN) == 404


@generated(500)
@given(forms | damaged(), types)
async def test_no_generated_form_is_read_in_two_ways(body: bytes, content_type: bytes) -> None:
    await judge.judge(body, content_type)


@pytest.mark.soak
@generated(10_000)
@given(forms | damaged(), types)
async def test_no_form_of_ten_thousand_is_read_in_two_ways(body: bytes, content_type: bytes) -> None:
    await judge.judge(body, content_type)
