from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from openai_gateway_asgi.config import Settings, Timeouts
from openai_gateway_asgi.config.settings import _RULES
from openai_gateway_asgi.errors import ConfigError
from tests.reliability.gateways import trust

MIB = 1024 * 1024
CA = trust()


def test_defaults() -> None:
    settings = Settings()
    assert settings.enabled
    assert settings.timeouts == Timeouts()
    assert settings.model_list_timeout == settings.admin_timeout == 10
    assert (settings.model_list_lifetime, settings.model_list_stale, settings.model_list_retry) == (60, 3600, 5)
    assert (settings.json_limit, settings.upload_limit, settings.config_limit) == (32 * MIB, 1024 * MIB, MIB)
    assert (settings.upload_idle, settings.send_timeout, settings.comment_hold) == (30, 60, 15)
    assert settings.hold_limit == 64 * 1024
    assert (settings.speech_cache_bytes, settings.speech_entry_bytes) == (64 * MIB, 8 * MIB)
    assert settings.speech_cache_lifetime is None
    assert settings.slow_callable == 0.05
    assert settings.verify_tls is True
    assert settings.attribution_title is settings.attribution_referer is None
    assert settings.bypass_model_access is settings.forward_user_info is False
    assert settings.trusted_origins == ()
    assert settings.user_name_header == "X-OpenWebUI-User-Name"
    assert settings.chat_id_header == "X-OpenWebUI-Chat-Id"


def test_every_field_has_a_rule() -> None:
    assert set(_RULES) == {field.name for field in fields(Settings)}


def test_no_credential_is_among_the_forwarded_headers() -> None:
    assert set(Settings().forwarded_headers) == {
        "accept", "content-type", "user-agent", "openai-beta", "idempotency-key", "x-client-request-id",
        "x-stainless-*", "traceparent", "tracestate", "range", "if-match", "if-none-match", "if-modified-since",
        "if-unmodified-since", "if-range",
    }  # fmt: skip


def test_settings_are_frozen_and_given_by_name() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().enabled = False  # type: ignore[misc]
    with pytest.raises(TypeError):
        Settings(True)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "given", "kept"),
    [
        ("forwarded_headers", ["X-Team", "x-team", "X-Trace-*"], ("x-team", "x-trace-*")),
        ("forwarded_headers", [], ()),
        ("trusted_origins", ["https://App.example:443"], ("https://app.example",)),
        ("model_list_lifetime", 0, 0),
        ("model_list_stale", 0, 0),
        ("speech_cache_bytes", 0, 0),
        ("speech_cache_lifetime", 5, 5),
        ("verify_tls", False, False),
        ("attribution_title", "My App", "My App"),
        ("comment_hold", 0, 0),
        (
            "default_models",
            {"createModeration": "mine", "createImage": None},
            {"createModeration": "mine", "createImage": None},
        ),
    ],
)
def test_values_are_brought_to_one_form(field: str, given: Any, kept: Any) -> None:
    assert getattr(Settings(**{field: given}), field) == kept


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("enabled", "true", "enabled"),
        ("timeouts", None, "timeouts"),
        ("model_list_timeout", 0, "model_list_timeout"),
        ("model_list_timeout", None, "model_list_timeout"),
        ("model_list_lifetime", -1, "model_list_lifetime"),
        ("model_list_stale", math.nan, "model_list_stale"),
        ("model_list_retry", "5", "model_list_retry"),
        ("json_limit", 0, "json_limit"),
        ("json_limit", 1.5, "json_limit"),
        ("upload_limit", True, "upload_limit"),
        ("upload_idle", math.inf, "upload_idle"),
        ("send_timeout", -5, "send_timeout"),
        ("comment_hold", -1, "comment_hold"),
        ("hold_limit", 0, "hold_limit"),
        ("forwarded_headers", "accept", "forwarded_headers"),
        ("forwarded_headers", ["accept", "x y"], "forwarded_headers.1"),
        ("forwarded_headers", ["x-*-y"], "forwarded_headers.0"),
        *[
            ("forwarded_headers", [name], "forwarded_headers.0")
            for name in (
                "Authorization", "cookie", "api-key", "X-Api-Key", "openai-organization", "OpenAI-Project", "host",
                "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect",
                "keep-alive", "proxy-authorization", "proxy-whatever",
                "*", "auth*", "openai-*", "x-*", "x-api*", "proxy-*", "c*", "cookie*",
            )
        ],
        ("trusted_origins", "https://a.example", "trusted_origins"),
        ("trusted_origins", ["https://a.example", "*"], "trusted_origins.1"),
        ("bypass_model_access", 1, "bypass_model_access"),
        ("forward_user_info", None, "forward_user_info"),
        ("user_name_header", "", "user_name_header"),
        ("user_id_header", "X User", "user_id_header"),
        ("user_email_header", "Authorization", "user_email_header"),
        ("user_role_header", "Host", "user_role_header"),
        ("chat_id_header", "X-Chat\r\n", "chat_id_header"),
        ("attribution_title", "", "attribution_title"),
        ("attribution_title", "a\r\nX-Evil: 1", "attribution_title"),
        ("attribution_referer", "https://bücher.example", "attribution_referer"),
        ("verify_tls", None, "verify_tls"),
        ("verify_tls", "/no/such/bundle.pem", "verify_tls"),
        ("default_models", ["createModeration"], "default_models"),
        ("default_models", {"listFiles": "m"}, "default_models"),
        ("default_models", {1: "m"}, "default_models"),
        ("default_models", {"createModeration": "m\n"}, "default_models.createModeration"),
        ("default_models", {"createModeration": 1}, "default_models.createModeration"),
        ("speech_cache_bytes", -1, "speech_cache_bytes"),
        ("speech_entry_bytes", 0, "speech_entry_bytes"),
        ("speech_cache_lifetime", 0, "speech_cache_lifetime"),
        ("config_limit", 0, "config_limit"),
        ("slow_callable", 0, "slow_callable"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_the_name_of_its_field(field: str, value: Any, where: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Settings(**{field: value})
    assert raised.value.field == where


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()


@pytest.mark.parametrize(
    ("environ", "field", "value"),
    [
        ({"ENABLE_OPENAI_API": "TRUE"}, "enabled", True),
        ({"ENABLE_OPENAI_API": "False"}, "enabled", False),
        ({"AIOHTTP_CLIENT_TIMEOUT": "30"}, "timeouts", Timeouts(total=30)),
        ({"AIOHTTP_CLIENT_TIMEOUT": ""}, "timeouts", Timeouts()),
        ({"AIOHTTP_CLIENT_STREAM_IDLE_TIMEOUT": "1.5"}, "timeouts", Timeouts(idle=1.5)),
        ({"AIOHTTP_CLIENT_TIMEOUT_MODEL_LIST": "3"}, "model_list_timeout", 3),
        ({"AIOHTTP_CLIENT_TIMEOUT_MODEL_LIST": ""}, "model_list_timeout", 10),
        ({"AIOHTTP_CLIENT_TIMEOUT_OPENAI_MODEL_LIST": "4"}, "model_list_timeout", 4),
        (
            {"AIOHTTP_CLIENT_TIMEOUT_MODEL_LIST": "3", "AIOHTTP_CLIENT_TIMEOUT_OPENAI_MODEL_LIST": "4"},
            "model_list_timeout",
            3,
        ),
        (
            {"AIOHTTP_CLIENT_TIMEOUT_MODEL_LIST": "", "AIOHTTP_CLIENT_TIMEOUT_OPENAI_MODEL_LIST": "4"},
            "model_list_timeout",
            4,
        ),
        ({"MODELS_CACHE_TTL": "0"}, "model_list_lifetime", 0),
        ({"MODELS_CACHE_TTL": ""}, "model_list_lifetime", 60),
        ({"BYPASS_MODEL_ACCESS_CONTROL": "true"}, "bypass_model_access", True),
        ({"ENABLE_FORWARD_USER_INFO_HEADERS": "True"}, "forward_user_info", True),
        ({"FORWARD_USER_INFO_HEADER_USER_NAME": "X-N"}, "user_name_header", "X-N"),
        ({"FORWARD_USER_INFO_HEADER_USER_ID": "X-I"}, "user_id_header", "X-I"),
        ({"FORWARD_USER_INFO_HEADER_USER_EMAIL": "X-E"}, "user_email_header", "X-E"),
        ({"FORWARD_USER_INFO_HEADER_USER_ROLE": "X-R"}, "user_role_header", "X-R"),
        ({"FORWARD_SESSION_INFO_HEADER_CHAT_ID": "X-C"}, "chat_id_header", "X-C"),
        ({"FORWARD_SESSION_INFO_HEADER_CHAT_ID": " "}, "chat_id_header", "X-OpenWebUI-Chat-Id"),
        ({"AIOHTTP_CLIENT_SESSION_SSL": "True"}, "verify_tls", True),
        ({"AIOHTTP_CLIENT_SESSION_SSL": "false"}, "verify_tls", False),
        ({"AIOHTTP_CLIENT_SESSION_SSL": CA}, "verify_tls", CA),
        ({"AIOHTTP_CLIENT_SSL_CERT_FILE": CA}, "verify_tls", CA),
        ({"AIOHTTP_CLIENT_SSL_CERT_FILE": CA, "AIOHTTP_CLIENT_SESSION_SSL": "true"}, "verify_tls", CA),
        ({"AIOHTTP_CLIENT_SSL_CERT_FILE": CA, "AIOHTTP_CLIENT_SESSION_SSL": "false"}, "verify_tls", False),
    ],
)
def test_the_environment_sets_a_field(environ: dict[str, str], field: str, value: Any) -> None:
    assert Settings.from_env(environ) == Settings(**{field: value})


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS_CACHE_TTL", "7")
    assert Settings.from_env().model_list_lifetime == 7


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("ENABLE_OPENAI_API", "1"),
        ("ENABLE_OPENAI_API", "yes"),
        ("ENABLE_OPENAI_API", ""),
        ("ENABLE_OPENAI_API", " true"),
        ("BYPASS_MODEL_ACCESS_CONTROL", "on"),
        ("ENABLE_FORWARD_USER_INFO_HEADERS", "0"),
        ("AIOHTTP_CLIENT_TIMEOUT", "abc"),
        ("AIOHTTP_CLIENT_TIMEOUT", "0"),
        ("AIOHTTP_CLIENT_TIMEOUT", "-1"),
        ("AIOHTTP_CLIENT_TIMEOUT", "nan"),
        ("AIOHTTP_CLIENT_STREAM_IDLE_TIMEOUT", "0"),
        ("AIOHTTP_CLIENT_STREAM_IDLE_TIMEOUT", "x"),
        ("AIOHTTP_CLIENT_TIMEOUT_MODEL_LIST", "inf"),
        ("AIOHTTP_CLIENT_TIMEOUT_OPENAI_MODEL_LIST", "ten"),
        ("MODELS_CACHE_TTL", "-1"),
        ("MODELS_CACHE_TTL", "one"),
        ("FORWARD_USER_INFO_HEADER_USER_NAME", "X Name"),
        ("FORWARD_USER_INFO_HEADER_USER_ID", "Cookie"),
        ("FORWARD_SESSION_INFO_HEADER_CHAT_ID", "X:"),
        ("AIOHTTP_CLIENT_SESSION_SSL", "/no/such/file"),
        ("AIOHTTP_CLIENT_SSL_CERT_FILE", "/no/such/file"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(variable: str, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Settings.from_env({variable: text})
    assert raised.value.field == variable


def test_a_bundle_must_be_a_file_of_certificates(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("no certificate")
    for path in (tmp_path, tmp_path / "none.pem"):
        with pytest.raises(ConfigError, match="verify_tls"):
            Settings(verify_tls=str(path))
