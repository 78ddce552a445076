"""The gateway beside Django: mounted in ``asgi.py``, under Django's own users.

    from django.core.asgi import get_asgi_application
    from openai_gateway_asgi.contrib.django import mount, resolve_django_user

    application = mount(gateway, "/openai", inside=get_asgi_application())

Django's middleware does not see an application that is mounted beside it: sessions are read here, and requests known
by the session cookie alone are served to the site's own pages only.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections
from django.http import HttpRequest
from django.utils.module_loading import import_string
from starlette.requests import Request

from ..host.users import ADMIN, User
from ..http.asgi import ASGIApp, Receive, Scope, Send

P = ParamSpec("P")
T = TypeVar("T")


def mount(gateway: ASGIApp, path: str, *, inside: ASGIApp) -> ASGIApp:
    """An ASGI application that gives ``path`` and everything below it to ``gateway`` and all else to ``inside``.

    The gateway also answers the lifespan scope, which Django refuses, and closes its connections at shutdown.
    Raises ``ImproperlyConfigured`` for a path that would leave nothing to Django.
    """
    prefix = "/" + path.strip("/")
    if prefix == "/":
        raise ImproperlyConfigured("mount() needs a path of its own for the gateway, such as '/openai'")

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await gateway(scope, receive, send)
            return
        root, asked = scope.get("root_path", ""), scope["path"]
        below = asked.removeprefix(root) if asked.startswith(root + "/") else asked
        if below == prefix or below.startswith(prefix + "/"):
            # As Starlette's Mount does it: behind a proxy that strips its own prefix, `path` comes without `root`.
            outer = scope.get("app_root_path", root)
            await gateway({**scope, "app_root_path": outer, "root_path": root + prefix}, receive, send)
        else:
            await inside(scope, receive, send)

    return application


def orm_safe(call: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Makes a plain ``def`` that uses Django's ORM safe to give to the gateway.

    It runs in Django's one thread for synchronous code, so that slow queries delay one another and never the event
    loop. Connections that the database has closed, or that are past ``CONN_MAX_AGE``, are dropped around it, as Django
    does around each of its own requests.
    """
    if inspect.iscoroutinefunction(call):
        raise TypeError("orm_safe() takes a plain `def`; write the queries without `await`")

    def with_fresh_connections(*args: P.args, **kwargs: P.kwargs) -> T:
        close_old_connections()
        try:
            return call(*args, **kwargs)
        finally:
            close_old_connections()

    in_django_thread = sync_to_async(with_fresh_connections, thread_sensitive=True)

    @functools.wraps(call)
    async def safe(*args: P.args, **kwargs: P.kwargs) -> T:
        return await in_django_thread(*args, **kwargs)

    return safe


async def resolve_django_user(request: Request) -> User | None:
    """The user of Django's session cookie; anonymous and inactive users are nobody.

    Superusers are admins; the groups are the names of the user's Django groups; ``native`` is the Django user.
    """
    cookie = request.cookies.get(settings.SESSION_COOKIE_NAME)
    return await _user_of_session(cookie) if cookie else None


@orm_safe
def _user_of_session(cookie: str) -> User | None:
    store = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    request = HttpRequest()
    request.session = _ReadOnlySession(dict(store(cookie).items()))
    account = get_user(request)
    return _described(account) if account.is_authenticated and account.is_active else None


def _described(account: Any) -> User:
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
