"""Sixty bodies as clients really send them to a dozen providers: each leaves as it came.

A provider's own address stands behind the gateway, so that the rewrites are those that its users get. What a body
names is served, and its groups of stored objects are open; everything else is only there to be passed on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from openai_gateway_asgi import Grant, Grants, Settings, Upstream
from openai_gateway_asgi.testing import Answer, FakeRequest, json_answer
from openai_gateway_asgi.testing.answers import default
from tests.cases.gateways import world
from tests.surface import world as forms

CHAT, RESPONSES, IMAGES = "/chat/completions", "/responses", "/images/generations"

OPENAI = "https://api.openai.com/v1"
AZURE = "https://res.openai.azure.com"
AZURE_V1 = "https://res.openai.azure.com/openai/v1"
OPENROUTER = "https://openrouter.ai/api/v1"
VLLM = "http://vllm.test:8000/v1"
SGLANG = "http://sglang.test:30000/v1"
TGI = "http://tgi.test:3000/v1"
OLLAMA = "http://ollama.test:11434/v1"
LLAMA_CPP = "http://llama.test:8080/v1"
LM_STUDIO = "http://studio.test:1234/v1"
MISTRAL = "https://api.mistral.ai/v1"
DEEPSEEK = "https://api.deepseek.com/v1"
GROQ = "https://api.groq.com/openai/v1"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/openai"
ANTHROPIC = "https://api.anthropic.com/v1"
TOGETHER = "https://api.together.xyz/v1"
FIREWORKS = "https://api.fireworks.ai/inference/v1"
XAI = "https://api.x.ai/v1"
PERPLEXITY = "https://api.perplexity.ai"
DASHSCOPE = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"
NIM = "https://integrate.api.nvidia.com/v1"

PNG = "data:image/png;base64,iVBORw0KGgo="
ASK = [{"role": "user", "content": "Say this is a test"}]
TRICKY = {
    "type": "object",
    "properties": {
        name: {"type": ["string", "null"], "description": f"the {name}", "examples": ["f-1"], "default": None}
        for name in (
            "model", "models", "Model", "file_id", "File_Id", "file_ids", "container", "conversation", "api_key",
            "api_base", "base_url", "fallbacks", "previous_response_id", "prompt", "extra_body", "id", "type", "voice",
            "user_api_key_hash", "tunnel_id", "draft_model", "vector_store_ids", "aws_region_name", "__proto__",
        )
    },
    "required": ["model", "file_id"],
    "additionalProperties": False,
    "$defs": {"model": {"enum": ["gpt-4o", "secret"], "const": "secret"}},
    "examples": [{"model": "secret", "file_id": "file-1", "prompt": {"id": "pmpt_1"}, "conversation": {"id": "c"}}],
}  # fmt: skip
"""A schema whose properties have the names that mean something elsewhere."""
FUNCTION = {"name": "look_up", "description": 'Give "model" and "file_id".', "parameters": TRICKY, "strict": True}
ARGUMENTS = json.dumps({"model": "secret", "file_id": "file-1", "api_base": "http://x"})


@dataclass(frozen=True)
class Sent:
    base_url: str
    path: str
    body: dict[str, Any] | bytes
    """JSON as ``JSON.stringify`` and the SDKs write it, or the bytes of a client of its own."""
    serves: tuple[str, ...] = ()
    """Models besides the one at its top."""
    groups: tuple[str, ...] = ()
    upstream: Mapping[str, Any] = field(default_factory=dict)
    """Of the upstream."""
    leaves: bytes = b""
    """Where it has white space between the fields at the top, which is nobody's: without it."""

    @property
    def bytes(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()

    @property
    def is_form(self) -> bool:
        return self.bytes.startswith(b"--")

    @property
    def models(self) -> set[str]:
        named = set(self.serves)
        if not self.is_form and isinstance(model := json.loads(self.bytes).get("model"), str):
            named.add(model)
        return named


OF_THE_CASE = ("serves", "groups", "upstream")


def chat(base_url: str, model: str, messages: list[Any] = ASK, /, **fields: Any) -> Sent:
    more = {name: fields.pop(name) for name in OF_THE_CASE if name in fields}
    return Sent(base_url, CHAT, {"model": model, "messages": messages, **fields}, **more)


def respond(base_url: str, model: str, asked: Any, /, **fields: Any) -> Sent:
    more = {name: fields.pop(name) for name in OF_THE_CASE if name in fields}
    return Sent(base_url, RESPONSES, {"model": model, "input": asked, **fields}, **more)


def user(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]


TEXT = {"type": "text", "text": "What is this?"}

BODIES: dict[str, Sent] = {
    # OpenAI: chat
    "openai-python": Sent(OPENAI, CHAT, {"messages": ASK, "model": "gpt-4o-mini"}),
    "streamed with its usage": chat(OPENAI, "gpt-4o", stream=True, stream_options={"include_usage": True}),
    "curl with a pretty body": Sent(
        OPENAI, CHAT,
        b'{\n    "model": "gpt-4o",\n    "messages": [\n      {\n        "role": "user",\n        "content": "Hi\\u0021 \\/ caf\\u00e9"\n'
        b'      }\n    ],\n    "temperature": 7e-1, "top_p" : 1.0, "seed": 12345678901234567890\n  }\n',
        leaves=b'{"model":"gpt-4o","messages":[\n      {\n        "role": "user",\n        "content": "Hi\\u0021 \\/ caf\\u00e9"\n'
        b'      }\n    ],"temperature":7e-1,"top_p":1.0,"seed":12345678901234567890}',
    ),
    "a text that Node has cut through an emoji": Sent(
        OPENAI, CHAT, b'{"model":"gpt-4o","messages":[{"role":"user","content":"cut \\ud83d"}]}'
    ),
    "images by address and inline": chat(
        OPENAI, "gpt-4o",
        user(TEXT, {"type": "image_url", "image_url": {"url": "https://x.test/model.png", "detail": "low"}},
             {"type": "image_url", "image_url": {"url": PNG}}),
        max_tokens=300,
    ),
    "a file inline": chat(
        OPENAI, "gpt-4o",
        user({"type": "file", "file": {"filename": "draft.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}, TEXT),
    ),
    "a file by its id": chat(OPENAI, "gpt-4o", user({"type": "file", "file": {"file_id": "file-1"}}, TEXT), groups=("files",)),
    "sound in and out": chat(
        OPENAI, "gpt-4o-audio-preview",
        [*user({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
         {"role": "assistant", "audio": {"id": "audio_abc123"}}, *ASK],
        modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"},
    ),
    "functions with tricky properties": chat(
        OPENAI, "gpt-4o", tools=[{"type": "function", "function": FUNCTION}],
        tool_choice={"type": "function", "function": {"name": "look_up"}}, parallel_tool_calls=False,
    ),
    "calls of functions and what they gave": chat(
        OPENAI, "gpt-4o",
        [*ASK, {"role": "assistant", "content": None, "refusal": None, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": ARGUMENTS}}]},
         {"role": "tool", "tool_call_id": "call_1", "content": ARGUMENTS}],
    ),
    "functions as they were before tools": chat(OPENAI, "gpt-4", functions=[FUNCTION], function_call={"name": "look_up"}),
    "an answer by a schema": chat(
        OPENAI, "gpt-4o", response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": TRICKY, "strict": True}}
    ),
    "a prediction": chat(
        OPENAI, "gpt-4o", store=True, prediction={"type": "content", "content": 'class User { model = "gpt-4o" }'}
    ),
    "notes of the caller's": chat(
        OPENAI, "gpt-4o", metadata={"model": "gpt-9", "file_id": "file-1", "api_base": "https://x", "fallbacks": "no"}, user="u-1"
    ),
    "every sampling knob": chat(
        OPENAI, "gpt-4o", n=2, logprobs=True, top_logprobs=5, logit_bias={"50256": -100}, presence_penalty=-0.5,
        frequency_penalty=0.5, seed=-1, stop=["\n", "END"], service_tier="auto", safety_identifier="u", prompt_cache_key="k",
    ),
    "search in the web": chat(
        OPENAI, "gpt-4o-search-preview",
        web_search_options={"search_context_size": "low", "user_location": {"type": "approximate", "approximate": {"city": "Rome"}}},
    ),
    "a reasoning model": chat(
        OPENAI, "gpt-5", [{"role": "developer", "content": "Be brief."}, *ASK], reasoning_effort="minimal", verbosity="low",
        max_completion_tokens=500,
    ),
    "a tool with a grammar": chat(
        OPENAI, "gpt-5", tools=[{"type": "custom", "custom": {"name": "sql", "format": {
            "type": "grammar", "grammar": {"syntax": "lark", "definition": 'start: "model" ":" ESCAPED_STRING'}}}}],
    ),
    # OpenAI: Responses
    "a response to a text": respond(OPENAI, "gpt-4.1", "Tell me a story.", instructions="You are a pirate.", temperature=0.2),
    "a response to images and files": respond(
        OPENAI, "gpt-4.1",
        user({"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": PNG, "detail": "auto"},
             {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}),
    ),
    "what Codex sends": respond(
        OPENAI, "gpt-5-codex",
        [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "<environment_context>\n</environment_context>"}]},
         {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAABo", "content": None},
         {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "shell", "arguments": '{"command":["ls"]}'},
         {"type": "function_call_output", "call_id": "call_1", "output": '{"output":"model.py","metadata":{"exit_code":0}}'}],
        instructions="You are Codex.", tools=[{"type": "function", **FUNCTION}, {"type": "local_shell"}], tool_choice="auto",
        parallel_tool_calls=False, reasoning={"effort": "medium", "summary": "auto"}, store=False, stream=True,
        include=["reasoning.encrypted_content"], prompt_cache_key="0199-ab", text={"verbosity": "medium"},
    ),
    "all hosted tools": respond(
        OPENAI, "gpt-4.1", "Draw what you find.", serves=("gpt-image-1",),
        tools=[
            {"type": "web_search_preview", "search_context_size": "low"},
            {"type": "code_interpreter", "container": {"type": "auto"}},
            {"type": "image_generation", "model": "gpt-image-1", "quality": "low", "partial_images": 2},
            {"type": "mcp", "server_label": "docs", "server_url": "https://mcp.test/sse", "headers": {"X-Model": "a"},
             "allowed_tools": ["ask"], "require_approval": "never"},
            {"type": "custom", "name": "code", "description": "Runs it.", "format": {"type": "text"}},
        ],
    ),
    "a search in files": respond(
        OPENAI, "gpt-4.1", "Find it.", groups=("vector_stores",), include=["file_search_call.results"],
        tools=[{"type": "file_search", "vector_store_ids": ["vs_1"], "max_num_results": 3,
                "filters": {"type": "and", "filters": [{"type": "eq", "key": "model", "value": "file_id"}]}}],
    ),
    "a response by a schema": respond(
        OPENAI, "gpt-4.1", "Extract.", text={"format": {"type": "json_schema", "name": "x", "schema": TRICKY, "strict": True}}
    ),
    "a response that goes on": respond(OPENAI, "gpt-4.1", "More.", previous_response_id="resp_1", groups=("responses",)),
    "a conversation": respond(OPENAI, "gpt-4.1", ASK, conversation={"id": "conv_1"}, groups=("conversations",)),
    "a stored prompt": respond(
        OPENAI, "gpt-4.1", [], groups=("prompts",), prompt={"id": "pmpt_1", "version": "2", "variables": {"model": "Ford T"}}
    ),
    "a computer and its picture": respond(
        OPENAI, "computer-use-preview",
        [{"type": "computer_call", "id": "cu_1", "call_id": "c", "status": "completed", "pending_safety_checks": [],
          "action": {"type": "click", "button": "left", "x": 1, "y": 2}},
         {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot", "image_url": PNG}}],
        tools=[{"type": "computer_use_preview", "display_width": 1024, "display_height": 768, "environment": "browser"}],
        truncation="auto",
    ),
    # OpenAI: the rest
    "a moderation of text and image": Sent(
        OPENAI, "/moderations", {"input": [TEXT, {"type": "image_url", "image_url": {"url": PNG}}]}, ("omni-moderation-latest",)
    ),
    "embeddings": Sent(
        OPENAI, "/embeddings",
        {"input": ["The food was", "model: file_id"], "model": "text-embedding-3-small", "dimensions": 256, "encoding_format": "base64"},
    ),
    "embeddings of tokens, as LangChain sends them": Sent(
        OPENAI, "/embeddings", {"input": [[3923, 374], [9906, 1917, 0]], "model": "text-embedding-ada-002"}
    ),
    "a completion with all that it takes": Sent(
        OPENAI, "/completions",
        {"model": "gpt-3.5-turbo-instruct", "prompt": ["def f(", "model ="], "suffix": "\n", "max_tokens": 16, "echo": True,
         "best_of": 3, "n": 2, "logprobs": 2, "stop": ["\n"], "logit_bias": {}},
    ),
    "an image": Sent(
        OPENAI, IMAGES,
        {"model": "gpt-image-1", "prompt": 'A sign that says {"model": "x"}', "n": 1, "size": "1024x1024", "background": "transparent",
         "output_format": "webp", "moderation": "low"},
    ),
    "an edit of an image": Sent(
        OPENAI, "/images/edits",
        forms.form(forms.field("model", "gpt-image-1"), forms.field("prompt", "Add a hat, model=x"),
                   ('name="image[]"; filename="a.png"\r\nContent-Type: image/png', b"\x89PNG\r\n\x1a\n"),
                   ('name="mask"; filename="m.png"\r\nContent-Type: image/png', b"\x89PNG\r\n")),
        ("gpt-image-1",),
    ),
    "speech": Sent(
        OPENAI, "/audio/speech",
        {"model": "gpt-4o-mini-tts", "input": "Today is a wonderful day.", "voice": "coral", "instructions": "Cheerful.", "speed": 1.25},
    ),
    "a transcription": Sent(
        OPENAI, "/audio/transcriptions",
        forms.form(forms.FILE, forms.field("model", "whisper-1"), forms.field("response_format", "verbose_json"),
                   forms.field("timestamp_granularities[]", "word"), forms.field("timestamp_granularities[]", "segment"),
                   forms.field("prompt", "The model is called ZyntriQix."), forms.field("temperature", "0")),
        ("whisper-1",),
    ),
    "a realtime session": Sent(
        OPENAI, "/realtime/client_secrets",
        {"expires_after": {"anchor": "created_at", "seconds": 600}, "session": {
            "type": "realtime", "model": "gpt-realtime", "instructions": "Be kind.", "tools": [{"type": "function", **FUNCTION}],
            "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": {"type": "semantic_vad"}},
                      "output": {"voice": "marin"}}}},
        ("gpt-realtime", "gpt-4o-transcribe"),
    ),
    "a fine-tuning": Sent(
        OPENAI, "/fine_tuning/jobs",
        {"model": "gpt-4o-mini-2024-07-18", "training_file": "file-1", "validation_file": "file-2", "suffix": "mine",
         "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": "auto"}}},
         "integrations": [{"type": "wandb", "wandb": {"project": "p", "tags": ["model"]}}]},
        groups=("files", "fine_tuning"),
    ),
    # Azure
    "Azure's client, whose path names the deployment": Sent(
        AZURE, "/deployments/gpt-4o/chat/completions?api-version=2024-10-21", {"messages": ASK, "temperature": 0.7},
        ("gpt-4o",), upstream={"provider": "azure"},
    ),
    "Azure's v1 and who the user is": chat(
        AZURE_V1, "gpt-4o", upstream={"provider": "azure"},
        user_security_context={"application_name": "Desk", "end_user_id": "u", "end_user_tenant_id": "t", "source_ip": "10.0.0.1"},
    ),
    # OpenRouter
    "OpenRouter's models and providers": chat(
        OPENROUTER, "openai/gpt-4o", serves=("anthropic/claude-sonnet-4",),
        models=["openai/gpt-4o", "anthropic/claude-sonnet-4"], route="fallback", transforms=["middle-out"], usage={"include": True},
        provider={"order": ["azure", "openai"], "allow_fallbacks": False, "data_collection": "deny", "sort": "price",
                  "max_price": {"prompt": 1}, "require_parameters": True},
    ),
    "OpenRouter's plugins": chat(
        OPENROUTER, "google/gemini-2.5-pro",
        user({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
             {"type": "file", "file": {"filename": "a.pdf", "file_data": "https://x.test/a.pdf"}}),
        plugins=[{"id": "web", "max_results": 3}, {"id": "file-parser", "pdf": {"engine": "mistral-ocr"}}],
        reasoning={"max_tokens": 2000, "exclude": True}, include_reasoning=True, session_id="s", trace={"trace_name": "t"},
    ),
    # Servers of one's own
    "vLLM's guided decoding": chat(
        VLLM, "Qwen/Qwen3-8B", guided_json=TRICKY, top_k=20, min_p=0.0, repetition_penalty=1.05, stop_token_ids=[151643],
        skip_special_tokens=False, chat_template_kwargs={"enable_thinking": False}, add_generation_prompt=True,
        documents=[{"title": "model", "text": "file_id"}], priority=1, ignore_eos=False,
    ),
    "vLLM's structured outputs": chat(
        VLLM, "/data/models/Qwen", structured_outputs={"json": TRICKY}, mm_processor_kwargs={"num_crops": 4}, truncate_prompt_tokens=100,
        return_token_ids=True, vllm_xargs={"n": 1}, max_tokens=64,
    ),
    "SGLang's knobs": chat(
        SGLANG, "default", regex="(a|b)", ebnf=None, separate_reasoning=True, rid="r-1", no_stop_trim=True, top_k=-1, max_tokens=8
    ),
    "Text Generation Inference's schema": chat(
        TGI, "tgi", response_format={"type": "json_object", "value": TRICKY}, tool_prompt="model:", best_of=1, typical_p=0.9
    ),
    "Ollama's own fields": chat(
        OLLAMA, "llama3.2:latest", [{"role": "system", "content": "S"}, *ASK], keep_alive=-1, think=False, format=TRICKY,
        options={"num_ctx": 8192, "num_gpu": 99, "temperature": 0}, max_tokens=128, stream=True,
    ),
    "llama.cpp's own fields": chat(
        LLAMA_CPP, "C:\\x\\q.gguf", cache_prompt=True, id_slot=0, n_predict=64, n_keep=-1, samplers=["top_k", "min_p"],
        mirostat=2, grammar='root ::= "model" ws', timings_per_token=True, n_probs=2, lora=[{"id": 0, "scale": 0.5}],
        response_format={"type": "json_object", "schema": TRICKY},
    ),
    "LM Studio's draft": chat(LM_STUDIO, "qwen2.5-7b", serves=("qwen2.5-0.5b",), draft_model="qwen2.5-0.5b", ttl=300),
    # Providers
    "Mistral's documents and prefix": chat(
        MISTRAL, "mistral-large-latest",
        [*user(TEXT, {"type": "document_url", "document_url": "https://x.test/a.pdf"}, {"type": "image_url", "image_url": PNG}),
         {"role": "assistant", "content": "Well, ", "prefix": True}],
        safe_prompt=True, random_seed=7, prompt_mode="reasoning", tool_choice="any", tools=[{"type": "function", "function": FUNCTION}],
    ),
    "DeepSeek's thinking": chat(
        DEEPSEEK, "deepseek-chat",
        [*ASK, {"role": "assistant", "content": "x", "reasoning_content": "the model ...", "prefix": True}],
        thinking={"type": "enabled"}, response_format={"type": "json_object"}, max_tokens=100, stream=True,
    ),
    "Groq's compound system": chat(
        GROQ, "groq/compound", serves=("llama-3.3-70b",),
        compound_custom={"models": {"answering_model": "llama-3.3-70b"}, "tools": {"enabled_tools": ["web_search"]}},
        search_settings={"exclude_domains": ["x.test"]}, include_reasoning=False, reasoning_format="hidden", service_tier="flex",
        documents=[{"id": "d", "source": {"type": "text", "text": "model"}}], citation_options="enabled",
    ),
    "Gemini's extra_body, pasted": chat(
        GEMINI, "gemini-2.5-flash",
        [*ASK, {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "extra_content": {"google": {"thought_signature": "Cg=="}},
                                                     "function": {"name": "f", "arguments": ARGUMENTS}}]},
         {"role": "tool", "tool_call_id": "c", "content": "[]"}],
        extra_body={"google": {"thinking_config": {"thinking_budget": 0, "include_thoughts": True}, "cached_content": "cachedContents/1"}},
    ),
    "Anthropic's blocks": chat(
        ANTHROPIC, "claude-sonnet-4",
        [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                                      {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
                                      {"type": "tool_result", "tool_use_id": "t", "content": ARGUMENTS}]}],
        thinking={"type": "enabled", "budget_tokens": 2000}, max_tokens=4096, system="S", stop_sequences=["x"],
        tools=[{"name": "look_up", "input_schema": TRICKY, "cache_control": {"type": "ephemeral"}}],
        tool_choice={"type": "tool", "name": "look_up"},
    ),
    "Together's safety model": chat(
        TOGETHER, "meta-llama/Llama-3.3-70B", serves=("meta-llama/Llama-Guard-4",), safety_model="meta-llama/Llama-Guard-4",
        context_length_exceeded_behavior="truncate", repetition_penalty=1, min_p=0.1, echo=False, compliance="hipaa",
    ),
    "Fireworks' tuning": chat(
        FIREWORKS, "accounts/fireworks/models/kimi-k2", prompt_truncate_len=1500, raw_output=False, perf_metrics_in_response=True,
        response_format={"type": "grammar", "grammar": 'root ::= "a"'}, top_k=40, mirostat_target=1.5,
    ),
    "xAI's live search": chat(
        XAI, "grok-4", reasoning_effort="high",
        search_parameters={"mode": "auto", "sources": [{"type": "x", "included_x_handles": ["a"]}, {"type": "rss", "links": ["https://x"]}]},
    ),
    "Perplexity's filters": chat(
        PERPLEXITY, "sonar-pro", search_domain_filter=["-x.test"], search_recency_filter="week", return_images=True,
        search_after_date_filter="3/1/2026", web_search_options={"search_context_size": "high"}, disable_search=False,
    ),
    "Qwen's search and thinking": chat(
        DASHSCOPE, "qwen-plus", enable_thinking=True, thinking_budget=100, enable_search=True, vl_high_resolution_images=False,
        search_options={"forced_search": True}, stream=True, stream_options={"include_usage": True},
        translation_options={"source_lang": "auto", "target_lang": "English", "terms": [{"source": "model", "target": "Modell"}]},
    ),
    "NVIDIA's extensions": chat(
        NIM, "meta/llama-3.1-8b", nvext={"guided_json": TRICKY, "repetition_penalty": 1.1}, top_k=1, bad="null",
    ),
}  # fmt: skip


def answering(request: FakeRequest) -> Answer:
    """Streams where a stream is asked for; of everything else any object will do."""
    if request.fields().get("stream"):
        return default(request.path, request.fields())
    return json_answer({})


def test_there_are_sixty_of_more_than_a_dozen_providers() -> None:
    assert len(BODIES) == 60
    assert len({sent.base_url for sent in BODIES.values()}) > 12


@pytest.mark.parametrize("name", BODIES)
async def test_it_leaves_as_it_came(name: str) -> None:
    sent = BODIES[name]
    unasked = {"stream_usage": "never", **sent.upstream}  # what asking adds is tested in tests/answers
    upstream = Upstream(sent.base_url, name="A", api_key="ka", model_ids=sorted(sent.models), **unasked)
    policy = Grants({model: Grant(public=True) for model in sent.models}, admins=False)
    settings = Settings(retries=0, open_groups=frozenset(sent.groups))
    kind = forms.FORM if sent.is_form else forms.JSON
    async with world(upstream, authorize_model=policy, settings=settings) as w:
        w.upstream.answer("", answering)
        answer = await w.post_bytes(sent.path, sent.bytes, headers={"content-type": kind, "x-test-user": "u1"})
        assert answer.status == 200, answer.text
        (got,) = w.upstream.requests
        if sent.is_form:
            assert forms.parts_of(got.body, got.values("content-type")[0].decode()) == forms.parts_of(sent.bytes, kind)
        else:
            assert got.body == (sent.leaves or sent.bytes)
