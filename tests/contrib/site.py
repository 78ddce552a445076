"""A Django site in the tests' own process, set up once, with a database in a file of its own."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterable
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.module_loading import import_string

from openai_gateway_asgi.contrib.django import orm_safe

SECRET_KEY = "the key in use"


@functools.cache
def set_up() -> None:
    """To be called where no event loop runs: a ``conftest.py`` does, while it is imported."""
    folder = tempfile.mkdtemp(prefix="django-site-")
    atexit.register(shutil.rmtree, folder)
    settings.configure(
        SECRET_KEY=SECRET_KEY,
        ALLOWED_HOSTS=["127.0.0.1", "gateway.test"],
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/site.sqlite3"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        LOGGING_CONFIG=None,
        ROOT_URLCONF=__name__,
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    connections.close_all()


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{request.method} by {request.user.get_username() or 'nobody'}")


urlpatterns = [path("page/", page)]


@orm_safe
def sign_in(name: str, *, groups: Iterable[str] = (), **fields: Any) -> str:
    """Creates a user and signs it in; returns the value of the session's cookie."""
    from django.contrib.auth import login
    from django.contrib.auth.models import Group, User

    account = User.objects.create(username=name, **fields)
    account.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
    request = HttpRequest()
    request.session = import_string(f"{settings.SESSION_ENGINE}.SessionStore")()
    login(request, account, backend=settings.AUTHENTICATION_BACKENDS[0])
    request.session.save()
    return str(request.session.session_key)


@orm_safe
def forget_everyone() -> None:
    from django.contrib.auth.models import Group, User
    from django.contrib.sessions.models import Session

    for model in (Session, User, Group):
        model.objects.all().delete()
