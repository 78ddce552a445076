"""What the variables of texts stand for in one call (``config/templates.py`` has their grammar)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from ..config.templates import HMAC
from .users import User


class Facts(msgspec.Struct, eq=False, gc=False):
    user: User
    model: str
    """The id that was asked for."""
    operation: str
    context: Mapping[str, str]
    """What the host's ``context`` callable gave."""
    secret: bytes | None = None
    """``Settings(identity_secret)``, by which user ids are hidden."""

    def value_of(self, name: str) -> str | None:
        """None for a ``context`` key that is missing."""
        user = self.user
        match name:
            case "user.id":
                return user.id
            case "user.name":
                return user.name
            case "user.email":
                return user.email
            case "user.role":
                return user.role
            case "user.groups":
                return ",".join(sorted(user.groups))
            case "model":
                return self.model
            case "operation":
                return self.operation
            case "date":
                return datetime.now(UTC).date().isoformat()
        if name == HMAC:
            return hidden_id(user.id, self.secret)
        value = self.context.get(name.removeprefix("context."))
        return None if value is None else str(value)


def hidden_id(id: str, secret: bytes | None) -> str:
    """HMAC-SHA256 of a user id, in hex: always the same for one user, and nobody can tell whose it is."""
    assert secret is not None, "start-up refuses {user.id:hmac} without Settings(identity_secret)"
    return hmac.new(secret, id.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
