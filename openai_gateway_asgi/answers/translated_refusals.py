"""A refusal of a call that was translated, as its client is to understand it."""

from __future__ import annotations

import msgspec

from ..errors import GatewayError, UpstreamLacksApi, UpstreamRefused
from ..exchange import Exchange
from ..http.asgi import JSON
from ..http.headers import media_type
from ..translate.translation import Translation
from ..upstream.apis import Apis
from .lacking import lacks_api


def in_clients_words(error: GatewayError, exchange: Exchange, apis: Apis) -> GatewayError:
    """The error of an attempt. What refuses the API itself is another error than what refuses the call: then it was
    no good to translate."""
    translation = exchange.translation
    if translation is None or not isinstance(error, UpstreamRefused):
        return error
    if lacks_api(error) is None:
        return _with_clients_names(error, translation)
    if exchange.upstream.spoken_for(exchange.upstream_model) is None:
        apis.forget(exchange.upstream.name)
        exchange.upstream_match = exchange.match  # it was a guess, and a wrong one
    lacks = UpstreamLacksApi("The upstream lacks the API that the call was translated to.")
    return lacks if error.cause is None else lacks.because(error.cause)


def _with_clients_names(refused: UpstreamRefused, translation: Translation) -> UpstreamRefused:
    """The same, with the client's own name of the field that is at fault, or none where it wrote no such field."""
    told = _decoded(refused)
    error = told.get("error")
    if not isinstance(error, dict) or not isinstance(param := error.get("param"), str):
        return refused
    said = {**told, "error": {**error, "param": translation.back.param(param)}}
    return refused.with_body(refused.headers, msgspec.json.encode(said), content_type=JSON)


def _decoded(refused: UpstreamRefused) -> dict[str, object]:
    if media_type(refused.content_type) != JSON:
        return {}
    try:
        told = msgspec.json.decode(refused.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
