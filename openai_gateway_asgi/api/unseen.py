"""What the host's filters cannot look into: work whose words never cross the gateway in this call, and words that did
in another."""

from __future__ import annotations

from .unmetered import FAMILIES

ELSEWHERE = frozenset[str]().union(*(FAMILIES[name] for name in ("batches", "evals", "fine_tuning", "realtime")))
"""Operations whose prompts and answers go another way: in a session of its own, or in a file."""

STORED_ANSWERS = {
    "getResponse": "createResponse",
    "cancelResponse": "createResponse",
    "listInputItems": "createResponse",
    "listConversationItems": "createResponse",
    "getConversationItem": "createResponse",
    "listChatCompletions": "createChatCompletion",
    "getChatCompletion": "createChatCompletion",
    "updateChatCompletion": "createChatCompletion",
    "getChatCompletionMessages": "createChatCompletion",
    "listMessages": "createRun",
    "getMessage": "createRun",
    "modifyMessage": "createRun",
    "listRunSteps": "createRun",
    "getRunStep": "createRun",
    "ListThreadItemsMethod": "createRun",
    "getEvalRunOutputItems": "createEvalRun",
    "getEvalRunOutputItem": "createEvalRun",
}
"""Operations that tell what a model answered before, and the operation by which it did."""
