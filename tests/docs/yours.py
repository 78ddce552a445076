"""What the documentation calls yours: a host's users, tables, keys and clients, as small as they can be."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import fastapi
import openai
import starlette.applications
import starlette.routing
from starlette.requests import Request

import openai_gateway_asgi
from openai_gateway_asgi import Gateway, Grant, Grants, Price, Upstream, User
from openai_gateway_asgi.testing import FakeUpstream


@dataclass
class Account:
    id: str = "ada"
    role: str = "user"
    groups: tuple[str, ...] = ("staff",)


@dataclass
class Table:
    """A table of a database: its rows by key."""

    rows: dict[str, Any] = field(default_factory=dict)

    async def get(self, key: str) -> Any:
        return self.rows.get(key)


async def account_of(authorization: str | None) -> Account | None:
    return Account() if authorization == "Bearer ada" else None


async def current_user(request: Request) -> User | None:
    account = await account_of(request.headers.get("authorization"))
    return User(account.id, role=account.role, groups=account.groups) if account else None


def signed_in() -> Account:
    return Account()


async def save(*values: object) -> None:
    pass


@dataclass
class Plan:
    dollars: str = "20"


async def plan_of(user_id: str) -> Plan:
    return Plan()


def offline_gateway(*arguments: Any, **options: Any) -> Gateway:
    """A gateway all of whose upstreams are one fake: nothing of a page leaves this machine."""
    fake = FakeUpstream(["gpt-4o-mini", "gpt-4o", "x.o3"])
    return Gateway(*arguments, **{"transport": fake.transport(), **options})


def names() -> dict[str, Any]:
    """The names that a block may use without defining them: the public ones, and yours."""
    return {
        **{name: getattr(openai_gateway_asgi, name) for name in openai_gateway_asgi.__all__},
        **{name: getattr(fastapi, name) for name in ("Depends", "FastAPI", "HTTPException")},
        "Annotated": Annotated,
        "Account": Account,
        "AZURE_KEY": "azure-key",
        "FakeUpstream": FakeUpstream,
        "Mapping": Mapping,
        "Mount": starlette.routing.Mount,
        "OPENAI_KEY": "sk-openai",
        "Request": Request,
        "Starlette": starlette.applications.Starlette,
        "account_of": account_of,
        "accounts": Table({"ann": Account("ann")}),
        "app": fastapi.FastAPI(),
        "asynccontextmanager": contextlib.asynccontextmanager,
        "current_user": current_user,
        "json": json,
        "may_use": Grants({"*": Grant(public=True)}),
        "openai": openai,
        "plan_of": plan_of,
        "prices": {"*": Price(input="1", output="2")},
        "save": save,
        "signal": signal,
        "signed_in": signed_in,
        "token_your_app_gave_out": "ada",
        "upstreams": [Upstream("https://models.test/v1", api_key="any", model_ids=["x.o3", "gpt-4o"])],
        "gateway": offline_gateway(
            [Upstream("https://models.test/v1", api_key="any")],
            resolve_user=current_user,
            authorize_model=openai_gateway_asgi.everyone,
        ),
    }
