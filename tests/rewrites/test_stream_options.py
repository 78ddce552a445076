from __future__ import annotations

import pytest

from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.rewrites.stream_options import stream_options

from .upstreams import PLAIN


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            b'{"stream":false,"stream_options":{"include_usage":true}}', b'{"stream":false}', id="case-70-false"
        ),
        pytest.param(b'{"stream_options":{}}', b"{}", id="case-70-missing"),
        pytest.param(b'{"stream":null,"stream_options":{}}', b'{"stream":null}', id="case-70-null"),
        pytest.param(b'{"stream":true,"stream_options":{}}', b'{"stream":true,"stream_options":{}}', id="case-70-true"),
        pytest.param(b'{ "stream" : true , "stream_options":{}}', b'{"stream":true,"stream_options":{}}', id="spaces"),
        pytest.param(b'{"stream_options":null}', b'{"stream_options":null}', id="null-options-harm-nobody"),
        pytest.param(b'{"stream":false}', b'{"stream":false}', id="nothing-to-do"),
    ],
)
def test_stream_options_reach_an_upstream_only_with_a_stream(body: bytes, expected: bytes) -> None:
    assert stream_options(Payload.parse(body), PLAIN, "m").encode() == expected
