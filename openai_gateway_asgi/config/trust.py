"""Which certificates of upstreams are accepted."""

from __future__ import annotations

import os
import ssl
from typing import Any

from ..errors import ConfigError
from . import checks


def verify_tls(field: str, value: Any) -> bool | str:
    """True, False, or the path of a file of CA certificates that can be read."""
    if isinstance(value, bool):
        return value
    path = checks.line(field, value, longest=4096)
    if not os.path.isfile(path):
        raise ConfigError(field, "must be true, false or the path of an existing file of CA certificates")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:  # SSLError among them
        raise ConfigError(field, "names a file without CA certificates in PEM form") from error
    return path
