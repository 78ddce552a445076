from __future__ import annotations

import copy
import json
import logging
import pickle
import pprint
import traceback
from dataclasses import asdict

import msgspec
import pytest

from openai_gateway_asgi.config import GatewayConfig, Secret, Upstream
from openai_gateway_asgi.config.hidden_values import HiddenValues

CANARY = "sk-canary-4f1d9c"
HEADER = "header-canary-77aa"
PASSWORD = "proxy-canary-12bc"


@pytest.fixture
def upstream() -> Upstream:
    return Upstream(
        "https://a.example/v1",
        api_key=CANARY,
        headers={"X-Key": HEADER},
        proxy=f"http://user:{PASSWORD}@proxy.example:3128",
    )


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{:>40}".format,
        "{!r:^9}".format,
        "%s".__mod__,
        pprint.pformat,
        lambda s: f"{[s]} { ({1: s}) }",
    ],
)
def test_a_secret_is_shown_as_stars(show) -> None:
    shown = show(Secret(CANARY))
    assert CANARY not in shown
    assert "***" in shown


def test_reveal_gives_the_text_and_only_that_does() -> None:
    assert Secret(CANARY).reveal() == CANARY
    assert Secret(Secret(CANARY)).reveal() == CANARY


@pytest.mark.parametrize("save", [pickle.dumps, json.dumps, msgspec.json.encode, lambda s: pickle.dumps({"a": [s]})])
def test_a_secret_cannot_be_pickled_or_encoded(save) -> None:
    with pytest.raises(TypeError) as raised:
        save(Secret(CANARY))
    assert CANARY not in str(raised.value)


def test_secrets_compare_by_text_with_secrets_only() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("ä\ud800") == Secret("ä\ud800")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_a_secret_is_false_when_empty() -> None:
    assert not Secret()
    assert not Secret("")
    assert Secret(" ")


def test_a_secret_holds_text_only() -> None:
    with pytest.raises(TypeError, match="holds text, not bytes"):
        Secret(b"x")  # type: ignore[arg-type]


def test_a_secret_cannot_be_changed() -> None:
    secret = Secret("a")
    with pytest.raises(AttributeError):
        secret._text = "b"
    with pytest.raises(AttributeError):
        del secret._text
    assert not hasattr(secret, "__dict__")


def test_copies_of_a_secret_are_the_secret() -> None:
    secret = Secret("a")
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


@pytest.mark.parametrize("show", [repr, str, pprint.pformat, lambda u: repr(GatewayConfig(upstreams=[u]))])
def test_an_upstream_shows_no_key_header_value_or_proxy_password(upstream: Upstream, show) -> None:
    shown = show(upstream)
    assert not {secret for secret in (CANARY, HEADER, PASSWORD) if secret in shown}
    assert "'X-Key': ***" in shown
    assert "http://***@proxy.example:3128" in shown


def test_logs_and_tracebacks_of_an_upstream_hold_no_secret(
    upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError(upstream, upstream.headers, upstream.api_key)

    try:
        fail()
    except RuntimeError as error:
        logging.getLogger("app").exception("%s failed with %r", upstream, upstream.headers)
        locals_shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert not {secret for secret in (CANARY, HEADER, PASSWORD) if secret in caplog.text + locals_shown}


def test_an_upstream_cannot_be_pickled(upstream: Upstream) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(upstream)


def test_an_upstream_as_a_dictionary_keeps_key_and_headers_hidden(upstream: Upstream) -> None:
    fields = asdict(upstream)
    assert CANARY not in repr(fields)
    assert HEADER not in repr(fields)


def test_header_values_are_readable_hidden_and_fixed() -> None:
    headers = HiddenValues({"X-A": HEADER})
    assert headers["X-A"] == HEADER
    assert dict(headers) == {"X-A": HEADER}
    assert headers == {"X-A": HEADER}
    assert hash(headers) == hash(HiddenValues({"X-A": HEADER}))
    assert copy.copy(headers) is headers
    assert repr(headers) == "{'X-A': ***}"
    with pytest.raises(TypeError):
        headers["X-A"] = "other"  # type: ignore[index]
    with pytest.raises(TypeError):
        pickle.dumps(headers)
