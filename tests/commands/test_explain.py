from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openai_gateway_asgi.commands import main
from openai_gateway_asgi.commands.curl import NotUnderstood, request_of

Explain = Callable[..., tuple[int, str, str]]

HOST = """
from starlette.applications import Starlette
from starlette.routing import Mount
from openai_gateway_asgi import *

def only_staff(user, model): return "staff" in user.groups or user.is_admin
def find_user(id): return User(id, groups=["staff"]) if id == "ann" else None
def made(**options):
    upstream = Upstream("https://a.example/v1", api_key="sk-secret", name="A", model_ids=["m"])
    return Gateway([upstream], authorize_model=only_staff, **options)

gateway = made()
app = Starlette(routes=[Mount("/openai", made(find_user=find_user))])
"""
CHAT = {"path": "/v1/chat/completions", "body": {"model": "m", "messages": []}}
URL = "https://your.app/openai/v1/chat/completions"


@pytest.fixture
def explain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Explain]:
    """Gives exit status, output and complaints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    sys.modules.pop("host", None)
    (tmp_path / "host.py").write_text(HOST)

    def run(request: Any, *options: str, target: str = "host:gateway") -> tuple[int, str, str]:
        if not isinstance(request, str):
            (tmp_path / "request.json").write_text(json.dumps(request))
            request = "request.json"
        status = main(["explain", target, request, *options])
        return status, *capsys.readouterr()

    yield run
    sys.modules.pop("host", None)


def test_a_file_says_what_is_asked(explain: Explain) -> None:
    status, out, err = explain(CHAT, "--user", "bo", "--group", "staff")
    assert (status, err) == (0, "")
    assert out.startswith("POST /v1/chat/completions by bo: sent\n")
    assert "access to model m: allowed (authorize_model)" in out
    assert "sk-secret" not in out


def test_what_would_be_refused_has_a_status_of_its_own(explain: Explain) -> None:
    status, out, _ = explain(CHAT)
    assert status == 1
    assert out.startswith("POST /v1/chat/completions by anyone: refused, 404 denied: ")


def test_a_curl_command_will_do(explain: Explain) -> None:
    body = json.dumps(CHAT["body"])
    status, out, err = explain(f"curl {URL} --json '{body}'", "--mount", "/openai", "--role", "admin", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["candidates"][0]["url"] == "https://a.example/v1/chat/completions"


def test_without_a_type_curl_sends_a_form(explain: Explain) -> None:
    status, out, _ = explain(f"curl {URL} -d '{{}}'", "--mount", "/openai/")
    assert status == 1
    assert "unsupported_media_type" in out


def test_the_host_finds_the_user(explain: Explain) -> None:
    assert explain({**CHAT, "user": "ann"}, target="host:app")[0] == 0
    assert explain(CHAT, "--user", "ann", target="host:app")[0] == 0
    status, _, err = explain(CHAT, "--user", "bo", target="host:app")
    assert (status, err) == (2, "nothing to explain: There is no user with this id.\n")


@pytest.mark.parametrize(
    ("request_", "options", "said"),
    [
        ("nowhere.json", (), "nowhere.json cannot be read: No such file"),
        ({"path": "/v1/models", "more": 1}, (), "unknown field `more`"),
        (CHAT, ("--mount", "/openai"), "the path does not begin with the mount /openai"),
        ("curl", (), "curl cannot be read"),
        ("curl -X POST", (), "the command names no URL"),
        (f"curl {URL} -F file=@a.wav", (), "the option -F is not understood"),
        (f"curl {URL} -d 'open", (), "the command's quotes do not match"),
    ],
)
def test_what_cannot_be_understood_is_said(
    explain: Explain, request_: Any, options: tuple[str, ...], said: str
) -> None:
    status, out, err = explain(request_, *options)
    assert (status, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("command", "method", "path", "headers", "body"),
    [
        ("curl https://a.example/v1/models", "GET", "/v1/models", {}, b""),
        ("curl -s 'a.example/v1/files?limit=1' -X DELETE", "DELETE", "/v1/files?limit=1", {}, b""),
        ("curl -XPUT --url=https://a.example", "PUT", "/", {}, b""),
        (
            "curl -sS -N https://a.example/v1/x \\\n -H 'Content-Type: application/json' \\\n --data-raw '@{}' -o out",
            "POST", "/v1/x", {"content-type": "application/json"}, b"@{}",
        ),
        ("curl https://a.example/x -d a=1 -d b=2", "POST", "/x", {"content-type": "application/x-www-form-urlencoded"},
         b"a=1&b=2"),
        ("curl https://a.example/x -u me:pw -b s=1", "GET", "/x", {"authorization": "Basic bWU6cHc=", "cookie": "s=1"},
         b""),
    ],
)  # fmt: skip
def test_curl_is_read_as_curl_reads_it(
    command: str, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    assert request_of(command) == (method, path, {"host": "a.example", **headers}, body)


def test_a_file_of_data_is_read_as_curl_reads_it(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"a\nb")
    for option, read in (("-d", b"ab"), ("--data-binary", b"a\nb"), ("--json", b"a\nb")):
        assert request_of(f"curl https://a.example/ {option} @{tmp_path}/body")[3] == read
    with pytest.raises(NotUnderstood, match="the file of -d cannot be read"):
        request_of("curl https://a.example/ -d @/nowhere")
