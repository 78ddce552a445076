"""The gateway beside Django: mounted in ``asgi.py``, under Django's own users.

    from django.core.asgi import get_asgi_application
    from openai_gateway_asgi.contrib.django import mount, resolve_django_user

    application = mount(gateway, "/openai", inside=get_asgi_application())

As a Django app (``INSTALLED_APPS = [..., "openai_gateway_asgi.contrib.django"]``) it adds system checks, and with
``gateway_middleware`` Django's own test client reaches the gateway. ``docs/django.md`` has it all.
"""

try:
    from .middleware import gateway_middleware
    from .mounting import mount
    from .orm import orm_safe
    from .users import resolve_django_user
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] not in ("django", "asgiref"):
        raise
    raise ModuleNotFoundError(
        "openai_gateway_asgi.contrib.django needs Django 5.2 or newer: pip install 'openai-gateway-asgi[django]'",
        name=error.name,
    ) from error

__all__ = ["gateway_middleware", "mount", "orm_safe", "resolve_django_user"]
