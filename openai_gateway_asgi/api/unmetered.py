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
    ),
}
"""By the name under which ``Settings(unmetered=...)`` lets it pass. What can be estimated is charged its estimate, as
Responses with ``background: true``; nothing is known of these."""

UNMETERED = {operation: family for family, operations in FAMILIES.items() for operation in operations}
"""The family of an operation; of others the usage is told, or charged by an estimate."""
