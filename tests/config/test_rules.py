"""Every rule of the whole configuration, in one table: what is written, what the rules say to it, and with which words."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiocache import SimpleMemoryCache
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware

from openai_gateway_asgi import (
    ConfigError,
    FileStore,
    Finding,
    Gateway,
    Grant,
    Grants,
    HostModel,
    MemoryStore,
    Preset,
    Settings,
    Upstream,
    everyone,
    in_thread,
)
from openai_gateway_asgi.config.findings import ERRORS, WARNINGS
from openai_gateway_asgi.config.rules.callables import CALLABLES
from openai_gateway_asgi.limits import MemoryLimits
from tests.reliability.gateways import trust

A = "https://a.example/v1"
AZURE, AZURE_V1 = "https://r.openai.azure.com", "https://r.openai.azure.com/openai/v1"
OPENAI = "https://api.openai.com/v1"
NOBODY = 65534
STATIC = Upstream(A, name="a", api_key="k", model_ids=["m"])


def gateway(*upstreams: Any, **options: Any) -> Gateway:
    return Gateway(upstreams or [STATIC], **{"authorize_model": everyone, **options})


def upstream(base_url: str = A, **fields: Any) -> Callable[[], Gateway]:
    return lambda: gateway(Upstream(base_url, **fields))


def option(**options: Any) -> Callable[[], Gateway]:
    return lambda: gateway(**options)


def setting(**settings: Any) -> Callable[[], Gateway]:
    return lambda: gateway(settings=Settings(**settings))


def findings(build: Callable[[], Gateway]) -> list[tuple[str, str, str]]:
    """Code, field and text of all that the start says."""
    try:
        made = build()
    except ConfigError as error:
        return [(each.code, each.field, each.problem) for each in (error, *error.others)]
    return [(each.code, each.field, f"{each.seen}; {each.instead}") for each in made.warnings]


class Policy:
    def __call__(self, user: Any, model: Any) -> bool:
        return True

    def method(self, user: Any, model: Any) -> bool:
        return True

    async def narrow(self, user: Any) -> bool:
        return True


class AsgiLayer:
    def __init__(self, app: Any, *, word: str = "") -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class SyncStore:
    shared = True

    def load(self) -> None: ...

    async def version(self) -> str:
        return ""

    async def save(self, config: Any, *, replaces: Any) -> Any: ...


class PeekingStore(MemoryStore):
    async def peek(self) -> Any:  # type: ignore[override]
        return await self.load()


class ShortStore:
    shared = None

    async def load(self, what: Any) -> None: ...

    async def save(self, config: Any) -> Any: ...


def generator(user: Any, model: Any) -> Iterator[bool]:
    yield True


async def answers(call: Any) -> str:
    return "x"


async def asynchronous(user: Any, model: Any) -> bool:
    return True


@functools.wraps(asynchronous)
def disguised(*arguments: Any) -> Any:
    return asynchronous(*arguments)


# What is written, the code, the field, and words of the sentence that says what to write instead.
ROWS: list[tuple[Callable[[], Gateway], str, str, str]] = [
    # Base URLs
    (upstream("https://a.example/v1/chat/completions"), "endpoint_in_base_url", "upstreams.0.base_url", "write https://a.example/v1"),
    (upstream("https://a.example/chat/completions"), "endpoint_in_base_url", "upstreams.0.base_url", "write https://a.example"),
    (upstream("https://a.example/api/v1/chat"), "endpoint_in_base_url", "upstreams.0.base_url", "write https://a.example/api/v1"),
    (upstream("https://a.example/v1/models"), "endpoint_in_base_url", "upstreams.0.base_url", "write https://a.example/v1"),
    (upstream("https://a.example/v1/models/gpt-4o"), "endpoint_in_base_url", "upstreams.0.base_url", "write https://a.example/v1"),
    (upstream("https://a.example/v1beta/responses/"), "endpoint_in_base_url", "upstreams.0.base_url", "write https://a.example/v1beta"),
    (upstream("https://a.example/audio/speech"), "endpoint_in_base_url", "upstreams.0.base_url", "write https://a.example"),
    (upstream("https://api.openai.com/v1/embeddings"), "endpoint_in_base_url", "upstreams.0.base_url", f"write {OPENAI}"),
    (upstream("https://a.example/models"), "possible_endpoint_in_base_url", "upstreams.0.base_url", "write https://a.example, unless"),
    (upstream("https://a.example/embeddings"), "possible_endpoint_in_base_url", "upstreams.0.base_url", "unless"),
    (upstream("https://api.openai.com"), "missing_api_path", "upstreams.0.base_url", f"write {OPENAI}"),
    (upstream("https://eu.api.openai.com/"), "missing_api_path", "upstreams.0.base_url", "write https://eu.api.openai.com/v1"),
    (upstream("https://openrouter.ai/v1"), "missing_api_path", "upstreams.0.base_url", "write https://openrouter.ai/api/v1"),
    (upstream("https://api.groq.com/openai"), "missing_api_path", "upstreams.0.base_url", "write https://api.groq.com/openai/v1"),
    (upstream("https://generativelanguage.googleapis.com/v1beta"), "missing_api_path", "upstreams.0.base_url", "/v1beta/openai"),
    (upstream("https://generativelanguage.googleapis.com/v1"), "native_api", "upstreams.0.base_url", "/v1beta/openai"),
    (upstream("https://api.anthropic.com/v1/messages"), "native_api", "upstreams.0.base_url", "write https://api.anthropic.com/v1"),
    (upstream("http://localhost:11434/api/chat"), "native_api", "upstreams.0.base_url", "write http://localhost:11434/v1"),
    (upstream("http://localhost:11434"), "base_url_without_path", "upstreams.0.base_url", "write http://localhost:11434/v1"),
    # Azure
    (upstream(AZURE), "azure_without_provider", "upstreams.0.provider", f'write {AZURE} with provider="azure" and model_ids='),
    (upstream(f"{AZURE}/openai"), "azure_without_provider", "upstreams.0.provider", 'provider="azure"'),
    (upstream(f"{AZURE}/openai/deployments/gpt-4o"), "azure_without_provider", "upstreams.0.provider", "model_ids=['gpt-4o']"),
    (upstream("https://apim.example/x/deployments/d/chat/completions"), "azure_without_provider", "upstreams.0.provider", "model_ids=['d']"),
    (upstream(AZURE_V1), "azure_v1_without_provider", "upstreams.0.provider", 'provider="azure"'),
    (upstream(provider="Azure-OpenAI"), "provider_like_azure", "upstreams.0.provider", 'write provider="azure"'),
    (upstream(AZURE, provider="azure", api_key="k"), "azure_without_models", "upstreams.0.model_ids", "names of your deployments"),
    (upstream(AZURE_V1, provider="azure", api_key="k"), "azure_v1_without_models", "upstreams.0.model_ids", "names of your deployments"),
    (upstream(f"{AZURE}/openai/deployments/d", provider="azure", model_ids=["d"]), "azure_path", "upstreams.0.base_url", f"write {AZURE} with model_ids=['d']"),
    (upstream(f"{AZURE}/v1", provider="azure", model_ids=["d"]), "azure_path", "upstreams.0.base_url", f"write {AZURE_V1}"),
    (upstream(f"{AZURE_V1}/chat/completions", provider="azure", model_ids=["d"]), "azure_path", "upstreams.0.base_url", f"write {AZURE_V1}"),
    (upstream(f"{AZURE}/openai/x", provider="azure", model_ids=["d"]), "azure_path", "upstreams.0.base_url", f"write {AZURE}"),
    # Keys
    (upstream(api_key="Bearer sk-secret"), "api_key_with_scheme", "upstreams.0.api_key", "write the key alone"),
    (upstream(api_key="authorization: Bearer sk-secret"), "api_key_with_scheme", "upstreams.0.api_key", "write the key alone"),
    (upstream(api_key="OPENAI_API_KEY=sk-secret"), "api_key_with_scheme", "upstreams.0.api_key", "write the key alone"),
    (upstream(api_key='"sk-secret"'), "api_key_quoted", "upstreams.0.api_key", "write it without them"),
    (upstream(api_key="$OPENAI_API_KEY"), "api_key_placeholder", "upstreams.0.api_key", "write the key itself"),
    (upstream(api_key="sk-..."), "api_key_placeholder", "upstreams.0.api_key", "write the key itself"),
    (upstream(api_key="<your key>"), "api_key_placeholder", "upstreams.0.api_key", "write the key itself"),
    (upstream(api_key="not needed"), "api_key_with_spaces", "upstreams.0.api_key", "write the key alone"),
    (upstream(OPENAI), "api_key_missing", "upstreams.0.api_key", "api.openai.com needs one"),
    (upstream(AZURE, provider="azure", model_ids=["d"]), "api_key_missing", "upstreams.0.api_key", "r.openai.azure.com needs one"),
    (upstream(api_key="sk-secret", auth_type="none"), "api_key_unused", "upstreams.0.api_key", "leave one of them out"),
    (upstream(api_key="sk-secret", headers={"Authorization": "x"}), "api_key_unused", "upstreams.0.api_key", "authorization"),
    (upstream("http://api.acme.com/v1", api_key="sk-secret"), "credential_over_http", "upstreams.0.base_url", "write https://"),
    (upstream("http://api.acme.com/v1", auth_type="session"), "credential_over_http", "upstreams.0.base_url", "write https://"),
    # One upstream and the rest
    (upstream(auth_type="system_oauth"), "no_oauth_token", "upstreams.0.auth_type", "oauth_token callable"),
    (upstream(forward_cookies=["theme", "sessionid"]), "private_cookie", "upstreams.0.forward_cookies", "lists sessionid"),
    (upstream(api_version="2024-10-21"), "unused_field", "upstreams.0.api_version", "query="),
    (upstream(AZURE_V1, provider="azure", api_key="k", model_ids=["m"], api_version="2024-10-21"), "unused_field", "upstreams.0.api_version", "preview"),
    (upstream(token_scope="https://s.example/.default"), "unused_field", "upstreams.0.token_scope", "leave it out"),
    (upstream(api="chat", repair_responses=True), "unused_field", "upstreams.0.repair_responses", 'api="chat"'),
    (upstream(api="both", drop_hosted_tools=True), "unused_field", "upstreams.0.drop_hosted_tools", 'api="both"'),
    (upstream(api="responses", images_in_tools=True), "unused_field", "upstreams.0.images_in_tools", 'api="responses"'),
    (upstream(rewrites="off", drop_nulls=True), "unused_field", "upstreams.0.drop_nulls", "leave one of them out"),
    (lambda: gateway(Upstream(A, keepalive=3), transport=httpx.MockTransport(lambda request: httpx.Response(200))), "unused_with_transport", "upstreams.0.keepalive", "tell the transport"),
    (upstream(headers={"X-User": "{{USER_ID}}"}), "header_template", "upstreams.0.headers.X-User", "write {user.id}"),
    (upstream(identity="jwt", identity_key="-----BEGIN PRIVATE KEY-----"), "invalid_identity_key", "upstreams.0.identity_key", "openssl genpkey"),
    (lambda: gateway(*(Upstream(url, identity="jwt", identity_key="0123456789" * 4) for url in (A, "http://b.test/v1"))), "shared_identity_key", "upstreams.1.identity_key", "a private key"),
    (upstream(list_per_user=True, stamp={"user": "{user.id}"}, headers={"X-C": "{context.c}"}), "unused_field", "upstreams.0.list_per_user", '"{user.id}"'),
    (upstream(list_per_user=True, headers={"Authorization": "Bearer {context.token}"}), "list_without_context", "upstreams.0.headers.Authorization", "outside of every call"),
    (upstream(list_per_user=True), "unused_field", "upstreams.0.list_per_user", '"{user.id}"'),
    (upstream(verify_tls=False), "tls_not_verified", "upstreams.0.verify_tls", "a file of CA certificates"),
    (upstream(prefix_id="team."), "prefix_with_dot", "upstreams.0.prefix_id", "write 'team'"),
    (upstream(prefix_id="team", model_ids=["m", "team.n"]), "prefixed_model_ids", "upstreams.0.model_ids", "'team.team.n'"),
    # The configuration as one
    (lambda: Gateway([], authorize_model=everyone), "no_upstreams", "upstreams", "write [Upstream(...)]"),
    (upstream(enabled=False), "no_enabled_upstream", "upstreams", "enabled=True"),
    (setting(stored_upstream="b"), "unknown_stored_upstream", "settings.stored_upstream", "one of their names: a"),
    (lambda: gateway(STATIC, Upstream(A, name="b", enabled=False), settings=Settings(stored_upstream="b")), "stored_upstream_disabled", "settings.stored_upstream", "switch it on"),
    (lambda: Gateway(MemoryStore([STATIC], fallbacks={"m": ["n"]}), authorize_model=everyone), "fallback_unserved", "fallbacks.m", "names 'n'"),
    (option(limit_store="redis://here"), "invalid_value", "limit_store", "RedisLimits('redis://...')"),
    (option(limit_store=MemoryLimits), "invalid_value", "limit_store", "MemoryLimits()"),
    (lambda: Gateway([STATIC], authorize_model=everyone, presets=[Preset("fast", base="n")]), "preset_base_unserved", "presets.0.base", "names 'n'"),
    (lambda: Gateway([STATIC], authorize_model=everyone, presets=[Preset("p", base="m", system="{user.id:hmac}")]), "no_identity_secret", "presets.0.system", "write Settings("),
    (lambda: Gateway([STATIC], authorize_model=everyone, presets=[Preset("p", base="m", system="{context.a}")]), "context_missing", "presets.0.system", "a context callable"),
    (setting(verify_tls=False), "tls_not_verified", "settings.verify_tls", "a file of CA certificates"),
    (setting(bypass_model_access=True), "model_access_bypassed", "settings.bypass_model_access", "leave it out"),
    (option(context=lambda user, request: {}), "context_unused", "context", "forward_user_info=True"),
    (option(settings={"retries": 0}), "invalid_settings", "settings", "write Settings(...)"),
    # Callables
    (option(authorize_model=None), "not_callable", "authorize_model", "everyone"),
    (option(authorize_model=True), "not_callable", "authorize_model", "everyone"),
    (option(resolve_user="me"), "not_callable", "resolve_user", "async def current_user(request)"),
    (option(authorize_model=lambda user: True), "wrong_signature", "authorize_model", "takes (user) and is called with (user, model)"),
    (option(authorize_model=lambda user, model, database: True), "wrong_signature", "authorize_model", "takes (user, model, database)"),
    (option(authorize_model=lambda user, model, *, database: True), "wrong_signature", "authorize_model", "database"),
    (option(authorize_model=Policy.method), "wrong_signature", "authorize_model", "takes (self, user, model)"),
    (option(authorize_model=Policy().narrow), "wrong_signature", "authorize_model", "takes (user)"),
    (option(authorize_model=functools.partial(Policy().method, None)), "wrong_signature", "authorize_model", "takes (model)"),
    (option(authorize_model=in_thread(lambda user: True)), "wrong_signature", "authorize_model", "takes (user)"),
    (option(resolve_user=lambda: None), "wrong_signature", "resolve_user", "is called with (request)"),
    (option(visible_models=lambda user: []), "wrong_signature", "visible_models", "is called with (user, models)"),
    (option(authorize_group=lambda user: True), "wrong_signature", "authorize_group", "is called with (user, group)"),
    (option(oauth_token=lambda user, request: ""), "wrong_signature", "oauth_token", "is called with (user, request, upstream)"),
    (option(context=lambda user: {}), "wrong_signature", "context", "is called with (user, request)"),
    (option(record_usage=lambda: None), "wrong_signature", "record_usage", "is called with (record)"),
    (option(authorize_model=Policy), "wrong_kind", "authorize_model", "give an instance"),
    (option(authorize_model=Grants), "wrong_kind", "authorize_model", "Grants({...})"),
    (option(authorize_model=generator), "wrong_kind", "authorize_model", "return the answer"),
    (lambda: gateway(authorize_model=asynchronous(None, None)), "wrong_kind", "authorize_model", "without the parentheses"),
    (option(authorize_model=disguised), "async_in_disguise", "authorize_model", "async def"),
    # Layers
    (option(layers=[object()]), "invalid_layer", "layers.0", "a class that takes the next app"),
    (option(layers=AsgiLayer), "invalid_layer", "layers", "write a list of layers"),
    (option(layers=iter([AsgiLayer, 5])), "invalid_layer", "layers.1", "a class that takes the next app"),
    (option(layers=[AsgiLayer, AsgiLayer(None)]), "invalid_layer", "layers.1", "is an ASGI application itself"),
    (option(layers=[lambda: None]), "invalid_layer", "layers.0", "takes ()"),
    (option(layers=[Middleware(AsgiLayer, words="x")]), "invalid_layer", "layers.0", "takes (app, word)"),  # type: ignore[arg-type]
    (option(layers=[lambda app: None]), "invalid_layer", "layers.0", "gave NoneType"),
    (option(layers=[Middleware(BaseHTTPMiddleware, dispatch=asynchronous)]), "layer_buffers", "layers.0", "a plain ASGI class"),
    # Transport, speech cache
    (option(transport=object()), "invalid_transport", "transport", "httpx.AsyncBaseTransport"),
    (option(transport=httpx.AsyncHTTPTransport), "invalid_transport", "transport", "is the class AsyncHTTPTransport"),
    (option(transport=httpx.HTTPTransport()), "invalid_transport", "transport", "httpx.AsyncHTTPTransport()"),
    (option(speech_cache={}), "invalid_speech_cache", "speech_cache", "SimpleMemoryCache()"),
    (option(speech_cache=SimpleMemoryCache), "invalid_speech_cache", "speech_cache", "is the class"),
    # Stores
    (lambda: Gateway(FileStore("/no/such/folder/gateway.json"), authorize_model=everyone), "store_unwritable", "FileStore.path", "create that first"),
    (lambda: Gateway(FileStore("/dev/null/gateway.json"), authorize_model=everyone), "store_unwritable", "FileStore.path", "no directory"),
    (lambda: Gateway(FileStore("/proc/gateway.json"), authorize_model=everyone), "store_unwritable", "FileStore.path", "let it write there"),
    (lambda: Gateway(FileStore("/tmp"), authorize_model=everyone), "store_unwritable", "FileStore.path", "a directory"),
    (lambda: Gateway(FileStore, authorize_model=everyone), "invalid_store", "upstreams", "is the class FileStore"),  # type: ignore[arg-type]
    (lambda: Gateway(SyncStore(), authorize_model=everyone), "invalid_store", "upstreams.load", "async def load"),  # type: ignore[arg-type]
    (lambda: Gateway(ShortStore(), authorize_model=everyone), "invalid_store", "upstreams.load", "takes (what)"),  # type: ignore[arg-type]
    (lambda: Gateway(ShortStore(), authorize_model=everyone), "invalid_store", "upstreams.save", "takes (config)"),  # type: ignore[arg-type]
    (lambda: Gateway(ShortStore(), authorize_model=everyone), "invalid_store", "upstreams.version", "is missing"),  # type: ignore[arg-type]
    (lambda: Gateway(ShortStore(), authorize_model=everyone), "invalid_store", "upstreams.shared", "other processes"),  # type: ignore[arg-type]
    (lambda: Gateway(PeekingStore(), authorize_model=everyone), "invalid_store", "upstreams.peek", "a plain function"),
    # What constructors say themselves
    (upstream(api_key=None), "invalid_value", "api_key", "an environment variable that is not set"),
    (lambda: Gateway(STATIC, authorize_model=everyone), "invalid_value", "upstreams", "write [Upstream("),  # type: ignore[arg-type]
    (lambda: Gateway(A, authorize_model=everyone), "invalid_value", "upstreams", "write [Upstream("),  # type: ignore[arg-type]
    (lambda: Gateway([A], authorize_model=everyone), "invalid_value", "upstreams.0", "write Upstream("),  # type: ignore[list-item]
    (lambda: gateway(authorize_model=Grants({"m": {"staff"}})), "invalid_value", "Grants.m", "write Grant(groups={'staff'})"),  # type: ignore[dict-item]
    (lambda: gateway(authorize_model=Grants({"m": "staff"})), "invalid_value", "Grants.m", "write Grant(groups={'staff'})"),  # type: ignore[dict-item]
    (lambda: gateway(authorize_model=Grants({"m": True})), "invalid_value", "Grants.m", "write Grant(public=True)"),  # type: ignore[dict-item]
    (lambda: gateway(authorize_model=Grants({"m": None})), "invalid_value", "Grants.m", "must be a Grant"),  # type: ignore[dict-item]
    (lambda: gateway(authorize_model=Grants(["m"])), "invalid_value", "Grants", "must map"),  # type: ignore[arg-type]
    (lambda: gateway(authorize_model=Grants({"m": Grant(groups="staff")})), "invalid_value", "Grant.groups", "not one string"),
    (lambda: Gateway(FileStore(None), authorize_model=everyone), "invalid_value", "FileStore.path", "must be a path"),  # type: ignore[arg-type]
]  # fmt: skip

ELSEWHERE = {
    "azure_identity_missing": "test_without_azure_identity_the_error_says_what_to_install",
    "pyjwt_missing": "test_without_pyjwt_the_error_says_what_to_install",
    "store_read_only": "test_a_file_that_can_only_be_read_is_warned_of",
    "no_effect": "test_case_257",
    "surplus_keys": "test_case_257",
    "surplus_entries": "test_case_257",
    "unknown_role": "test_case_259_a_role",
    "unpriced_models": "test_models_that_a_budget_would_refuse_are_told_at_the_start",
}
"""Codes that need more than a line, and the tests that have them."""


@pytest.mark.parametrize(("build", "code", "field", "words"), ROWS, ids=[f"{row[1]}-{row[2]}" for row in ROWS])
def test_case_259_the_start_tells(build: Callable[[], Gateway], code: str, field: str, words: str) -> None:
    found = findings(build)
    assert (code, field) in [each[:2] for each in found]
    assert any(words in text for which, where, text in found if (which, where) == (code, field)), found
    assert not any("secret" in text.replace("identity_secret", "") for *_, text in found)


def test_every_code_has_its_row() -> None:
    assert {row[1] for row in ROWS} - {"invalid_value"} | set(ELSEWHERE) == {*ERRORS, *WARNINGS}
    assert not {*ERRORS} & {*WARNINGS}


PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()


@pytest.mark.parametrize(("title", "codes"), [("Errors", ERRORS), ("Warnings", WARNINGS)])
def test_the_page_has_every_code_and_what_it_means(title: str, codes: dict[str, str]) -> None:
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE)) == codes


def test_the_page_has_what_every_callable_is_called_with() -> None:
    section = PAGE.split("\n## What callables take\n")[1]
    written = dict(re.findall(r"^\| `(\w+)` \| `\((.+)\)` \|$", section, re.MULTILINE))
    assert written == {name: ", ".join(asked.takes) for name, asked in CALLABLES.items()}
    options = inspect.signature(Gateway).parameters
    assert set(written) <= set(options)


# What is meant is not told of


SILENT: list[Callable[[], Gateway]] = [
    upstream(api_key="k"),
    upstream(OPENAI, api_key="sk-proj-1"),
    upstream("https://eu.api.openai.com/v1", api_key="k"),
    upstream("https://api.deepseek.com", api_key="k"),
    upstream("https://api.deepseek.com/v1", api_key="k"),
    upstream("https://generativelanguage.googleapis.com/v1beta/openai", api_key="k"),
    upstream("https://api.cloudflare.com/client/v4/accounts/1/ai/v1", api_key="k"),
    upstream("https://r.services.ai.azure.com/models?api-version=2024-05-01-preview", api_key="k"),
    upstream(f"{AZURE}/openai/deployments/d?api-version=2024-10-21", headers={"api-key": "k"}, model_ids=["d"]),
    upstream("https://router.example/hf-inference/models/a/v1", api_key="k"),
    upstream("http://localhost:11434/v1"),
    upstream("http://10.0.0.7/v1", api_key="k"),
    upstream("http://vllm/v1", api_key="k"),
    upstream(AZURE, provider="azure", api_key="k", model_ids=["d"], api_version="2024-10-21"),
    upstream(AZURE_V1, provider="azure", api_key="k", model_ids=["d"], api_version="preview"),
    upstream("https://apim.example/team/openai", provider="azure", api_key="k", model_ids=["d"]),
    upstream(OPENAI, auth_type="none"),
    upstream(OPENAI, headers={"Authorization": "Basic x"}),
    upstream(headers={"X-A": "{ {"}, api_key="k"),
    upstream(verify_tls=trust(), api_key="k"),
    lambda: gateway(STATIC, Upstream("https://api.openai.com/v1/chat/completions", api_key="Bearer x", enabled=False)),
    lambda: gateway(Upstream(AZURE, name="files", provider="azure", api_key="k"), settings=Settings(stored_upstream="files")),
    lambda: Gateway(MemoryStore([STATIC, Upstream(A, name="b", api_key="k", model_ids=["n*"])], fallbacks={"m": ["x"]}), authorize_model=everyone),
    lambda: Gateway(MemoryStore([Upstream(A, name="b", api_key="k", model_ids=["m", "n"], prefix_id="p")], fallbacks={"p.m": ["p.n"]}), authorize_model=everyone),
    lambda: Gateway(MemoryStore([STATIC], fallbacks={"agent": ["m"], "m": ["agent"]}), authorize_model=everyone, host_models=[HostModel("agent", answers)]),
    option(authorize_model=Policy()),
    option(authorize_model=Policy().method),
    option(authorize_model=functools.partial(lambda database, user, model: True, object())),
    option(authorize_model=lambda *everything: True),
    option(authorize_model=lambda user, model, *more, word="", **rest: True),
    option(authorize_model=asynchronous),
    option(authorize_model=in_thread(lambda user, model: True)),
    option(authorize_model=Grants({})),
    option(record_usage=[].append),
    option(record_usage=print),
    option(layers=[AsgiLayer, Middleware(AsgiLayer, word="x"), lambda app: app]),
    option(speech_cache=SimpleMemoryCache()),
    option(transport=httpx.MockTransport(lambda request: httpx.Response(200))),
    option(context=lambda user, request: {}, settings=Settings(forward_user_info=True)),
]  # fmt: skip


@pytest.mark.parametrize("build", SILENT)
def test_what_is_meant_is_not_told_of(build: Callable[[], Gateway]) -> None:
    assert findings(build) == []


def test_layers_that_are_judged_are_still_there() -> None:
    met: list[str] = []

    def layer(app: Any) -> Any:
        met.append("built")
        return app

    gateway(layers=(each for each in [layer]))
    assert met == ["built"]


# How it is told


def test_all_errors_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        gateway(Upstream(AZURE), Upstream(A, name="b", api_key="Bearer x"), settings=Settings(stored_upstream="c"))
    error = raised.value
    fields = [each.field for each in (error, *error.others)]
    assert fields == ["settings.stored_upstream", "upstreams.0.provider", "upstreams.1.api_key"]
    assert str(error).count("\n") == 2
    assert all(field in str(error) for field in fields)


def test_warnings_are_logged_once_and_can_be_read(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        made = gateway(Upstream(OPENAI))
    assert [warning.code for warning in made.warnings] == ["api_key_missing"]
    assert [record.getMessage() for record in caplog.records] == [
        "configuration: upstreams.0.api_key is empty, and api.openai.com needs one; write it, or "
        'auth_type="none" where something in between adds it [api_key_missing]'
    ]


def test_a_finding_knows_how_much_it_matters() -> None:
    assert Finding("no_upstreams", "upstreams", "is empty", "write some").severity == "warning"
    assert Finding("not_callable", "authorize_model", "is None", "write everyone").severity == "error"


def test_the_environment_s_fields_have_the_names_of_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_BASE_URLS", "https://a.example/v1;https://api.openai.com")
    monkeypatch.setenv("OPENAI_API_KEYS", "Bearer x")
    monkeypatch.setenv("OPENAI_API_CONFIGS", '{"1": {"auth_type": "system_oauth"}}')
    found = findings(lambda: Gateway(authorize_model=everyone))
    assert [field for _, field, _ in found] == [
        "OPENAI_API_KEYS.0",
        "OPENAI_API_BASE_URLS.1",
        "OPENAI_API_CONFIGS.1.auth_type",
    ]
    monkeypatch.delenv("OPENAI_API_BASE_URLS")
    monkeypatch.setenv("OPENAI_API_BASE_URL", "https://api.openai.com")
    assert ("missing_api_path", "OPENAI_API_BASE_URL.0") in [
        each[:2] for each in findings(lambda: Gateway(authorize_model=everyone))
    ]


def test_a_file_s_fields_have_the_names_that_they_have_in_it(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    path.write_text(
        '{"OPENAI_API_BASE_URLS": ["https://api.openai.com"], "OPENAI_API_KEYS": [], "OPENAI_API_CONFIGS": {}}'
    )
    with pytest.raises(ConfigError) as raised:
        Gateway(FileStore(path), authorize_model=everyone)
    assert raised.value.field == "OPENAI_API_BASE_URLS.0"


def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    path.write_text("{")
    with pytest.raises(ConfigError, match="is not a JSON object"):
        Gateway(FileStore(path), authorize_model=everyone)


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder that this process may read, and not write to, whoever runs the tests."""
    folder = Path(tempfile.mkdtemp())
    (folder / "gateway.json").write_text(
        '{"OPENAI_API_BASE_URLS": [], "OPENAI_API_KEYS": [], "OPENAI_API_CONFIGS": {}}'
    )
    folder.chmod(0o555)
    me = os.geteuid()
    if me == 0:
        os.seteuid(NOBODY)
    yield folder
    os.seteuid(me)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_file_that_can_only_be_read_is_warned_of(read_only_folder: Path) -> None:
    made = Gateway(FileStore(read_only_folder / "gateway.json"), authorize_model=everyone)
    assert [each.code for each in made.warnings] == ["store_read_only", "no_upstreams"]


def test_a_folder_that_cannot_be_written_to_is_refused(read_only_folder: Path) -> None:
    with pytest.raises(ConfigError, match="Permission denied"):
        Gateway(FileStore(read_only_folder / "other.json"), authorize_model=everyone)


@pytest.mark.parametrize("missing", ["azure", "azure.identity"])
def test_without_azure_identity_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    build = upstream(AZURE, provider="azure", auth_type="microsoft_entra_id", model_ids=["d"])
    assert findings(build) == []
    monkeypatch.delitem(sys.modules, "azure.identity", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    [(code, field, text)] = findings(build)
    assert (code, field) == ("azure_identity_missing", "upstreams.0.auth_type")
    assert 'pip install "openai-gateway-asgi[azure]"' in text
