"""Answers that are made to cost much: each by its name, for a size in bytes that it comes near to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.reliability.gateways import CHAT
from tests.reliability.hostile_bodies import Made, deep, numbered, repeated, text

HEAD = b'{"id":"x","object":"chat.completion","created":1,"model":"gpt","choices":['
SAID = b'{"index":0,"message":{"role":"assistant","content":'
FINISHED = b'"finish_reason":"stop"}'
CHOICE = SAID + b'"hello there"},' + FINISHED
CALL = b'{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}'
TOKEN = b'{"token":"hello","logprob":-0.1,"bytes":[104,101],"top_logprobs":[]}'


def chat(filling: Callable[[int], bytes]) -> Made:
    return Made(CHAT, HEAD, filling, b"]}")


def message(before: bytes, filling: Callable[[int], bytes], after: bytes) -> Made:
    return Made(CHAT, HEAD + SAID + before, filling, after + b"}," + FINISHED + b"]}")


def said(characters: bytes) -> Made:
    return message(b'"', text(characters), b'"')


def beside(before: bytes, filling: Callable[[int], bytes], after: bytes) -> Made:
    """In a field, or fields, of its own."""
    return Made(CHAT, HEAD + CHOICE + b"]," + before, filling, after + b"}")


PLAIN = said(b"x")
"""What all others are measured against."""

HOSTILE: Mapping[str, Made] = {
    "letters of two bytes": said("ж".encode()),
    "escaped letters": said(b"\\u0436"),
    "lines": said(b"a line of text\\n"),
    "quotes": said(b'\\"'),
    "backslashes": said(b"\\\\"),
    "many halves": chat(repeated(SAID + b'"\\ud83d"},' + FINISHED)),
    "choices": chat(repeated(CHOICE)),
    "empty choices": chat(repeated(b"{}")),
    "parts": message(b"[", repeated(b'{"type":"text","text":"hello"}'), b"]"),
    "calls": message(b'null,"tool_calls":[', repeated(CALL), b"]"),
    "probabilities": message(b'"x"},"logprobs":{"content":[', repeated(TOKEN), b"]"),
    "objects": beside(b'"x":[', repeated(b"{}"), b"]"),
    "numbers": beside(b'"x":[', repeated(b"1"), b"]"),
    "texts": beside(b'"x":[', repeated(b'"a"'), b"]"),
    "words that are keys": beside(b'"x":[', repeated(b'"usage"'), b"]"),
    "fields": beside(b"", numbered(b'"k%d":1'), b""),
    "one model many times": beside(b"", repeated(b'"model":"a"'), b""),
    "depth": beside(b'"x":', deep(b"{}"), b""),
    "white space": beside(b'"x":', text(b" "), b"1"),
    "usage": beside(b'"usage":{', numbered(b'"k%d":1'), b"}"),
}
