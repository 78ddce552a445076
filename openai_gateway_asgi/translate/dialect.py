"""What the chat API of an upstream takes, beside what everybody's does."""

from __future__ import annotations

from typing import NamedTuple

from ..config import Upstream
from ..rewrites.stream_usage import may_be_asked


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
    thoughts: bool = True
    """Whether it may be told what was thought in earlier turns; OpenAI refuses what it does not know in messages."""

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
            thoughts=not official,
        )
