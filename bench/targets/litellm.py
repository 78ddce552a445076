"""A peer, for information: LiteLLM's proxy with one worker, from the ``litellm`` command on PATH."""

from __future__ import annotations

import json
from pathlib import Path

from bench.scenarios import USER_KEY

ENVIRONMENT = {"LITELLM_MASTER_KEY": USER_KEY, "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}


def command(port: int, origin: str, models: int, directory: Path) -> tuple[str, ...]:
    """Writes the configuration (JSON, which YAML contains) into ``directory`` and gives the command that serves it."""
    parameters = {"api_base": f"{origin}/v1", "api_key": "upstream-key"}
    entries = [
        {"model_name": f"model-{i}", "litellm_params": {"model": f"openai/model-{i}", **parameters}}
        for i in range(models)
    ]
    config = directory / "litellm.yaml"
    config.write_text(json.dumps({"model_list": entries}))
    return ("litellm", "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1")
