"""The gateway, all features on, mounted in Starlette."""

from __future__ import annotations

from starlette.applications import Starlette

from bench.profile import gateway_from_environment

app = Starlette()
app.mount("/openai", gateway_from_environment())
