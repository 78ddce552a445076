"""JSON in the field of a form: whoever reads it there takes it for what a JSON body would say under that name.

LiteLLM reads ``metadata`` so (http_parsing_utils.py), and objects such as a video's ``input_reference`` come so.
"""

from __future__ import annotations

import json

import msgspec

from ..errors import InvalidRequest, PayloadTooLarge
from ..http.pacing import at_once
from .findings import Findings
from .json_body import look_through
from .looks import Looks
from .payload import Payload

TEXTS = frozenset("description input instructions name prompt ref_text text title".split())
"""Fields that people write: nothing reads JSON out of them."""

LONGEST = 64 * 1024
"""Bytes of JSON in one field, which is read in one go."""

_BLANK = b" \t\r\n\0\xef\xbb\xbf"


def named_in(name: str, value: bytes, looks: Looks) -> Findings:
    """What the value of the field ``name`` names, where it is an object or a list.

    Raises ``InvalidRequest`` for what begins like one and cannot be read, and for names in another spelling;
    ``PayloadTooLarge`` for more than ``LONGEST``.
    """
    found, value = Findings(), value.strip(_BLANK)
    if value[:1] not in (b"{", b"[") or name in TEXTS:
        return found
    if len(value) > LONGEST:
        raise PayloadTooLarge(
            f"The JSON in the form field `{name}` is larger than the {LONGEST} bytes this gateway takes there.",
            param=name,
        )
    try:
        at_once(Payload.reading([b"{%b:%b}" % (json.dumps(name).encode(), value)], looks.zone, Findings()))
    except InvalidRequest as error:
        raise InvalidRequest(
            f"The form field `{name}` begins like JSON and cannot be read as such.", param=name, code="invalid_json"
        ) from error
    at_once(look_through(Payload({name: msgspec.Raw(value)}), looks, found))
    found.check()
    return found
