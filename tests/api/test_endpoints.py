"""The endpoint table against OpenAI's published surface, and the reading of a request's path."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from openai_gateway_asgi.api.endpoints import ENDPOINTS, GROUPS, Endpoint, Kind, match, upstream_path
from openai_gateway_asgi.errors import InvalidRequest, MethodNotAllowed, NotFound
from openai_gateway_asgi.http.paths import route_path

with (Path(__file__).parents[1] / "data" / "openai-surface.csv").open() as surface:
    # A beta row is the same path with another query, and queries are forwarded, not matched.
    ROWS = [row | {"path": row["path"].removesuffix("?beta=true")} for row in csv.DictReader(surface)]


def is_administrative(path: str) -> bool:
    return path.startswith(("/organization/", "/projects/"))


ADMINISTRATIVE = [row for row in ROWS if is_administrative(row["path"])]
SERVABLE = [row for row in ROWS if not is_administrative(row["path"])]

GROUP_BY_WORD = {
    "assistants": "assistants",
    "batches": "batches",
    "chat": "chat_completions",
    "chatkit": "chatkit",
    "containers": "containers",
    "content_provenance_checks": "content_provenance_checks",
    "conversations": "conversations",
    "evals": "evals",
    "files": "files",
    "fine_tuning": "fine_tuning",
    "realtime": "realtime",
    "responses": "responses",
    "skills": "skills",
    "threads": "assistants",
    "uploads": "uploads",
    "vector_stores": "vector_stores",
    "videos": "videos",
}

MODEL_ELSEWHERE = {
    "create-realtime-call": "session.model",
    "create-realtime-client-secret": "session.model",
    "create-realtime-translation-client-secret": "session.model",
    "create-realtime-session": "model",
    "create-realtime-transcription-session": "input_audio_transcription.model",
}

MODEL_WITHOUT_STORED_OBJECTS = {
    "/audio/speech",
    "/audio/transcriptions",
    "/audio/translations",
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/images/edits",
    "/images/generations",
    "/images/variations",
    "/moderations",
    "/realtime/calls",
    "/realtime/client_secrets",
    "/realtime/sessions",
    "/realtime/transcription_sessions",
    "/realtime/translations/client_secrets",
    "/responses",
    "/responses/compact",
    "/responses/input_tokens",
}


def expected_kind(row: dict[str, str]) -> Kind:
    operation = row["operation"]
    if operation in ("listModels", "retrieveModel"):
        return Kind.MODELS if operation == "listModels" else Kind.MODEL
    if not row["has_model"] and operation not in MODEL_ELSEWHERE:
        return Kind.STORED
    return Kind.MULTIPART_MODEL if "multipart" in row["request_types"] else Kind.JSON_MODEL


def expected_group(row: dict[str, str]) -> str:
    path = row["path"]
    if path == "/models/{model}" and row["method"] == "DELETE":
        return "fine_tuning"
    if path.startswith("/models") or (expected_kind(row) is not Kind.STORED and path in MODEL_WITHOUT_STORED_OBJECTS):
        return ""
    if path.startswith("/audio/voice"):
        return "voices"
    if path.startswith("/fine_tuning/alpha/graders/"):
        return "graders"
    return GROUP_BY_WORD[path.split("/")[1]]


def called(row: dict[str, str]) -> Endpoint:
    path = "/v1" + row["path"].replace("{", "id-").replace("}", ".1:x@y")
    return match(row["method"], route_path({"path": path, "raw_path": path.encode()}).segments).endpoint


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{row['method']} {row['path']} {row['operation']}") for row in SERVABLE]
)
def test_every_operation_of_the_surface_is_known(row: dict[str, str]) -> None:
    endpoint = called(row)

    assert endpoint.operation == row["operation"].removeprefix("beta_")
    assert endpoint.method == row["method"]
    assert endpoint.template == row["path"]
    assert endpoint.kind is expected_kind(row)
    assert endpoint.group == expected_group(row)
    assert sorted(endpoint.bodies) == sorted(filter(None, row["request_types"].split("|")))
    assert endpoint.can_stream == (row["can_stream"] == "yes")
    assert endpoint.model_at == MODEL_ELSEWHERE.get(row["operation"], "model" if row["has_model"] else "")


def test_the_table_holds_nothing_beyond_the_surface() -> None:
    known = {(row["method"], row["path"]) for row in SERVABLE}
    assert [endpoint for endpoint in ENDPOINTS if (endpoint.method, endpoint.template) not in known] == []


def test_no_operation_is_listed_twice() -> None:
    assert len({(endpoint.method, endpoint.template) for endpoint in ENDPOINTS}) == len(ENDPOINTS)
    assert len({endpoint.operation for endpoint in ENDPOINTS}) == len(ENDPOINTS)


def test_what_names_no_model_belongs_to_a_group() -> None:
    assert all(endpoint.group for endpoint in ENDPOINTS if endpoint.kind is Kind.STORED)
    assert {endpoint.group for endpoint in ENDPOINTS} - {""} == GROUPS


def test_a_model_may_be_left_out_only_where_a_stored_object_brings_it() -> None:
    optional = {endpoint.operation for endpoint in ENDPOINTS if endpoint.model_at and not endpoint.model_required}
    assert optional == {"modifyAssistant", "createThreadAndRun", "createRun"}


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{row['method']} {row['path']} {row['operation']}") for row in ADMINISTRATIVE]
)
def test_administrative_paths_are_unknown(row: dict[str, str]) -> None:
    with pytest.raises(NotFound):
        called(row)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"])
@pytest.mark.parametrize(
    "path",
    [
        "/organization",
        "/organization/anything/at/all",
        "/projects",
        "/projects/p1/future",
        "/openai/organization/users",
        "/openai/v1/projects/p1/roles",
        "/v1/openai/v1/organization/users",
        "/deployments/organization/users",
        "/Organization/users",
    ],
)
def test_administrative_paths_are_unknown_whatever_the_method(method: str, path: str) -> None:
    with pytest.raises(NotFound):
        match(method, route_path({"path": path}).segments)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/openai",
        "/openai/v1",
        "/v1/v1/models",
        "/openai/openai/models",
        "/chat",
        "/audio",
        "/Chat/completions",
        "/chat/Completions",
        "/chat/completions/id/unknown",
        "/engines/gpt-4/completions",
        "/files/file-1/content/more",
        "/responses/compact/cancel",
        "/threads/RUNS",
        "/videos/Edits",
        "/unknown",
        "/chat%2Fcompletions",
        "/deployments",
        "/deployments/m",
        "/deployments/chat/other",
        "/deployments/m/files",
        "/deployments/m/responses",
        "/deployments/m/audio/voices",
        "/deployments/m/v1/chat",
        "/openai/deployments",
    ],
)
def test_other_paths_are_unknown(path: str) -> None:
    decoded = path.replace("%2F", "/")
    with pytest.raises(NotFound) as refusal:
        match("POST", route_path({"path": decoded, "raw_path": path.encode()}).segments)
    assert refusal.value.status == 404


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/chat/completions", b"GET, HEAD, POST"),
        ("OPTIONS", "/chat/completions", b"GET, HEAD, POST"),
        ("get", "/models", b"GET, HEAD"),
        ("POST", "/models", b"GET, HEAD"),
        ("POST", "/models/gpt-4o", b"DELETE, GET, HEAD"),
        ("POST", "/models/org/m", b"DELETE, GET, HEAD"),
        ("GET", "/embeddings", b"POST"),
        ("HEAD", "/embeddings", b"POST"),
        ("TRACE", "/files/file-1", b"DELETE, GET, HEAD"),
        ("CONNECT", "/threads/t/runs/r", b"GET, HEAD, POST"),
        ("GET", "/threads/runs", b"POST"),
        ("GET", "/responses/compact", b"POST"),
        ("GET", "/deployments/m/chat/completions", b"POST"),
        ("DELETE", "/openai/deployments/m/embeddings", b"POST"),
        ("", "/files", b"GET, HEAD, POST"),
    ],
)
def test_a_method_the_path_does_not_take_is_refused_with_those_it_takes(method: str, path: str, allow: bytes) -> None:
    with pytest.raises(MethodNotAllowed) as refusal:
        match(method, tuple(path[1:].split("/")))
    assert refusal.value.status == 405
    assert refusal.value.headers == ((b"allow", allow),)


def test_head_is_served_where_get_is() -> None:
    assert match("HEAD", ("files", "f")).endpoint.operation == "retrieveFile"
    assert match("HEAD", ("models",)) is match("GET", ("models",))


def test_a_path_without_parameters_gives_one_shared_match_that_cannot_be_written_to() -> None:
    found = match("POST", ("chat", "completions"))

    assert found is match("POST", ("chat", "completions"))
    assert found.path == "/chat/completions"
    with pytest.raises(TypeError):
        found.params["model"] = "x"  # type: ignore[index]


@pytest.mark.parametrize(
    ("method", "segments", "operation", "params", "path"),
    [
        ("GET", ("files", "file-1", "content"), "downloadFile", {"file_id": "file-1"}, "/files/file-1/content"),
        ("GET", ("files", "a b"), "retrieveFile", {"file_id": "a b"}, "/files/a%20b"),
        (
            "GET",
            ("skills", "s", "versions", "2"),
            "GetSkillVersion",
            {"skill_id": "s", "version": "2"},
            "/skills/s/versions/2",
        ),
        ("GET", ("videos", "characters", "c"), "GetVideoCharacter", {"character_id": "c"}, "/videos/characters/c"),
        ("GET", ("videos", "v", "content"), "RetrieveVideoContent", {"video_id": "v"}, "/videos/v/content"),
        ("POST", ("threads", "runs"), "createThreadAndRun", {}, "/threads/runs"),
        ("POST", ("threads", "t", "runs"), "createRun", {"thread_id": "t"}, "/threads/t/runs"),
        ("GET", ("models", "gpt-4.1"), "retrieveModel", {"model": "gpt-4.1"}, "/models/gpt-4.1"),
        ("GET", ("models", "llama3:8b"), "retrieveModel", {"model": "llama3:8b"}, "/models/llama3:8b"),
        ("GET", ("models", "org", "m"), "retrieveModel", {"model": "org/m"}, "/models/org%2Fm"),
        ("GET", ("models", "org/m"), "retrieveModel", {"model": "org/m"}, "/models/org%2Fm"),
        ("GET", ("models", "a", "b/c", "d"), "retrieveModel", {"model": "a/b/c/d"}, "/models/a%2Fb%2Fc%2Fd"),
        ("GET", ("models", "模"), "retrieveModel", {"model": "模"}, "/models/%E6%A8%A1"),
        ("GET", ("models", "files", "x"), "retrieveModel", {"model": "files/x"}, "/models/files%2Fx"),
        ("DELETE", ("models", "ft:m:o::1"), "deleteModel", {"model": "ft:m:o::1"}, "/models/ft:m:o::1"),
        ("GET", ("openai", "models"), "listModels", {}, "/models"),
        ("GET", ("openai", "v1", "models", "o", "m"), "retrieveModel", {"model": "o/m"}, "/models/o%2Fm"),
        ("POST", ("openai", "responses"), "createResponse", {}, "/responses"),
        ("POST", ("openai", "v1", "chat", "completions"), "createChatCompletion", {}, "/chat/completions"),
    ],
)
def test_parameters_are_read_and_quoted_once(
    method: str, segments: tuple[str, ...], operation: str, params: dict[str, str], path: str
) -> None:
    found = match(method, segments)

    assert (found.endpoint.operation, dict(found.params), found.path) == (operation, params, path)
    assert upstream_path(found.endpoint, found.params) == path


@pytest.mark.parametrize(
    "segments",
    [("files", "a/b"), ("files", "a/b", "content"), ("threads", "t", "runs", "r/x"), ("responses", "x/cancel")],
)
def test_an_encoded_slash_outside_the_id_of_a_model_is_refused(segments: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        match("GET", segments)
    assert refusal.value.code == "invalid_path"


AZURE_OPERATIONS = {
    "/chat/completions": "createChatCompletion",
    "/completions": "createCompletion",
    "/embeddings": "createEmbedding",
    "/audio/speech": "createSpeech",
    "/audio/transcriptions": "createTranscription",
    "/audio/translations": "createTranslation",
    "/images/generations": "createImage",
    "/images/edits": "createImageEdit",
}


def test_the_deployment_operations_are_those_the_azure_client_rewrites() -> None:
    assert {endpoint.template: endpoint.operation for endpoint in ENDPOINTS if endpoint.azure_deployment} == (
        AZURE_OPERATIONS
    )


@pytest.mark.parametrize(
    "mount", ["/deployments/", "/openai/deployments/", "/v1/deployments/", "/v1/openai/deployments/"]
)
@pytest.mark.parametrize(("tail", "operation"), AZURE_OPERATIONS.items())
@pytest.mark.parametrize(
    ("raw", "deployment"),
    [
        ("gpt-4.1", "gpt-4.1"),
        ("llama3:8b", "llama3:8b"),
        ("org%2Fm", "org/m"),
        ("org/m", "org/m"),
        ("chat", "chat"),
        ("deployments", "deployments"),
        ("%E6%A8%A1", "模"),
    ],
)
def test_azure_clients_name_the_model_in_the_path(
    mount: str, tail: str, operation: str, raw: str, deployment: str
) -> None:
    path = mount + deployment + tail
    found = match("POST", route_path({"path": path, "raw_path": (mount + raw + tail).encode()}).segments)

    assert found.endpoint.operation == operation
    assert found.params == {"deployment": deployment}
    assert found.path == tail
