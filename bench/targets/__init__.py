"""What is measured side by side: how each target is started, and where it serves the API."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..processes import ROOT
from . import litellm, nginx


@dataclass(frozen=True)
class Upstream:
    """The mock upstream as targets see it: its address, and the file of its certificate when it speaks TLS."""

    origin: str
    certificate: Path | None = None


@dataclass(frozen=True)
class Launch:
    """A command that serves on a port, with the additional environment it needs, and where it is started."""

    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    directory: Path = ROOT


@dataclass(frozen=True)
class Target:
    """``launch(port, upstream, models, directory)`` gives the command; None means the upstream itself."""

    name: str
    title: str
    launch: Callable[[int, Upstream, int, Path], Launch] | None
    missing: Callable[[], str] = lambda: ""  # why it cannot run here, or an empty text
    prefix: str = "/openai"
    python: bool = True  # served by bench.serve, which can watch the event loop
    peer: bool = False

    def at(self, commit: str, checkout: Path) -> Target:
        """The same target as another commit has it."""
        launch = self.launch
        assert launch is not None

        def launch_there(port: int, upstream: Upstream, models: int, directory: Path) -> Launch:
            return replace(launch(port, upstream, models, directory), directory=checkout)

        return replace(self, name=f"{self.name}@{commit}", title=f"{self.title}, at {commit}", launch=launch_there)

    @property
    def kind(self) -> str:
        """The name without the commit: scenarios are for kinds of targets."""
        return self.name.partition("@")[0]


def _served(module: str) -> Callable[[int, Upstream, int, Path], Launch]:
    def launch(port: int, upstream: Upstream, models: int, directory: Path) -> Launch:
        env = {"BENCH_UPSTREAM": upstream.origin, "BENCH_MODELS": str(models)}
        if upstream.certificate is not None:
            env["SSL_CERT_FILE"] = str(upstream.certificate)
        return Launch((sys.executable, "-m", "bench.serve", f"bench.targets.{module}", str(port)), env)

    return launch


def _nginx(port: int, upstream: Upstream, models: int, directory: Path) -> Launch:
    return Launch(nginx.command(port, upstream.origin, directory))


def _litellm(port: int, upstream: Upstream, models: int, directory: Path) -> Launch:
    return Launch(litellm.command(port, upstream.origin, models, directory), litellm.ENVIRONMENT)


def _without_program(name: str) -> Callable[[], str]:
    return lambda: "" if shutil.which(name) else f"{name} is not installed"


def _without_module(name: str) -> Callable[[], str]:
    return lambda: "" if importlib.util.find_spec(name) else f"{name} is not installed"


REFERENCE = "passthrough"
GUARDED = "gateway-starlette"
TARGETS = (
    Target("direct", "no gateway", None, prefix="/v1", python=False),
    Target("nginx", "nginx", _nginx, _without_program("nginx"), python=False),
    Target("floor", "floor: raw protocol client", _served("floor")),
    Target(REFERENCE, "bare pass-through", _served("passthrough")),
    Target("gateway-starlette", "gateway in Starlette, all on", _served("gateway_starlette")),
    Target("gateway-fastapi", "gateway in FastAPI, all on", _served("gateway_fastapi"), _without_module("fastapi")),
    Target("handwritten", "FastAPI + httpx by hand", _served("handwritten"), _without_module("fastapi")),
    Target("litellm", "LiteLLM proxy", _litellm, _without_program("litellm"), prefix="/v1", python=False, peer=True),
)
