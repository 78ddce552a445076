"""The configuration: from the environment, and over the administrators' routes. Cases 6 to 17 and 138."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from openai_gateway_asgi import ConfigError, FileStore, MemoryStore, Settings, Upstream, VersionConflict
from openai_gateway_asgi.config import GatewayConfig
from openai_gateway_asgi.testing import FakeRequest, error_answer, json_answer
from openai_gateway_asgi.testing.answers import bytes_answer
from tests.cases.conftest import MakeWorld
from tests.cases.world import A, B, World, refusal

OFFICIAL = "https://api.openai.com/v1"


async def test_case_006_surplus_keys_are_dropped(world: World) -> None:
    answer = await world.update(OPENAI_API_KEYS=["1", "2", "3"])
    assert answer.status_code == 200
    await world.models()
    assert [request.header("authorization") for request in world.up.requests] == ["Bearer 1", "Bearer 2"]


async def test_case_007_missing_keys_are_empty(world: World) -> None:
    answer = await world.update(OPENAI_API_KEYS=[])
    assert answer.json()["OPENAI_API_KEYS"] == ["", ""]
    await world.models()
    assert [request.header("authorization") for request in world.up.requests] == [None, None]


async def test_case_008_entries_of_no_upstream_are_dropped_with_a_warning(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    entries = {"0": {"prefix_id": "p"}, "2": {"prefix_id": "q"}, "http://b/v1": {"prefix_id": "r"}}
    answer = await world.update(OPENAI_API_CONFIGS=entries)
    assert answer.json()["OPENAI_API_CONFIGS"] == {"0": {"prefix_id": "p"}}
    assert "OPENAI_API_CONFIGS" in caplog.text


# The origin ignores unknown keys of an entry; a misspelt setting that is silently ignored is worse than a refusal.
async def test_case_008_an_unknown_key_in_an_entry_is_refused(world: World) -> None:
    answer = await world.update(OPENAI_API_CONFIGS={"0": {"prefix": "p"}})
    assert answer.status_code == 400
    assert refusal(answer)["param"] == "OPENAI_API_CONFIGS.0.prefix"


# 400 where the origin says 422: malformed input is 400 everywhere.
@pytest.mark.parametrize("name", ["OPENAI_API_KEYS", "OPENAI_API_BASE_URLS", "OPENAI_API_CONFIGS"])
async def test_case_009_a_structure_that_is_missing_is_named(world: World, name: str) -> None:
    without: dict[str, Any] = {name: None}
    answer = await world.update(**without)
    assert answer.status_code == 400
    assert refusal(answer)["param"] == name


@pytest.mark.parametrize("enabled", [True, False])
async def test_case_010_a_missing_switch_keeps_its_value(make_world: MakeWorld, enabled: bool) -> None:
    world = make_world(MemoryStore([A, B], enabled))
    answer = await world.update(ENABLE_OPENAI_API=None)
    assert answer.json()["ENABLE_OPENAI_API"] is enabled
    assert (await world.get("/models")).status_code == (200 if enabled else 503)


async def test_case_011_a_trailing_slash_is_gone(world: World) -> None:
    answer = await world.update(OPENAI_API_BASE_URLS=["http://a/v1/"], OPENAI_API_KEYS=["k"])
    assert answer.json()["OPENAI_API_BASE_URLS"] == ["http://a/v1"]
    await world.models()
    assert world.up.last.path == "/v1/models"


async def test_case_012_after_an_update_no_list_from_before_is_shown(world: World) -> None:
    a = world.up.host("a")
    a.models = ["x"]
    assert "x" in await world.ids()
    a.models = ["y"]
    assert (await world.update()).status_code == 200
    assert "y" in await world.ids()
    assert len(a.calls("/models")) == 2


async def test_case_013_environment_lists_are_split_and_trimmed(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_BASE_URLS", "http://a/v1; http://b/v1")
    monkeypatch.setenv("OPENAI_API_KEYS", "ka;kb")
    world = make_world(None)
    await world.models()
    assert [(r.host, r.header("authorization")) for r in world.up.requests] == [("a", "Bearer ka"), ("b", "Bearer kb")]


async def test_case_014_the_singular_names_make_one_upstream(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_BASE_URL", "http://a/v1/")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    world = make_world(None)
    await world.models()
    assert [(r.host, r.path, r.header("authorization")) for r in world.up.requests] == [("a", "/v1/models", "Bearer k")]


async def test_case_015_an_empty_environment_is_the_official_address_without_a_key(make_world: MakeWorld) -> None:
    world = make_world(None)
    assert (await world.get("/config")).json()["OPENAI_API_BASE_URLS"] == [OFFICIAL]
    await world.models()
    assert [(r.host, r.header("authorization")) for r in world.up.requests] == [("api.openai.com", None)]


# Cases 15 and 16 lose to their settlement: what is blank or broken stops the start instead of being guessed at.
@pytest.mark.parametrize("text", [";http://b/v1", "http://a/v1; ;http://b/v1", "http://a/v1;"])
def test_case_015_a_blank_address_stops_the_start(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("OPENAI_API_BASE_URLS", text)
    with pytest.raises(ConfigError, match="OPENAI_API_BASE_URLS"):
        World(None)


async def test_case_016_entries_come_from_the_environment(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_BASE_URL", "http://a/v1")
    monkeypatch.setenv("OPENAI_API_CONFIGS", '{"0": {"prefix_id": "p"}}')
    assert await make_world(None).ids() == ["p.gpt-small", "p.gpt-large"]


@pytest.mark.parametrize("text", ["[1]", "{", '"x"', '{"0": 1}'])
def test_case_016_broken_entries_stop_the_start(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("OPENAI_API_CONFIGS", text)
    with pytest.raises(ConfigError, match="OPENAI_API_CONFIGS"):
        World(None)


SECRETS = ("sk-the-key-of-upstream-a", "the-value-of-a-header", "the-password-of-a-proxy")
SECRETIVE = Upstream(
    "http://a/v1",
    api_key=SECRETS[0],
    headers={"X-Token": SECRETS[1]},
    proxy=f"http://user:{SECRETS[2]}@proxy.example:3128",
)


async def test_case_017_no_answer_holds_a_whole_secret(make_world: MakeWorld) -> None:
    world = make_world([SECRETIVE])
    read = await world.get("/config")
    updated = await world.update()
    refused = await world.update(OPENAI_API_BASE_URLS=["http://elsewhere/v1"])
    assert (read.status_code, updated.status_code, refused.status_code) == (200, 200, 400)
    assert read.headers["cache-control"] == updated.headers["cache-control"] == "no-store"
    for answer in (read, updated, refused):
        for secret in SECRETS:
            assert secret not in answer.text
    await world.models()
    assert world.up.last.header("authorization") == f"Bearer {SECRETS[0]}"
    assert world.up.last.header("x-token") == SECRETS[1]


# What a mask stands for.


async def test_a_mask_follows_its_url_to_another_index(world: World) -> None:
    read = (await world.get("/config")).json()
    answer = await world.update(
        OPENAI_API_BASE_URLS=read["OPENAI_API_BASE_URLS"][::-1], OPENAI_API_KEYS=read["OPENAI_API_KEYS"][::-1]
    )
    assert answer.status_code == 200
    await world.models()
    assert {r.host: r.header("authorization") for r in world.up.requests} == {"a": "Bearer ka", "b": "Bearer kb"}


@pytest.mark.parametrize("urls", [["http://b/v1", "http://a/v1"], ["http://a/v2", "http://b/v1"], ["http://new/v1"]])
async def test_a_mask_for_another_url_is_refused_and_nothing_changes(make_world: MakeWorld, urls: list[str]) -> None:
    world = make_world([Upstream("http://a/v1", api_key="sk-aaaaaaaaaaaa"), Upstream("http://b/v1", api_key="")])
    before = (await world.get("/config")).json()
    answer = await world.update(OPENAI_API_BASE_URLS=urls)
    assert answer.status_code == 400
    assert refusal(answer)["param"] == "OPENAI_API_KEYS.0"
    assert (await world.get("/config")).json() == before


async def test_verify_takes_a_mask_for_the_same_url_only(world: World) -> None:
    mask = (await world.get("/config")).json()["OPENAI_API_KEYS"][0]
    assert (await world.post("/verify", {"url": "http://a/v1", "key": mask})).status_code == 200
    assert world.up.last.header("authorization") == "Bearer ka"
    answer = await world.post("/verify", {"url": "http://stranger/v1", "key": mask})
    assert answer.status_code == 400
    assert refusal(answer)["param"] == "key"
    assert world.up.host("stranger").requests == []


# Updates: all or nothing, and never over somebody else's.


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"OPENAI_API_BASE_URLS": ["http://a/v1", "ftp://b"]}, "OPENAI_API_BASE_URLS.1"),
        ({"OPENAI_API_BASE_URLS": ["http://a/v1", ""]}, "OPENAI_API_BASE_URLS.1"),
        ({"OPENAI_API_BASE_URLS": "http://a/v1"}, "OPENAI_API_BASE_URLS"),
        ({"OPENAI_API_KEYS": [1, 2]}, "OPENAI_API_KEYS.0"),
        ({"OPENAI_API_CONFIGS": {"1": {"auth_type": "magic"}}}, "OPENAI_API_CONFIGS.1.auth_type"),
        ({"OPENAI_API_CONFIGS": {"1": {"auth_type": "system_oauth"}}}, "OPENAI_API_CONFIGS.1.auth_type"),
        ({"OPENAI_API_CONFIGS": {"1": {"forward_cookies": ["sessionid"]}}}, "OPENAI_API_CONFIGS.1.forward_cookies"),
        ({"OPENAI_API_CONFIGS": {"1": {"timeouts": {"idle": 0}}}}, "OPENAI_API_CONFIGS.1.timeouts.idle"),
        ({"ENABLE_OPENAI_API": "no"}, "ENABLE_OPENAI_API"),
        ({"WHATEVER": 1}, "WHATEVER"),
    ],
)
async def test_a_faulty_update_names_the_field_and_has_no_effect(
    world: World, changes: dict[str, Any], field: str
) -> None:
    before = await world.get("/config")
    answer = await world.update(**changes)
    assert answer.status_code == 400
    assert refusal(answer)["param"] == field
    after = await world.get("/config")
    assert (after.json(), after.headers["etag"]) == (before.json(), before.headers["etag"])


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'"\xff"', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", None, 415),
        (b" " * (1024 * 1024 + 1), "application/json", 413),
    ],
)
@pytest.mark.parametrize("path", ["/config/update", "/verify"])
async def test_a_body_that_is_no_json_object_is_refused(
    world: World, path: str, content: bytes, content_type: str | None, status: int
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answer = await world.request("POST", path, content=content, headers=headers)
    assert answer.status_code == status
    refusal(answer)


async def test_the_version_is_in_the_etag_and_moves_with_the_content(world: World) -> None:
    read = await world.get("/config")
    assert read.headers["etag"] == f'"{read.json()["version"]}"'
    updated = await world.update(ENABLE_OPENAI_API=False)
    assert updated.headers["etag"] != read.headers["etag"]
    assert (await world.get("/config")).headers["etag"] == updated.headers["etag"]


@pytest.mark.parametrize("matching", ["{}", '"other", {}', "*"])
async def test_an_update_of_the_version_that_was_read_is_taken(world: World, matching: str) -> None:
    etag = (await world.get("/config")).headers["etag"]
    answer = await world.update(headers={"if-match": matching.format(etag)}, ENABLE_OPENAI_API=False)
    assert answer.status_code == 200
    assert answer.json()["ENABLE_OPENAI_API"] is False


@pytest.mark.parametrize("stale", ['"other"', "W/{}", "", '"other", "another"'])
async def test_an_update_of_another_version_is_a_412_and_has_no_effect(world: World, stale: str) -> None:
    etag = (await world.get("/config")).headers["etag"]
    answer = await world.update(headers={"if-match": stale.format(etag)}, ENABLE_OPENAI_API=False)
    assert answer.status_code == 412
    assert refusal(answer)["code"] == "precondition_failed"
    assert (await world.get("/config")).json()["ENABLE_OPENAI_API"] is True


async def test_a_body_that_still_has_its_old_version_is_a_412(world: World) -> None:
    first = (await world.get("/config")).json()
    assert (await world.update(ENABLE_OPENAI_API=False)).status_code == 200
    assert (await world.post("/config/update", first)).status_code == 412


async def test_of_two_updates_from_one_version_the_second_is_a_412(make_world: MakeWorld, tmp_path: Path) -> None:
    for store in (MemoryStore([A]), FileStore(tmp_path / "config.json", [A])):
        world = make_world(store)
        body = (await world.get("/config")).json()
        answers = await asyncio.gather(*(world.post("/config/update", body) for _ in range(5)))
        assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412]


async def test_what_is_read_can_be_posted_back(make_world: MakeWorld) -> None:
    rich = Upstream(
        "https://r.example/openai/v1",
        api_key="sk-secret-of-rich",
        name="rich",
        enabled=False,
        model_ids=["m", "gpt-*"],
        prefix_id="p",
        tags=[{"name": "t"}],
        headers={"X-Secret": "a long value of a header"},
        provider="azure",
        weight=3,
    )
    world = make_world([rich, B])
    before = (await world.get("/config")).json()
    after = (await world.post("/config/update", before)).json()
    assert {**after, "version": None} == {**before, "version": None}


@pytest.mark.parametrize("shared", [True, False])
async def test_the_answer_says_whether_other_processes_see_the_change(
    make_world: MakeWorld, tmp_path: Path, shared: bool
) -> None:
    world = make_world(FileStore(tmp_path / "config.json", [A]) if shared else MemoryStore([A]))
    assert (await world.update()).json()["shared"] is shared


async def test_an_update_that_cannot_be_stored_changes_nothing_and_shows_no_path(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    world = make_world(FileStore(folder / "config.json", [A]))
    before = (await world.get("/config")).json()
    folder.rmdir()
    answer = await world.update(ENABLE_OPENAI_API=False)
    assert answer.status_code == 500
    assert refusal(answer)["code"] == "configuration_unavailable"
    assert str(tmp_path) not in answer.text
    assert (await world.get("/config")).json() == before


class _Contested(MemoryStore):
    """A store where somebody else always saves first."""

    async def save(self, config: GatewayConfig, *, replaces: str | None) -> GatewayConfig:
        raise VersionConflict


async def test_an_update_that_somebody_else_overtakes_in_the_store_is_a_412(make_world: MakeWorld) -> None:
    world = make_world(_Contested([A]))
    assert (await world.update(ENABLE_OPENAI_API=False)).status_code == 412
    assert (await world.get("/config")).json()["ENABLE_OPENAI_API"] is True


async def test_a_request_under_way_keeps_the_configuration_it_began_with(world: World) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(request: FakeRequest) -> Any:
        begun.set()
        await go_on.wait()
        return json_answer({"served": "by a"})

    world.up.host("a").answer("/chat/completions", slowly)
    call = asyncio.create_task(world.chat("gpt-small"))
    await begun.wait()
    changed = await world.update(OPENAI_API_BASE_URLS=["http://b/v1"], OPENAI_API_KEYS=["new"])
    assert changed.status_code == 200
    assert (await world.chat("gpt-small")).status_code == 200
    assert world.up.last.host == "b"
    go_on.set()
    assert (await call).json() == {"served": "by a"}


async def test_head_is_answered_without_a_body(world: World) -> None:
    whole = await world.request("GET", "/config")
    answer = await world.request("HEAD", "/config")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["etag"]
    assert answer.headers["content-length"] == whole.headers["content-length"] == str(len(whole.content))


# Trying out an upstream.


async def _verified(world: World, url: str = "http://a/v1", key: str = "k", **config: Any) -> httpx.Response:
    return await world.post("/verify", {"url": url, "key": key, "config": config})


# The origin passes the upstream's JSON on. Here only the ids of its models are shown: an address that an administrator
# may choose freely must not become a window into the network of the host.
async def test_case_138_an_upstream_that_answers_shows_its_models_and_nothing_else(world: World) -> None:
    world.up.host("a").answer("/models", json_answer({"data": [{"id": "m", "private": "x"}], "more": "y"}))
    answer = await _verified(world)
    assert answer.json() == {"object": "list", "data": [{"id": "m", "object": "model"}]}
    assert world.up.last.header("authorization") == "Bearer k"
    assert (await world.get("/config")).json()["OPENAI_API_BASE_URLS"] == ["http://a/v1", "http://b/v1"]


def _refused(_: FakeRequest) -> Any:
    """As transports do: the system's words count, a host's transport's own do not, for they may hold anything."""
    raise httpx.ConnectError("10.0.0.7 refused") from ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


# The origin gives the upstream's status and body; here a refusal is a 502 whose text is ours. It says what failed and what
# to try. Of the upstream's own words only the message of an error in the API's shape is shown: an address may be any.
WORDS = "the upstream's own words"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (error_answer(401, WORDS), f"401: {WORDS}. The upstream refuses the gateway's credential"),
        (error_answer(503, WORDS), f"503: {WORDS}."),
        (error_answer(422, WORDS), "422."),
        (
            error_answer(404, "Not Found"),
            "404 at http://a/v1/models: does the base URL end where the API's paths begin?",
        ),
        (bytes_answer(WORDS.encode(), "text/plain", 403), "403. See to the permissions of the gateway's key."),
        (bytes_answer(WORDS.encode(), "text/html"), "200 at http://a/v1/models, but with no list of models"),
        (json_answer({"answer": WORDS}), "200 at http://a/v1/models, but with no list of models"),
        (
            bytes_answer(b'{"data": [{"id": "m"}]}', "application/json", 302, [("location", "http://b/v1/models")]),
            "302: redirected to http://b/v1/models. Redirects are never followed; where it is right, make it the base URL.",
        ),
        (bytes_answer(b"", "application/json", 204), "204: an answer without a list of models."),
        (bytes_answer(b"[" * 50_000, "application/json"), "200 at http://a/v1/models, but with no list of models"),
        (_refused, "Connection refused by a:80. See whether it runs, and listens on that port."),
    ],
)
async def test_case_138_a_refusal_is_a_502_that_says_why(world: World, given: Any, said: str) -> None:
    world.up.host("a").answer("/models", given)
    answer = await _verified(world)
    assert answer.status_code == 502
    assert refusal(answer)["message"].startswith(said)
    assert WORDS not in answer.text or f": {WORDS}" in said
    assert world.up.host("b").requests == []


async def test_case_138_the_lists_of_one_upstream_follow_the_same_rules(world: World) -> None:
    world.up.host("a").answer("/models", error_answer(500, WORDS))
    answer = await world.get("/config/upstreams/0/models")
    assert answer.status_code == 502
    assert refusal(answer)["message"] == f"500: {WORDS}."


async def test_case_138_a_silent_upstream_costs_the_deadline(make_world: MakeWorld) -> None:
    async def never(_: FakeRequest) -> Any:
        await asyncio.Event().wait()

    world = make_world(settings=Settings(model_list_timeout=0.1))
    world.up.host("a").answer("/models", never)
    answer = await asyncio.wait_for(_verified(world), 5)
    assert answer.status_code == 504
    assert world.up.open_answers == 0


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://r.example", ("/openai/models", b"api-version=2024-10-21")),
        ("https://r.example/openai/v1", ("/openai/v1/models", b"")),
    ],
)
async def test_case_138_azure_is_asked_at_its_own_address(world: World, url: str, target: tuple[str, bytes]) -> None:
    assert (await _verified(world, url, provider="azure")).status_code == 200
    assert (world.up.last.path, world.up.last.query) == target
    assert world.up.last.header("api-key") == "k"
    assert world.up.last.header("authorization") is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"key": "k"}, "url"),
        ({"url": "http://a/v1"}, "key"),
        ({"url": "file:///etc/passwd", "key": "k"}, "url"),
        ({"url": "http://a/v1", "key": "k", "config": {"auth_type": "magic"}}, "config.auth_type"),
        ({"url": "http://a/v1", "key": "k", "config": {"auth_type": "system_oauth"}}, "config.auth_type"),
        ({"url": "http://a/v1", "key": "k", "config": {"forward_cookies": ["token"]}}, "config.forward_cookies"),
        ({"url": "http://a/v1", "key": "k", "extra": 1}, "extra"),
    ],
)
async def test_case_138_a_faulty_trial_names_the_field_and_calls_nobody(
    world: World, body: dict[str, Any], field: str
) -> None:
    answer = await world.post("/verify", body)
    assert answer.status_code == 400
    assert refusal(answer)["param"] == field
    assert world.up.requests == []


async def test_case_138_a_session_is_tried_with_the_administrators_own_token(world: World) -> None:
    assert (await _verified(world, auth_type="session")).status_code == 200
    assert world.up.last.header("authorization") == "Bearer a1"


async def test_case_138_a_trial_works_while_everything_is_switched_off(make_world: MakeWorld) -> None:
    world = make_world(MemoryStore([A], enabled=False))
    assert (await _verified(world)).status_code == 200


# A file that somebody breaks.


async def test_a_corrupt_file_leaves_the_last_good_configuration_and_is_reported(
    make_world: MakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("openai_gateway_asgi.config.live.CHECK_EVERY", 0.0)
    path = tmp_path / "config.json"
    world = make_world(FileStore(path, [Upstream("http://a/v1", api_key="sk-not-to-be-seen")]))
    assert (await world.update(ENABLE_OPENAI_API=True)).status_code == 200
    good = path.read_text()

    path.write_text(good[:-30])
    assert (await world.chat("gpt-small")).status_code == 200
    reported = (await world.get("/config")).json()
    assert "cannot be read" in reported["fault"]
    assert "sk-not-to-be-seen" not in caplog.text
    assert [r.levelno for r in caplog.records if "last good configuration" in r.message] == [logging.ERROR]

    path.write_text(json.dumps(json.loads(good) | {"ENABLE_OPENAI_API": False}))
    mended = (await world.get("/config")).json()
    assert "fault" not in mended
    assert mended["ENABLE_OPENAI_API"] is False
    assert (await world.chat("gpt-small")).status_code == 503


async def test_a_corrupt_file_is_mended_by_an_update(
    make_world: MakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openai_gateway_asgi.config.live.CHECK_EVERY", 0.0)
    path = tmp_path / "config.json"
    world = make_world(FileStore(path, [A]))
    good = await world.update()
    path.write_text("{")
    reported = await world.get("/config")
    assert reported.json()["fault"]
    assert reported.headers["etag"] == good.headers["etag"]
    mended = await world.post("/config/update", reported.json(), headers={"if-match": good.headers["etag"]})
    assert mended.status_code == 200
    assert "fault" not in (await world.get("/config")).json()
    assert [upstream.api_key for upstream in (await FileStore(path).load()).upstreams] == [A.api_key]


async def test_a_corrupt_file_that_somebody_mends_first_is_not_saved_over(
    make_world: MakeWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openai_gateway_asgi.config.live.CHECK_EVERY", 0.0)
    path = tmp_path / "config.json"
    world = make_world(FileStore(path, [A]))
    await world.update()
    good = path.read_text()
    path.write_text("{")
    body = (await world.get("/config")).json()
    path.write_text(good.replace("http://a/v1", "http://b/v1"))
    assert (await world.post("/config/update", body)).status_code == 412
    assert "http://b/v1" in path.read_text()
