"""The words of the semantic conventions for generative AI, v0.1.0 (open-telemetry/semantic-conventions-genai).

They are written out here: all of them have the status Development, and the packages of constants have older ones.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from ...observe import AttemptFacts

OPERATIONS = {
    "createChatCompletion": "chat",
    "createResponse": "chat",
    "createCompletion": "text_completion",
    "createEmbedding": "embeddings",
    "getResponse": "fetch_response",
    # those below have no value of the conventions' own
    "createImage": "image_generation",
    "createImageEdit": "image_generation",
    "createImageVariation": "image_generation",
    "createSpeech": "speech",
    "createTranscription": "transcription",
    "createTranslation": "translation",
    "createModeration": "moderation",
}
"""By ``operationId``; any other is its own name."""

INFERENCE = frozenset(OPERATIONS.values()) - {"embeddings", "fetch_response"}

PROVIDERS = {
    "azure": "azure.ai.openai",
    "api.openai.com": "openai",
    "openai.azure.com": "azure.ai.openai",
    "cognitiveservices.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "api.anthropic.com": "anthropic",
    "amazonaws.com": "aws.bedrock",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "api.deepseek.com": "deepseek",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "api.groq.com": "groq",
    "ml.cloud.ibm.com": "ibm.watsonx.ai",
    "api.mistral.ai": "mistral_ai",
    "api.moonshot.ai": "moonshot_ai",
    "api.moonshot.cn": "moonshot_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
}
"""By an upstream's ``provider``, or the end of its host; else it is what ``provider`` says, or the upstream's name."""


class Numbered(NamedTuple):
    """A number of the request's body, and the attribute that it becomes."""

    attribute: str
    keys: tuple[str, ...]
    whole: bool = False


NUMBERS = (
    Numbered("gen_ai.request.max_tokens", ("max_completion_tokens", "max_output_tokens", "max_tokens"), whole=True),
    Numbered("gen_ai.request.temperature", ("temperature",)),
    Numbered("gen_ai.request.top_p", ("top_p",)),
    Numbered("gen_ai.request.frequency_penalty", ("frequency_penalty",)),
    Numbered("gen_ai.request.presence_penalty", ("presence_penalty",)),
    Numbered("gen_ai.request.seed", ("seed",), whole=True),
    Numbered("gen_ai.request.top_k", ("top_k",), whole=True),
    Numbered("gen_ai.embeddings.dimension.count", ("dimensions",), whole=True),
)

LARGEST = 2**63 - 1
"""What does not fit into OTLP's whole numbers is left out."""


class Server(NamedTuple):
    provider: str
    address: str | None
    """None, as the port, where a handler of the host's own answers."""
    port: int | None

    @property
    def attributes(self) -> dict[str, str | int]:
        found: dict[str, str | int] = {"gen_ai.provider.name": self.provider}
        if self.address is not None and self.port is not None:
            found |= {"server.address": self.address, "server.port": self.port}
        return found


@lru_cache(maxsize=1_024)
def server_of(provider: str, base_url: str, upstream: str) -> Server:
    """Whom an attempt asks, in the conventions' words."""
    if not base_url:
        return Server(provider or upstream, None, None)
    address = urlsplit(base_url)
    host = address.hostname or ""
    known = PROVIDERS.get(provider) or next(
        (name for end, name in PROVIDERS.items() if host == end or host.endswith("." + end)), None
    )
    port = address.port or (443 if address.scheme == "https" else 80)
    return Server(known or provider or upstream, host, port)


def operation_of(operation: str) -> str:
    return OPERATIONS.get(operation, operation)


def request_numbers(attempt: AttemptFacts) -> dict[str, int | float]:
    """What the body says in numbers, and of the choices only how many, where it is not one."""
    found: dict[str, int | float] = {}
    for attribute, keys, whole in NUMBERS:
        for key in keys:
            number = _number(attempt, key)
            if number is not None and (isinstance(number, int) or not whole):
                found[attribute] = number if whole else float(number)
                break
    choices = _number(attempt, "n")
    if isinstance(choices, int) and choices != 1:
        found["gen_ai.request.choice.count"] = choices
    return found


def _number(attempt: AttemptFacts, key: str) -> int | float | None:
    number = attempt.number_at(key)
    return None if number is None or isinstance(number, bool) or abs(number) > LARGEST else number
