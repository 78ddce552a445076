"""One upstream of each kind that the rules tell apart."""

from __future__ import annotations

from openai_gateway_asgi.config.upstream import Upstream

PLAIN = Upstream("http://a/v1")
OPENAI = Upstream("https://api.openai.com/v1")
AZURE = Upstream("https://r.openai.azure.com", provider="azure")
AZURE_OLD = Upstream("https://r.openai.azure.com", provider="azure", api_version="2024-02-01")
AZURE_V1 = Upstream("https://r.openai.azure.com/openai/v1", provider="azure")
