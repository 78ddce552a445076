"""The user of Django's session.

Django's middleware does not see an application that is mounted beside it, so the session is read here.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.utils.module_loading import import_string
from starlette.requests import Request

from ...hidden import HiddenText
from ...host.users import ADMIN, User
from .orm import orm_safe


async def resolve_django_user(request: Request) -> User | None:
    """The user of Django's session cookie; anonymous and inactive users are nobody.

    Superusers are admins; the groups are the names of the user's Django groups; ``native`` is the Django user.
    """
    cookie = request.cookies.get(settings.SESSION_COOKIE_NAME)
    return await _user_of_session(HiddenText(cookie)) if cookie else None


@orm_safe
def _user_of_session(cookie: str) -> User | None:
    store = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    request = HttpRequest()
    request.session = _ReadOnlySession(dict(store(cookie).items()))
    account = get_user(request)
    return described(account) if account.is_authenticated and account.is_active else None


def described(account: Any) -> User:
    """A Django user, of a model that need not have what ``AbstractUser`` adds to ``AbstractBaseUser``."""
    groups = getattr(account, "groups", None)
    full_name = getattr(account, "get_full_name", account.get_username)
    return User(
        id=str(account.pk),
        role=ADMIN if getattr(account, "is_superuser", False) else "user",
        name=full_name() or account.get_username(),
        email=getattr(account, account.get_email_field_name(), None) or "",
        groups=frozenset() if groups is None else frozenset(groups.values_list("name", flat=True)),
        native=account,
    )


class _ReadOnlySession(SessionBase):  # type: ignore[misc]  # Django ships no types
    """A session as it was read.

    Django renews a session signed with a rotated-out key, and ends one that does not verify, while it looks at it. The
    answers here carry no cookie, so a renewal would sign the user out: it stays in memory.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__()
        self._session_cache = data

    def create(self) -> None:
        pass

    def delete(self, session_key: str | None = None) -> None:
        pass
