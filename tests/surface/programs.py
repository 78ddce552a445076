"""A host for a server process of its own; ``UPSTREAM`` is the address of the one upstream."""

from __future__ import annotations

import os

from openai_gateway_asgi import Gateway, Settings, Upstream, User, everyone

app = Gateway(
    [Upstream(f"{os.environ['UPSTREAM']}/v1", name="A", api_key="ka", prefix_id="pre", model_ids=["m"])],
    resolve_user=lambda request: User("u"),
    authorize_model=everyone,
    settings=Settings(open_groups={"files"}, retries=0),
)
