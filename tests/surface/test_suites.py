"""The suites of openai-python and openai-node: what passes against a mock of the API passes through the gateway.

They are not ours and are found where ``SDK_SUITES`` says; ``docs/sdk-suites.md`` tells what has to be there.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from openai_gateway_asgi import Gateway, Settings, Upstream, User, everyone
from openai_gateway_asgi.api.default_models import DEFAULT_MODELS
from tests.support.servers import free_port, serve

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif("SDK_SUITES" not in os.environ, reason="SDK_SUITES names no folder with the suites"),
]

ADMINISTRATIVE = "admin"
"""The folder of both suites whose tests call ``/organization`` and ``/projects``: those are a 404 by design."""

KEY = "My API Key"
FORMATS = [f"--validator-{place}-{kind}-format=brackets" for place in ("query", "form") for kind in ("array", "object")]
Outcome = dict[str, bool]
"""Whether a test passed, by its name; those that were skipped are not in it."""


@pytest.fixture
def suites() -> Path:
    return Path(os.environ["SDK_SUITES"])


@contextlib.asynccontextmanager
async def mock(suites: Path) -> AsyncIterator[str]:
    """The mock server that both suites are made for, on the description that comes with openai-python."""
    port = free_port()
    description = suites / "openai-python/api_reference/openapi.transformed.yml"
    process = await asyncio.create_subprocess_exec(
        suites / "mock/node_modules/.bin/steady", "--host", "127.0.0.1", "-p", str(port), *FORMATS, description,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(60), httpx.AsyncClient() as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"{url}/_x-steady/health")).is_success:
                        break
                await asyncio.sleep(0.2)
        yield url
    finally:
        process.terminate()
        await process.wait()


class Streaming(httpx.AsyncBaseTransport):
    """To the mock, as to a provider: what it was asked to stream the mock tells in JSON, which is no answer."""

    def __init__(self) -> None:
        self._wire = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        asked = b"".join([piece async for piece in request.stream])
        sent = httpx.Request(request.method, request.url, headers=request.headers, content=asked)
        response = await self._wire.handle_async_request(sent)
        streams = b'"stream":true' in asked.replace(b" ", b"") or request.url.params.get("stream") == "true"
        if not streams or response.headers.get("content-type") != "application/json":
            return response
        told = json.loads(await response.aread())
        if "/responses" in request.url.path:
            told = {"type": "response.completed", "response": told}
        events = b"data: " + json.dumps(told).encode() + b"\n\ndata: [DONE]\n\n"
        return httpx.Response(response.status_code, headers={"content-type": "text/event-stream"}, content=events)

    async def aclose(self) -> None:
        await self._wire.aclose()


@contextlib.asynccontextmanager
async def gateway(upstream: str) -> AsyncIterator[str]:
    """A gateway in front of it, for an administrator who may use everything; any model is the upstream's."""
    transport = Streaming()
    app = Gateway(
        [Upstream(upstream, api_key=KEY, model_ids=["*"])],
        resolve_user=lambda request: User("suite", role="admin"),
        authorize_model=everyone,
        settings=Settings(retries=0),
        transport=transport,
    )
    async with transport, app.lifespan(), serve(app, http="httptools") as server:
        yield server.url


async def run(*command: str | Path, folder: Path, url: str) -> None:
    """Runs a suite whose tests may fail; its report says which."""
    environ = {**os.environ, "TEST_API_BASE_URL": url, "OPENAI_TEST_SUITE": "generated"}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environ, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    await process.wait()


async def python_suite(suites: Path, url: str, report: Path) -> Outcome:
    await run(
        suites / "env/bin/python", "-m", "pytest", "tests/api_resources", "-q", "--tb=no", "-p", "no:cacheprovider",
        f"--junitxml={report}", folder=suites / "openai-python", url=url,
    )  # fmt: skip
    return _of_pytest(report)


def _of_pytest(report: Path) -> Outcome:
    return {
        f"{case.get('classname')}.{case.get('name')}": case.find("failure") is None and case.find("error") is None
        for case in ElementTree.parse(report).iter("testcase")
        if case.find("skipped") is None
    }


async def node_suite(suites: Path, url: str, report: Path) -> Outcome:
    await run(
        suites / "openai-node/node_modules/.bin/jest", "--runInBand", "--json", f"--outputFile={report}",
        "tests/api-resources", folder=suites / "openai-node", url=url,
    )  # fmt: skip
    return _of_jest(report, suites / "openai-node")


def _of_jest(report: Path, root: Path) -> Outcome:
    return {
        f"{Path(file['name']).relative_to(root)} {case['fullName']}": case["status"] == "passed"
        for file in json.loads(report.read_text())["testResults"]
        for case in file["assertionResults"]
        if case["status"] in ("passed", "failed")
    }


@pytest.mark.parametrize("suite", [python_suite, node_suite])
async def test_case_244_what_passes_directly_passes_through_the_gateway(
    suite: Callable[[Path, str, Path], Awaitable[Outcome]], suites: Path, tmp_path: Path
) -> None:
    async with mock(suites) as direct, gateway(direct) as through:
        expected = await suite(suites, direct, tmp_path / "direct")
        seen = await suite(suites, through, tmp_path / "through")

    assert len(expected) > 400
    assert seen.keys() == expected.keys()
    worse = [name for name, passed in expected.items() if passed and not seen[name]]
    ours = [name for name in worse if ADMINISTRATIVE not in name.replace("/", ".").split(" ")[0].split(".")]
    sys.stdout.write(f"\n{len(expected)}: {sum(expected.values())} pass directly, {sum(seen.values())} through\n")
    assert ours == []


def models_of(description: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """By operation, every schema that says what ``model`` may be at the top of its body."""

    def found(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        while "$ref" in schema:
            schema = functools.reduce(lambda node, key: node[key], schema["$ref"].split("/")[1:], description)
        if "model" in schema.get("properties", {}):
            yield schema["properties"]["model"]
        for kind in ("allOf", "anyOf", "oneOf"):
            for inner in schema.get(kind, ()):
                yield from found(inner)

    for item in description["paths"].values():
        for operation in item.values():
            for body in operation.get("requestBody", {}).get("content", {}).values():
                yield from ((operation["operationId"], model) for model in found(body.get("schema", {})))


def test_case_244_the_table_has_every_default_that_the_description_states(suites: Path) -> None:
    published = suites / "openai-openapi/openapi.json"  # what comes with the SDK leaves the defaults out
    if not published.exists():
        pytest.skip("OpenAI's description itself is not there")
    models = models_of(json.loads(published.read_text()))
    stated = {operation: model["default"] for operation, model in models if "default" in model}

    assert len(stated) >= 4
    assert {operation: DEFAULT_MODELS[operation].model for operation in stated} == stated
