"""An upstream that answers every operation in the shape that the API's clients expect."""

from __future__ import annotations

from typing import Any

from openai_gateway_asgi.api.endpoints import match
from openai_gateway_asgi.errors import GatewayError
from openai_gateway_asgi.testing import Answer, FakeRequest, answers, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import bytes_answer, sse
from tests.surface.world import SOUND

USUAL = {
    "createChatCompletion": answers.chat,
    "createCompletion": answers.completions,
    "createEmbedding": answers.embeddings,
    "createModeration": answers.moderations,
    "createResponse": answers.responses,
}
BYTES = {
    "createSpeech": "audio/mpeg",
    "downloadFile": "application/octet-stream",
    "RetrieveContainerFileContent": "application/octet-stream",
    "GetSkillContent": "application/zip",
    "GetSkillVersionContent": "application/zip",
    "RetrieveVideoContent": "video/mp4",
}
STREAMS: dict[str, list[dict[str, Any]]] = {
    "createImage": [
        {"type": "image_generation.partial_image", "b64_json": "eA=="},
        {"type": "image_generation.completed"},
    ],
    "createImageEdit": [{"type": "image_edit.partial_image", "b64_json": "eA=="}, {"type": "image_edit.completed"}],
    "createTranscription": [
        {"type": "transcript.text.delta", "delta": "h"},
        {"type": "transcript.text.done", "text": "h"},
    ],
}
RUNS = ("createRun", "createThreadAndRun", "submitToolOuputsToRun")
STATUS = {"retrieveFile": "processed"}
LISTS = ("list", "List", "getEvalRuns", "getEvalRunOutputItems", "searchVectorStore", "getChatCompletionMessages")
PAGES = 3


def shaped(request: FakeRequest) -> Answer:
    """The answer of OpenAI's API to any operation of it, short and believable."""
    try:
        found = match(request.method, tuple(request.path.removeprefix("/v1/").split("/")))
    except GatewayError:
        return answers.error_answer(404, "Unknown path.", code="not_found")
    operation, fields = found.endpoint.operation, _fields(request)
    if operation in STREAMS and fields.get("stream"):
        return stream_answer([sse(event, event["type"]) for event in STREAMS[operation]])
    if operation in RUNS and fields.get("stream"):
        run = _object(operation, found.params, fields)
        return stream_answer([sse(run, "thread.run.completed"), sse("[DONE]", "done")])
    if operation == "getResponse" and b"stream=true" in request.query:
        return stream_answer(answers.responses_events({"model": "m"}))
    if operation in USUAL:
        return USUAL[operation](fields)
    if operation in BYTES:
        return bytes_answer(SOUND, BYTES[operation])
    if operation == "create-realtime-call":
        return bytes_answer(b"v=0 answer", "application/sdp", 201, [("location", "/v1/realtime/calls/rtc_1")])
    if operation in ("DeleteContainer", "DeleteContainerFile", "deleteResponse"):
        return Answer((), 204)
    if operation.startswith(LISTS) or operation == "createFineTuningCheckpointPermission":
        return _page(request)
    return json_answer(_object(operation, found.params, fields))


def _fields(request: FakeRequest) -> dict[str, Any]:
    if b'name="stream"\r\n\r\ntrue' in request.body:
        return {"stream": True}
    return request.fields()


def _page(request: FakeRequest) -> Answer:
    """One of three pages with an item each; ``after`` names the item before."""
    number = int(request.query.partition(b"after=item_")[2][:1] or b"0") + 1
    item = {
        "id": f"item_{number}",
        "object": "thing",
        "type": "message",
        "created_at": 1,
        "role": "user",
        "content": [],
    }
    return json_answer(
        {
            "object": "list",
            "data": [item],
            "first_id": item["id"],
            "last_id": item["id"],
            "has_more": number < PAGES,
            "next_page": None,
            "search_query": ["q"],
        }
    )


def _object(operation: str, params: Any, fields: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": "obj_1",
        "object": "thing",
        "status": STATUS.get(operation, "completed"),
        "created_at": 1,
        "model": fields.get("model", "m"),
        "deleted": True,
        "text": "hello",
        "data": [{"b64_json": "eA=="}],
        "value": "ek_1",
        "file": {"id": "file_1"},
        "file_counts": {"completed": 1, "in_progress": 0, "cancelled": 0, "failed": 0, "total": 1},
        "thread_id": "thread_1",
        "input_tokens": 3,
    }
    return made | {name: value for name, value in params.items() if name.endswith("_id")}
