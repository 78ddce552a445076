"""The host's filters, over each attempt's answer."""

from __future__ import annotations

from collections.abc import Awaitable

from ..exchange import Exchange
from ..extensions.filter_stage import FilterStage
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..http.background import Background


class FilterAnswer:
    """Adds them to the stages of the attempt. ``after`` sees an answer that broke off in its middle as well."""

    def __init__(self, app: ASGIApp, *, background: Background, most: int) -> None:
        self.app = app
        self._background = background
        self._most = most

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if not any(each.hooks.filter.sees_answers for each in exchange.filters):
            return self.app(scope, receive, send)
        return self._filtered(scope, receive, send)

    async def _filtered(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        operation = exchange.match.endpoint.operation
        stage = FilterStage(exchange.filters, operation, exchange.tail, self._most)
        exchange.stages = (*exchange.stages, stage)
        try:
            await self.app(scope, receive, send)
        finally:
            if exchange.told and not stage.over:
                _ = self._background.start(stage.broke_off())  # whoever is being cancelled cannot wait for it
