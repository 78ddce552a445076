from __future__ import annotations

from typing import Any

import pytest

from openai_gateway_asgi.config.upstream import Upstream
from openai_gateway_asgi.rewrites.query import upstream_query

from .upstreams import AZURE, AZURE_V1, PLAIN

PREVIEW = Upstream("https://r.openai.azure.com/openai/v1", provider="azure", api_version="preview")


def with_query(**query: str) -> Upstream:
    return Upstream("https://a.example/v1", query=query)


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        pytest.param(b"limit=2&a=%20+%ff", b"limit=2&a=%20+%ff&api-version=2024-10-21", id="kept-as-sent"),
        pytest.param(b"api-version=1&limit=2", b"limit=2&api-version=2024-10-21", id="not-doubled"),
        pytest.param(b"API-Version=1&api%2Dversion=2&api-version", b"api-version=2024-10-21", id="however-spelled"),
        pytest.param(b"my-api-version=1", b"my-api-version=1&api-version=2024-10-21", id="another-name"),
        pytest.param(b"&&a=1&", b"a=1&api-version=2024-10-21", id="empty-pairs"),
    ],
)
def test_classic_azure_gets_our_version_and_the_client_s_rest(client: bytes, expected: bytes) -> None:
    assert upstream_query(AZURE, client) == expected


@pytest.mark.parametrize(
    ("upstream", "client", "expected"),
    [
        pytest.param(AZURE_V1, b"limit=2", b"limit=2", id="v1-rest"),
        pytest.param(
            AZURE_V1, b"api-version=preview&limit=2", b"api-version=preview&limit=2", id="v1-the-client-s-own"
        ),
        pytest.param(AZURE_V1, b"api-version=2024-10-21&limit=2", b"limit=2", id="v1-knows-no-dates"),
        pytest.param(AZURE_V1, b"api-version=2025%2D04-01-preview", b"", id="v1-knows-no-dates-however-spelled"),
        pytest.param(PREVIEW, b"limit=2", b"limit=2&api-version=preview", id="v1-ours-and-the-rest"),
        pytest.param(PREVIEW, b"api-version=latest", b"api-version=preview", id="v1-ours-alone"),
        pytest.param(PLAIN, b"api-version=preview&limit=2", b"limit=2", id="nothing-to-others"),
        pytest.param(PLAIN, b"&&a=1&", b"&&a=1&", id="untouched"),
    ],
)
def test_case_258_an_api_version(upstream: Upstream, client: bytes, expected: bytes) -> None:
    assert upstream_query(upstream, client) == expected


@pytest.mark.parametrize(
    ("query", "client", "expected"),
    [
        ({"a": "1", "b": ""}, b"c=3", b"c=3&a=1&b="),
        ({"a": "1"}, b"A=2&%61=3&a&b=4", b"b=4&a=1"),
        ({"a b": "1"}, b"a+b=2&a%20b=3", b"a+b=1"),
        ({"ü": "a&b=c"}, b"&", b"%C3%BC=a%26b%3Dc"),
        ({"api-version": "preview"}, b"api-version=2024-10-21", b"api-version=preview"),
    ],
)
def test_case_260_a_fixed_query_stands_in_the_place_of_the_client_s(query: Any, client: bytes, expected: bytes) -> None:
    assert upstream_query(with_query(**query), client) == expected


@pytest.mark.parametrize(
    ("upstream", "fixed"),
    [
        (PLAIN, b""),
        (AZURE, b"api-version=2024-10-21"),
        (AZURE_V1, b""),
        (PREVIEW, b"api-version=preview"),
        (with_query(a="1", b=""), b"a=1&b="),
    ],
)
def test_a_client_without_a_query_sends_the_fixed_one(upstream: Upstream, fixed: bytes) -> None:
    assert upstream.fixed_query == fixed
