"""Limits and budgets: what they are, what a call takes from them, and the stores in which they are counted."""

from .claims import Account, Balance, Change, Claim, Decision, LimitStore, StoreDown
from .limit import Limit
from .memory import MemoryLimits
from .redis import RedisLimits

__all__ = [
    "Account",
    "Balance",
    "Change",
    "Claim",
    "Decision",
    "Limit",
    "LimitStore",
    "MemoryLimits",
    "RedisLimits",
    "StoreDown",
]
