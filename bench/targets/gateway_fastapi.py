"""The gateway, all features on, mounted in FastAPI."""

from __future__ import annotations

from fastapi import FastAPI

from bench.profile import gateway_from_environment

app = FastAPI()
app.mount("/openai", gateway_from_environment())
