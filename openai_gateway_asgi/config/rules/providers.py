"""What is known of providers by their hosts. Sources: the providers' own pages on OpenAI compatibility."""

from __future__ import annotations

import ipaddress

ROOTS = {
    "api.openai.com": "/v1",
    "api.anthropic.com": "/v1",
    "api.cerebras.ai": "/v1",
    "api.cohere.ai": "/compatibility/v1",
    "api.cohere.com": "/compatibility/v1",
    "api.deepinfra.com": "/v1/openai",
    "api.fireworks.ai": "/inference/v1",
    "api.groq.com": "/openai/v1",
    "api.mistral.ai": "/v1",
    "api.moonshot.ai": "/v1",
    "api.sambanova.ai": "/v1",
    "api.together.xyz": "/v1",
    "api.x.ai": "/v1",
    "dashscope.aliyuncs.com": "/compatible-mode/v1",
    "dashscope-intl.aliyuncs.com": "/compatible-mode/v1",
    "generativelanguage.googleapis.com": "/v1beta/openai",
    "integrate.api.nvidia.com": "/v1",
    "models.github.ai": "/inference",
    "openrouter.ai": "/api/v1",
    "router.huggingface.co": "/v1",
}
"""The path that a provider's base URL has. All of them want a key."""

WITHOUT_PATH = frozenset({"api.deepseek.com", "api.perplexity.ai", "models.inference.ai.azure.com"})
"""Providers whose base URL has no path. All of them want a key."""

AZURE = (
    ".openai.azure.com",
    ".openai.azure.us",
    ".openai.azure.cn",
    ".cognitiveservices.azure.com",
    ".cognitiveservices.azure.us",
    ".services.ai.azure.com",
    ".cognitive.microsoft.com",
)
"""Where the hosts of Azure OpenAI's resources end."""

_HERE = (".local", ".localhost", ".internal", ".lan", ".home", ".arpa", ".test", ".example", ".invalid", ".svc")


def root_of(host: str) -> str | None:
    """The path of a known provider's API; OpenAI has regional hosts too, such as ``eu.api.openai.com``."""
    return ROOTS.get("api.openai.com" if host.endswith(".api.openai.com") else host)


def is_azure(host: str) -> bool:
    return host.endswith(AZURE)


def wants_key(host: str) -> bool:
    return root_of(host) is not None or host in WITHOUT_PATH or is_azure(host)


def is_public(host: str) -> bool:
    """Whether the host is out on the internet, as far as its name tells."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith(_HERE)
