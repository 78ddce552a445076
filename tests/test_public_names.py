"""The names that a user may import; everything else may change."""

from __future__ import annotations

import openai_gateway_asgi

PUBLIC = """
AttemptFacts
AttemptRecord
CallFacts
CallObserver
BodyChange
CandidateExplained
Cause
ConfigError
ConfigStore
Decision
Defaults
Exchange
Explanation
Failure
FileStore
Filter
FilterCall
FilterEvent
Finding
Gateway
GatewayConfig
GatewayError
Grant
Grants
HeaderExplained
Health
HostModel
InvalidRequest
Limit
LimitStore
MemoryLimits
MemoryStore
Model
ModelInfo
ModelCall
NotFound
Observer
Outcome
ParameterExplained
PayloadTooLarge
PermissionDenied
Preset
Price
Priced
Prices
RateLimited
Reasoning
RedisLimits
Secret
Settings
Timeouts
ToldAnswer
ToolCall
Unauthenticated
Upstream
UpstreamFailure
UpstreamHealth
Usage
UsageRecord
User
VersionConflict
admins_only
config_from_data
config_to_data
everyone
genai_prices
health_app
in_thread
upstreams_from_env
""".split()


def test_the_public_names_are_these() -> None:
    assert sorted(PUBLIC) == openai_gateway_asgi.__all__


def test_each_of_them_can_be_imported_and_tells_what_it_is_for() -> None:
    for name in PUBLIC:
        assert getattr(openai_gateway_asgi, name).__doc__, name
