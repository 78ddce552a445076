"""The one page of this site."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.views.generic import TemplateView

chat = login_required(TemplateView.as_view(template_name="chatsite/chat.html"))
