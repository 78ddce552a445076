"""Settings of a demonstration: its key is no secret and its database a file beside it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from openai_gateway_asgi.testing import FakeUpstream

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = "a demonstration needs no secret"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

INSTALLED_APPS = [
    "chatsite",
    "openai_gateway_asgi.contrib.django",  # `manage.py check` checks the gateway too
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]
MIDDLEWARE = [
    "openai_gateway_asgi.contrib.django.gateway_middleware",  # Django's test client reaches the gateway
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "chatsite.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.contrib.auth.context_processors.auth"]},
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DEMO_DATABASE", BASE_DIR / "demo.sqlite3"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "chat"
USE_TZ = True

UPSTREAM_URL = os.environ.get("UPSTREAM_URL", "http://127.0.0.1:9101/v1")
FAKE_UPSTREAM = FakeUpstream(["tiny-chat", "tiny-secret"]) if "test" in sys.argv else None
UPSTREAM_TRANSPORT = FAKE_UPSTREAM and FAKE_UPSTREAM.transport()
