from __future__ import annotations

import re
from urllib.parse import urlsplit

import httpx
import pytest
import yarl

from openai_gateway_asgi.config import addresses
from openai_gateway_asgi.errors import ConfigError

CANONICAL = {
    "https://proxy.example/https://api.openai.com/v1": "https://proxy.example/https://api.openai.com/v1",
    "https://api.openai.com/v1": "https://api.openai.com/v1",
    "https://api.openai.com/v1/": "https://api.openai.com/v1",
    "https://api.openai.com/v1///": "https://api.openai.com/v1",
    "https://api.openai.com": "https://api.openai.com",
    "https://api.openai.com/": "https://api.openai.com",
    "HTTPS://API.OpenAI.com/V1": "https://api.openai.com/V1",
    "https://a.example:443/v1": "https://a.example/v1",
    "http://a.example:80/v1": "http://a.example/v1",
    "http://a.example:443/v1": "http://a.example:443/v1",
    "http://a.example:08080": "http://a.example:8080",
    "http://localhost:11434/v1": "http://localhost:11434/v1",
    "http://my_service:8000": "http://my_service:8000",
    "http://127.0.0.1:8000/v1": "http://127.0.0.1:8000/v1",
    "http://[::1]:8000/v1": "http://[::1]:8000/v1",
    "http://[0:0::1]/v1": "http://[::1]/v1",
    "https://r.openai.azure.com/openai/v1": "https://r.openai.azure.com/openai/v1",
    "https://xn--bcher-kva.example/v1": "https://xn--bcher-kva.example/v1",
    "http://a.example/a%20b;c=d/v1": "http://a.example/a%20b;c=d/v1",
    "http://a.example/...": "http://a.example/...",
}

REFUSED = {
    "": "blank",
    "   ": "blank",
    "/v1": "absolute",
    "v1": "absolute",
    "api.openai.com/v1": "absolute",
    "localhost:11434/v1": "write http:// or https:// before it",
    '"https://api.openai.com/v1"': "stands in quotes",
    "'https://api.openai.com/v1'": "stands in quotes",
    "https://a.example/v1,https://b.example/v1": "several URLs",
    "https://a.example/v1;http://b.example/v1": "several URLs",
    "https://a.example/v1 https://b.example/v1": "several URLs",
    "https://user:password@a.example/v1, https://b.example/v1": "several URLs",
    "//api.openai.com/v1": "absolute",
    "ftp://a.example/": "absolute",
    "file:///etc/passwd": "absolute",
    "javascript:alert(1)": "absolute",
    "unix:///run/x.sock": "absolute",
    "http:/a.example/v1": "absolute",
    "http:a.example/v1": "absolute",
    " http://a.example": "spaces",
    "http://a.example ": "spaces",
    "http://a .example": "spaces",
    "http://a.example/\n": "control",
    "http://a.example/\r\nX: y": "control",
    "http://a.example\t/v1": "control",
    "http://a.example/\x00": "control",
    "http://a.example\\@evil.example/": "backslash",
    "http://bücher.example": "non-ASCII",
    "http://a.example/v1/ü": "non-ASCII",
    "http://a.example/{model}": "quote",
    "http://a.example/v1?": "query",
    "http://a.example/v1?x=y": "query",
    "http://a.example?x": "query",
    "http://a.example/v1#": "fragment",
    "http://a.example#@b.example/": "fragment",
    "http://user:password@a.example/v1": "user name",
    "http://user@a.example/v1": "user name",
    "http://@a.example/v1": "user name",
    "http://:@a.example/v1": "user name",
    "http://a@b@c.example/v1": "host",
    "http://": "host",
    "http:///v1": "host",
    "http://:8000/v1": "host",
    "http://a..example/": "host",
    "http://.example/": "host",
    "http://a.example./": "host",
    "http://-a.example/": "host",
    "http://a%2eexample/": "host",
    "http://a,b/": "host",
    "http://" + "a" * 254: "host",
    "http://[::1/": "host",
    "http://[::1]x/": "host",
    "http://[fe80::1%25eth0]/": "host",
    "http://::1/": "host",
    "http://[127.0.0.1]/": "IP address",
    "http://127.1/": "IP address",
    "http://2130706433/": "IP address",
    "http://0x7f000001/": "IP address",
    "http://0177.0.0.1/": "IP address",
    "http://256.1.1.1/": "IP address",
    "http://a.example:/v1": "port",
    "http://a.example:0/v1": "port",
    "http://a.example:65536/v1": "port",
    "http://a.example:+80/v1": "port",
    "http://a.example:8_0/v1": "port",
    "http://a.example:http/v1": "port",
    "http://a.example:80:80/v1": "port",
    "http://a.example/v1/..": "..",
    "http://a.example/../admin": "..",
    "http://a.example/v1/./x": "..",
    "http://a.example/%2e%2e/admin": "..",
    "http://a.example/.%2E/admin": "..",
    "http://a.example/a%2fb": "hide",
    "http://a.example/a%5Cb": "hide",
    "http://a.example/a%0d%0ab": "hide",
    "http://a.example/%252e%252e/": "hide",
    "http://a.example/%zz": "escape",
    "http://a.example/%": "escape",
}


@pytest.mark.parametrize(("given", "kept"), CANONICAL.items())
def test_a_base_url_has_one_spelling(given: str, kept: str) -> None:
    assert addresses.base_url("base_url", given) == kept
    assert addresses.base_url("base_url", kept) == kept


@pytest.mark.parametrize(("given", "reason"), REFUSED.items())
def test_a_base_url_that_could_be_read_two_ways_is_refused(given: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(reason)) as raised:
        addresses.base_url("base_url", given)
    assert raised.value.field == "base_url"
    assert "password@" not in str(raised.value)


@pytest.mark.parametrize("given", [None, 1, b"http://a.example", ["http://a.example"]])
def test_a_base_url_is_text(given: object) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        addresses.base_url("base_url", given)


@pytest.mark.parametrize("url", sorted(set(CANONICAL.values())))
def test_every_parser_on_the_way_reads_what_was_checked(url: str) -> None:
    ours = urlsplit(url)
    assert httpx.URL(url).raw_host == (ours.hostname or "").encode()
    assert yarl.URL(url).raw_host == ours.hostname
    for other in (httpx.URL(url), yarl.URL(url)):
        assert other.scheme == ours.scheme
        assert other.port in (ours.port, {"http": 80, "https": 443}[ours.scheme])
        assert str(other).rstrip("/") == url


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("https://Proxy.example/", "https://proxy.example"),
        ("http://user:pass%40word@proxy.example:3128/", "http://user:pass%40word@proxy.example:3128"),
    ],
)
def test_a_proxy_may_have_a_password_but_no_path(given: str, kept: str) -> None:
    assert addresses.proxy("proxy", given) == kept


@pytest.mark.parametrize(
    "given",
    [
        "socks5://p.example",
        "p.example:3128",
        "http://p.example/path",
        "http://p.example?x",
        "http://a@b@p.example",
        "",
        5,
    ],
)
def test_other_proxies_are_refused(given: object) -> None:
    with pytest.raises(ConfigError, match="proxy"):
        addresses.proxy("proxy", given)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("https://App.example", "https://app.example"), ("http://localhost:3000", "http://localhost:3000")],
)
def test_an_origin_is_scheme_host_and_port(given: str, kept: str) -> None:
    assert addresses.origin("trusted_origins.0", given) == kept


@pytest.mark.parametrize(
    "given", ["null", "*", "https://a.example/", "https://a.example/x", "https://u@a.example", "a.example"]
)
def test_other_origins_are_refused(given: str) -> None:
    with pytest.raises(ConfigError, match=r"trusted_origins\.0"):
        addresses.origin("trusted_origins.0", given)


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost.evil.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
    ],
)
def test_loopback_is_this_machine_only(host: str, answer: bool) -> None:
    assert addresses.is_loopback(host) is answer
