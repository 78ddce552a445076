"""What the chat API of an upstream takes, beside what everybody's does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..config import Upstream
from ..rewrites.stream_usage import may_be_asked

HINTS = frozenset(
    "client_metadata prompt_cache_key prompt_cache_options prompt_cache_retention safety_identifier".split()
)
"""Fields that clients of Responses send always, and that change no answer."""


class Strict(NamedTuple):
    """A provider that refuses what it does not know."""

    thoughts: str = ""
    signatures: bool = False
    unknown: frozenset[str] = frozenset()


STRICT: Mapping[str, Strict] = {
    "api.mistral.ai": Strict(unknown=HINTS),  # 422 ``extra_forbidden``
    "api.groq.com": Strict(),  # 400 "property 'reasoning_content' is unsupported"
    "api.cerebras.ai": Strict(thoughts="reasoning"),  # the same; it takes back what it calls ``reasoning``
    "generativelanguage.googleapis.com": Strict(signatures=True, unknown=HINTS),  # 400 "Unknown name"
}
"""By host, with what their APIs answer."""
OFFICIAL = Strict()
LENIENT = Strict("reasoning_content", signatures=True)


class Dialect(NamedTuple):
    developer: bool = False
    """Whether it knows the role ``developer``."""
    custom_tools: bool = False
    """Whether it knows tools of the type ``custom``; elsewhere they become functions with one text, ``input``."""
    allowed_tools: bool = True
    """Whether it knows a ``tool_choice`` of some tools out of many."""
    usage: bool = True
    """Whether a stream may be asked for its usage."""
    obfuscation: bool = False
    drop_hosted_tools: bool = False
    images_in_tools: bool = False
    """Whether its tool messages may have images and files."""
    thoughts: str = "reasoning_content"
    """What a message calls that which was thought in earlier turns; empty where a message may not say it."""
    signatures: bool = True
    """Whether calls may have the signature with which it gave them (``extra_content``): Gemini wants it back."""
    unknown: frozenset[str] = frozenset()
    """Fields of the body that it refuses, and that change no answer."""

    @classmethod
    def of(cls, upstream: Upstream) -> Dialect:
        official = upstream.is_openai or upstream.is_azure
        return cls(
            developer=upstream.rewrites == "auto" or upstream.knows_developer,  # a rewrite knows the model as well
            custom_tools=official,
            allowed_tools=official,
            usage=may_be_asked(upstream, translated=True),
            obfuscation=upstream.is_openai,
            drop_hosted_tools=upstream.drop_hosted_tools,
            images_in_tools=upstream.images_in_tools,
            **(OFFICIAL if official else STRICT.get(upstream.host, LENIENT))._asdict(),
        )
