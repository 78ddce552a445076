"""What the accumulators of the npm package ``openai`` make of translated and of mended streams, where Node is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from openai_gateway_asgi import Gateway, Upstream, everyone
from openai_gateway_asgi.testing import FakeRequest, FakeUpstream, stream_answer
from openai_gateway_asgi.testing.answers import sse
from tests.cases.gateways import resolve_user
from tests.support.servers import serve
from tests.surface.test_node import NODE, folder, pytestmark, run
from tests.translate.test_repair import OLLAMA, TRANSFORMERS

__all__ = ["folder", "pytestmark"]

SCRIPT = Path(__file__).with_name("accumulate.mjs")
HELLO = "Hello from upstream."
CALLS = [["weather", '{"city": "Ulm"}'], ["weather", '{"city": "Bonn"}']]
SAYS: dict[str, dict[str, Any]] = {
    "text": {},
    "calls": {"tool_calls": [("weather", {"city": "Ulm"}), ("weather", {"city": "Bonn"})]},
    "fails": {"error_after": 2, "message": "Broke."},
}


async def gathered(folder: Path, *upstreams: Upstream) -> dict[str, Any]:
    models = [id for upstream in upstreams for id in upstream.model_ids]
    shutil.copy(SCRIPT, folder)
    gateway = Gateway(upstreams, resolve_user=resolve_user, authorize_model=everyone)
    async with gateway.lifespan(), serve(gateway) as server:
        code, out, errors = await run(str(NODE), SCRIPT.name, f"{server.url}/v1", *models, cwd=folder)
    assert code == 0, errors
    told: dict[str, Any] = json.loads(out)
    return told


async def test_both_apis_of_upstreams_that_have_one(folder: Path) -> None:
    async with FakeUpstream() as fake:
        for name, script in SAYS.items():
            for api in ("chat", "responses"):
                fake.script(f"{api}-{name}", **script)
        upstreams = [
            Upstream(f"{fake.url}/v1", name=api, api_key="k", api=api, model_ids=[f"{api}-{name}" for name in SAYS])
            for api in ("chat", "responses")
        ]
        got = await gathered(folder, *upstreams)
    for api in ("chat", "responses"):
        assert got[f"{api}-text"] == {"chat": [HELLO, [], "stop", 11], "response": [HELLO, [], "completed", 11, ""]}
        assert got[f"{api}-calls"]["chat"][1:] == [CALLS, "tool_calls", 11]
        assert got[f"{api}-calls"]["response"] == ["", CALLS, "completed", 11, ""]
        for told in got[f"{api}-fails"].values():
            assert told[0] in ("APIError", "InternalServerError")
            assert "Broke." in told[1]


async def test_streams_that_are_mended(folder: Path) -> None:
    def answer(request: FakeRequest) -> Any:
        events = OLLAMA if request.model == "ollama" else TRANSFORMERS
        return stream_answer([sse(event, event["type"]) for event in events])

    async with FakeUpstream() as fake:
        fake.answer("/responses", answer)
        models = ["ollama", "transformers"]
        got = await gathered(
            folder, Upstream(f"{fake.url}/v1", api_key="k", model_ids=models, api="both", repair_responses=True)
        )
    for model in models:
        text, calls, status, *_ = got[model]["response"]
        assert (text, calls, status) == ("", [["f", "{}"]], "completed")
    assert got["ollama"]["response"][-1] == "hm"
