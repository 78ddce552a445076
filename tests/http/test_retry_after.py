from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi.http.retry_after import LONGEST, retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], None),
        ([(b"retry-after", b"3")], 3.0),
        ([(b"retry-after", b"0.5")], 0.5),
        ([(b"retry-after", b" 7 ")], 7.0),
        ([(b"retry-after", b"-1")], 0.0),
        ([(b"retry-after", b"1e999")], LONGEST),
        ([(b"retry-after", b"nan")], None),
        ([(b"retry-after", b"")], None),
        ([(b"retry-after", b"soon")], None),
        ([(b"retry-after", b"Wed, 21 Oct 1998 07:28:00 GMT")], 0.0),
        ([(b"retry-after", b"Wed, 21 Oct 1998 07:28:00 +99999999999999999999")], None),
        ([(b"retry-after", b"Wed, 99999999999999999999 Oct 1998 07:28:00 GMT")], None),
        ([(b"retry-after-ms", b"250"), (b"retry-after", b"9")], 0.25),
        ([(b"retry-after-ms", b"x"), (b"retry-after", b"9")], 9.0),
    ],
)
def test_the_header_is_read_as_seconds(headers: list[tuple[bytes, bytes]], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_date_is_the_time_until_then() -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True).encode()
    found = retry_after([(b"retry-after", then)])
    assert found is not None
    assert 85 < found <= 90


@settings(max_examples=500, derandomize=True, deadline=None)
@given(st.binary(max_size=40) | st.text("0123456789eE+-., :GMTMonWedJanFeb", max_size=40).map(str.encode))
def test_whatever_stands_there_is_a_bounded_number_or_nothing(value: bytes) -> None:
    found = retry_after([(b"retry-after", value)])
    assert found is None or 0.0 <= found <= LONGEST
