"""The way to the host's own models: what ``Forward`` takes for a connection to an upstream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import httpx

from ..bodies.payload import Payload
from ..errors import InvalidRequest
from ..exchange import Exchange
from ..http.asgi import JSON
from ..http.headers import EVENT_STREAM
from ..upstream.connections import INSIDE
from ..upstream.lazy_headers import LazyHeaders
from . import chain
from .chat_answer import Streamed, UsageUntold, Whole
from .host_model import HostModel
from .model_call import ModelCall, read_body
from .running import Running

if TYPE_CHECKING:
    from openai import AsyncOpenAI

Ask = Callable[[Exchange], "AsyncOpenAI"]
"""A client for calls as the user of this exchange, inside it."""

CHAT = "createChatCompletion"


class HandlerTransport(httpx.AsyncBaseTransport):
    """Calls the handler of one model, and gives what comes of it as an upstream's answer."""

    def __init__(self, model: HostModel, ask: Ask, *, most: int) -> None:
        """``most``: bytes of an answer that may be gathered whole."""
        self._model = model
        self._ask = ask
        self._most = most

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange: Exchange = request.extensions[INSIDE]
        chain.check(self._model.id)
        if exchange.upstream_match.endpoint.operation != CHAT:
            raise InvalidRequest(
                f"The model `{exchange.model}` answers chat completions only.", param="model", code="invalid_value"
            )
        call, id = self._call(exchange), exchange.request_id
        if exchange.streams:
            streamed = Streamed(id, self._model.id)
            if exchange.upstream_match is exchange.match and not _wants_usage(exchange.attempt_payload):
                exchange.stages = (UsageUntold(streamed), *exchange.stages)
            running = Running(self._model.id, lambda: self._begun(call), streamed)
            return httpx.Response(200, headers=LazyHeaders([(b"content-type", EVENT_STREAM)]), stream=running)
        running = Running(self._model.id, lambda: self._begun(call), Whole(id, self._model.id, most=self._most))
        try:
            body = await running.whole()
        finally:
            await running.aclose()
        headers = [(b"content-type", JSON), (b"content-length", b"%d" % len(body))]
        return httpx.Response(200, headers=LazyHeaders(headers), stream=httpx.ByteStream(body))

    def _begun(self, call: ModelCall) -> object:
        chain.enter(self._model.id)
        return self._model.handler(call)

    def _call(self, exchange: Exchange) -> ModelCall:
        messages, parameters = read_body(exchange.attempt_payload)
        return ModelCall(
            user=exchange.user,
            model=exchange.model,
            messages=messages,
            parameters=parameters,
            operation=exchange.upstream_match.endpoint.operation,
            streams=exchange.streams,
            request=exchange.request(),
            asking=lambda: self._ask(exchange),
        )


def transports_of(models: Sequence[HostModel], ask: Ask, *, most: int) -> Mapping[str, httpx.AsyncBaseTransport]:
    """By the base URLs of those that stand for them among the upstreams."""
    return {model.upstream.base_url: HandlerTransport(model, ask, most=most) for model in models}


def _wants_usage(payload: Payload) -> bool:
    options = payload.read("stream_options", dict[str, object])
    return options is not None and options.get("include_usage") is True
