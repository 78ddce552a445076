"""The fields by which a body, a form or a query could choose another route, credential or model than the gateway's.

One table, with a source for each row: gateways and servers behind this one read these. They are refused, at the top of
a body and in its ``extra_body``, unless an upstream says otherwise (``Upstream(route_fields=...)``). Fields that hold
models are not here: those are checked (``bodies/named_fields.py``). Portkey chooses by headers alone, none of which is
forwarded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

_LITELLM = "LiteLLM: acompletion's parameters, litellm/main.py"
_LITELLM_OPTIONS = "LiteLLM: litellm/types/litellm_params.py"
_LITELLM_PROXY = "LiteLLM: litellm/proxy/route_llm_request.py"
_LITELLM_BANNED = "LiteLLM: what its proxy refuses in bodies, litellm/proxy/auth/auth_utils.py"
_LITELLM_ROUTER = "LiteLLM: litellm/router.py"

ROUTE_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        # Where the call goes, and with which credential.
        "api_base": _LITELLM,
        "api_key": _LITELLM,
        "api_version": _LITELLM,
        "base_url": _LITELLM,
        "client": _LITELLM_OPTIONS,
        "custom_llm_provider": _LITELLM,
        "deployment_id": _LITELLM,
        "deployment_url": _LITELLM_BANNED,
        "engine": "LiteLLM: text_completion and embedding; the OpenAI API before 2022",
        "extra_headers": _LITELLM,
        "headers": _LITELLM_OPTIONS,
        "litellm_credential_name": _LITELLM_OPTIONS,
        "litellm_embedding_config": _LITELLM_BANNED,
        "litellm_metadata": _LITELLM_OPTIONS,
        "litellm_params": "LiteLLM: litellm/proxy/auth/auth_utils.py",
        "nvcf_function_id": _LITELLM_BANNED,
        "organization": _LITELLM,
        "passthrough": _LITELLM_ROUTER,
        "provider_specific_header": _LITELLM_OPTIONS,
        "proxy_server_request": _LITELLM_OPTIONS,
        "region_name": _LITELLM_OPTIONS,
        "secret_fields": _LITELLM_OPTIONS,
        "shared_session": _LITELLM,
        "ssl_verify": _LITELLM_OPTIONS,
        "tenant_id": _LITELLM_BANNED,
        "client_id": _LITELLM_BANNED,
        "client_secret": _LITELLM_BANNED,
        "use_litellm_proxy": _LITELLM_OPTIONS,
        "use_ssl": _LITELLM_BANNED,
        "user_provider_credentials": _LITELLM_BANNED,
        "workspace_id": _LITELLM_BANNED,
        "agentcore_runtime_session_id": _LITELLM_BANNED,
        "anthropic-workspace-id": _LITELLM_BANNED,
        "azure": _LITELLM_OPTIONS,
        "anthropic_federation_*": _LITELLM_OPTIONS,
        "anthropic_identity_*": _LITELLM_OPTIONS,
        "anthropic_issuer_*": _LITELLM_OPTIONS,
        "anthropic_keycloak_*": _LITELLM_OPTIONS,
        "anthropic_organization_id": _LITELLM_OPTIONS,
        "anthropic_service_account_id": _LITELLM_OPTIONS,
        "anthropic_workspace_id": _LITELLM_BANNED,
        "aws_*": "LiteLLM: Bedrock and SageMaker, litellm/llms/bedrock/base_aws_llm.py",
        "azure_*": "LiteLLM: Entra ID, litellm/types/litellm_params.py",
        "bedrock_tags": _LITELLM_BANNED,
        "gigachat_*": _LITELLM,
        "github_copilot_*": _LITELLM_OPTIONS,
        "openai_identity_*": _LITELLM_OPTIONS,
        "rust": _LITELLM_BANNED,
        "s3_*": _LITELLM_BANNED,
        "sagemaker_*": _LITELLM_BANNED,
        "token_exchange_*": _LITELLM_OPTIONS,
        "vertex_*": "LiteLLM: Vertex AI, litellm/llms/vertex_ai",
        "watsonx_*": "LiteLLM: watsonx, litellm/llms/watsonx",
        "data_sources": "Azure OpenAI, On Your Data: a search service read with the resource's own identity",
        "azure_function": "Azure AI Foundry: a tool that calls with the project's own identity",
        "connection_id": "Azure AI Foundry: in tools, a connection that its project has stored",
        "managed_identity": "Azure AI Foundry: in tools, that they call with the project's own identity",
        "memory_store_name": "Azure AI Foundry: in tools, what the project has stored of others' conversations",
        "project_connection_id": "Azure AI Foundry: in tools, a connection that its project has stored",
        "litellm_proxy": "LiteLLM: as a tool's `server_url`, MCP servers that its proxy logs in to",
        "tensorzero::*": "TensorZero: variants, credentials, and patches of what its providers get",
        "tool_ids": "Open WebUI: tools, run as the account that holds the key",
        "tool_servers": "Open WebUI, the same",
        "kv_transfer_params": "vLLM, vllm/entrypoints/openai/protocol.py: the host to fetch a cache from",
        "bootstrap_host": "SGLang, python/sglang/srt/entrypoints/openai/protocol.py",
        "bootstrap_port": "SGLang, the same",
        "bootstrap_room": "SGLang, the same",
        # Whom a call is told to, and who looks at it.
        "disable_global_guardrail*": "LiteLLM: guardrails of all calls, litellm/integrations/custom_guardrail.py",
        "fireworks_forward_user_id": _LITELLM_BANNED,
        "turn_off_message_logging": _LITELLM_BANNED,
        "slack_webhook_url": _LITELLM_BANNED,
        **dict.fromkeys(
            (
                "arize_* braintrust_* dd_* gcs_* humanloop_* langfuse_* langsmith_* lunary_* newrelic_* posthog_*"
                " signoz_* wandb_* weave_*"
            ).split(),
            "LiteLLM: callbacks, and what they log in with, litellm/proxy/auth/auth_utils.py",
        ),
        # Which model answers, in other words than a model's id.
        "adapter_id": "LiteLLM: litellm/router.py; Text Generation Inference: a LoRA adapter",
        "adapter_source": "LoRAX: where an adapter is loaded from",
        "adapters": "MLX LM, mlx_lm/server.py: an adapter, by its path",
        "api_token": "LoRAX: what an adapter is loaded with",
        "merged_adapters": "LoRAX: several adapters",
        "lora_*": "SGLang, lora_path; TensorRT-LLM, lora_request; Xinference, lora_name: a LoRA adapter",
        "agent": "LiteLLM: agents in the place of a model, litellm/router.py; Azure AI Foundry",
        "agent_reference": "Azure AI Foundry, CreateResponse: an agent in the place of a model",
        "model_item": "Open WebUI: a model with its whole entry, in the place of `model`",
        "allowed_model_region": _LITELLM_OPTIONS,
        "adaptive_router_*": _LITELLM_OPTIONS,
        "auto_router_*": _LITELLM_OPTIONS,
        "complexity_router_*": _LITELLM_OPTIONS,
        "quality_router_*": _LITELLM_OPTIONS,
        "content_policy_fallbacks": _LITELLM_PROXY,
        "context_window_fallback_dict": _LITELLM_OPTIONS,
        "context_window_fallbacks": _LITELLM_PROXY,
        "fallbacks": _LITELLM_PROXY,
        "model_alias_map": _LITELLM_OPTIONS,
        "model_file_id_mapping": _LITELLM_OPTIONS,
        "model_group_alias": "LiteLLM: per-request aliases, litellm/proxy/common_request_processing.py",
        "model_group_retry_policy": _LITELLM_PROXY,
        "model_id": "LiteLLM: one deployment by its id, litellm/router.py",
        "model_info": _LITELLM_OPTIONS,
        "model_list": _LITELLM,
        "prompt_id": "LiteLLM: a stored prompt, which may bring a model, litellm/types/litellm_params.py",
        "router_settings_override": _LITELLM_PROXY,
        "routing_groups": _LITELLM_ROUTER,
        "routing_strategy": _LITELLM_PROXY,
        "routing_strategy_args": _LITELLM_ROUTER,
        "specific_deployment": _LITELLM_ROUTER,
        "target_model_names": "LiteLLM: files and batches, litellm/proxy/auth/auth_utils.py",
        "user_config": _LITELLM_PROXY,
        "preset": "OpenRouter: a stored preset, which may bring a model",
        "openrouter:fusion": "OpenRouter: a tool, and a plugin, that asks a panel of models",
        "tunnel_id": "OpenAI, MCPTool: a tunnel into the network of the account that holds the key",
        "user_api_key_*": "LiteLLM: in metadata, whose models are asked, litellm/proxy/route_llm_request.py",
        # An answer that no model has made.
        "mock_*": "LiteLLM: mock_response, mock_timeout, mock_testing_fallbacks and kin, litellm/types/router.py",
    }
)
"""By name who reads it; a ``*`` at the end stands for the rest of the name."""


class Routes:
    """Names of fields, some of them known by their beginning alone."""

    __slots__ = ("exact", "starts")

    def __init__(self, names: Iterable[str]) -> None:
        names = frozenset(names)
        self.exact = frozenset(name for name in names if not name.endswith("*"))
        self.starts = tuple(sorted(name[:-1] for name in names - self.exact))

    def __contains__(self, name: str) -> bool:
        return name in self.exact or name.startswith(self.starts)


KNOWN = Routes(ROUTE_FIELDS)
_NONE = Routes(())


class RouteRules(NamedTuple):
    """What one upstream says of the table: more names that are refused, and names that it may get."""

    refused: Routes = _NONE
    taken: Routes = _NONE

    def refuses(self, name: str) -> bool:
        return name in self.refused or (name in KNOWN and name not in self.taken)


@lru_cache(maxsize=1024)
def route_rules(entries: tuple[str, ...]) -> RouteRules:
    """Of ``Upstream(route_fields=...)``: a name is refused as well, one behind a minus is taken."""
    return RouteRules(
        Routes(entry for entry in entries if not entry.startswith("-")),
        Routes(entry[1:] for entry in entries if entry.startswith("-")),
    )
