"""Layers put together to one ASGI application."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.middleware import Middleware

from ..errors import ConfigError
from .asgi import ASGIApp

Layer = Callable[[ASGIApp], ASGIApp] | Middleware
"""Takes the app that comes next and gives one."""


def compose(chain: Sequence[Layer], last: ASGIApp) -> ASGIApp:
    """The first of the chain meets a request first, ``last`` serves it."""
    app = last
    for layer in reversed(chain):
        app = _built(layer, app)
    return app


def numbered(layers: Sequence[Layer]) -> Sequence[Layer]:
    """The host's own layers, each of which raises ``ConfigError`` with its place where it gives no app."""
    return [_checked(index, layer) for index, layer in enumerate(layers)]


def _checked(index: int, layer: Layer) -> Layer:
    def build(app: ASGIApp) -> ASGIApp:
        built = _built(layer, app)
        if not callable(built):
            problem = f"gave {type(built).__name__} where an app is needed; return one"
            raise ConfigError(f"layers.{index}", problem, code="invalid_layer")
        return built

    return build


def _built(layer: Layer, app: ASGIApp) -> ASGIApp:
    return layer.cls(app, *layer.args, **layer.kwargs) if isinstance(layer, Middleware) else layer(app)
