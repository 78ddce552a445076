from __future__ import annotations

import pytest
from openai.lib.azure import _deployments_endpoints

from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.config.upstream import Upstream
from openai_gateway_asgi.errors import InvalidRequest
from openai_gateway_asgi.rewrites.azure import (
    azure_model,
    azure_path,
    azure_stream_options,
    azure_temperature,
    is_older,
)

from .upstreams import AZURE, AZURE_OLD, AZURE_V1, PLAIN


def versioned(version: str) -> Upstream:
    return Upstream("https://r.openai.azure.com", provider="azure", api_version=version)


@pytest.mark.parametrize(
    ("upstream", "path", "model", "expected"),
    [
        pytest.param(AZURE, "/chat/completions", "dep1", "/openai/deployments/dep1/chat/completions", id="case-98"),
        pytest.param(versioned(""), "/chat/completions", "d", "/openai/deployments/d/chat/completions", id="case-106"),
        pytest.param(
            versioned("2025-04-01-preview"),
            "/embeddings",
            "ada",
            "/openai/deployments/ada/embeddings",
            id="case-131",
        ),
        pytest.param(AZURE, "/responses", "dep1", "/openai/responses", id="responses-name-it-in-the-body"),
        pytest.param(AZURE, "/files/f-1/content", "", "/openai/files/f-1/content", id="no-model"),
        pytest.param(AZURE, "/models", "", "/openai/models", id="case-138-classic"),
        pytest.param(AZURE_V1, "/chat/completions", "dep1", "/chat/completions", id="case-103"),
        pytest.param(AZURE_V1, "/models", "", "/models", id="case-138-v1"),
        pytest.param(
            Upstream("https://r.openai.azure.com/openai", provider="azure"),
            "/embeddings",
            "ada",
            "/deployments/ada/embeddings",
            id="a-base-with-openai",
        ),
    ],
)
def test_a_path_is_a_deployment_s_or_the_resource_s(upstream: Upstream, path: str, model: str, expected: str) -> None:
    assert azure_path(upstream, path, model) == expected


@pytest.mark.parametrize(
    ("model", "segment"),
    [
        ("gpt-3.5", "gpt-3.5"),
        ("a b", "a%20b"),
        ("a%2Fb", "a%252Fb"),
        ("a?b#c", "a%3Fb%23c"),
        ("a&b=c;d", "a%26b%3Dc%3Bd"),
        ("ü", "%C3%BC"),
        (".a", ".a"),
        ("a.", "a."),
    ],
)
def test_case_104_a_name_is_quoted_once_as_one_segment(model: str, segment: str) -> None:
    assert azure_path(AZURE, "/embeddings", model) == f"/openai/deployments/{segment}/embeddings"


@pytest.mark.parametrize(
    "model",
    ["", ".", "..", "../../x", "a/b", "a\\b", "a..b", "/", "a\n", "a\r\nb", "\x00", "a\x7f", "a\x85", "a\ud800"],
)
def test_case_104_a_name_that_is_no_segment_is_refused(model: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        azure_path(AZURE, "/chat/completions", model)
    assert (refusal.value.status, refusal.value.param) == (400, "model")


def test_such_a_name_does_not_matter_where_the_body_carries_it() -> None:
    assert azure_path(AZURE_V1, "/chat/completions", "a/b") == "/chat/completions"
    assert azure_path(AZURE, "/responses", "a/b") == "/openai/responses"


def test_the_deployment_endpoints_are_those_of_the_openai_sdk() -> None:
    for path in _deployments_endpoints:
        assert azure_path(AZURE, path, "d") == f"/openai/deployments/d{path}"


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        pytest.param(versioned("2024-02-01"), True, id="2024-02-01"),
        pytest.param(versioned("2024-08-01-preview"), True, id="2024-08-01-preview"),
        pytest.param(versioned("2024-09-01-preview"), False, id="2024-09-01-preview"),
        pytest.param(versioned("2024-10-21"), False, id="2024-10-21"),
        pytest.param(versioned("preview"), False, id="undated"),
        pytest.param(versioned(""), False, id="default"),
        pytest.param(
            Upstream("https://r/openai/v1", provider="azure", api_version="2023-05-15"), False, id="v1-has-no-version"
        ),
    ],
)
def test_a_version_is_older_by_its_date(upstream: Upstream, expected: bool) -> None:
    assert is_older(upstream, "2024-09-01") is expected


@pytest.mark.parametrize(
    ("upstream", "kept"),
    [
        pytest.param(AZURE_OLD, False, id="case-99-2024-02-01"),
        pytest.param(AZURE, True, id="case-99-2024-10-21"),
        pytest.param(AZURE_V1, True, id="case-103-v1"),
        pytest.param(PLAIN, True, id="not-azure"),
        pytest.param(Upstream("http://a/v1", api_version="2024-02-01"), True, id="not-azure-with-a-version"),
    ],
)
def test_stream_options_reach_the_versions_that_take_them(upstream: Upstream, kept: bool) -> None:
    payload = Payload.parse(b'{"stream":true,"stream_options":{}}')
    assert ("stream_options" in azure_stream_options(payload, upstream, "m")) is kept


@pytest.mark.parametrize(
    ("upstream", "model", "value", "kept"),
    [
        pytest.param(AZURE, "o3", b"0.2", False, id="case-102-0.2"),
        pytest.param(AZURE, "o3", b"0", False, id="case-102-0"),
        pytest.param(AZURE, "o3", b"1", True, id="case-102-1"),
        pytest.param(AZURE, "o3", b"1.0", True, id="case-102-1.0"),
        pytest.param(AZURE, "o3", b"null", True, id="null"),
        pytest.param(AZURE, "gpt-4o", b"0.2", True, id="no-reasoning"),
        pytest.param(AZURE, "gpt-5-chat", b"0.2", True, id="gpt-5-chat"),
        # Case 261: the same model refuses it at both addresses; case 103 had let it through at this one.
        pytest.param(AZURE_V1, "o3", b"0.2", False, id="case-261-v1"),
        pytest.param(AZURE_V1, "o3", b"1", True, id="case-261-v1-1"),
        pytest.param(AZURE_V1, "gpt-4o", b"0.2", True, id="case-261-v1-no-reasoning"),
        pytest.param(PLAIN, "o3", b"0.2", True, id="not-azure"),
    ],
)
def test_a_temperature_is_left_out_where_azure_refuses_it(
    upstream: Upstream, model: str, value: bytes, kept: bool
) -> None:
    body = b'{"temperature":%b}' % value
    assert azure_temperature(Payload.parse(body), upstream, model).encode() == (body if kept else b"{}")


def test_a_temperature_that_is_no_number_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match=r"\$\.temperature"):
        azure_temperature(Payload.parse(b'{"temperature":"hot"}'), AZURE, "o3")


@pytest.mark.parametrize(
    ("upstream", "kept"),
    [
        pytest.param(AZURE, False, id="case-98-classic"),
        pytest.param(AZURE_V1, True, id="case-103-v1"),
        pytest.param(PLAIN, True, id="not-azure"),
    ],
)
def test_the_body_names_a_model_where_the_path_does_not(upstream: Upstream, kept: bool) -> None:
    assert ("model" in azure_model(Payload.parse(b'{"model":"dep1"}'), upstream, "dep1")) is kept
