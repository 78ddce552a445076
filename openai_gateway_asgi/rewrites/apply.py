"""The rules in the order in which they run, and the one function that runs them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from ..bodies.payload import Payload
from ..config.upstream import Upstream
from .azure import DEPLOYMENT_OPERATIONS, azure_model, azure_stream_options, azure_temperature
from .drops import drop_fields, drop_nulls
from .instruction_roles import instruction_roles
from .logit_bias import logit_bias
from .stream_options import stream_options
from .token_limits import LIMITS, token_limit
from .tool_messages import flat_tool_content

Rewrite = Callable[[Payload, Upstream, str], Payload]

MOST_NAMES = 1024
"""Models whose names are kept as bodies have them."""
_BACKSLASH = b"\\"

CHAT = frozenset({"createChatCompletion"})
COMPLETIONS = CHAT | {"createCompletion"}
STREAMS = COMPLETIONS | {"createResponse"}
ALL = None


class Rule(NamedTuple):
    operations: frozenset[str] | None
    rewrite: Rewrite
    configured: bool = False
    """Whether it changes nothing for a ``plain`` upstream."""
    fields: frozenset[str] | None = None
    """What it looks at: it changes nothing of a body without any of these."""


# The drops come last: they name fields as the upstream would get them.
RULES = (
    Rule(CHAT, instruction_roles),
    Rule(CHAT, flat_tool_content, configured=True),
    Rule(CHAT, token_limit, fields=frozenset(LIMITS)),
    Rule(CHAT, azure_temperature, configured=True),
    Rule(COMPLETIONS, logit_bias, fields=frozenset({"logit_bias"})),
    Rule(STREAMS, stream_options, fields=frozenset({"stream_options"})),
    Rule(COMPLETIONS, azure_stream_options, configured=True),
    Rule(DEPLOYMENT_OPERATIONS, azure_model, configured=True),
    Rule(ALL, drop_fields, configured=True),
    Rule(ALL, drop_nulls, configured=True),
)


def adapt(payload: Payload, upstream: Upstream, operation: str, upstream_model: str, *, named: bool = True) -> Payload:
    """The payload as ``upstream`` takes it; the one given is not changed.

    ``operation`` is the endpoint's operation id (``createChatCompletion``), ``upstream_model`` the id without our
    prefix, or "" where the call is for none. ``named``: whether the body names it; one that does not is left so. With
    ``rewrites="off"`` only the id is set, because that is routing.
    Raises ``InvalidRequest`` for a field that a rule must read and cannot.
    """
    adapted = _with_model(payload, upstream_model) if named else payload
    if upstream.rewrites == "off":
        return adapted
    fitting = _rules_of(operation, upstream.is_plain)
    for rule in fitting.of_any if fitting.fields.isdisjoint(adapted.outline) else fitting.all:
        if rule.fields is None or not rule.fields.isdisjoint(adapted.outline):
            adapted = rule.rewrite(adapted, upstream, upstream_model)
    return adapted


class Fitting(NamedTuple):
    """The rules for an operation. None adds a field that another one looks at."""

    all: tuple[Rule, ...]
    of_any: tuple[Rule, ...]
    """Those that look at any body."""
    fields: frozenset[str]
    """What the others look at."""


@functools.lru_cache(maxsize=256)
def _rules_of(operation: str, plain: bool) -> Fitting:
    fitting = [rule for rule in RULES if rule.operations is None or operation in rule.operations]
    fitting = [rule for rule in fitting if not (plain and rule.configured)]
    of_any = tuple(rule for rule in fitting if rule.fields is None)
    return Fitting(tuple(fitting), of_any, frozenset[str]().union(*[rule.fields or () for rule in fitting]))


def _with_model(payload: Payload, upstream_model: str) -> Payload:
    if not upstream_model:
        return payload
    said, name = payload.outline.get("model"), in_json(upstream_model)
    if said == name or (said is not None and _BACKSLASH in bytes(said) and payload.says("model", upstream_model)):
        return payload
    return Payload(payload.outline | {"model": name}, payload.texts)


@functools.lru_cache(maxsize=MOST_NAMES)
def in_json(name: str) -> msgspec.Raw:
    """A model's name, as bodies have it."""
    return msgspec.Raw(msgspec.json.encode(name))
