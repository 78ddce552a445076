"""Let a web app's own users call OpenAI-compatible models through it.

from fastapi import FastAPI, Request
from openai_gateway_asgi import Gateway, Upstream, User, everyone

async def current_user(request: Request) -> User | None:
    account = await my_session(request)
    return User(id=account.id, role=account.role) if account else None

gateway = Gateway([Upstream("https://api.openai.com/v1", api_key="sk-...")],
                  resolve_user=current_user, authorize_model=everyone)
app = FastAPI(lifespan=gateway.lifespan)
app.mount("/openai", gateway)
"""

from .causes import Cause, Failure
from .config import (
    ConfigStore,
    Defaults,
    FileStore,
    Finding,
    GatewayConfig,
    MemoryStore,
    Preset,
    Secret,
    Settings,
    Timeouts,
    Upstream,
    VersionConflict,
    config_from_data,
    config_to_data,
    upstreams_from_env,
)
from .errors import (
    ConfigError,
    GatewayError,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    PermissionDenied,
    RateLimited,
    Unauthenticated,
)
from .exchange import Exchange
from .extensions.filter import Filter
from .extensions.filter_call import FilterCall
from .extensions.filter_event import FilterEvent
from .extensions.host_model import HostModel
from .extensions.model_call import ModelCall
from .extensions.pieces import Reasoning, ToolCall
from .extensions.told_answer import ToldAnswer
from .gateway import Gateway
from .host.descriptions import ModelInfo
from .host.genai_prices import genai_prices
from .host.hooks import in_thread
from .host.observers import AttemptFacts, CallFacts, CallObserver, Observer
from .host.policies import Grant, Grants, admins_only, everyone
from .host.prices import Price, Priced, Prices
from .host.records import AttemptRecord, Outcome, UsageRecord
from .host.usage import Usage
from .host.users import User
from .limits import Limit, LimitStore, MemoryLimits, RedisLimits
from .models import Model
from .observe.explanation import (
    BodyChange,
    CandidateExplained,
    Decision,
    Explanation,
    HeaderExplained,
    ParameterExplained,
)
from .observe.health import Health, UpstreamFailure, UpstreamHealth, health_app

__version__ = "0.1.0"

__all__ = [
    "AttemptFacts",
    "AttemptRecord",
    "BodyChange",
    "CallFacts",
    "CallObserver",
    "CandidateExplained",
    "Cause",
    "ConfigError",
    "ConfigStore",
    "Decision",
    "Defaults",
    "Exchange",
    "Explanation",
    "Failure",
    "FileStore",
    "Filter",
    "FilterCall",
    "FilterEvent",
    "Finding",
    "Gateway",
    "GatewayConfig",
    "GatewayError",
    "Grant",
    "Grants",
    "HeaderExplained",
    "Health",
    "HostModel",
    "InvalidRequest",
    "Limit",
    "LimitStore",
    "MemoryLimits",
    "MemoryStore",
    "Model",
    "ModelCall",
    "ModelInfo",
    "NotFound",
    "Observer",
    "Outcome",
    "ParameterExplained",
    "PayloadTooLarge",
    "PermissionDenied",
    "Preset",
    "Price",
    "Priced",
    "Prices",
    "RateLimited",
    "Reasoning",
    "RedisLimits",
    "Secret",
    "Settings",
    "Timeouts",
    "ToldAnswer",
    "ToolCall",
    "Unauthenticated",
    "Upstream",
    "UpstreamFailure",
    "UpstreamHealth",
    "Usage",
    "UsageRecord",
    "User",
    "VersionConflict",
    "admins_only",
    "config_from_data",
    "config_to_data",
    "everyone",
    "genai_prices",
    "health_app",
    "in_thread",
    "upstreams_from_env",
]
