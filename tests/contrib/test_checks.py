"""The Django app: what ``manage.py check`` tells of the gateway, and of a missing Django."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import AppConfig, apps
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from openai_gateway_asgi.contrib.django.apps import OpenAIGatewayConfig
from openai_gateway_asgi.contrib.django.checks import check_gateways, check_orm_threads
from openai_gateway_asgi.contrib.django.installed import gateways, mounted, place
from tests.support.servers import ROOT

ASGI = """
from openai_gateway_asgi import Gateway, Upstream, everyone
from openai_gateway_asgi.contrib.django import mount

async def django(scope, receive, send): ...
"""
Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Makes a module of the code and returns its name."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def made(code: str) -> str:
        (tmp_path / "made_asgi.py").write_text(ASGI + code)
        return "made_asgi"

    yield made
    for name in set(sys.modules) - before:
        if name.startswith("made_asgi"):
            del sys.modules[name]


def told(messages: list[CheckMessage]) -> list[tuple[str, str]]:
    return [(message.id, message.msg) for message in messages]


def test_the_app_has_its_label_and_is_found_by_its_package() -> None:
    config = AppConfig.create("openai_gateway_asgi.contrib.django")

    assert type(config) is OpenAIGatewayConfig
    assert (config.label, config.verbose_name) == ("openai_gateway", "OpenAI gateway")
    assert not apps.is_installed("openai_gateway_asgi.contrib.django")  # as it need not be, for mount() to work


def test_a_good_gateway_is_nothing_to_tell_of(write: Write) -> None:
    module = write(
        "gateway = Gateway([Upstream('https://api.openai.com/v1', api_key='sk-of-the-site')], authorize_model=everyone)\n"
        "application = mount(gateway, '/llm', inside=django)"
    )
    with override_settings(OPENAI_GATEWAY=f"{module}.application"):
        assert told(check_gateways() + check_orm_threads()) == []
        assert mounted() is not None
        assert len(gateways()) == 1


def test_what_keeps_a_gateway_from_starting_is_an_error_that_names_the_field(write: Write) -> None:
    module = write(
        "application = mount(Gateway([Upstream('ftp://a')], authorize_model=everyone), '/llm', inside=django)"
    )
    with override_settings(OPENAI_GATEWAY=f"{module}.application"):
        (error,) = check_gateways()

    assert error.is_serious()
    assert error.msg.startswith("base_url: ")


def test_all_errors_are_told_and_each_can_be_silenced_by_its_code(write: Write) -> None:
    module = write(
        "gateway = Gateway([Upstream('https://a/v1/chat/completions'), Upstream('https://b/v1', api_key='Bearer k')],"
        " authorize_model=everyone)"
    )
    with override_settings(OPENAI_GATEWAY=f"{module}.gateway"):
        errors = check_gateways()

    assert [error.id for error in errors] == [
        "openai_gateway.endpoint_in_base_url",
        "openai_gateway.api_key_with_scheme",
    ]
    assert errors[0].msg.startswith("upstreams.0.base_url: ")


def test_warnings_are_told_with_what_to_write_instead(write: Write) -> None:
    module = write(
        "application = mount(Gateway([Upstream('https://models.test', api_key='sk-x')], authorize_model=everyone),"
        " '/llm', inside=django)"
    )
    with override_settings(OPENAI_GATEWAY=f"{module}.application"):
        (warning,) = check_gateways()

    assert (warning.id, warning.is_serious()) == ("openai_gateway.base_url_without_path", False)
    assert warning.msg.startswith("upstreams.0.base_url has no path")
    assert "/v1" in warning.hint


def test_what_a_store_holds_is_judged_as_well(write: Write, tmp_path: Path) -> None:
    (tmp_path / "gateway.json").write_text("{")
    module = write(
        "from openai_gateway_asgi import FileStore\n"
        f"gateway = Gateway(FileStore({str(tmp_path / 'gateway.json')!r}), authorize_model=everyone)\n"
        "application = mount(gateway, '/llm', inside=django)"
    )
    with override_settings(OPENAI_GATEWAY=f"{module}.application"):
        messages = check_gateways()

    assert [message.is_serious() for message in messages] == [True]


def test_a_module_that_cannot_be_imported_is_an_error_of_its_own(write: Write) -> None:
    module = write("raise KeyError('OPENAI_API_KEY')")
    with override_settings(OPENAI_GATEWAY=f"{module}.application"):
        assert told(check_gateways()) == [
            ("openai_gateway.E001", "made_asgi cannot be imported: KeyError: 'OPENAI_API_KEY'")
        ]
        assert check_orm_threads() == []


def test_a_place_without_a_gateway_is_warned_of_with_what_to_write(write: Write) -> None:
    with override_settings(OPENAI_GATEWAY=f"{write('')}.application"):
        (warning,) = check_gateways()
    assert (warning.id, warning.is_serious()) == ("openai_gateway.W001", False)
    assert "OPENAI_GATEWAY" in warning.hint

    with override_settings(OPENAI_GATEWAY=None):  # and there is no tests/contrib/asgi.py
        assert told(check_gateways()) == [("openai_gateway.W001", "No gateway was found in tests.contrib.asgi.")]
        assert mounted() is None


def test_a_place_that_is_not_there_is_an_error_where_it_was_named() -> None:
    with override_settings(OPENAI_GATEWAY="no.such.module.application"):
        assert [message.id for message in check_gateways()] == ["openai_gateway.E001"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"OPENAI_GATEWAY": "a.asgi.app", "ASGI_APPLICATION": "b.asgi.app"}, ("a.asgi", "app")),
        ({"ASGI_APPLICATION": "b.asgi.app"}, ("b.asgi", "app")),
        ({"ROOT_URLCONF": "my.site.urls"}, ("my.site.asgi", "application")),
        ({"ROOT_URLCONF": "urls"}, ("asgi", "application")),
    ],
)
def test_the_gateway_is_looked_for_where_sites_have_it(settings: dict[str, str], expected: tuple[str, str]) -> None:
    with override_settings(**settings):
        assert place() == expected


def test_a_place_without_a_module_is_refused() -> None:
    with override_settings(OPENAI_GATEWAY="application"), pytest.raises(ImproperlyConfigured, match="OPENAI_GATEWAY"):
        place()


def test_what_another_application_wraps_is_found_too(write: Write) -> None:
    module = write(
        "wrapped = mount(Gateway([], authorize_model=everyone), '/llm', inside=django)\n"
        "async def application(scope, receive, send): await wrapped(scope, receive, send)"
    )
    with override_settings(OPENAI_GATEWAY=f"{module}.application"):
        found = mounted()
        assert found is not None
        assert gateways() == [found.gateway]


def test_a_database_in_memory_and_several_threads_do_not_go_together(write: Write) -> None:
    module = write(
        "gateway = Gateway([], authorize_model=everyone)\n"
        "application = mount(gateway, '/llm', inside=django, orm_threads=2)"
    )
    from django.db import connections

    connection = connections["default"]
    with override_settings(OPENAI_GATEWAY=f"{module}.application"):
        assert check_orm_threads() == []
        connection.is_in_memory_db = lambda: True
        try:
            (warning,) = check_orm_threads()
        finally:
            del connection.is_in_memory_db
    assert warning.id == "openai_gateway.W002"


# Without Django


@pytest.mark.parametrize("missing", ["django", "asgiref"])
def test_a_missing_extra_is_told_in_one_sentence(missing: str) -> None:
    ran = python(f"sys.modules['{missing}'] = None", "import openai_gateway_asgi.contrib.django")

    assert ran.returncode == 1
    assert ran.stderr.rstrip().splitlines()[-1] == (
        "ModuleNotFoundError: openai_gateway_asgi.contrib.django needs Django 5.2 or newer: "
        "pip install 'openai-gateway-asgi[django]'"
    )


def test_another_missing_module_is_called_by_its_own_name() -> None:
    ran = python("sys.modules['starlette'] = None", "import openai_gateway_asgi.contrib.django")

    assert "starlette" in ran.stderr.splitlines()[-1]
    assert "needs Django" not in ran.stderr


def python(*statements: str) -> Any:
    code = "; ".join(["import sys", *statements])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
