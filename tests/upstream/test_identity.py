from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_gateway_asgi.config import Settings, Upstream
from openai_gateway_asgi.host.users import User
from openai_gateway_asgi.upstream.identity import UserInfo, attribution

SETTINGS = Settings()
APP = Settings(attribution_title="My app", attribution_referer="https://app.test")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://openrouter.ai/api/v1", True),
        ("https://OPENROUTER.AI/api/v1", True),
        ("https://openrouter.ai.evil.test/v1", False),
        ("https://evil.test/openrouter.ai", False),
        ("https://x.openrouter.ai/v1", False),
    ],
)
def test_only_openrouter_is_told_which_app_calls(url: str, told: bool) -> None:
    sent = attribution(Upstream(url), APP)
    assert sent == ([(b"http-referer", b"https://app.test"), (b"x-title", b"My app")] if told else [])


def test_what_is_not_set_is_not_sent() -> None:
    assert attribution(Upstream("https://openrouter.ai/v1"), SETTINGS) == []


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("Ada", b"Ada"),
        ("Zoë Ω,x", b"Zo%C3%AB %CE%A9%2Cx"),
        (" a\r\nX: y ", b"a%0D%0AX%3A y"),
        ("100%", b"100%25"),
        ("\ud800", b"%3F"),
    ],
)
def test_a_name_can_neither_break_a_header_nor_begin_another(name: str, sent: bytes) -> None:
    headers = UserInfo(SETTINGS).headers(User(id="1", name=name), {})
    assert dict(headers)[b"x-openwebui-user-name"] == sent


def test_empty_facts_are_left_out() -> None:
    headers = UserInfo(SETTINGS).headers(User(id="1"), {"chat_id": ""})
    assert headers == [(b"x-openwebui-user-id", b"1"), (b"x-openwebui-user-role", b"user")]


def test_the_header_names_are_the_hosts_choice() -> None:
    settings = Settings(user_id_header="X-Who", chat_id_header="X-Chat")
    headers = dict(UserInfo(settings).headers(User(id="a@b", email="a@b.test"), {"chat_id": "c/1"}))
    assert (headers[b"x-who"], headers[b"x-chat"]) == (b"a@b", b"c/1")


@given(st.text(min_size=1), st.text(), st.text(), st.text())
def test_whatever_it_says_each_value_is_one_line_of_visible_ascii(id: str, name: str, email: str, chat: str) -> None:
    for _, value in UserInfo(SETTINGS).headers(User(id=id, name=name, email=email), {"chat_id": chat}):
        assert value == value.strip()
        assert all(0x20 <= byte <= 0x7E for byte in value)
