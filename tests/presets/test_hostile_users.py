"""Whatever a user is called, it is text where a prompt, a header, a stamp or a token has it."""

from __future__ import annotations

from urllib.parse import unquote

import jwt
import pytest

from openai_gateway_asgi import Preset, Settings, User
from openai_gateway_asgi.upstream.identity import LONGEST, UserInfo
from tests.cases.gateways import MESSAGES, upstream_a, world

KEY = "0123456789abcdef0123456789abcdef"
TOLD = {
    "headers": {"X-Who": "{user.name}", "X-Id": "{user.id:hmac}"},
    "stamp": {"metadata.who": "{user.name}", "safety_identifier": "{user.id:hmac}"},
    "identity": "jwt",
    "identity_key": KEY,
}
PRESET = Preset("p", base="m1", system='For {user.name} 100%: {"a": "{}"}', params={"temperature": 0})
HALF = "\ud83d"


@pytest.mark.parametrize(
    "name",
    [
        "A\r\nX-Evil: 1",
        '"}],"model":"evil","x":[{"y":"',
        "\\",
        "%b%s{0}{user.email}{{USER_ID}}{model}",
        "nul\0",
        f"half {HALF}",
        "\u2028\x85\x1b[31m",
        "n" * 100_000,
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_name_is_a_text(name: str, stream: bool) -> None:
    user = User(f"u {name}"[:400], name=name, email=name[:400])
    settings = Settings(retries=0, identity_secret="0123456789abcdef", forward_user_info=True)
    async with world(
        upstream_a("m1", **TOLD), presets=[PRESET], resolve_user=lambda request: user, settings=settings
    ) as it:
        said = name.replace(HALF, "?")
        for path, body in (("/chat/completions", {"messages": MESSAGES}), ("/responses", {"input": "x"})):
            for _ in range(2):
                assert (await it.post(path, {"model": "p", "stream": stream, **body})).status == 200
                sent = it.sent
                prompt = sent["messages"][0]["content"] if "messages" in sent else sent["instructions"]
                assert prompt.startswith(f'For {said} 100%: {{"a": "{{}}"}}')
                assert (sent["model"], sent["temperature"], len(sent["safety_identifier"])) == ("m1", 0, 64)
                assert sent["metadata"] == {"who": said[:512]}
                headers = dict(it.upstream.last.headers)
                assert b"x-evil" not in headers
                assert all(32 <= code < 127 for value in headers.values() for code in value)
                if len(name) > LONGEST:
                    assert b"x-who" not in headers
                else:
                    assert unquote(headers[b"x-who"].decode()) == said.strip(" ")
                claims = jwt.decode(headers[b"x-openwebui-user-jwt"], KEY, algorithms=["HS256"], audience="http://a/v1")
                assert claims["name"] == name


def test_headers_of_the_settings_are_kept_for_names_of_some_length_and_left_out_where_they_are_too_long() -> None:
    info = UserInfo(Settings(forward_user_info=True))
    ann = User("u1", name="Ann")
    assert info.headers(ann, None) is info.headers(ann, None)
    assert dict(info.headers(User("u1", name="n" * 100_000), None)).keys() == {
        b"x-openwebui-user-id",
        b"x-openwebui-user-role",
    }
    assert info._kept.cache_info().currsize == 1
    assert b"c" in dict(info.headers(ann, {"chat_id": "c"})).values()
