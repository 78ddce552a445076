"""The gateway with all features on, as the figures are quoted for it.

20 upstreams, a policy over all models (100 unless a scenario says otherwise), user-info headers, ``record_usage``, the
log line of each call; retries, the breaker, automatic rewrites and the memory store as they are by default.
"""

from __future__ import annotations

import logging
import os
from collections import Counter

from starlette.requests import Request

from openai_gateway_asgi import Gateway, Grant, Grants, Settings, Upstream, UsageRecord, User

from .scenarios import UPSTREAMS, USER_KEY

USERS = {
    f"Bearer {USER_KEY}": User("42", name="Ada Lovelace", email="ada@example.com", groups={"staff", "research"}),
}
tokens: Counter[str] = Counter()


def resolve_user(request: Request) -> User | None:
    return USERS.get(request.headers.get("authorization", ""))


def record_usage(record: UsageRecord) -> None:
    tokens[record.user.id] += (record.usage.tokens or 0) if record.usage else 0


def upstreams(origin: str, models: int) -> list[Upstream]:
    """``models`` ids dealt out over the upstreams, all of which are the mock upstream."""
    return [
        Upstream(
            f"{origin}/v1",
            api_key="upstream-key",
            name=f"upstream-{number}",
            model_ids=[f"model-{i}" for i in range(number, models, UPSTREAMS)] or [f"spare-{number}"],
        )
        for number in range(UPSTREAMS)
    ]


def policy(models: int) -> Grants:
    """Every other model is public, the others are for staff: the user may use all, for different reasons."""
    return Grants({f"model-{i}": Grant(groups={"staff"}) if i % 2 else Grant(public=True) for i in range(models)})


def gateway(origin: str, models: int) -> Gateway:
    return Gateway(
        upstreams=upstreams(origin, models),
        resolve_user=resolve_user,
        authorize_model=policy(models),
        record_usage=record_usage,
        settings=Settings(forward_user_info=True, open_groups=frozenset({"files"})),
    )


def gateway_from_environment() -> Gateway:
    """The gateway as the bench starts it, with the log written to where it costs no disk."""
    logger = logging.getLogger("openai_gateway_asgi")
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.StreamHandler(open(os.devnull, "w")))  # noqa: SIM115 - open as long as the process
    logger.propagate = False
    return gateway(os.environ["BENCH_UPSTREAM"], int(os.environ["BENCH_MODELS"]))
