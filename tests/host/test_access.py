from __future__ import annotations

from typing import Any

import pytest
from starlette.exceptions import HTTPException

from openai_gateway_asgi import Model, User
from openai_gateway_asgi.errors import HostFailure, HostRefusal
from openai_gateway_asgi.host.access import Access
from openai_gateway_asgi.host.hooks import Hook

USER = User("bob")
MODELS = tuple(Model(id, upstream="a", name=id) for id in ("m1", "m2", "m3"))


def access(authorize: Any, visible: Any = None, *, bypass: bool = False) -> Access:
    def hook(name: str, call: Any) -> Any:
        return None if call is None else Hook(name, call, slow=60)

    return Access(hook("authorize_model", authorize), hook("visible_models", visible), bypass=bypass)


def later(call: Any) -> Any:
    async def asynchronous(*arguments: Any) -> Any:
        return call(*arguments)

    return asynchronous


def in_kind(kind: str, call: Any) -> Any:
    return later(call) if kind == "async" else call


KINDS = pytest.mark.parametrize("kind", ["sync", "async"])


@KINDS
async def test_one_rule_answers_for_calls_and_lists(kind: str) -> None:
    rule = access(in_kind(kind, lambda user, model: user is USER and model.id != "m2"))
    assert [await rule.allows(USER, model, "createChatCompletion") for model in MODELS] == [True, False, True]
    assert [model.id for model in await rule.visible(USER, MODELS)] == ["m1", "m3"]


@KINDS
@pytest.mark.parametrize("answer", [None, False, 0, 1, "yes", "", [1], object()])
async def test_only_true_allows(kind: str, answer: Any) -> None:
    rule = access(in_kind(kind, lambda user, model: answer))
    assert not await rule.allows(USER, MODELS[0], "createChatCompletion")
    assert list(await rule.visible(USER, MODELS)) == []


@KINDS
async def test_the_bulk_form_is_asked_once_and_keeps_the_order(kind: str) -> None:
    asked: list[Any] = []

    def visible(user: User, models: Any) -> Any:
        asked.append((user, tuple(models)))
        return {models[2], models[0]}

    rule = access(lambda user, model: pytest.fail("asked one by one"), in_kind(kind, visible))
    assert [model.id for model in await rule.visible(USER, MODELS)] == ["m1", "m3"]
    assert asked == [(USER, MODELS)]


@pytest.mark.parametrize("make", [list, tuple, set, iter, lambda models: dict.fromkeys(models, 1)])
async def test_any_collection_of_models_will_do(make: Any) -> None:
    rule = access(lambda user, model: False, lambda user, models: make(models[1:]))
    assert [model.id for model in await rule.visible(USER, MODELS)] == ["m2", "m3"]


async def test_what_was_not_offered_is_not_shown() -> None:
    stranger = Model("m9", upstream="a", name="m9")
    rule = access(lambda user, model: False, lambda user, models: [stranger, models[0]])
    assert [model.id for model in await rule.visible(USER, MODELS)] == ["m1"]


@pytest.mark.parametrize("answer", [None, True, "m1", b"m1", ["m1"], 5, {"m1": True}])
async def test_an_answer_that_is_no_collection_of_models_shows_nothing(answer: Any) -> None:
    with pytest.raises(HostFailure):
        await access(lambda user, model: False, lambda user, models: answer).visible(USER, MODELS)


@KINDS
@pytest.mark.parametrize(("error", "kind_of_error"), [(KeyError("x"), HostFailure), (HTTPException(403), HostRefusal)])
async def test_a_rule_that_raises_shows_nothing(kind: str, error: Exception, kind_of_error: type[Exception]) -> None:
    def rule(*_: Any) -> bool:
        raise error

    for broken in (access(in_kind(kind, rule)), access(lambda *_: True, in_kind(kind, rule))):
        with pytest.raises(kind_of_error):
            await broken.visible(USER, MODELS)
    with pytest.raises(kind_of_error):
        await access(in_kind(kind, rule)).allows(USER, MODELS[0], "createChatCompletion")


async def test_a_plain_rule_that_returns_an_awaitable_shows_nothing() -> None:
    rule = access(lambda user, model: later(lambda *_: True)(user, model))
    with pytest.raises(HostFailure):
        await rule.visible(USER, MODELS)
    with pytest.raises(HostFailure):
        await rule.allows(USER, MODELS[0], "createChatCompletion")


async def test_the_bypass_asks_nobody() -> None:
    def never(*_: Any) -> bool:
        raise AssertionError

    rule = access(never, never, bypass=True)
    assert await rule.allows(USER, MODELS[0], "createChatCompletion")
    assert await rule.visible(USER, MODELS) is MODELS


async def test_a_long_list_that_blocks_earns_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    rule = Access(Hook("authorize_model", lambda user, model: True, slow=1e-9))
    await rule.visible(USER, MODELS)
    await rule.visible(USER, MODELS)
    assert len(caplog.records) == 1
