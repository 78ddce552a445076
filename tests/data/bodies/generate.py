"""Writes ``corpus.txt``: request bodies that parsers of JSON read in different ways, one Python bytes literal per line.

    python -m tests.data.bodies.generate

``gpt`` is a model that the caller may use; ``secret`` one that exists and is forbidden.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus.txt")

KEYS = ('"model"', '"Model"', '"MODEL"', '"mOdEl"', '"mod\\u0065l"', '"\\u006dodel"', '"\\u004dodel"', '"model "',
        '" model"', '"model\\u0000"', '"model\\u0000x"', '"model\\n"', '"mod\\/el"', '"\\ufeffmodel"', '"model\\u200b"',
        '"models"', '"model.id"', '"MODEL\\u0130"', "'model'", "model")  # fmt: skip
VALUES = ('"gpt"', '"secret"', '"g\\u0070t"', '"SECRET"', "null", "true", "1", "[]", '["secret"]', '{"id": "secret"}',
          '""', '" secret"', '"gpt\\u0000secret"', '"gpt\\nsecret"', '"\\ud800"', '"secret', "gpt", "'secret'",
          '"../secret"', '"gpt,secret"')  # fmt: skip
REST = '"messages": [{"role": "user", "content": "Hi"}]'
SPACES = ("", " ", "\n", "\t", "\r\n", "\x0b", "\x0c", "\x00", "\u00a0", "\u2028", "\ufeff", "//c\n", "/*c*/", ",")
NUMBERS = ("1e999", "-1e999", "NaN", "Infinity", "-Infinity", "1" * 5000, "0x10", "01", "+1", ".5", "1.", "-0",
           "1e", "1_000", "12345678901234567890123")  # fmt: skip
STRINGS = ('"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\x00"', '"\x1f"', '"\\x41"', '"\\v"', '"\\"', '"\\uD83D\\uDE00"',
           '"\x7f"', '"\u2028"', '"\\u"', '"\\u12"', "'x'")  # fmt: skip
NAMED = ("models", "fallbacks", "api_base", "base_url", "api_key", "user_config", "extra_headers", "azure_endpoint",
         "custom_llm_provider", "model_list", "litellm_params", "extra_body", "organization")  # fmt: skip


def bodies() -> Iterator[bytes]:
    yield from (text.encode("utf-8", "surrogatepass") for text in texts())
    yield from encoded()


def texts() -> Iterator[str]:
    for key, value in product(KEYS, ('"gpt"', '"secret"')):
        yield f"{{{key}: {value}, {REST}}}"
        yield f'{{"model": "gpt", {key}: {value}, {REST}}}'
        yield f'{{{key}: {value}, "model": "gpt", {REST}}}'
    for value in VALUES:
        yield f'{{"model": {value}, {REST}}}'
        yield f'{{"model": "gpt", {REST}, "model": {value}}}'
        yield f'{{"model": {value}, {REST}, "model": "gpt"}}'
    for space in SPACES:
        yield f'{space}{{"model": "gpt"}}'
        yield f'{{"model": "gpt"}}{space}'
        yield f'{{{space}"model"{space}:{space}"secret"{space},"model":"gpt"}}'
    for odd in (*NUMBERS, *STRINGS):
        yield f'{{"model": "gpt", "seed": {odd}, {REST}}}'
        yield f'{{"seed": {odd}, "model": "secret", {REST}, "model": "gpt"}}'
    for name, value in product(NAMED, ('"secret"', '["secret"]', '{"model": "secret"}')):
        yield f'{{"model": "gpt", "{name}": {value}, {REST}}}'
    for more in ('{"model": "secret"}', '{"model":', "x", "]", "}", "\x00", "\u2028", '"secret"', ","):
        yield f'{{"model": "gpt"}}{more}'
        yield f'{{"model": "gpt"}}\n{more}'
    for depth in (10, 100, 1_000, 100_000):
        yield f'{{"model": "gpt", "x": {"[" * depth}{"]" * depth}}}'
        yield '{"x":' * depth + '{"model": "secret"}' + "}" * depth
        yield "[" * depth
    yield from ("", " ", "null", "[]", '"gpt"', "1", "true", '[{"model": "gpt"}]', "{", "}", "{}", '{"model"}',
                   '{"model": }', '{"model": "gpt",}', '{,"model": "gpt"}', '{"model" "gpt"}', '{"model": "gpt" "x": 1}',
                   '{"model": "gpt"', '{"model": "gp', "{model: 'gpt'}", "model=gpt", "--x\r\n\r\nsecret\r\n--x--")  # fmt: skip
    yield json.dumps({"model": "gpt", **{f"x{n}": n for n in range(2000)}})
    yield "{" + ",".join(['"model": "secret"'] * 50 + ['"model": "gpt"']) + "}"
    yield "{" + ",".join(['"model": "gpt"'] * 50 + ['"model": "secret"']) + "}"


def encoded() -> Iterator[bytes]:
    body = '{"model": "gpt", "messages": []}'
    for codec in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7", "cp037"):
        yield body.encode(codec)
    for bad in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x80", b"\xe2\x82"):
        yield b'{"model": "gpt", "x": "' + bad + b'"}'
        yield b'{"model": "gpt' + bad + b'"}'
        yield b'{"mod' + bad + b'el": "secret", "model": "gpt"}'
        yield bad + b'{"model": "gpt"}'
    yield b"\x1f\x8b\x08\x00" + b"\x00" * 16


def lines() -> str:
    return "".join(f"{body!r}\n" for body in dict.fromkeys(bodies()) if len(body) < 20_000)


if __name__ == "__main__":
    CORPUS.write_text(lines(), "ascii")
