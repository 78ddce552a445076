from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi import Grant, Grants, Model, User, admins_only, everyone
from openai_gateway_asgi.errors import ConfigError

ADMIN = User("ann", role="admin")
BOB = User("bob", groups=["staff", "night"])
EVE = User("eve")


def model(id: str) -> Model:
    return Model(id, upstream="a", name=id)


@pytest.mark.parametrize("user", [ADMIN, BOB, EVE])
def test_everyone_means_everyone_the_host_knows(user: User) -> None:
    assert everyone(user, model("m")) is True


def test_admins_only() -> None:
    assert [admins_only(user, model("m")) for user in (ADMIN, BOB, EVE, User("x", role="Admin"))] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("grant", "bob", "eve"),
    [
        (Grant(), False, False),
        (Grant(public=True), True, True),
        (Grant(owner="bob"), True, False),
        (Grant(users=["bob", "ann"]), True, False),
        (Grant(users={"eve"}), False, True),
        (Grant(groups={"staff"}), True, False),
        (Grant(groups=("day", "night")), True, False),
        (Grant(groups={"day"}), False, False),
        (Grant(owner="eve", groups={"staff"}), True, True),
        (Grant(users=(name for name in ["bob"])), True, False),
    ],
)
def test_a_grant_opens_to_owner_users_groups_or_all(grant: Grant, bob: bool, eve: bool) -> None:
    grants = Grants({"m": grant})
    for _ in range(2):
        assert grants(BOB, model("m")) is bob
        assert grants(EVE, model("m")) is eve
    assert grants(ADMIN, model("m")) is True
    assert Grants({"m": grant}, admins=False)(ADMIN, model("m")) is grant.allows(ADMIN)


def test_a_model_that_no_grant_names_is_nobodys() -> None:
    grants = Grants({"m": Grant(public=True)})
    assert grants(BOB, model("n")) is False
    assert grants(BOB, model("M")) is False
    assert Grants({})(BOB, model("m")) is False


@pytest.mark.parametrize(
    ("id", "allowed"),
    [
        ("team-a", True),
        ("team-", True),
        ("team", False),
        ("my-team-a", False),
        ("team-a/deep.er", True),
        ("x.chat", True),
        ("xchat", False),
        ("team-secret", False),
        ("team-closed-1", True),
    ],
)
def test_wildcards_stand_for_any_run_of_characters(id: str, allowed: bool) -> None:
    grants = Grants(
        {
            "team-*": Grant(public=True),
            "team-closed-*": Grant(),
            "*.chat": Grant(users={"bob"}),
            "team-secret": Grant(owner="ann"),
        }
    )
    assert grants(BOB, model(id)) is allowed


def test_the_first_pattern_that_matches_decides_and_an_exact_id_before_any() -> None:
    grants = Grants({"*": Grant(), "a*": Grant(public=True), "ab": Grant(public=True)})
    assert [grants(EVE, model(id)) for id in ("a", "abc", "ab")] == [False, False, True]


@pytest.mark.parametrize("arguments", [{"users": "bob"}, {"groups": "staff"}])
def test_one_string_is_not_a_collection_of_ids(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="not one string"):
        Grant(**arguments)


@pytest.mark.parametrize("id", ["", None, 7, b"x"])
def test_a_user_has_an_id(id: Any) -> None:
    with pytest.raises(TypeError, match=r"User\.id"):
        User(id)


@pytest.mark.parametrize("field", ["name", "email", "role"])
@pytest.mark.parametrize("value", [7, b"x", ["x"], {"a": "b"}, True])
def test_what_is_told_of_a_user_is_text(field: str, value: Any) -> None:
    """A claim that is an object would be one where it is told as well."""
    with pytest.raises(TypeError, match=rf"User\.{field} must be a string, got {type(value).__name__}"):
        User("bob", **{field: value})


def test_what_a_host_knows_nothing_of_is_empty() -> None:
    nobody: Any = None
    assert User("bob", name=nobody, email=nobody, role=nobody) == User("bob")


def test_a_users_groups_are_a_collection() -> None:
    with pytest.raises(TypeError, match=r"User\.groups"):
        User("bob", groups="staff")
    groups: Any = [7]
    with pytest.raises(TypeError, match=r"User\.groups must be names"):
        User("bob", groups=groups)
    assert User("bob", groups=["staff", "staff"]).groups == {"staff"}


def test_the_hosts_own_object_stays_out_of_sight() -> None:
    user = User("bob", native={"password": "hush"})
    assert "hush" not in repr(user)
    assert user == User("bob")


names = st.sampled_from(["bob", "eve", "ann"])
grants = st.builds(
    Grant,
    owner=st.none() | names,
    users=st.frozensets(names, max_size=2),
    groups=st.frozensets(st.sampled_from(["staff", "day"]), max_size=2),
    public=st.booleans(),
)


@given(
    st.dictionaries(st.sampled_from(["m1", "m2", "team-a", "team-*", "*", "*2"]), grants),
    st.sampled_from([BOB, EVE, ADMIN]),
    st.booleans(),
)
@settings(max_examples=300, derandomize=True)
def test_whole_lists_are_answered_as_each_model_would_be(given: dict[str, Grant], user: User, admins: bool) -> None:
    rule = Grants(given, admins=admins)
    models = [model(id) for id in ("m2", "team-a", "m1", "team-b", "x")]
    assert list(rule.visible_to(user, models)) == [each for each in models if rule(user, each)]
