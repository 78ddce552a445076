"""``logit_bias`` written as a string, ``"50256:-100, 11:5"``, which no upstream takes."""

from __future__ import annotations

import re

import msgspec

from ..bodies.payload import Payload
from ..config.upstream import Upstream
from ..errors import InvalidRequest

# A bias of more digits than an int may be read from is clamped all the same, so only its first ones count.
_ENTRY = re.compile(r"\s*([0-9]+)\s*:\s*([+-]?)0*([0-9]{1,9})[0-9]*\s*")
_LIMIT = 100

LONGEST = 64 * 1024
"""Bytes of such a text: some 5,000 tokens."""


def logit_bias(payload: Payload, _upstream: Upstream, _model: str) -> Payload:
    """A string becomes an object of token ids and biases within -100 and 100; everything else stays as it is.

    Raises ``InvalidRequest`` for a string of another form.
    """
    raw = payload.readable("logit_bias")
    if raw is None or not _is_text(raw):
        return payload
    if payload.size("logit_bias") > LONGEST:
        raise InvalidRequest(
            f"As a text it may have {LONGEST} bytes; write an object - at `$.logit_bias`",
            param="logit_bias",
            code="invalid_value",
        )
    text = payload.read("logit_bias", str)
    return payload.edited({"logit_bias": dict(map(_entry, text.split(",")))}) if text else payload


def _is_text(raw: msgspec.Raw) -> bool:
    return memoryview(raw)[0] == ord('"')


def _entry(text: str) -> tuple[str, int]:
    match = _ENTRY.fullmatch(text)
    if match is None:
        raise InvalidRequest(
            "Expected `token:bias` pairs of whole numbers, separated by commas - at `$.logit_bias`",
            param="logit_bias",
            code="invalid_value",
        )
    token, sign, digits = match.groups()
    bias = min(int(digits), _LIMIT)
    return token, -bias if sign == "-" else bias
