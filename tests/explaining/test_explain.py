"""``gateway.explain``, its route and its bounds: what it tells, and what it must not touch."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.requests import Request

from openai_gateway_asgi import (
    Gateway,
    InvalidRequest,
    Limit,
    MemoryLimits,
    MemoryStore,
    Model,
    Settings,
    Timeouts,
    Upstream,
    User,
    everyone,
)
from openai_gateway_asgi.testing import FakeUpstream, json_answer
from tests.support.asgi import ask

ANN, ROOT = User("ann", name="Ann"), User("root", role="admin")
CHAT = "/v1/chat/completions"
SECRET = "sk-secret-0123456789"


def body(model: str = "m", **fields: Any) -> bytes:
    messages = [{"role": "system", "content": "Do not tell."}]
    return json.dumps({"model": model, "messages": messages, **fields}).encode()


def who(request: Request) -> User | None:
    return {"ann": ANN, "root": ROOT}.get(request.headers.get("x-test-user", ""))


def make(*upstreams: Upstream, upstream: FakeUpstream | None = None, fallbacks: Any = {}, **options: Any) -> Gateway:
    return Gateway(
        MemoryStore(upstreams, fallbacks=fallbacks),
        **{
            "resolve_user": who,
            "authorize_model": everyone,
            "transport": (upstream or FakeUpstream()).transport(),
            **options,
        },
    )


def named(name: str, **options: Any) -> Upstream:
    return Upstream(f"http://{name}.test/v1", **{"name": name, "api_key": SECRET, "model_ids": ["m"], **options})


async def test_it_prints_as_something_to_read() -> None:
    gateway = make(named("a", model_ids=["o3"], prefix_id="x"))
    told = await gateway.explain(ANN, "POST", CHAT, body=body("x.o3", max_tokens=5))
    assert str(told) == (
        "POST /v1/chat/completions by ann: sent\n"
        "  operation: createChatCompletion (the API's table of operations)\n"
        "  user: 'ann', role user (the user given)\n"
        "  model asked for: 'x.o3' (the body)\n"
        "  model: x.o3, served by a (the upstreams' models)\n"
        "  access to model x.o3: allowed (authorize_model)\n"
        "candidates:\n"
        "  1. a as o3: asked first (Upstream.priority, then their order)\n"
        "       http://a.test/v1/chat/completions\n"
        "       content-type: application/json (Settings.forwarded_headers)\n"
        "       authorization: *** (Upstream.auth_type)\n"
        "       ~ $.model: x.o3 -> o3 (Upstream.prefix_id, GatewayConfig.fallbacks)\n"
        "       ~ $.messages[0].role: system -> developer (Upstream.provider, Upstream.rewrites)\n"
        "       - $.max_tokens: 5 (Upstream.provider, Upstream.rewrites)\n"
        "       + $.max_completion_tokens: 5 (Upstream.provider, Upstream.rewrites)\n"
        "       clocks: connect 5 s, first_event 300 s, failover_after 12 s, answer 600 s, "
        "idle 300 s, stall 30 s, total - (Settings.timeouts)"
    )


async def test_it_is_plain_data_as_well() -> None:
    data = (await make(named("a")).explain(ANN, "POST", CHAT, body=body())).to_data()
    assert json.loads(json.dumps(data)) == data
    assert data["candidates"][0]["upstream"] == "a"


async def test_denied_and_unknown_look_alike_to_the_client_and_not_here() -> None:
    gateway = make(named("a"), authorize_model=lambda user, model: False)
    denied = await gateway.explain(ANN, "POST", CHAT, body=body())
    unknown = await gateway.explain(ANN, "POST", CHAT, body=body("n"))
    assert (denied.code, denied.reason) == ("model_not_found", "denied")
    assert (unknown.code, unknown.reason) == ("model_not_found", "unknown")
    assert [each.verdict for each in denied.decisions if each.about == "access to model m"] == ["denied"]


async def test_a_list_is_one_decision_whoever_takes_it() -> None:
    async def authorize(user: User, model: Model, operation: str) -> bool:
        return model.id == "m" and operation in ("listModels", "createChatCompletion")

    gateway = make(named("a", model_ids=["m", "n"]), authorize_model=authorize)
    told = await gateway.explain(ANN, "GET", "/v1/models")
    access = [str(each) for each in told.decisions if each.about.startswith("access")]
    assert access == ["access to lists: 1 of 2 models (authorize_model)"]
    assert (await gateway.explain(ANN, "POST", CHAT, body=body())).outcome == "sent"


async def test_weights_are_shares_of_their_priority() -> None:
    gateway = make(named("a", weight=1), named("b", weight=3), named("c", priority=2))
    told = await gateway.explain(ANN, "POST", CHAT, body=body())
    assert [(each.upstream, each.share) for each in told.candidates] == [("b", 0.75), ("a", 0.25), ("c", 1.0)]
    assert "first in 75% of the calls" in told.candidates[0].why


async def test_fallbacks_come_after_the_candidates_and_no_more_than_may_be_asked() -> None:
    gateway = make(
        named("a"),
        named("b", model_ids=["n"]),
        named("c", model_ids=["n"]),
        fallbacks={"m": ["n"]},
        settings=Settings(max_attempts=2),
    )
    told = await gateway.explain(ANN, "POST", CHAT, body=body())
    assert [(each.upstream, each.serves) for each in told.candidates] == [("a", "m"), ("b", "n"), ("c", "n")]
    assert told.candidates[1].by.startswith("GatewayConfig.fallbacks")
    assert told.candidates[2].why == "not reached, 2 attempts at most"


async def test_an_upstream_whose_breaker_is_open_is_skipped() -> None:
    upstream = FakeUpstream()
    upstream.host("a.test").answer(CHAT, json_answer({}, status=503))
    gateway = make(named("a"), named("b"), upstream=upstream, settings=Settings(retries=0))
    for _ in range(5):
        await ask(
            gateway, "POST", CHAT, headers={"x-test-user": "ann", "content-type": "application/json"}, body=body()
        )
    asked = len(upstream.requests)
    told = await gateway.explain(ANN, "POST", CHAT, body=body())
    assert [(each.upstream, each.asked) for each in told.candidates] == [("a", False), ("b", True)]
    assert told.candidates[0].why.startswith("skipped, its breaker is open: ")
    assert len(upstream.requests) == asked


async def test_a_probe_is_not_taken() -> None:
    upstream = FakeUpstream()
    upstream.host("a.test").answer(CHAT, json_answer({}, status=503))
    gateway = make(named("a"), upstream=upstream, settings=Settings(retries=0))
    for _ in range(5):
        await ask(
            gateway, "POST", CHAT, headers={"x-test-user": "ann", "content-type": "application/json"}, body=body()
        )
    await gateway.explain(ANN, "POST", CHAT, body=body())
    assert [each.probe for each in gateway._parts.memory._breakers.values()] == [None]


async def test_no_list_is_loaded_and_the_one_that_could_tell_is_named() -> None:
    upstream = FakeUpstream()
    gateway = make(named("a", model_ids=[]), named("b"), upstream=upstream)
    known = await gateway.explain(ANN, "POST", CHAT, body=body())
    assert known.outcome == "sent"
    open_question = await gateway.explain(ANN, "POST", CHAT, body=body("n"))
    assert open_question.outcome == "undecided"
    assert open_question.message == "the list of models of a was never loaded"
    assert "ask upstream a for its list of models" in open_question.would_ask
    assert (await gateway.explain(ANN, "GET", "/v1/models")).outcome == "undecided"
    assert upstream.requests == []
    assert gateway.health().upstreams["a"].models == "unknown"


async def test_nobody_else_is_asked() -> None:
    asked: list[str] = []

    def note(name: str, answer: Any) -> Any:
        def call(*args: Any) -> Any:
            asked.append(name)
            return answer

        return call

    upstream, store = FakeUpstream(), MemoryLimits()
    gateway = Gateway(
        [named("a", auth_type="system_oauth", api_key="")],
        authorize_model=lambda user, model: note("authorize_model", True)(),
        authorize_group=lambda user, group: False,
        oauth_token=lambda user, request, upstream: note("oauth_token", "t")(),
        record_usage=lambda record: note("record_usage", None)(),
        context=lambda user, request: note("context", {"chat_id": "c1"})(),
        limits=[Limit(requests=1, per="day", by="user"), Limit(concurrent=1, by="upstream")],
        limit_store=store,
        layers=[lambda app: note("layer", app)()],
        settings=Settings(forward_user_info=True),
        transport=upstream.transport(),
    )
    asked.clear()
    for _ in range(2):
        await gateway.explain(ANN, "POST", CHAT, body=body())
    told = await gateway.explain(ANN, "POST", CHAT, body=body())
    assert asked == ["authorize_model", "context"] * 3
    assert upstream.requests == []
    assert told.outcome == "sent"
    assert told.would_ask == (
        "take from the limit 1 requests per day by user",
        "take from the limit 1 concurrent by upstream, once an upstream is chosen",
        "ask oauth_token for a token for upstream a",
        "go through 1 of the host's own layers",
        "give its record to record_usage",
    )
    shown = {each.name: each.value for each in told.candidates[0].headers}
    assert shown["x-openwebui-chat-id"] == "c1"
    assert shown["authorization"] == "***"


async def test_secrets_and_prompts_are_not_told() -> None:
    gateway = make(named("a", headers={"accept": "hush-1"}, query={"k": "hush-2"}, timeouts=Timeouts(connect=1)))
    headers = {"authorization": "Bearer hush-3", "cookie": "s=hush-4", "sec-fetch-site": "same-origin"}
    told = await gateway.explain(ROOT, "POST", f"{CHAT}?q=hush-5", headers, body(metadata={"hush": "hush"}))
    for shown in (str(told), repr(told), json.dumps(told.to_data())):
        assert "hush" not in shown
        assert SECRET not in shown
        assert "Do not tell." not in shown
    assert told.candidates[0].clocks_by == "Upstream.timeouts"


async def test_nobody_can_write_a_line_of_the_text() -> None:
    gateway = make(named("a"))
    told = await gateway.explain(User("ann\nPOST"), "POST", CHAT, {"user-agent": "x\n  forged: line"}, body=body())
    assert [line for line in str(told).splitlines() if "forged" in line or line == "POST"] == [
        "       user-agent: x?  forged: line (Settings.forwarded_headers)"
    ]


@pytest.mark.parametrize(("method", "path"), [("P OST", CHAT), ("POST", "v1"), ("POST", "/a b"), ("", CHAT)])
async def test_what_no_request_could_be_is_refused(method: str, path: str) -> None:
    with pytest.raises(InvalidRequest):
        await make(named("a")).explain(ANN, method, path)


async def test_a_form_is_explained() -> None:
    gateway = make(named("a", model_ids=["whisper"], prefix_id="x"))
    form = (
        b'--B\r\ncontent-disposition: form-data; name="model"\r\n\r\nx.whisper\r\n'
        b'--B\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--B--\r\n'
    )
    told = await gateway.explain(
        ANN, "POST", "/v1/audio/transcriptions", {"content-type": "multipart/form-data; boundary=B"}, form
    )
    [change] = told.candidates[0].body
    assert (change.at, change.before, change.after) == ("form field model", "x.whisper", "whisper")


# POST /config/explain


async def post(gateway: Gateway, question: Any, user: str = "root") -> Any:
    return await ask(gateway, "POST", "/v1/config/explain", json=question, headers={"x-test-user": user})


async def test_administrators_ask_for_themselves() -> None:
    gateway = make(named("a"))
    answer = await post(gateway, {"path": CHAT, "body": json.loads(body())})
    assert answer.status == 200
    assert answer.json()["user"] == "root"
    assert answer.json()["outcome"] == "sent"
    assert answer.json()["text"].startswith("POST /v1/chat/completions by root: sent\n")
    assert (await post(gateway, {"path": CHAT}, user="ann")).status == 403


async def test_administrators_ask_for_others_whom_the_host_finds() -> None:
    async def find_user(id: str) -> User | None:
        return ANN if id == "ann" else None

    def only_root(user: User, model: Model) -> bool:
        return user.is_admin

    gateway = make(named("a"), find_user=find_user, authorize_model=only_root)
    question = {"path": CHAT, "body": json.loads(body()), "user": "ann"}
    answer = (await post(gateway, question)).json()
    assert (answer["user"], answer["reason"]) == ("ann", "denied")
    for refused in (await post(gateway, {**question, "user": "bo"}), await post(make(named("a")), question)):
        assert refused.status == 400
        assert refused.json()["error"]["param"] == "user"


async def test_a_host_that_finds_what_is_no_user_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    gateway = make(named("a"), find_user=lambda id: "ann")
    assert (await post(gateway, {"path": CHAT, "user": "ann"})).status == 500
    assert "find_user returned str; return a User, or None" in caplog.text


@pytest.mark.parametrize("question", [{}, [], {"path": 1}, {"path": CHAT, "more": 1}, {"path": "x"}])
async def test_a_question_that_is_none_is_refused(question: Any) -> None:
    assert (await post(make(named("a")), question)).status == 400


async def test_a_body_may_be_a_text() -> None:
    answer = (await post(make(named("a")), {"path": CHAT, "body": "{"})).json()
    assert answer["reason"] == "invalid_json"
