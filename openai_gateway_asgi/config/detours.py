"""Headers and parameters of queries by which an upstream may be told to pass a call on to an address of its sender's.

Gateways and proxies that serve as upstreams read it from the like of ``Helicone-Target-URL`` (Helicone's docs),
``x-portkey-custom-host`` and ``x-portkey-config`` (Portkey's), ``X-Forwarded-Host`` or ``?target=``. No list of these
is ever whole, so names are judged by their words and values by their look.
"""

from __future__ import annotations

import re

_WORDS = frozenset(
    """address backend base baseurl config dest destination endpoint forward forwarded gateway host hostname origin
    provider proxy redirect relay route router routing server site target to upstream uri url via""".split()
)
_HARMLESS = frozenset({"http-referer", "referer"})
"""They say where a call comes from."""
_ADDRESS = re.compile(
    r"//|\blocalhost\b|\[[0-9a-f:]*:[0-9a-f:.]*\]|\b\d{1,3}(?:\.\d{1,3}){3}\b"
    r"|\b(?:[a-z0-9-]+\.)+[a-z]{2,24}(?![\w-])",
    re.IGNORECASE,
)

_OF_HOST = re.compile(r"\{user\.(?:id(?::hmac)?|role|groups)\}")
"""Variables that are no address, although they look like one: what they stand for is the host's to say. Names and
e-mail addresses are written by users, who may be administrators."""


def may_lead_astray(name: str, value: str) -> bool:
    """Whether a header or parameter of this name with this value may name an address."""
    name = name.lower()
    if name in _HARMLESS:
        return False
    return not _WORDS.isdisjoint(re.split(r"[^a-z0-9]+", name)) or _ADDRESS.search(_OF_HOST.sub("", value)) is not None
