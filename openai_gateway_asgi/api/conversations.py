"""The two APIs for conversations, Chat Completions and Responses, and what only one of them has."""

from __future__ import annotations

from collections.abc import Mapping

from .endpoints import ENDPOINTS, Match

CHAT, RESPONSES = "chat", "responses"
OTHER = {CHAT: RESPONSES, RESPONSES: CHAT}

OPERATIONS: Mapping[str, str] = {CHAT: "createChatCompletion", RESPONSES: "createResponse"}
API_OF: Mapping[str, str] = {operation: api for api, operation in OPERATIONS.items()}
"""Of the operations that can be said in the other API as well."""

MATCHES: Mapping[str, Match] = {
    API_OF[endpoint.operation]: Match(endpoint, {}, endpoint.template)
    for endpoint in ENDPOINTS
    if endpoint.operation in API_OF
}
"""What is asked for where a call is said in an API."""

COUNTED = frozenset({"Compactconversation", "Getinputtokencounts"})
OF_ONE_API: Mapping[str, str] = {
    **dict.fromkeys(COUNTED, RESPONSES),
    **dict.fromkeys(("getResponse", "deleteResponse", "cancelResponse", "listInputItems"), RESPONSES),
    **dict.fromkeys(
        (
            "listChatCompletions",
            "getChatCompletion",
            "updateChatCompletion",
            "deleteChatCompletion",
            "getChatCompletionMessages",
        ),
        CHAT,
    ),
}
"""Operations for which the other API has nothing: an upstream without this one cannot be asked."""

CONVERSING = API_OF.keys() | OF_ONE_API.keys()
