"""What the rules of a configuration find: errors, which stop the start, and warnings, which are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ..errors import ConfigError

ERROR = "error"
WARNING = "warning"

ERRORS = {
    "not_callable": "what should be a function is none",
    "wrong_signature": "a callable does not take what the gateway calls it with",
    "wrong_kind": "a class, a generator or a call's result where the function itself is needed",
    "invalid_layer": "an item of `layers` is no layer",
    "invalid_transport": "`transport` is no `AsyncBaseTransport` of httpx or httpx2",
    "invalid_speech_cache": "`speech_cache` is no aiocache cache",
    "invalid_settings": "`settings` is no `Settings(...)`",
    "invalid_store": "a store lacks a method, or one that must be `async` is not",
    "store_unwritable": "the file of a `FileStore` can be neither read nor written",
    "endpoint_in_base_url": "a base URL goes on to one of the API's paths",
    "missing_api_path": "the base URL of a known provider lacks its path, such as `/v1`",
    "native_api": "a base URL names a provider's own API instead of its OpenAI-compatible one",
    "api_key_with_scheme": "a key begins with `Bearer` or the like",
    "api_key_quoted": "a key stands in quotes",
    "azure_without_provider": 'a classic address of Azure OpenAI without `provider="azure"`',
    "azure_without_models": "a classic Azure upstream without `model_ids`: deployments cannot be listed",
    "azure_path": "the base URL of an Azure upstream has a path that its calls cannot follow",
    "no_oauth_token": '`auth_type="system_oauth"` without the gateway\'s `oauth_token`',
    "azure_identity_missing": "Entra ID is asked for and azure-identity is not installed",
    "private_cookie": "a cookie that may cross is the host's own session",
    "invalid_identity_key": "an `identity_key` in PEM that is no private key of Ed25519",
    "pyjwt_missing": '`identity="jwt"` and PyJWT is not installed',
    "shared_identity_key": "a secret `identity_key` that two base URLs share, or that is `identity_secret`",
    "list_without_context": "`list_per_user`, and a credential with a `{context.KEY}`, which no list of models has",
    "unknown_stored_upstream": "`stored_upstream` names no upstream",
    "no_identity_secret": "a text has `{user.id:hmac}` and there is no `Settings(identity_secret)`",
    "preset_base_unserved": "a preset's base is a model that no upstream can ever serve",
}
"""By code: what each error means."""

WARNINGS = {
    "no_upstreams": "there is no upstream yet",
    "no_enabled_upstream": "every upstream is switched off",
    "stored_upstream_disabled": "`stored_upstream` names one that is switched off",
    "fallback_unserved": "a fallback, or the model it stands in for, is served by no upstream",
    "possible_endpoint_in_base_url": "a base URL ends as one of the API's paths does",
    "base_url_without_path": "a base URL has no path; most servers serve the API under `/v1`",
    "prefix_with_dot": "a prefix ends in a dot, and one is put behind it",
    "prefixed_model_ids": "`model_ids` begin with the prefix, which is put before them",
    "api_key_missing": "a provider that needs a key has none",
    "api_key_unused": "a key that is never sent",
    "api_key_with_spaces": "a key with a space inside",
    "api_key_placeholder": "a key that looks like an example, or like a variable's name",
    "credential_over_http": "a credential goes over plain http to a public host",
    "azure_v1_without_provider": 'an Azure v1 address without `provider="azure"`',
    "azure_v1_without_models": "an Azure v1 upstream without `model_ids`: its list has what is not deployed too",
    "provider_like_azure": "a provider's name means Azure and is not `azure`",
    "unused_field": "a field that has no effect beside the others",
    "unused_with_transport": "a field of connections, beside a transport of the host's own",
    "header_template": "a header's value holds a template in double braces, which is sent as it stands",
    "tls_not_verified": "any certificate is accepted",
    "model_access_bypassed": "`bypass_model_access`: nobody asks `authorize_model`",
    "context_unused": "`context` is never asked, because `forward_user_info` is off and no text has a `{context.KEY}`",
    "context_missing": "a text has a `{context.KEY}` and there is no `context` callable",
    "async_in_disguise": "a plain function around an `async` one",
    "layer_buffers": "a layer built on `BaseHTTPMiddleware`",
    "store_read_only": "a `FileStore` that can be read and not written",
    "no_effect": "a key of an entry that says nothing here",
    "unpriced_models": "models that a limit of money concerns have no price, so that it refuses their calls",
    "unknown_role": "a user has a role that is neither `admin` nor `user`; told when it is first seen",
    "surplus_keys": "more keys than base URLs",
    "surplus_entries": "entries that belong to no base URL",
}
"""By code: what each warning means."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the rules found. Nothing in it is a secret."""

    code: str
    """Of the tables above: what kind of thing it is."""
    field: str
    """Where it stands, as ``upstreams.0.base_url``."""
    seen: str
    """What was found there; goes on after the field's name."""
    instead: str
    """What to write instead."""

    @property
    def severity(self) -> str:
        """``error`` or ``warning``."""
        return ERROR if self.code in ERRORS else WARNING

    @property
    def is_error(self) -> bool:
        return self.code in ERRORS

    def at(self, field: str) -> Finding:
        return replace(self, field=field)

    def __str__(self) -> str:
        return f"{self.field} {self.seen}; {self.instead} [{self.code}]"


def refuse(findings: Iterable[Finding], spelled: Callable[[str], str] = str) -> tuple[Finding, ...]:
    """The warnings among them. Raises ``ConfigError`` for the first error, which tells of the others too."""
    found = tuple(findings)
    errors = [
        ConfigError(spelled(each.field), f"{each.seen}; {each.instead}", code=each.code)
        for each in found
        if each.is_error
    ]
    if errors:
        first, *others = errors
        raise ConfigError(first.field, first.problem, code=first.code, others=others)
    return found
