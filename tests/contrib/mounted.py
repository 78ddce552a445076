"""A site's ``asgi.py``, as Django's test client and ``manage.py`` find it: the setting ``OPENAI_GATEWAY`` names it."""

from __future__ import annotations

from django.core.asgi import get_asgi_application

from openai_gateway_asgi import Gateway, Grant, Grants, Upstream
from openai_gateway_asgi.contrib.django import mount, resolve_django_user
from openai_gateway_asgi.testing import FakeUpstream

upstream = FakeUpstream(["gpt-small", "gpt-large"])
gateway = Gateway(
    [Upstream("http://upstream.test/v1", api_key="sk-upstream")],
    resolve_user=resolve_django_user,
    authorize_model=Grants({"gpt-small": Grant(public=True), "gpt-large": Grant(groups={"staff"})}),
    transport=upstream.transport(),
)
application = mount(gateway, "/llm", inside=get_asgi_application(), orm_threads=4)
