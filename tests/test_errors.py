"""The shape of every error, and that the real OpenAI client reads it as what it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from openai_gateway_asgi import ConfigError, Grant, Grants, Settings, Timeouts, Upstream, User, errors
from openai_gateway_asgi.errors import GatewayError, HostRefusal, UpstreamRefused
from openai_gateway_asgi.testing import FakeUpstream, wire
from tests.cases.gateways import MESSAGES, served


def classes(base: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    yield base
    for below in base.__subclasses__():
        if below.__module__ == errors.__name__:  # a host may have its own
            yield from classes(below)


OWN_FORM = {HostRefusal, UpstreamRefused}


@pytest.mark.parametrize("kind", [kind for kind in classes() if kind not in OWN_FORM], ids=lambda kind: kind.__name__)
def test_every_error_has_openais_four_keys(kind: type[GatewayError]) -> None:
    error = kind("M", param="p")
    assert json.loads(error.body()) == {"error": {"message": "M", "type": kind.type, "param": "p", "code": kind.code}}
    assert 400 <= kind.status <= 599
    assert kind.status != 422


def test_the_module_lists_every_error() -> None:
    assert errors.__doc__ is not None
    missing = [kind.__name__ for kind in classes() if kind.__name__ not in errors.__doc__]
    assert missing == []


def test_an_instance_may_have_its_own_code_and_headers() -> None:
    error = errors.ModelNotFound("M", code="c", headers=((b"a", b"b"),))
    assert (error.code, error.headers) == ("c", ((b"a", b"b"),))
    assert errors.ModelNotFound.code == "model_not_found"
    assert errors.ModelNotFound("M").headers == errors.DO_NOT_RETRY


@pytest.mark.parametrize(
    ("status", "type_", "code"),
    [
        (401, "authentication_error", "unauthenticated"),
        (403, "permission_error", "permission_denied"),
        (404, "invalid_request_error", "not_found"),
        (429, "rate_limit_error", "rate_limit_exceeded"),
        (418, "invalid_request_error", None),
        (503, "server_error", None),
    ],
)
def test_a_status_of_the_hosts_gets_its_usual_names(status: int, type_: str, code: str | None) -> None:
    error = HostRefusal(status, "M")
    assert (error.status, error.detail()) == (status, {"message": "M", "type": type_, "param": None, "code": code})


def test_an_upstreams_refusal_is_its_own_bytes() -> None:
    error = UpstreamRefused(418, ((b"retry-after", b"1"),), b"tea", content_type=b"text/plain")
    assert (error.status, error.body(), error.content_type) == (418, b"tea", b"text/plain")
    assert error.headers == ((b"retry-after", b"1"),)


def test_a_configuration_error_names_its_field() -> None:
    error = ConfigError("base_url", "must be a URL")
    assert str(error) == "base_url: must be a URL"
    assert (error.field, error.problem) == ("base_url", "must be a URL")
    assert isinstance(error, ValueError)


NOBODY = {"x-test-user": "nobody"}
USER = {"x-test-user": "u1"}
GRANTS = Grants({"m1": Grant(public=True)})


async def raised(upstream: str | Upstream | FakeUpstream, call: Any, **options: Any) -> openai.APIStatusError:
    """What the client raises; ``call`` gets it. The error's own message never says where the upstream is."""
    async with served(upstream, **options) as s, s.sdk as sdk:
        with pytest.raises(openai.APIStatusError) as caught:
            await call(sdk)
    assert "127.0.0.1" not in caught.value.message
    assert caught.value.request_id
    return caught.value


def create(**fields: Any) -> Any:
    return lambda sdk: sdk.chat.completions.create(**{"model": "m1", "messages": MESSAGES, **fields})


def post(path: str, **options: Any) -> Any:
    return lambda sdk: sdk.post(path, cast_to=object, **options)


def summary(error: openai.APIStatusError) -> tuple[type, int, str | None, str | None]:
    return type(error), error.status_code, error.code, error.param


REFUSALS: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "no user": (
        create(extra_headers=NOBODY),
        (openai.AuthenticationError, 401, "unauthenticated", None),
        "not signed in",
    ),
    "denied model": (
        create(model="secret", extra_headers=USER),
        (openai.NotFoundError, 404, "model_not_found", "model"),
        "`secret`",
    ),
    "unknown model": (
        create(model="nothing", extra_headers=USER),
        (openai.NotFoundError, 404, "model_not_found", "model"),
        "`nothing`",
    ),
    "unknown path": (post("/nothing", body={}), (openai.NotFoundError, 404, "not_found", None), "no such path"),
    "wrong method": (
        lambda sdk: sdk.get("/embeddings", cast_to=object),
        (openai.APIStatusError, 405, "method_not_allowed", None),
        "POST",
    ),
    "bad JSON": (post("/embeddings", content=b"{"), (openai.BadRequestError, 400, "invalid_json", None), "valid JSON"),
    "no object": (post("/embeddings", body=[1]), (openai.BadRequestError, 400, "invalid_json", None), "JSON object"),
    "wrong type": (create(model=7), (openai.BadRequestError, 400, "invalid_type", "model"), "`$.model`"),
    "wrong nested type": (
        create(extra_body={"models": ["m1", 2]}),
        (openai.BadRequestError, 400, "invalid_type", "models[1]"),
        "`$.models[1]`",
    ),
    "missing model": (create(model=None), (openai.BadRequestError, 400, "missing_field", "model"), "`$.model`"),
    "too large": (
        create(extra_body={"x": "y" * 1000}),
        (openai.APIStatusError, 413, "payload_too_large", None),
        "1000 bytes",
    ),
    "wrong content type": (
        post("/embeddings", body={}, options={"headers": {"content-type": "text/plain"}}),
        (openai.APIStatusError, 415, "unsupported_media_type", "content-type"),
        "application/json",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_the_client_raises_what_the_gateway_refuses(case: str) -> None:
    call, expected, said = REFUSALS[case]
    upstream = Upstream("http://127.0.0.1:9/v1", model_ids=["m1", "secret"])
    error = await raised(upstream, call, authorize_model=GRANTS, settings=Settings(json_limit=1000, retries=0))
    assert summary(error) == expected
    assert said in error.message


async def test_denied_and_unknown_models_look_the_same() -> None:
    upstream = Upstream("http://127.0.0.1:9/v1", model_ids=["m1", "secret"])
    bodies = []
    for model in ("secret", "nothing"):
        error = await raised(upstream, create(model=model, extra_headers=USER), authorize_model=GRANTS)
        headers = {name for name in error.response.headers if name != "date"}
        bodies.append((error.message.replace(model, "?"), error.code, error.param, headers))
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_the_client_raises_what_the_upstream_refuses(status: int, kind: type) -> None:
    script = wire.answer(status, body=b'{"error": {"message": "M", "type": "t", "param": "p", "code": "c"}}')
    async with FakeUpstream(wire=[script]) as upstream:
        error = await raised(upstream, create())
    assert summary(error) == (kind, status, "c", "p")
    assert error.type == "t"


async def test_an_upstream_that_refuses_our_key_is_a_502() -> None:
    async with FakeUpstream(wire=[wire.answer(401)]) as upstream:
        error = await raised(upstream, create())
    assert summary(error) == (openai.InternalServerError, 502, "upstream_credential", None)


@pytest.mark.parametrize("status", [402, 403])
async def test_an_upstream_that_refuses_our_account_is_a_502(status: int) -> None:
    async with FakeUpstream(wire=[wire.answer(status)]) as upstream:
        error = await raised(upstream, create())
    assert summary(error) == (openai.InternalServerError, 502, "upstream_account", None)


async def test_an_upstream_that_is_not_there_is_a_502() -> None:
    with wire.refusing_url() as url:
        error = await raised(url, create())
    assert summary(error) == (openai.InternalServerError, 502, "upstream_unavailable", None)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_upstream_that_does_not_answer_is_a_504(stream: bool) -> None:
    timeouts = Timeouts(first_event=0.05, answer=0.05)
    async with FakeUpstream(wire=[wire.hang]) as upstream:
        error = await raised(upstream, create(stream=stream), timeouts=timeouts)
    assert summary(error) == (openai.InternalServerError, 504, "upstream_timeout", None)


async def test_a_failing_callable_of_the_hosts_is_a_500() -> None:
    def fails(user: User, model: object) -> bool:
        raise RuntimeError("secret detail")

    error = await raised("http://127.0.0.1:9", create(), authorize_model=fails)
    assert summary(error) == (openai.InternalServerError, 500, "host_failure", None)
    assert "secret" not in error.message
