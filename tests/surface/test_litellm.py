"""A real LiteLLM behind the gateway: whatever a body says in words that it reads, it never runs a model that is denied.

It stands in an environment of its own, whose command ``LITELLM`` names; CONTRIBUTING.md says how to make one. It is
configured to obey its callers in all that it can be told to.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from openai_gateway_asgi import Gateway, Grant, Grants, Settings, Upstream, User
from openai_gateway_asgi.api.route_fields import KNOWN, ROUTE_FIELDS
from openai_gateway_asgi.testing import FakeUpstream
from tests.support.asgi import Response, ask
from tests.support.servers import free_port, serve_program
from tests.surface.world import FILE, FORM, field, form

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif("LITELLM" not in os.environ, reason="LITELLM names no command"),
]

KEY = "sk-a-long-enough-key-for-its-administrator"
PATIENCE = 120.0
OPEN, DOWN, DENIED = "open", "down", "secret"
"""One that answers, one that never does, so that whatever else LiteLLM was told to ask is asked, and one that is denied."""

ASKS: Mapping[str, Mapping[str, Any]] = {
    "/chat/completions": {"messages": [{"role": "user", "content": "Hello?"}]},
    "/completions": {"prompt": "Hello?"},
    "/responses": {"input": "Hello?"},
    "/embeddings": {"input": "Hello?"},
}


def deployment(name: str, model: str, url: str) -> dict[str, Any]:
    params = {"model": f"openai/{model}", "api_base": f"{url}/v1", "api_key": "its-own", "max_retries": 0}
    return {"model_name": name, "litellm_params": params}


def configuration(url: str) -> dict[str, Any]:
    return {
        "model_list": [
            {**deployment(name, name, url), "model_info": {"id": f"{name}-id"}} for name in (OPEN, DOWN, DENIED)
        ],
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {
            "master_key": KEY,
            "allow_client_side_credentials": True,
            "dangerously_allow_mock_testing_request_params": True,
        },
    }


@dataclass
class Line:
    """A gateway, LiteLLM behind it, and behind that the provider; ``elsewhere`` is where nothing may be sent."""

    gateway: Gateway
    litellm: str
    provider: FakeUpstream
    elsewhere: FakeUpstream

    @property
    def strayed(self) -> bool:
        """Whether a denied model was run, or anything was sent elsewhere."""
        return bool(self.elsewhere.requests) or any(
            DENIED in (came.model or "") or b'name="model"\r\n\r\nsecret' in came.body
            for came in self.provider.requests
        )

    def forget(self) -> None:
        self.elsewhere.requests.clear()
        self.provider.requests.clear()

    async def through(self, path: str, body: Any, query: str = "") -> Response:
        headers = {"content-type": "application/json"}
        return await ask(
            self.gateway, "POST", f"/v1{path}{query}", headers=headers, body=json.dumps(body).encode(), strict=False
        )

    async def uploaded(self, *fields: tuple[str, bytes]) -> Response:
        path, headers = "/v1/audio/transcriptions", {"content-type": FORM}
        return await ask(self.gateway, "POST", path, headers=headers, body=form(*fields, FILE), strict=False)

    async def directly(self, path: str, body: Any) -> int:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            headers = {"authorization": f"Bearer {KEY}"}
            return (await client.post(f"{self.litellm}/v1{path}", json=body, headers=headers)).status_code

    def values(self) -> Iterator[Any]:
        """What makes of a field another route, whichever form it is read in."""
        instead = [deployment(name, DENIED, self.provider.url) for name in (OPEN, DOWN)]
        fallbacks = [{name: [DENIED]} for name in (OPEN, DOWN)]
        yield from (DENIED, f"openai/{DENIED}", f"{DENIED}-id", f"{self.elsewhere.url}/v1", True, [DENIED])
        yield {"model": DENIED, "model_name": DENIED, "id": f"{DENIED}-id", "api_base": f"{self.elsewhere.url}/v1"}
        yield {OPEN: DENIED, DOWN: DENIED}
        yield fallbacks
        yield instead
        yield {"model_list": instead, "fallbacks": fallbacks, "model_group_alias": {OPEN: DENIED, DOWN: DENIED}}


@contextlib.asynccontextmanager
async def line(folder: Path) -> AsyncIterator[Line]:
    async with FakeUpstream() as provider, FakeUpstream() as elsewhere:
        provider.script(DOWN, status=500)
        config = folder / "config.yaml"
        config.write_text(json.dumps(configuration(provider.url)))  # JSON is YAML
        port = free_port()
        command = (os.environ["LITELLM"], "--config", str(config), "--host", "127.0.0.1", "--port", str(port))
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
        async with serve_program(*command, port=port, env=env, patience=PATIENCE) as program:
            upstream = Upstream(f"{program.url}/v1", api_key=KEY, model_ids=[OPEN, DOWN, DENIED])
            gateway = Gateway(
                [upstream],
                resolve_user=lambda request: User("u"),
                authorize_model=Grants({name: Grant(public=True) for name in (OPEN, DOWN)}, admins=False),
                settings=Settings(retries=0),
            )
            async with gateway.lifespan():
                yield Line(gateway, program.url, provider, elsewhere)


@pytest.fixture
async def litellm(tmp_path: Path) -> AsyncIterator[Line]:
    async with line(tmp_path) as made:
        yield made


def name_of(row: str) -> str:
    return row.replace("*", "region_name")


async def test_case_266_no_row_of_the_table_makes_it_run_a_denied_model(litellm: Line) -> None:
    heard, strayed = [], set()
    for path, asks in ASKS.items():
        assert (await litellm.through(path, {"model": OPEN, **asks})).status == 200, path
    litellm.forget()
    for row in ROUTE_FIELDS:
        name = name_of(row)
        for value in litellm.values():
            for model in (OPEN, DOWN):
                for path, asks in ASKS.items():
                    for more in ({name: value}, {"extra_body": {name: value}}):
                        answer = await litellm.through(path, {"model": model, **asks, **more})
                        if answer.status != 400 and row not in ("user_api_key_*", "tunnel_id", "openrouter:fusion"):
                            heard.append((path, more, answer.status))
            text = value if isinstance(value, str) else json.dumps(value)
            answers = [await litellm.uploaded(field("model", OPEN), field(name, text))]
            if isinstance(value, str) and name not in ("api_key", "client_secret"):  # which go no further
                body = {"model": OPEN, **ASKS["/chat/completions"]}
                answers.append(await litellm.through("/chat/completions", body, f"?{name}={DENIED}"))
            heard += [(name, value, answer.status) for answer in answers if answer.status != 400]
            if litellm.strayed:
                strayed.add((name, str(value)))
                litellm.forget()
    assert (heard, strayed) == ([], set())


OBEYED = ("api_base", "base_url", "deployment_id", "fallbacks", "router_settings_override")


async def test_case_266_where_nobody_stands_in_front_of_it_it_would_run_one(litellm: Line) -> None:
    """Or the others would prove nothing."""
    for row in OBEYED:
        strayed = False
        for value in litellm.values():
            for model in (OPEN, DOWN):
                body = {"model": model, **ASKS["/chat/completions"], row: value}
                await litellm.directly("/chat/completions", body)
                strayed, _ = strayed or litellm.strayed, litellm.forget()
        assert strayed, row


_SAY = """
import inspect, litellm
from litellm.proxy.auth.auth_utils import _BANNED_REQUEST_BODY_PARAMS as banned
from litellm.types.router import GenericLiteLLMParams
from litellm.types.utils import CustomPricingLiteLLMParams, all_litellm_params
prices = set(CustomPricingLiteLLMParams.model_fields)
known = {*all_litellm_params, *GenericLiteLLMParams.model_fields, *inspect.signature(litellm.Router).parameters}
print(*sorted(set(banned) - prices))
print(*sorted(known - prices))
"""


def said_by_it() -> tuple[list[str], list[str]]:
    """What it refuses in bodies itself unless its operator wants otherwise, and all that it means by a parameter; both
    without what sets prices."""
    python = Path(os.environ["LITELLM"]).with_name("python")
    env = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    done = subprocess.run([python, "-c", _SAY], capture_output=True, check=True, timeout=PATIENCE, env=env)
    banned, known = done.stdout.decode().splitlines()
    return banned.split(), known.split()


def test_case_266_the_table_has_all_that_it_refuses_itself() -> None:
    banned, _ = said_by_it()
    assert len(banned) > 50
    assert [name for name in banned if name not in KNOWN] == []


async def test_case_266_nor_does_any_parameter_that_it_knows_besides(litellm: Line) -> None:
    _, known = said_by_it()
    strayed, names = set(), [name for name in known if name not in KNOWN]
    assert len(names) > 100
    for name in names:
        for value in litellm.values():
            model = OPEN if isinstance(value, str | bool) else DOWN  # fallbacks are lists, or objects
            body = {"model": model, **ASKS["/chat/completions"], name: value}
            await litellm.through("/chat/completions", body)
            if litellm.strayed:
                strayed.add((name, str(value)))
            litellm.forget()
    assert strayed == set()
