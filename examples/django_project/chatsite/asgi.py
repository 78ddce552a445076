"""The site and, under /openai, the gateway beside it.

Served by ``python -m uvicorn chatsite.asgi:application``; ``manage.py runserver`` is WSGI and knows Django alone.
"""

from __future__ import annotations

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

from openai_gateway_asgi import Gateway, Grant, Grants, Upstream
from openai_gateway_asgi.contrib.django import mount, resolve_django_user

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")

gateway = Gateway(
    [Upstream(settings.UPSTREAM_URL, api_key="sk-local")],
    resolve_user=resolve_django_user,
    # The groups are those of Django's users.
    authorize_model=Grants({"tiny-chat": Grant(public=True), "*": Grant(groups={"staff"})}),
    transport=settings.UPSTREAM_TRANSPORT,  # None, but in tests
)

application = mount(gateway, "/openai", inside=get_asgi_application())
