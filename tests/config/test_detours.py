from __future__ import annotations

import pytest

from openai_gateway_asgi.config.detours import may_lead_astray


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Helicone-Target-URL", "x"),
        ("helicone-openai-api-base", "x"),
        ("x-portkey-custom-host", "x"),
        ("x-portkey-config", "pc-123"),
        ("x-portkey-provider", "openai"),
        ("X-Forwarded-Host", "x"),
        ("Forwarded", "host=x"),
        ("X-Original-URL", "/x"),
        ("target", "x"),
        ("api_base", "x"),
        ("X-A", "https://evil.example"),
        ("X-A", "{user.name}"),
        ("X-Target", "{user.id}"),
        ("X-A", "{user.id}.evil.example"),
        ("X-A", "//evil"),
        ("X-A", "evil.example"),
        ("X-A", "evil.example:8080/v1"),
        ("X-A", "10.0.0.7"),
        ("X-A", "[::1]:8080"),
        ("X-A", "localhost:8080"),
        ("X-A", '{"custom_host": "evil.example"}'),
    ],
)
def test_these_may_name_an_address(name: str, value: str) -> None:
    assert may_lead_astray(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Title", "My App"),
        ("HTTP-Referer", "https://my.app"),
        ("Referer", "https://my.app"),
        ("X-Team", "blue"),
        ("X-User", "{user.id}"),
        ("X-User", "{user.id:hmac} {user.role}/{user.groups}"),
        ("anthropic-version", "2023-06-01"),
        ("api-version", "2024-10-21"),
        ("OpenAI-Beta", "assistants=v2"),
        ("X-Database", "main"),
        ("X-Version", "1.2.3"),
        ("X-Key", "sk-proj-aBc_d-e.fG1"),
    ],
)
def test_these_do_not(name: str, value: str) -> None:
    assert not may_lead_astray(name, value)
