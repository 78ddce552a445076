"""What a host may write as a limit, and which accounts a call has to draw on."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from openai_gateway_asgi import ConfigError, User
from openai_gateway_asgi.limits import Account, Limit
from openai_gateway_asgi.limits.hosts import checked_limits
from openai_gateway_asgi.limits.limit import NANO, Subject, mark_of
from openai_gateway_asgi.limits.periods import period_at

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()
ANN = User("ann", groups={"staff", "research"})


def keys(limit: Limit, subject: Subject) -> list[str]:
    return [claim.key.removeprefix(f"{limit.key}/") for claim in limit.claims(subject, 1, NOON)]


async def asynchronous(user: User, model: object) -> str:
    return user.id


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "limits"),
        ({"requests": 1, "tokens": 1, "per": "minute"}, "limits"),
        ({"requests": 0, "per": "minute"}, "limits.requests"),
        ({"requests": True, "per": "minute"}, "limits.requests"),
        ({"tokens": 1.5, "per": "minute"}, "limits.tokens"),
        ({"usd": "five", "per": "day"}, "limits.usd"),
        ({"usd": "-1", "per": "day"}, "limits.usd"),
        ({"usd": "NaN", "per": "day"}, "limits.usd"),
        ({"usd": 0.1, "per": "day"}, "limits.usd"),
        ({"usd": "0.0000000001", "per": "day"}, "limits.usd"),
        ({"requests": 1}, "limits.per"),
        ({"requests": 1, "per": "fortnight"}, "limits.per"),
        ({"concurrent": 1, "per": "minute"}, "limits.per"),
        ({"requests": 1, "per": "minute", "by": "users"}, "limits.by"),
        ({"requests": 1, "per": "minute", "by": ["user"]}, "limits.by"),
        ({"requests": 1, "per": "minute", "by": asynchronous}, "limits.by"),
        ({"requests": 1, "per": "minute", "by": lambda user: user.id}, "limits.by"),
        ({"requests": 10**19, "per": "minute"}, "limits.requests"),
        ({"usd": "1e400", "per": "day"}, "limits.usd"),
        ({"requests": 1, "per": "minute", "models": []}, "limits.models"),
        ({"requests": 1, "per": "minute", "models": None}, "limits.models"),
        ({"requests": 1, "per": "minute", "models": 5}, "limits.models"),
        ({"requests": 1, "per": "minute", "models": {"gpt-*": 1}}, "limits.models"),
        ({"requests": 1, "per": "minute", "by": (["user"],)}, "limits.by"),
        ({"requests": 1, "per": "minute", "name": None}, "limits.name"),
        ({"requests": 1, "per": "minute", "name": "fair\nuse"}, "limits.name"),
        ({"requests": 1, "per": "minute", "name": "x" * 1000}, "limits.name"),
        ({"requests": 1, "per": "day", "zone": "Europe/Atlantis"}, "limits.zone"),
        ({"requests": 1, "per": "day", "when_down": "ajar"}, "limits.when_down"),
        ({"usd": 1, "per": "day", "unpriced": "maybe"}, "limits.unpriced"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused_by_its_field(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Limit(**options)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ((), [""]),
        ("user", ["user=ann/"]),
        ("model", ["model=gpt-4o/"]),
        (("model", "user"), ["user=ann/model=gpt-4o/"]),
        ("user_groups", ["group=research/", "group=staff/"]),
        (("user", "user_groups"), ["user=ann/group=research/", "user=ann/group=staff/"]),
        ("upstream", ["upstream=azure/"]),
    ],
)
def test_who_shares_an_account(by: Any, expected: list[str]) -> None:
    subject = Subject(ANN, ("fast", "gpt-4o"), upstream="azure")
    assert keys(Limit(requests=1, per="minute", by=by), subject) == expected


def test_users_without_a_group_share_one() -> None:
    assert keys(Limit(requests=1, per="minute", by="user_groups"), Subject(User("u"), ("m",))) == ["group=/"]


def test_the_host_may_say_who_shares_an_account() -> None:
    limit = Limit(requests=1, per="minute", by=lambda user, model: "tenant 7" if user.id == "ann" else None)
    assert keys(limit, Subject(ANN, ("m",))) == ["own=tenant%207/"]
    assert keys(limit, Subject(User("bob"), ("m",))) == []


@pytest.mark.parametrize("models", [("gpt-4o",), ("fast", "gpt-4o"), ("x", "y", "gpt-4")])
def test_a_limit_sees_every_hop_of_a_model(models: tuple[str, ...]) -> None:
    limit = Limit(requests=1, per="minute", models="gpt-*")
    assert limit.concerns(models)
    assert not limit.concerns(("claude",))


def test_no_id_can_pretend_to_be_another_part_of_a_key() -> None:
    user = User("ann/model=gpt-4o")
    (key,) = keys(Limit(requests=1, per="minute", by=("user", "model")), Subject(user, ("m/user=bob",)))
    assert key == "user=ann%2Fmodel%3Dgpt-4o/model=m%2Fuser%3Dbob/"
    assert mark_of(user.id) in key.split("/")


def test_a_key_is_short_however_long_an_id_is() -> None:
    long = User("u" * 1_000_000)
    (key,) = keys(Limit(requests=1, per="minute", by="user"), Subject(long, ("m",)))
    assert len(key) < 60
    assert mark_of(long.id) in key.split("/")
    assert keys(Limit(requests=1, per="minute", by="user"), Subject(User(long.id + "v"), ("m",))) != [key]


def test_an_id_with_half_a_character_has_a_key_as_well() -> None:
    (key,) = keys(Limit(requests=1, per="minute", by="user"), Subject(User("\ud83d"), ("m",)))
    assert key.isascii()


def test_limits_that_only_a_function_of_the_same_name_tells_apart_need_a_name() -> None:
    by_user, by_role = (Limit(requests=1, per="day", by=by) for by in functions_of_one_name())
    with pytest.raises(ConfigError, match="`name`") as caught:
        checked_limits([by_user, by_role])
    assert caught.value.field == "limits.1"
    named = Limit(requests=1, per="day", by=by_role.by, name="role")
    assert checked_limits([by_user, named, by_user]) == (by_user, named, by_user)


def functions_of_one_name() -> list[Any]:
    return [lambda user, model: user.id, lambda user, model: user.role]


def test_an_amount_that_is_changed_keeps_its_account_and_anything_else_does_not() -> None:
    key = Limit(usd="5", per="day", by="user").key
    assert Limit(usd=Decimal("50"), per="day", by="user").key == key
    others = [
        Limit(usd="5", per="month", by="user"),
        Limit(usd="5", per="day"),
        Limit(tokens=5, per="day", by="user"),
        Limit(usd="5", per="day", by="user", models="gpt-*"),
        Limit(usd="5", per="day", by="user", zone="Europe/Berlin"),
        Limit(usd="5", per="day", by="user", name="extra"),
    ]
    assert len({key, *(limit.key for limit in others)}) == 7


def test_money_is_counted_in_whole_nano_dollars() -> None:
    (claim,) = Limit(usd="0.10", per="day").claims(Subject(ANN, ("m",)), 3 * NANO, NOON)
    assert (claim.capacity, claim.amount, claim.reserved) == (NANO // 10, 3 * NANO, NANO // 10)


def test_flowing_limits_are_buckets_and_calendar_ones_are_periods() -> None:
    (minute,) = Limit(requests=120, per="minute").claims(Subject(ANN, ("m",)), 1, NOON)
    (day,) = Limit(requests=120, per="day").claims(Subject(ANN, ("m",)), 1, NOON)
    assert (minute.account, minute.rate) == (Account.BUCKET, 2.0)
    assert (day.account, day.ends) == (Account.PERIOD, datetime(2026, 11, 29, tzinfo=UTC).timestamp())


def test_each_call_takes_a_place_of_its_own() -> None:
    limit = Limit(concurrent=2)
    leases = {claim.lease for _ in range(10) for claim in limit.claims(Subject(ANN, ("m",)), 1, NOON)}
    assert len(leases) == 10


@pytest.mark.parametrize(
    ("at", "per", "name", "ends"),
    [
        ((2026, 11, 28, 23, 30), "day", "2026-11-28", (2026, 11, 29)),
        ((2026, 11, 28, 12), "week", "2026-11-23", (2026, 11, 30)),
        ((2026, 12, 31, 12), "month", "2026-12-01", (2027, 1, 1)),
        ((2026, 1, 31, 12), "month", "2026-01-01", (2026, 2, 1)),
        ((2028, 2, 29, 12), "month", "2028-02-01", (2028, 3, 1)),
    ],
)
def test_periods_of_the_calendar(at: tuple[int, ...], per: str, name: str, ends: tuple[int, ...]) -> None:
    zone = ZoneInfo("Europe/Berlin")
    period = period_at(datetime(*at, tzinfo=zone).timestamp(), per, zone)  # type: ignore[arg-type,misc]
    assert period.name == name
    assert datetime.fromtimestamp(period.ends, zone).replace(tzinfo=None) == datetime(*ends)  # type: ignore[arg-type]  # noqa: DTZ001


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_a_day_on_which_the_clocks_change_is_as_long_as_it_is(day: tuple[int, int, int], hours: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    begins = datetime(*day, tzinfo=zone).timestamp()
    assert period_at(begins, "day", zone).ends - begins == hours * 3600
