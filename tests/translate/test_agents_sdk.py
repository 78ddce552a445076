"""The agents SDK's two model classes, each against an upstream of the other API, where the package is installed."""

from __future__ import annotations

from typing import Any

import pytest

from openai_gateway_asgi import Upstream
from openai_gateway_asgi.testing import Answer, FakeRequest, FakeUpstream
from openai_gateway_asgi.testing.answers import Says, chat, responses
from tests.cases.gateways import served

agents = pytest.importorskip("agents", reason="pip install openai-agents")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def answer(make: Any) -> Any:
    """Calls the tool first, and says what came of it then."""

    def respond(request: FakeRequest) -> Answer:
        called = b"call_0" in request.body
        says = Says(words=("It is ", "7 degrees.")) if called else Says(tool_calls=(("weather", {"city": "Ulm"}),))
        made: Answer = make(request.fields(), says)
        return made

    return respond


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", ["OpenAIResponsesModel", "OpenAIChatCompletionsModel"])
async def test_an_agent_calls_its_tool_and_answers(kind: str, streamed: bool) -> None:
    api = "chat" if kind == "OpenAIResponsesModel" else "responses"
    agents.set_tracing_disabled(True)
    asked: list[str] = []

    @agents.function_tool
    def weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "7 degrees"

    async with FakeUpstream() as fake:
        fake.answer("/responses", answer(responses))
        fake.answer("/chat/completions", answer(chat))
        upstream = Upstream(f"{fake.url}/v1", name="S", api_key="ks", model_ids=["m1"], api=api)
        async with served(upstream) as s, s.sdk as sdk:
            model = getattr(agents, kind)(model="m1", openai_client=sdk)
            agent = agents.Agent(name="A", instructions="Be kind.", model=model, tools=[weather])
            if streamed:
                result = agents.Runner.run_streamed(agent, "How is the weather in Ulm?")
                async for _ in result.stream_events():
                    pass
            else:
                result = await agents.Runner.run(agent, "How is the weather in Ulm?")
        assert (result.final_output, asked) == ("It is 7 degrees.", ["Ulm"])
        assert [request.path for request in fake.requests] == [
            "/v1/chat/completions" if api == "chat" else "/v1/responses"
        ] * 2
