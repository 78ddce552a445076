"""The gateway beside Django: mounted in ``asgi.py``, under Django's own users.

    from django.core.asgi import get_asgi_application
    from openai_gateway_asgi.contrib.django import mount, resolve_django_user

    application = mount(gateway, "/openai", inside=get_asgi_application())

Django's middleware does not see an application that is mounted beside it: sessions are read here, and requests known
by the session cookie alone are served to the site's own pages only.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.contrib.auth import aget_user
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections
from django.http import HttpRequest
from django.utils.module_loading import import_string
from starlette.requests import Request

from ..asgi import ASGIApp, Receive, Scope, Send
from ..lifespan import answer_lifespan
from ..users import ADMIN, User

P = ParamSpec("P")
T = TypeVar("T")


def mount(gateway: ASGIApp, path: str, *, inside: ASGIApp) -> ASGIApp:
    """An ASGI application that gives ``path`` and everything below it to ``gateway`` and all else to ``inside``.

    It answers the lifespan scope, which Django refuses, and closes the gateway at shutdown.
    """
    prefix = "/" + path.strip("/")
    if prefix == "/":
        raise ImproperlyConfigured("mount() needs a path of its own for the gateway, such as '/openai'")

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send, getattr(gateway, "aclose", _nothing))
            return
        root = scope.get("root_path", "")
        below = scope["path"].removeprefix(root) if root else scope["path"]
        if below == prefix or below.startswith(prefix + "/"):
            await gateway({**scope, "root_path": root + prefix}, receive, send)
        else:
            await inside(scope, receive, send)

    return application


async def resolve_django_user(request: Request) -> User | None:
    """The user of Django's session cookie; anonymous and inactive users are nobody.

    Superusers are admins; the groups are the names of the user's Django groups; ``native`` is the Django user.
    """
    cookie = request.cookies.get(django_settings.SESSION_COOKIE_NAME)
    if not cookie:
        return None
    account = await _account(cookie)
    if account is None:
        return None
    return User(
        id=str(account.pk),
        role=ADMIN if account.is_superuser else "user",
        name=account.get_full_name() or account.get_username(),
        email=getattr(account, account.get_email_field_name(), "") or "",
        groups=await orm_safe(_group_names)(account),
        native=account,
    )


def orm_safe(call: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Makes a callable that uses Django's ORM safe to give to the gateway.

    It runs in Django's thread for synchronous code, and connections that the database has closed are dropped around
    it, as Django does around each of its own requests.
    """

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


async def _account(cookie: str) -> Any | None:
    engine = import_string(f"{django_settings.SESSION_ENGINE}.SessionStore")
    request = HttpRequest()
    request.session = engine(cookie)
    account = await aget_user(request)
    return account if account.is_authenticated and account.is_active else None


def _group_names(account: Any) -> frozenset[str]:
    return frozenset(account.groups.values_list("name", flat=True))


async def _nothing() -> None:
    """A gateway wrapped in something without ``aclose`` is closed by whoever wrapped it."""
