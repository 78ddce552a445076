"""Where the site has its gateway, for ``manage.py`` and Django's test client, which know nothing of ``asgi.py``."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from ...commands.search import gateways_in
from ...gateway import Gateway
from .mounting import Mounted


def place() -> tuple[str, str]:
    """Module and name of the site's ASGI application.

    The setting ``OPENAI_GATEWAY`` names it, as ``"mysite.asgi.application"``; else ``ASGI_APPLICATION`` where there is
    one, or ``application`` in the module ``asgi`` beside the site's urls.
    """
    path = getattr(settings, "OPENAI_GATEWAY", None) or getattr(settings, "ASGI_APPLICATION", None)
    if path is None:
        path = f"{settings.ROOT_URLCONF.rpartition('.')[0]}.asgi.application".lstrip(".")
    module, _, name = str(path).rpartition(".")
    if not module:
        raise ImproperlyConfigured(f"OPENAI_GATEWAY names a module and what is in it, not {path!r}")
    return module, name


def mounted() -> Mounted | None:
    """What ``mount`` returned, where the place has it: the application itself, or what another wraps."""
    module, name = place()
    found = _imported(module)
    if found is None:
        return None
    named = getattr(found, name, None)
    return named if isinstance(named, Mounted) else _first(found, Mounted)


def gateways() -> list[Gateway]:
    """All that the application has somewhere in it, or the module beside it."""
    module, name = place()
    found = _imported(module)
    if found is None:
        return []
    beside = [value for value in vars(found).values() if isinstance(value, Gateway | Mounted)]
    return gateways_in(getattr(found, name, None)) or gateways_in(beside)


def _first(module: ModuleType, kind: type[Mounted]) -> Mounted | None:
    return next((value for value in vars(module).values() if isinstance(value, kind)), None)


def _imported(module: str) -> ModuleType | None:
    """None where there is no such module, and nobody said that there is."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        named: Any = getattr(settings, "OPENAI_GATEWAY", None)
        if named or error.name is None or not (module + ".").startswith(error.name + "."):
            raise
        return None
