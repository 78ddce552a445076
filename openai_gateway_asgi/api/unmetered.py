"""Work whose usage comes later, or never: what limits of tokens and money cannot count."""

from __future__ import annotations

FAMILIES = {
    "batches": ("createBatch",),
    "evals": ("createEval", "createEvalRun"),
    "fine_tuning": ("createFineTuningJob", "runGrader"),
    "realtime": (
        "create-realtime-client-secret",
        "create-realtime-session",
        "create-realtime-transcription-session",
        "create-realtime-call",
        "create-realtime-translation-client-secret",
        "accept-realtime-call",
    ),
    "assistants": ("createRun", "createThreadAndRun", "submitToolOuputsToRun"),
    "chatkit": ("CreateChatSessionMethod",),
    "videos": ("CreateVideoEdit", "CreateVideoExtend", "CreateVideoRemix"),
}
"""By the name under which ``Settings(unmetered=...)`` lets it pass. What can be estimated is charged its estimate, as
Responses with ``background: true`` and a new video; nothing is known of these, which work on what is stored."""

MODEL_BROUGHT = frozenset({"createResponse"})
"""Operations whose model a stored prompt may name, so that nobody knows it before. What they used they tell."""

UNMETERED = {operation: family for family, operations in FAMILIES.items() for operation in operations}
"""The family of an operation; of others the usage is told, or charged by an estimate."""
