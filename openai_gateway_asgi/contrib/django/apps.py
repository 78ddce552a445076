"""The Django app: ``INSTALLED_APPS = [..., "openai_gateway_asgi.contrib.django"]``."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

from .checks import check_gateways, check_orm_threads


class OpenAIGatewayConfig(AppConfig):  # type: ignore[misc]  # Django ships no types
    name = "openai_gateway_asgi.contrib.django"
    label = "openai_gateway"
    verbose_name = "OpenAI gateway"

    def ready(self) -> None:
        register(check_gateways, self.label)
        register(check_orm_threads, self.label)
