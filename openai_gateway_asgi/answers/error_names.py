"""How upstreams name their errors: codes, types and phrases, each with who says so. Data only; the reader matches them.

Names are compared without case and with ``_`` for spaces, dashes and capitals inside, phrases as parts of the message
in lower case. What is added here needs its source beside it, and a row in ``tests/answers/test_upstream_errors.py``.
"""

from __future__ import annotations

STATUSES = {
    # OpenAI and those who imitate it (platform.openai.com/docs/guides/error-codes)
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "invalid_prompt": 400,
    # OpenAI's Responses, of those that failed (openai-openapi: ResponseErrorCode)
    "image_content_policy_violation": 400,
    "invalid_image": 400,
    "invalid_image_format": 400,
    "invalid_base64_image": 400,
    "invalid_image_url": 400,
    "invalid_image_mode": 400,
    "image_too_large": 400,
    "image_too_small": 400,
    "image_parse_error": 400,
    "image_file_too_large": 400,
    "image_file_not_found": 400,
    "unsupported_image_media_type": 400,
    "empty_image_file": 400,
    "failed_to_download_image": 400,
    "bio_policy": 400,
    "misalignment_policy_violation": 400,
    "vector_store_timeout": 500,
    "authentication_error": 401,
    "invalid_authentication_error": 401,
    "invalid_api_key": 401,
    "incorrect_api_key_error": 401,
    "billing_error": 402,
    "insufficient_balance": 402,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_reached_error": 429,
    "insufficient_quota": 429,
    "exceeded_current_quota_error": 429,
    "server_error": 500,
    "internal_server_error": 500,
    "overloaded_error": 503,
    "engine_overloaded_error": 503,
    "service_unavailable": 503,
    "timeout_error": 504,
    # Anthropic (platform.claude.com/docs/en/api/errors); its 529 and 503 above mean the same
    "request_too_large": 413,
    "api_error": 500,
    # vLLM and SGLang: the names of Python's HTTP statuses (vllm/entrypoints/openai/protocol.py)
    "bad_request_error": 400,
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "unprocessable_entity": 422,
    "too_many_requests": 429,
    "service_unavailable_error": 503,
    # OpenRouter (openrouter.ai/docs/api-reference/errors, as `metadata.error_type`)
    "payment_required": 402,
    "provider_overloaded": 503,
    "provider_unavailable": 502,
    "timeout": 504,
    # Mistral
    "rate_limited": 429,
    "service_tier_capacity_exceeded": 429,
    # Cerebras
    "too_many_requests_error": 429,
    "queue_exceeded": 429,
    "request_quota_exceeded": 429,
    "token_quota_exceeded": 429,
    # Google (google.rpc.Code, as the `status` of an error)
    "invalid_argument": 400,
    "failed_precondition": 400,
    "out_of_range": 400,
    "unauthenticated": 401,
    "resource_exhausted": 429,
    "internal": 500,
    "unimplemented": 501,
    "unavailable": 503,
    "deadline_exceeded": 504,
    # llama.cpp (tools/server/server-common.cpp)
    "exceed_context_size_error": 400,
    "not_supported_error": 501,
    "unavailable_error": 503,
    # TGI (router/src/lib.rs)
    "validation": 422,
    "overloaded": 429,
    "generation": 424,
    "incomplete_generation": 500,
    # AWS and DashScope
    "throttling_exception": 429,
    "throttling": 429,
    "throttling_allocation_quota": 429,
    "throttling_burst_rate": 429,
    "throttling_rate_quota": 429,
    "limit_requests": 429,
    "internal_server_exception": 500,
    "model_not_ready_exception": 429,
    "model_stream_error_exception": 424,
    "model_timeout_exception": 408,
    "resource_not_found_exception": 404,
    "service_quota_exceeded_exception": 429,
    "service_unavailable_exception": 503,
    "access_denied": 403,
    "access_denied_exception": 403,
    "validation_exception": 400,
    "invalid_parameter": 400,
    "invalid_parameter_error": 400,
    "data_inspection_failed": 400,
    "arrearage": 402,
    # Zhipu (docs.z.ai/api-reference/api-code) and Volcengine Ark
    "1302": 429,
    "1303": 429,
    "1304": 429,
    "1305": 429,
    "server_overloaded": 429,
    # MiniMax, in its `base_resp` (platform.minimax.io/docs/api-reference/errorcode)
    "1002": 429,
    "1004": 401,
    "1008": 402,
    "1026": 400,
    "1027": 400,
    "1039": 400,
    "1041": 429,
    "2013": 400,
    "2049": 401,
    "2056": 429,
    # LiteLLM (litellm/exceptions.py)
    "context_window_exceeded_error": 400,
    "content_policy_violation_error": 400,
    "authentication_failed": 401,
    "auth_error": 401,
    "throttling_error": 429,
    "budget_exceeded": 429,
}
"""The status of an error that comes without one, by its code, type or status in words. Any other is the upstream's
own fault."""

GAVE_UP = frozenset(
    {
        "error",  # OpenRouter, vLLM, Mistral
        "ERROR",  # Cohere
        "insufficient_system_resource",  # DeepSeek (api-docs.deepseek.com/api/create-chat-completion)
        "network_error",  # Zhipu (docs.z.ai/api-reference/llm/chat-completion)
        "abort",  # vLLM, SGLang: the server has dropped the request
    }
)
"""The finish reasons of a choice by which upstreams say that they failed, and that what came is half an answer."""

CONTEXT_LENGTH_NAMES = frozenset(
    {
        "context_length_exceeded",  # OpenAI, Azure, Groq, DeepSeek
        "exceed_context_size_error",  # llama.cpp
        "context_window_exceeded_error",  # LiteLLM
        "context_window_exceeded",
        "model_context_window_exceeded",  # Zhipu, Anthropic
        "tokens_limit_reached",  # GitHub Models, as a 413
        "model_max_prompt_tokens_exceeded",  # GitHub Copilot
        "tokens_too_long",  # Qianfan
        "1261",  # Zhipu (docs.z.ai/api-reference/api-code)
    }
)

CONTEXT_LENGTH_PHRASES = (
    "context length",  # OpenAI, Azure, vLLM, SGLang, Mistral, DeepSeek, OpenRouter, Fireworks, LM Studio, Ollama
    "context window",  # OpenAI Responses, MiniMax, LiteLLM
    "context size",  # llama.cpp: "exceeds the available context size", "Context size has been exceeded."
    "context limit",  # Anthropic: "input length and `max_tokens` exceed context limit"
    "context the overflows",  # LM Studio's own words: "when context the overflows"
    "context overflow",  # LM Studio, later
    "prompt is too long",  # Anthropic, Fireworks
    "prompt too long",  # Ollama
    "input is too long",  # Bedrock: "Input is too long for requested model."
    "maximum prompt length",  # xAI
    "maximum model length",  # vLLM: "longer than the maximum model length of 4096"
    "is too long and exceeds limit",  # vLLM, completions
    "maximum allowed length",  # SGLang: "exceeds the maximum allowed length"
    "`inputs` tokens + `max_new_tokens` must be",  # TGI, Together
    "`inputs` must have less than",  # TGI
    "exceeds the maximum number of tokens allowed",  # Gemini
    "input token count is",  # Vertex AI: "the input token count is 1048577 but model only supports up to 1048576"
    "too many tokens: ",  # Cohere: "too many tokens: size limit exceeded by 3 tokens"
    "cannot exceed the total tokens limit",  # watsonx
    "maximum supported sequence length",  # SambaNova
    "number of input tokens exceeds maximum length",  # Bedrock, Titan
    "maximum input length is",  # OpenAI, embeddings: "Invalid 'input[0]': maximum input length is 8192 tokens."
    "exceed max message tokens",  # Volcengine Ark: "Total tokens of image and text exceed max message tokens"
    "is greater than max_seq_len",  # TabbyAPI
    "must be less than max_seq_len",  # SiliconFlow
    "exceeds maximum input length",  # TensorRT-LLM: "Prompt length (1025) exceeds maximum input length (1024)."
    "should not exceed max_num_tokens",  # TensorRT-LLM: "The sum of prompt length (9000.0) ... should not exceed ..."
    "reduce the length of the messages",  # OpenAI, Groq
    "too large for model with",  # Mistral: "too large for model with 32768 maximum context length"
    "exceeded model token limit",  # Moonshot
    "range of input length should be",  # DashScope
    "prompt exceeds max length",  # Zhipu
    "prompt token count of",  # GitHub Copilot: "prompt token count of 70000 exceeds the limit of 64000"
    "too large to process",  # llama.cpp, embeddings: "input is too large to process. increase the physical batch size"
    "input tokens exceed the configured limit",  # OpenAI Responses
    "max_tokens must be at least 1, got -",  # vLLM, before 0.9: what the prompt left is less than nothing
    "contextwindowexceedederror",  # LiteLLM: "litellm.ContextWindowExceededError: ..."
)

CONTENT_NAMES = frozenset(
    {
        "content_filter",  # OpenAI, Azure, Moonshot
        "content_filtered",
        "content_policy_violation",  # OpenAI, Azure
        "content_policy_violation_error",  # LiteLLM
        "image_content_policy_violation",  # OpenAI Responses
        "responsible_aipolicy_violation",  # Azure: ResponsibleAIPolicyViolation, as innererror.code
        "invalid_prompt",  # OpenAI: flagged by the usage policy of reasoning models
        "bio_policy",  # OpenAI Responses
        "misalignment_policy_violation",  # OpenAI Responses
        "moderation_blocked",  # OpenAI images
        "content_moderation",
        "data_inspection_failed",  # DashScope
        "prohibited_content",  # Gemini
        "1026",  # MiniMax: of what was asked
        "1027",  # MiniMax: of what was answered
        "1301",  # Zhipu
        "sensitive_content_detected",  # Volcengine Ark
        "unsafe_content",
    }
)

CONTENT_PHRASES = (
    "content management policy",  # Azure
    "content filtering policy",  # Anthropic: "Output blocked by content filtering policy"
    "content policy",
    "content exists risk",  # DeepSeek
    "rejected as a result of our safety system",  # OpenAI images
    "rejected by the safety system",  # OpenAI images
    "violating our usage policy",  # OpenAI
    "may contain inappropriate content",  # DashScope
    "your input was flagged",  # OpenRouter: "Your chosen model requires moderation and your input was flagged"
    "contentpolicyviolationerror",  # LiteLLM
    "considered high risk",  # Moonshot: "The request was rejected because it was considered high risk"
    "content violates usage guidelines",  # xAI, as a 400 and as a 403
    "may contain sensitive information",  # Volcengine Ark: "the input text may contain sensitive information"
    "violated guardrail policy",  # LiteLLM: "Violated guardrail policy", of Bedrock's and others'
    "violated content safety policy",  # LiteLLM
    "blocked due to security configurations",  # Cloudflare's AI Gateway, of prompts and of responses
)

ACCOUNT_NAMES = frozenset(
    {
        "insufficient_quota",  # OpenAI, Azure
        "billing_hard_limit_reached",  # OpenAI images
        "billing_not_active",  # OpenAI
        "account_deactivated",  # OpenAI
        "billing_error",  # Anthropic
        "insufficient_balance",  # DeepSeek, Moonshot
        "exceeded_current_quota_error",  # Moonshot
        "arrearage",  # DashScope
        "1113",  # Zhipu: in arrears
        "budget_exceeded",  # LiteLLM: of the key that the gateway holds
        "organization_spend_limit_exceeded",  # OpenAI, as a 429
        "project_spend_limit_exceeded",  # OpenAI, as a 429
        "blocked_api_access",  # Groq, as a 400: the spend limit is reached
        "organization_restricted",  # Groq, as a 400
        "model_terms_required",  # Groq, as a 400: an administrator has to accept the model's terms
    }
)

ACCOUNT_PHRASES = (
    "credit balance is too low",  # Anthropic, as a 400
    "insufficient balance",  # DeepSeek
    "insufficient credits",  # OpenRouter
    "billing hard limit",  # OpenAI
    "monthly spending limit",  # Fireworks, as a 412
    "exceededbudget",  # LiteLLM, as a 401
    "prepayment credits are depleted",  # Gemini, as a 429
    "you have reached your specified",  # Anthropic, as a 400: "... API usage limits. You will regain access on ..."
    "this organization has been disabled",  # Anthropic, as a 400
    "user location is not supported for the api use",  # Gemini, as a 400
)

CREDENTIAL_MESSAGE = r"api key (?:not valid|not found|expired)\b|incorrect api key provided\b"
"""How a 400 begins that refuses the key. Gemini: "API key not valid. Please pass a valid API key."; xAI."""

MODEL_NAMES = frozenset(
    {
        "model_not_found",  # OpenAI, LM Studio
        "model_not_found_error",
        "deployment_not_found",  # Azure
        "model_not_supported",  # Hugging Face
        "model_not_available",  # Together
        "unknown_model",  # GitHub Models
        "invalid_model",  # Mistral, Perplexity
        "model_decommissioned",  # Groq, as a 400
        "model_not_open",  # Volcengine Ark
        "endpoint_not_found",  # Databricks
        "1211",  # Zhipu
    }
)

MODEL_PHRASE = (
    r"\b(?:models?|deployment)\b.{0,300}\b(?:not found|(?:does not|doesn't|not) exist|not (?:been )?loaded"
    r"|not available|was removed|end of its life)\b"
    r"|\bno endpoints (?:found|available)\b|\bno allowed providers\b|\bnot found the model\b|\Amodel: \S"
    r"|\Afunction '[^']{1,100}': not found for account\b|\Athe given endpoint does not exist\b"
)
"""Of a 404. vLLM: "The model `x` does not exist."; Ollama: "model 'x' not found"; Azure; Groq; Gemini: "models/x is not
found for API version v1main"; OpenRouter: "No endpoints found for x."; Moonshot; Anthropic: "model: x"; DeepInfra:
"Model is not available"; Cohere: "model 'x' was removed on ..."; Bedrock: "This model version has reached the end of
its life."; NVIDIA, whose models are functions of an account; Databricks, whose models are endpoints."""

MODEL_MESSAGE = (
    r"model (?:does )?not exist|\S{1,300} is not a valid model id|the provided model identifier is invalid"
    r"|(?:aierror: )?no such model |(?:litellm\.\w{1,50}: )?invalid model name passed in model="
    r"|unknown model: |invalid model id\b|invocation of model id \S{1,300} with on-demand throughput"
    r"|the \w{1,50} operation does not work with the specified model|api version not supported"
)
"""How a 400 begins that says so: other words of a 400 may be the caller's. DeepSeek: "Model Not Exist"; OpenRouter;
Bedrock; Cloudflare's Workers AI: "AiError: No such model @cf/x or task"; LiteLLM; SiliconFlow; Triton; OpenAI. Azure
says so of a model that has not this operation, and of its own version."""

NO_SUCH_ROUTE = frozenset(
    {
        "not found",  # FastAPI, Starlette, Django
        "404 not found",  # nginx
        "404 page not found",  # Go
        "resource not found",  # Azure
        "method not allowed",
        "405 not allowed",  # nginx
        "the upstream answered 404 and said no more",
        "the upstream answered 405 and said no more",
    }
)
"""Whole messages of a server that knows no such path: a base URL without ``/v1``, or an API that it does not have."""

TOO_LARGE_PER_MINUTE = r"\btokens per min(?:ute)?\b|\btpm\b"
"""Groq, as a 413, and OpenAI: "Request too large for ... on tokens per min (TPM)": it never fits at this upstream."""
