"""Which setting, callable or rule is behind a refusal."""

from __future__ import annotations

from ..errors import GatewayError

BY_REASON = {
    "ambiguous_framing": "the request's headers",
    "cross_site_request": "Settings.trusted_origins, credential_headers and ambient_bearer",
    "denied": "authorize_model",
    "gateway_disabled": "GatewayConfig.enabled",
    "gateway_draining": "begin_drain",
    "group_closed": "Settings.open_groups, authorize_group",
    "host_failure": "one of the host's callables",
    "insufficient_quota": "limits",
    "invalid_json": "the body",
    "list_missing": "the upstreams' lists of models",
    "locked_parameter": "Preset.locked, Settings.locked_params",
    "loop_detected": "the header x-gateway-hops",
    "method_not_allowed": "the API's table of operations",
    "missing_field": "the body",
    "model_not_found": "the upstreams' models",
    "not_found": "the API's table of operations, Settings.passthrough",
    "out_of_filters_sight": "Filter.unseen",
    "payload_too_large": "Settings.json_limit, upload_limit and decode_limit",
    "permission_denied": "User.role",
    "unauthenticated": "the caller's own token",
    "unknown": "the upstreams' models: Upstream.model_ids, prefix_id and their lists",
    "unmetered_operation": "limits, Settings.unmetered",
    "unsupported_operation": "Preset.system, Preset.locked",
    "unsupported_media_type": "the header content-type",
    "upstream_credential": "Upstream.auth_type",
    "upstream_unavailable": "what calls met before",
}


def reason_of(error: GatewayError) -> str:
    """As the record has it."""
    return error.reason or error.code or error.type


def decider_of(error: GatewayError) -> str:
    """The field of the request that is at fault, where none of the settings has decided."""
    by = BY_REASON.get(reason_of(error))
    return by or (f"the request's {error.param}" if error.param else "the request")
