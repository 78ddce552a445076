"""Case 279: a masked key cannot be made to travel to another address."""

from __future__ import annotations

from typing import Any

import pytest

from openai_gateway_asgi import MemoryStore, Settings, Upstream
from openai_gateway_asgi.config.masks import MASK, mask
from openai_gateway_asgi.testing import Answer, FakeUpstream
from openai_gateway_asgi.testing.wire import answer
from tests.cases.conftest import MakeWorld
from tests.cases.world import World
from tests.reliability.gateways import trust

KEY = "sk-aaaaaaaaaaaa1111"
HEADER = "header-secret-3333"
ADDRESS = "https://passed-on.example/v1"
PARAMETER = "parameter-secret-4444"
PASSWORD = "proxy-password"
PROXY = f"http://me:{PASSWORD}@proxy.example:3128"
SECRETS = (KEY, HEADER, PARAMETER, PASSWORD)

PLAIN = Upstream(
    "http://a.example/v1", api_key=KEY, headers={"X-Key": HEADER}, query={"key": PARAMETER}, model_ids=["m"]
)
TLS = Upstream(
    "https://a.example/v1", api_key=KEY, headers={"X-Key": HEADER}, query={"key": PARAMETER}, model_ids=["m"]
)
BEHIND = Upstream("https://a.example/v1", api_key=KEY, proxy=PROXY, model_ids=["m"])
PASSED_ON = Upstream("https://a.example/v1", api_key=KEY, headers={"Target-URL": ADDRESS}, model_ids=["m"])


CHANGES: list[tuple[str, Upstream, str, dict[str, Any]]] = [
    ("another host", TLS, "https://evil.example/v1", {}),
    ("another port", TLS, "https://a.example:8443/v1", {}),
    ("another scheme", TLS, "http://a.example/v1", {}),
    ("another path", TLS, "https://a.example/v2", {}),
    ("a deeper path", TLS, "https://a.example/v1/x", {}),
    ("a subdomain", TLS, "https://a.example.evil.example/v1", {}),
    ("a user", TLS, "https://evil@a.example/v1", {}),
    ("a host behind a user", TLS, "https://a.example@evil.example/v1", {}),
    ("a host behind a user, escaped", TLS, "https://a.example%40evil.example/v1", {}),
    ("a backslash", TLS, "https://evil.example\\@a.example/v1", {}),
    ("a climbing path", TLS, "https://a.example/v1/../../evil", {}),
    ("a fragment", TLS, "https://a.example/v1#@evil.example", {}),
    ("a proxy", PLAIN, "http://a.example/v1", {"proxy": "http://evil.example:1"}),
    ("a proxy over TLS", TLS, "https://a.example/v1", {"proxy": "http://evil.example:1"}),
    ("another proxy", BEHIND, "https://a.example/v1", {"proxy": "http://evil.example:1"}),
    ("another port of the proxy", BEHIND, "https://a.example/v1", {"proxy": "http://proxy.example:1"}),
    ("another scheme of the proxy", BEHIND, "https://a.example/v1", {"proxy": "https://proxy.example:3128"}),
    ("the proxy without its password", BEHIND, "https://a.example/v1", {"proxy": "http://proxy.example:3128"}),
    ("TLS off", TLS, "https://a.example/v1", {"verify_tls": False}),
    ("another authority", TLS, "https://a.example/v1", {"verify_tls": "CA"}),
    ("TLS off and a proxy", TLS, "https://a.example/v1", {"verify_tls": False, "proxy": "http://evil.example:1"}),
    ("a header that names a host", TLS, "https://a.example/v1", {"headers": {"X-Forwarded-Host": "evil.example"}}),
    ("a header with an address", TLS, "https://a.example/v1", {"headers": {"X-A": "https://evil.example"}}),
    ("another address in a header", PASSED_ON, "https://a.example/v1", {"headers": {"Target-URL": "https://evil.example"}}),
    ("one that looks alike masked", PASSED_ON, "https://a.example/v1", {"headers": {"target-url": "https://evil.example/v1"}}),
    ("a parameter that names a host", TLS, "https://a.example/v1", {"query": {"target": "evil"}}),
    ("a parameter of the URL", TLS, "https://a.example/v1?url=evil", {}),
    ("a parameter with an address", TLS, "https://a.example/v1?a=https%3A%2F%2Fevil.example", {}),
]  # fmt: skip


def posted(world_config: Any, url: str, entry: dict[str, Any]) -> dict[str, Any]:
    """What ``GET /config`` says, masks included, with another address and changes of the one entry."""
    known = world_config["OPENAI_API_CONFIGS"]["0"]
    named = {field: {**known.get(field, {}), **entry.get(field, {})} for field in ("headers", "query")}
    for given in named.values():  # a name in other letters replaces
        for name in [name for name in given if name.lower() in {other.lower() for other in given if other != name}]:
            if MASK in given[name]:
                del given[name]
    changed = {**known, **entry, **{field: values for field, values in named.items() if values}}
    if changed.get("verify_tls") == "CA":
        changed["verify_tls"] = trust()
    return {
        "OPENAI_API_BASE_URLS": [url],
        "OPENAI_API_KEYS": world_config["OPENAI_API_KEYS"],
        "OPENAI_API_CONFIGS": {"0": changed},
    }


@pytest.mark.parametrize(("what", "stored", "url", "entry"), CHANGES, ids=[change[0] for change in CHANGES])
async def test_case_279_a_masked_key_does_not_travel_with(
    what: str, stored: Upstream, url: str, entry: dict[str, Any], make_world: MakeWorld
) -> None:
    world = make_world(MemoryStore([stored]))
    config = (await world.get("/config")).json()
    body = posted(config, url, entry)

    saved = await world.post("/config/update", body)
    tried = await world.post(
        "/verify", {"url": url, "key": body["OPENAI_API_KEYS"][0], "config": body["OPENAI_API_CONFIGS"]["0"]}
    )

    assert (saved.status_code, tried.status_code) == (400, 400)
    assert world.up.requests == []
    assert (await world.get("/config")).json() == config
    assert not any(secret in saved.text + tried.text for secret in SECRETS)


@pytest.mark.parametrize(
    ("stored", "entry"),
    [
        (TLS, {}),
        (TLS, {"prefix_id": "p", "weight": 2, "timeouts": {"idle": 9}}),
        (TLS, {"headers": {"X-Title": "App", "HTTP-Referer": "https://my.app"}}),
        (TLS, {"query": {"tier": "gold"}}),
        (TLS, {"verify_tls": True}),
        (BEHIND, {}),
        (BEHIND, {"proxy": None}),
        (PASSED_ON, {}),
        (PASSED_ON, {"headers": {"Target-URL": ADDRESS}}),
    ],
)
async def test_a_mask_is_kept_where_the_way_is_as_it_was(
    stored: Upstream, entry: dict[str, Any], make_world: MakeWorld
) -> None:
    store = MemoryStore([stored])
    world = make_world(store)
    config = (await world.get("/config")).json()
    got = await world.post("/config/update", posted(config, stored.base_url, entry))
    assert got.status_code == 200, got.text
    [kept] = (await store.load()).upstreams
    assert kept.api_key.reveal() == KEY
    assert kept.headers.items() >= stored.headers.items()
    assert kept.query.items() >= stored.query.items()


async def test_case_279_what_is_typed_again_may_go_anywhere(make_world: MakeWorld) -> None:
    store = MemoryStore([BEHIND])
    world = make_world(store)
    config = (await world.get("/config")).json() | {"OPENAI_API_KEYS": [KEY]}
    body = posted(config, "https://b.example/v1", {"proxy": "http://other.example:1", "verify_tls": False})
    assert (await world.post("/config/update", body)).status_code == 200


async def test_case_279_masks_of_one_upstream_are_not_mixed_with_those_of_another(make_world: MakeWorld) -> None:
    """First a second upstream at the same URL, with a header of the attacker's; then its mask beside the first key."""
    evil = "https://evil.example/v1"
    world = make_world(MemoryStore([TLS]))
    config = (await world.get("/config")).json()
    two = {
        "OPENAI_API_BASE_URLS": [TLS.base_url, TLS.base_url],
        "OPENAI_API_KEYS": [*config["OPENAI_API_KEYS"], "mine"],
        "OPENAI_API_CONFIGS": {"0": config["OPENAI_API_CONFIGS"]["0"], "1": {"headers": {"Target-URL": evil}}},
    }
    assert (await world.post("/config/update", two)).status_code == 200
    mixed = {**two, "OPENAI_API_KEYS": [mask(KEY), "mine"]}
    mixed["OPENAI_API_CONFIGS"] = {"0": {"headers": {"Target-URL": mask(evil)}}, "1": {}}
    assert (await world.post("/config/update", mixed)).status_code == 400


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_case_279_a_key_does_not_follow_a_redirect(world: World, status: int) -> None:
    world.up.host("a").answer("", Answer([], status, [("location", "http://evil.example/v1")]))
    config = (await world.get("/config")).json()
    got = await world.post("/verify", {"url": "http://a/v1", "key": config["OPENAI_API_KEYS"][0]})
    assert got.status_code == 502
    assert {request.host for request in world.up.requests} == {"a"}


async def test_case_279_nor_does_it_over_sockets(make_world: MakeWorld) -> None:
    async with FakeUpstream(wire=[answer()]) as evil:
        async with FakeUpstream(wire=[answer(302, ((b"Location", evil.url.encode()),))]) as upstream:
            given = [Upstream(f"{upstream.url}/v1", api_key=KEY)]
            world = make_world(MemoryStore(given), transport=None, settings=Settings(verify_tls=trust()))
            config = (await world.get("/config")).json()
            got = await world.post("/verify", {"url": f"{upstream.url}/v1", "key": config["OPENAI_API_KEYS"][0]})
            assert got.status_code == 502
            assert evil.requests == []
            assert len(upstream.requests) == 1
