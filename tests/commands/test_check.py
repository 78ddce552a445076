from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openai_gateway_asgi.commands import main

Check = Callable[..., tuple[int, str, str]]

IMPORTS = """
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Host, Mount, Route
from openai_gateway_asgi import *

def made(*upstreams, **options):
    options = {"authorize_model": everyone, **options}
    return Gateway(upstreams or [Upstream("https://a.example/v1", api_key="k")], **options)

ODD = Upstream("https://a.example", api_key="k")
"""
ODD = "warning  upstreams.0.base_url [base_url_without_path]: has no path"


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Check]:
    """Writes a module ``host`` and checks what is named in it; gives exit status, output and complaints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # one name stands for many files

    def run(code: str, target: str = "host:app", *options: str) -> tuple[int, str, str]:
        sys.modules.pop("host", None)
        (tmp_path / "host.py").write_text(IMPORTS + textwrap.dedent(code))
        status = main(["check", target, *options])
        return status, *capsys.readouterr()

    yield run
    sys.modules.pop("host", None)


@pytest.mark.parametrize(
    ("code", "target"),
    [
        ("gateway = made(ODD)", "host:gateway"),
        ("gateway = made(ODD)", "host"),
        ("class services: gateway = made(ODD)", "host:services.gateway"),
        ("app = Starlette(routes=[Mount('/openai', made(ODD))])", "host:app"),
        ("app = Starlette(routes=[Mount('/openai', made(ODD))])", "host"),
        ("app = Starlette(routes=[Host('x.example', app=Starlette(routes=[Mount('/a', made(ODD))]))])", "host:app"),
        ("app = FastAPI(); app.mount('/openai', made(ODD))", "host:app"),
        ("""
         gateway = made(ODD)
         app = FastAPI(lifespan=gateway.lifespan)
         app.mount('/openai', gateway)
         """, "host:app"),
        ("""
         gateway = made(ODD)
         app = FastAPI()
         @app.post('/ai/{path:path}')
         async def ai():
             return gateway.response(User(id="u"))
         """, "host:app"),
        ("""
         class Wrapper:
             def __init__(self, app): self.app = app
             async def __call__(self, scope, receive, send): await self.app(scope, receive, send)
         app = Wrapper(Wrapper(Starlette(routes=[Mount('/openai', made(ODD))])))
         """, "host:app"),
        ("""
         def mount(gateway, inside):
             async def application(scope, receive, send):
                 await (gateway if scope["path"] == "/a" else inside)(scope, receive, send)
             return application
         app = mount(made(ODD), Starlette())
         """, "host:app"),
        ("""
         class Proxy:
             @property
             def __class__(self): raise RuntimeError("no request")
             def __getattr__(self, name): raise RuntimeError("no request")
         app = Starlette(routes=[Mount('/openai', made(ODD))])
         app.state.proxy = Proxy()
         """, "host:app"),
        ("def create_app(): return FastAPI(routes=[Mount('/openai', made(ODD))])", "host:create_app"),
        ("def create_app(): return FastAPI(routes=[Mount('/openai', made(ODD))])", "host:create_app()"),
        ("def create_app(word='x'): return made(ODD)", "host"),
        ("async def create_app(): return made(ODD)", "host:create_app"),
    ],
)  # fmt: skip
def test_a_gateway_is_found_where_hosts_have_it(check: Check, code: str, target: str) -> None:
    status, out, err = check(code, target)
    assert (status, err) == (0, "")
    assert ODD in out
    assert out.endswith(f"{target}: no errors, 1 warning\n")


def test_every_gateway_of_an_application_is_checked_once(check: Check) -> None:
    status, out, _ = check("""
        a, b = made(ODD), made(Upstream("https://api.openai.com/v1"))
        app = Starlette(routes=[Mount('/a', a), Mount('/a2', a), Mount('/b', b)])
    """)
    assert status == 0
    assert out.count("warning ") == 2
    assert "api_key_missing" in out


def test_warnings_alone_are_no_failure_unless_they_are_to_be(check: Check) -> None:
    assert check("app = made()")[:2] == (0, "host:app: no errors, no warnings\n")
    assert check("app = made(ODD)", "host:app", "--strict")[0] == 1
    assert check("app = made()", "host:app", "--strict")[0] == 0


def test_errors_are_all_printed_wherever_they_were_raised(check: Check) -> None:
    status, out, _ = check("app = made(Upstream('https://api.openai.com', api_key='Bearer sk-secret'))")
    assert status == 1
    assert out == (
        "error    upstreams.0.base_url [missing_api_path]: has no path; write https://api.openai.com/v1\n"
        "error    upstreams.0.api_key [api_key_with_scheme]: begins with 'Bearer'; write the key alone; `Bearer` is "
        "added to it\n"
        "host:app: 2 errors, no warnings\n"
    )
    status, out, _ = check("def app(): return made(Upstream('a.example'))")
    assert status == 1
    assert out.startswith("error    base_url [invalid_value]: must be an absolute http or https URL")


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ("return config_from_data({'OPENAI_API_BASE_URLS': ['https://api.openai.com'], 'OPENAI_API_KEYS': ['k'], 'OPENAI_API_CONFIGS': {}})",
         "error    OPENAI_API_BASE_URLS.0 [missing_api_path]"),
        ("return GatewayConfig(True, [])", "warning  OPENAI_API_BASE_URLS [no_upstreams]"),
        ("raise ConfigError('OPENAI_API_KEYS', 'is required')", "error    OPENAI_API_KEYS [invalid_value]: is required"),
        ("raise ConnectionError('sekret')", "error    store [invalid_value]: gave no configuration: ConnectionError"),
    ],
)  # fmt: skip
def test_what_a_store_holds_is_checked_as_well(check: Check, store: str, told: str) -> None:
    status, out, _ = check(f"""
        class Store:
            shared = True
            async def load(self): {store}
            async def version(self): return "1"
            async def save(self, config, *, replaces): return config
        app = Gateway(Store(), authorize_model=everyone)
    """)
    assert status == told.startswith("error")
    assert told in out
    assert "sekret" not in out


@pytest.mark.parametrize(
    ("code", "target", "told"),
    [
        ("", "nowhere:app", "there is no module nowhere; run this where it can be imported, or write --app-dir"),
        ("", "host.deeper:app", "there is no module host.deeper"),
        ("", "host:app", "host has no app"),
        ("gateway = made()", "host:app", "host has no app; it has gateway"),
        ("", "host", "host has none of gateway, app"),
        ("", "host.py:app", "host.py is a file; write its module, as host:app"),
        ("", "./src/host.py", "write its module, as src.host:app"),
        ("import nowhere", "host:app", "importing host failed: ModuleNotFoundError: No module named 'nowhere' ("),
        ("1 / 0", "host:app", "importing host failed: ZeroDivisionError: division by zero ("),
        ("x = (", "host:app", "importing host failed: SyntaxError"),
        ("raise SystemExit('set KEY')", "host:app", "importing host failed: SystemExit: set KEY"),
        ("app = Starlette()", "host:app", "host:app is of type Starlette, and there is no Gateway in it"),
        ("app = 5", "host:app", "host:app is of type int"),
        ("app = Gateway", "host:app", "host:app is of type type"),
        ("def app(): return 1 / 0", "host:app", "calling host:app failed: ZeroDivisionError"),
        ("def app(): return None", "host:app", "host:app is of type NoneType"),
        ("def app(word): return made()", "host:app", "host:app is of type function"),
    ],
)  # fmt: skip
def test_where_there_is_nothing_to_check_it_is_said_why(check: Check, code: str, target: str, told: str) -> None:
    status, out, err = check(code, target)
    assert (status, out) == (2, "")
    assert err.startswith("nothing to check: ")
    assert told in err


def test_modules_are_looked_for_in_a_folder_of_one_s_choice(check: Check, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    check("", "nowhere:app")
    (tmp_path / "host.py").rename(tmp_path / "src" / "elsewhere.py")
    (tmp_path / "src" / "elsewhere.py").write_text(IMPORTS + "app = made(ODD)")
    assert main(["check", "elsewhere:app", "--app-dir", "src"]) == 0
    sys.modules.pop("elsewhere")


def test_the_command_is_run_by_python(tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text(IMPORTS + "app = made(ODD)")
    command = [sys.executable, "-m", "openai_gateway_asgi", "check", "host:app", "--strict"]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (1, "")
    assert ran.stdout.startswith(ODD)


@pytest.mark.parametrize("arguments", [[], ["check"], ["chekc", "host:app"]])
def test_a_command_that_is_none_is_told_how_to_write_one(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: python -m openai_gateway_asgi" in capsys.readouterr().err
