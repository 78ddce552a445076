"""The gateway beside Django: whose request it is, whose page may send it, and the ORM under many requests at once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group
from django.contrib.auth.models import User as Account
from django.contrib.sessions.models import Session
from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models
from django.test import override_settings
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from openai_gateway_asgi import Gateway, Model, Upstream, User, everyone
from openai_gateway_asgi.contrib.django import mount, orm_safe, resolve_django_user
from openai_gateway_asgi.contrib.django.users import described
from openai_gateway_asgi.testing import OWN_PAGE, FakeUpstream
from tests.contrib.site import SECRET_KEY, sign_in
from tests.support.asgi import Response, ask, make_scope
from tests.support.servers import serve

CHAT = {"model": "gpt-small", "messages": [{"role": "user", "content": "Hello?"}]}


def cookie(session: str) -> dict[str, str]:
    return {"cookie": f"csrftoken=whatever; sessionid={session}"}


def asking(session: str) -> Request:
    return Request(make_scope(headers=cookie(session)))


@pytest.fixture
def upstream() -> FakeUpstream:
    return FakeUpstream()


@pytest.fixture
def site(upstream: FakeUpstream) -> ASGIApp:
    return beside_django(upstream, authorize_model=everyone)


def beside_django(upstream: FakeUpstream, **hooks: Any) -> ASGIApp:
    options = {"resolve_user": resolve_django_user, "transport": upstream.transport(), **hooks}
    gateway = Gateway([Upstream("http://upstream.test/v1", api_key="sk-upstream")], **options)
    return mount(gateway, "/llm", inside=get_asgi_application())


async def chat(site: ASGIApp, headers: dict[str, str]) -> Response:
    return await ask(site, "POST", "/llm/v1/chat/completions", headers=headers, json=CHAT)


# Who is asking


async def test_the_session_tells_who_asks() -> None:
    session = await sign_in("ada", groups=["staff", "writers"], email="ada@example.test", first_name="Ada")

    user = await resolve_django_user(asking(session))

    account = await Account.objects.aget()
    assert user == User(
        id=str(account.pk), role="user", name="Ada", email="ada@example.test", groups={"staff", "writers"}
    )
    assert user.native == account


async def test_a_user_without_a_full_name_goes_by_the_login() -> None:
    user = await resolve_django_user(asking(await sign_in("ada")))

    assert user is not None
    assert user.name == "ada"


async def test_a_superuser_is_an_admin() -> None:
    user = await resolve_django_user(asking(await sign_in("root", is_superuser=True)))

    assert user is not None
    assert user.is_admin


async def test_staff_members_are_no_admins() -> None:
    user = await resolve_django_user(asking(await sign_in("editor", is_staff=True)))

    assert user is not None
    assert not user.is_admin


@pytest.mark.parametrize("backend", ["ModelBackend", "AllowAllUsersModelBackend"])
async def test_an_inactive_user_is_nobody(backend: str) -> None:
    with override_settings(AUTHENTICATION_BACKENDS=[f"django.contrib.auth.backends.{backend}"]):
        session = await sign_in("ada")
        assert await resolve_django_user(asking(session)) is not None
        await Account.objects.aupdate(is_active=False)

        assert await resolve_django_user(asking(session)) is None


async def test_a_deleted_user_is_nobody() -> None:
    session = await sign_in("ada")
    await orm_safe(Account.objects.all().delete)()

    assert await resolve_django_user(asking(session)) is None


async def test_an_expired_session_is_nobodys() -> None:
    session = await sign_in("ada")
    await Session.objects.aupdate(expire_date="2001-01-01T00:00:00Z")

    assert await resolve_django_user(asking(session)) is None


@pytest.mark.parametrize("value", ["", "x", "n0suchsess10n", "../../etc/passwd", "ü" * 32, "a" * 5000])
async def test_a_made_up_session_is_nobodys(value: str) -> None:
    header = f"sessionid={value}".encode()

    assert await resolve_django_user(Request(make_scope(headers=[(b"cookie", header)]))) is None


async def test_nobody_costs_no_query() -> None:
    with override_settings(SESSION_ENGINE="no.such.engine"):
        assert await resolve_django_user(Request(make_scope())) is None


async def test_a_changed_password_ends_what_was_signed_in_before() -> None:
    session = await sign_in("ada")
    await Account.objects.aupdate(password="another")

    assert await resolve_django_user(asking(session)) is None


async def test_a_session_signed_with_the_key_before_goes_on_and_stays_as_it_is() -> None:
    """Django gives such a session a new key, for which no answer of the gateway's could bring the cookie."""
    session = await sign_in("ada")
    with override_settings(SECRET_KEY="a new key", SECRET_KEY_FALLBACKS=[SECRET_KEY]):
        for _ in range(2):
            assert await resolve_django_user(asking(session)) is not None

    assert [row.pk async for row in Session.objects.all()] == [session]


@pytest.mark.parametrize("engine", ["cached_db", "cache", "signed_cookies"])
async def test_other_kinds_of_sessions_are_read_as_well(engine: str) -> None:
    with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}"):
        session = await sign_in("ada")

        user = await resolve_django_user(asking(session))

    assert user is not None
    assert user.name == "ada"


async def test_the_cookies_name_is_the_sites_own() -> None:
    session = await sign_in("ada")
    with override_settings(SESSION_COOKIE_NAME="sid"):
        assert await resolve_django_user(asking(session)) is None
        assert await resolve_django_user(Request(make_scope(headers={"cookie": f"sid={session}"}))) is not None


def test_a_user_model_of_the_barest_kind_will_do() -> None:
    class Member(AbstractBaseUser):  # type: ignore[misc]
        handle = models.CharField(max_length=20)
        USERNAME_FIELD = "handle"

        class Meta:
            app_label = "members"

    assert described(Member(pk=7, handle="ada")) == User(id="7", name="ada")


# Whose page


async def test_the_sites_own_page_is_served(site: ASGIApp) -> None:
    answer = await chat(site, cookie(await sign_in("ada")) | OWN_PAGE)

    assert answer.status == 200
    assert answer.json()["choices"][0]["message"]["content"] == "Hello from upstream."


async def test_a_browser_without_fetch_metadata_is_told_by_its_origin(site: ASGIApp) -> None:
    headers = cookie(await sign_in("ada")) | {"host": "127.0.0.1:8000"}

    assert (await chat(site, headers | {"origin": "http://127.0.0.1:8000"})).status == 200
    assert (await chat(site, headers | {"origin": "http://evil.test"})).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "origin": "http://evil.test"},
        {"sec-fetch-site": "same-site"},
        {"origin": "null"},
        {},
    ],
    ids=["another site", "a sibling", "a sandbox", "untold"],
)
async def test_another_sites_page_is_refused(site: ASGIApp, upstream: FakeUpstream, headers: dict[str, str]) -> None:
    answer = await chat(site, cookie(await sign_in("ada")) | headers)

    assert answer.status == 403
    assert answer.json()["error"]["code"] == "cross_site_request"
    assert upstream.requests == []


async def test_a_form_of_the_sites_own_cannot_stand_for_json(site: ASGIApp, upstream: FakeUpstream) -> None:
    headers = cookie(await sign_in("ada")) | OWN_PAGE | {"content-type": "text/plain"}

    assert (await chat(site, headers)).status == 415
    assert upstream.requests == []


async def test_a_stranger_is_refused(site: ASGIApp, upstream: FakeUpstream) -> None:
    assert (await chat(site, {})).status == 401
    assert (await chat(site, cookie("n0suchsess10n") | OWN_PAGE)).status == 401
    assert upstream.requests == []


# The ORM


async def test_orm_callables_hold_under_many_requests_at_once(upstream: FakeUpstream) -> None:
    """Each request's hooks read the database, all at the same time, and each gets its own user's answer."""

    @orm_safe
    def may_use(user: User, model: Model) -> bool:
        return bool(user.native.groups.filter(name=model.id).exists())

    site = beside_django(upstream, authorize_model=may_use)
    sessions = [await sign_in(f"user-{n}", groups=["gpt-small"] if n % 2 else ["gpt-large"]) for n in range(20)]

    answers = await asyncio.gather(*[chat(site, cookie(session) | OWN_PAGE) for session in sessions])

    assert [answer.status for answer in answers] == [404, 200] * 10


async def test_orm_safe_calls_run_in_djangos_thread_and_leave_no_connection_behind() -> None:
    @orm_safe
    def names() -> tuple[list[str], int]:
        return [group.name for group in Group.objects.all()], threading.get_ident()

    assert await names() == ([], await orm_safe(threading.get_ident)())
    assert await orm_safe(lambda: connection.connection)() is None


async def test_a_connection_past_its_age_is_not_used_again() -> None:
    """Between requests of its own Django looks after this; here no such request comes between."""

    def connected() -> object:
        connection.ensure_connection()
        return connection.connection

    old = await sync_to_async(connected)()

    assert await orm_safe(connected)() is not old


async def test_what_an_orm_callable_raises_comes_out() -> None:
    with pytest.raises(Account.DoesNotExist):
        await orm_safe(Account.objects.get)(username="nobody")


def test_orm_safe_takes_no_coroutine_function() -> None:
    async def count() -> int:
        return await Account.objects.acount()

    with pytest.raises(TypeError, match="plain `def`"):
        orm_safe(count)


# Beside Django


async def test_djangos_own_pages_are_served_as_before(site: ASGIApp) -> None:
    headers = cookie(await sign_in("ada"))
    async with (
        serve(site) as server,
        httpx.AsyncClient(base_url=server.url, headers=headers, verify=False, trust_env=False) as browser,
    ):
        assert (await browser.get("/page/")).text == "GET by ada"
        assert (await browser.get("/nothing/")).status_code == 404
        assert (await browser.post("/page/")).status_code == 403  # Django's own protection: the token is missing


Told = list[tuple[str, str, str]]


def tell(told: Told, name: str) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.append((name, scope.get("root_path", ""), scope.get("path", "")))
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

    return app


@pytest.mark.parametrize("written", ["/openai", "openai", "/openai/"])
@pytest.mark.parametrize(
    ("root_path", "path", "who", "told_root"),
    [
        ("", "/openai/v1/models", "gateway", "/openai"),
        ("", "/openai", "gateway", "/openai"),
        ("", "/openaix/v1/models", "django", ""),
        ("", "/other/openai/v1", "django", ""),
        ("", "/", "django", ""),
        ("/site", "/openai/v1/models", "gateway", "/site/openai"),
        ("/site/", "/openai/v1/models", "gateway", "/site//openai"),
        ("/o", "/penai/v1/models", "django", "/o"),
    ],
)
async def test_the_mount_takes_its_own_path_and_no_other(
    written: str, root_path: str, path: str, who: str, told_root: str
) -> None:
    told: Told = []
    app = mount(tell(told, "gateway"), written, inside=tell(told, "django"))

    await ask(app, "GET", path, root_path=root_path)

    assert [(name, root) for name, root, _ in told] == [(who, told_root)]
    assert told[0][2] == root_path + path


async def test_a_proxy_that_strips_its_prefix_is_no_hindrance(site: ASGIApp) -> None:
    scope = {"root_path": "/proxy", "raw_path": b"/llm/v1/models"}
    headers = cookie(await sign_in("ada")) | OWN_PAGE

    async def stripped(inner: Scope, receive: Receive, send: Send) -> None:
        await site({**inner, "path": "/llm/v1/models"}, receive, send)

    assert (await ask(stripped, "GET", "/llm/v1/models", headers=headers, **scope)).status == 200


@pytest.mark.parametrize("path", ["", "/", "//"])
def test_a_mount_that_leaves_nothing_to_django_is_refused(path: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="/openai"):
        mount(tell([], "gateway"), path, inside=tell([], "django"))
