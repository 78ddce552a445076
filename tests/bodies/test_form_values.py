"""JSON in the fields of forms."""

from __future__ import annotations

import pytest

from openai_gateway_asgi.bodies.form_values import LONGEST, named_in
from openai_gateway_asgi.bodies.looks import looks_of
from openai_gateway_asgi.errors import InvalidRequest, PayloadTooLarge

LOOKS = looks_of("createVideo")


def named(name: str, value: bytes) -> list[str]:
    found = named_in(name, value, LOOKS)
    return [str(place) for place in (*found.models.values(), *found.routes.values(), *found.groups.values())]


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("metadata", b'{"user_api_key_team_id":"t"}', ["metadata.user_api_key_team_id"]),
        ("metadata", b'\xef\xbb\xbf {"user_api_key_x":1}', ["metadata.user_api_key_x"]),
        ("metadata", b'{"model":"m","file_id":"f","note":"x"}', []),
        ("input_reference", b'{"file_id":"f"}', ["input_reference.file_id"]),
        ("input_reference", b'[{"file_id":"f"}]', ["input_reference[0].file_id"]),
        ("settings", b'{"draft_model":"m"}', ["settings.draft_model"]),
        ("size", b"1280x720", []),
        ("seconds", b"8", []),
        ("prompt", b'{"model":"m","file_id":"f"}', []),
        ("prompt", b"[{not json", []),
        ("x", b"", []),
    ],
)
def test_what_is_named_in_json_is_found_where_it_stands(name: str, value: bytes, where: list[str]) -> None:
    assert named(name, value) == where


@pytest.mark.parametrize("value", [b'{"user_api_key_x":NaN}', b"{'user_api_key_x':1}", b"[1,", b'{"a":"\xff"}'])
def test_what_begins_like_json_must_be_readable(value: bytes) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read") as raised:
        named_in("metadata", value, LOOKS)
    assert raised.value.param == "metadata"


def test_names_in_other_letters_are_told() -> None:
    with pytest.raises(InvalidRequest, match="must be written `file_id`"):
        named_in("input_reference", b'{"File_Id":"f"}', LOOKS)


def test_it_is_short() -> None:
    named_in("metadata", b'{"a":"%b"}' % (b"x" * (LONGEST - 8)), LOOKS)
    with pytest.raises(PayloadTooLarge, match="metadata"):
        named_in("metadata", b'{"a":"%b"}' % (b"x" * LONGEST), LOOKS)
