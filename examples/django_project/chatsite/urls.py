"""What Django serves; what is under /openai never comes here."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from .views import chat

urlpatterns = [
    path("", chat, name="chat"),
    path("login/", LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(next_page="login"), name="logout"),
]
