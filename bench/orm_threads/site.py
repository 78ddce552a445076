"""The site under measurement. Each call asks the database four times: for session, user, groups and permission, or,
with ``QUERIES=plain``, four times for a number, which costs little more than the way there and back.
"""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.http import HttpRequest
from django.utils.module_loading import import_string

from openai_gateway_asgi import Gateway, Model, Upstream, User
from openai_gateway_asgi.contrib.django import mount, orm_safe, resolve_django_user

from ..in_process import NullTransport

settings.configure(
    SECRET_KEY="of this run",
    ALLOWED_HOSTS=["127.0.0.1"],
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": os.environ["PGUSER"],
            "HOST": "127.0.0.1",
            "PORT": os.environ["PGPORT"],
            "CONN_MAX_AGE": int(os.environ["CONN_MAX_AGE"]),
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    LOGGING_CONFIG=None,
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)
django.setup()
urlpatterns: list[Any] = []
PLAIN = os.environ.get("QUERIES") == "plain"


def prepare() -> str:
    """The tables, and one user who is signed in; returns the session's key."""
    from django.contrib.auth import login
    from django.contrib.auth.models import Group
    from django.contrib.auth.models import User as Account

    call_command("migrate", verbosity=0)
    account = Account.objects.create(username="ada")
    account.groups.add(Group.objects.create(name="model-0"))
    request = HttpRequest()
    request.session = import_string(f"{settings.SESSION_ENGINE}.SessionStore")()
    login(request, account, backend=settings.AUTHENTICATION_BACKENDS[0])
    request.session.save()
    connections.close_all()
    return str(request.session.session_key)


def open_connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        count = int(cursor.fetchone()[0]) - 1  # but for this one
    connections.close_all()
    return count


@orm_safe
def may_use(user: User, model: Model) -> bool:
    return bool(user.native.groups.filter(name=model.id).exists())


@orm_safe
def may_ask(user: User, model: Model) -> bool:
    for _ in range(4):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    return True


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("only the gateway's paths are asked for")


gateway = Gateway(
    [Upstream("http://127.0.0.1:9/v1", api_key="none", model_ids=["model-0"])],
    resolve_user=(lambda request: User("ada")) if PLAIN else resolve_django_user,
    authorize_model=may_ask if PLAIN else may_use,
    transport=NullTransport(),
)
application = mount(gateway, "/openai", inside=nothing, orm_threads=int(os.environ["ORM_THREADS"]))
