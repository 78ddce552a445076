"""What those who relay an answer have at hand of it."""

from __future__ import annotations

import msgspec

from ..config import Settings
from ..exchange import Exchange
from ..http.asgi import RawHeaders, Send
from ..upstream.response_reads import Reads
from .answer_clocks import Clocks


class Answer(msgspec.Struct, frozen=True, eq=False):
    """One attempt's, from its head on."""

    exchange: Exchange
    send: Send
    clocks: Clocks
    settings: Settings
    start: RawHeaders
    """Those headers of the upstream that its client may see."""
    reads: Reads
