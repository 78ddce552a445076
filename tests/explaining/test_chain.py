"""The layers of an explanation are those of a call, in its order, but for those that have nothing to decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.middleware import Middleware

from openai_gateway_asgi import Gateway, Limit, Settings, Upstream, everyone
from openai_gateway_asgi.chain import chain
from openai_gateway_asgi.explaining.explainer import Explainer

NOT_GONE_THROUGH = {
    "RenderErrors": "the outcome is told, not rendered",
    "TakeTurns": "it is no call of the burst",
    "RecordUsage": "there is no record; named",
    "ServeAdmin": "it changes things; its guard is asked",
    "TakeRefusals": "the host's own layers are named",
    "ServeSpeech": "the cache is named",
    "KeepAlive": "nothing is streamed",
    "SelectUpstream": "Candidates goes through the same candidates",
    "Translate": "per candidate",
    "AskUsage": "per candidate",
    "AdaptPayload": "per candidate",
    "TakeChanges": "what the host's own layers do is not known",
    "ApplyPresets": "per candidate",
    "BeginAttempt": "nothing is sent",
    "AttachCredential": "per candidate",
}
"""A layer that is added to the gateway's chain is added to the explanation's, or here with a word why not."""


def names(chain: Sequence[Any]) -> list[str]:
    classes: list[Any] = [layer.cls if isinstance(layer, Middleware) else layer for layer in chain]
    return [each.__name__ for each in classes]


async def test_an_explanation_goes_through_the_layers_of_a_call() -> None:
    gateway = Gateway(
        [Upstream("http://a.test/v1")],
        authorize_model=everyone,
        limits=[Limit(concurrent=1)],
        layers=[lambda app: app],
        settings=Settings(keepalive_comments=15),
    )
    of_call = names(chain(gateway._parts, health=gateway.health, explain=gateway.explain))
    own = [name for name in names(Explainer(gateway._parts)._chain()) if name != "_EndAtAdmin"]
    assert own == [name for name in of_call if name not in NOT_GONE_THROUGH and name != "build"]
    assert set(NOT_GONE_THROUGH) <= set(of_call)
