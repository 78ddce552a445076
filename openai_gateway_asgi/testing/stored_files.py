"""The files that a fake upstream keeps: uploaded, listed, read and deleted as at OpenAI's API."""

from __future__ import annotations

import re
from typing import Any

from .answers import CREATED, Answer, bytes_answer, error_answer, json_answer
from .requests import FakeFile, FakeRequest

_PATH = re.compile(r"/files(?:/(?P<id>[^/]+)(?P<content>/content)?)?$")


class StoredFiles:
    """Files by id: ``file-1``, ``file-2``, ..."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[dict[str, Any], FakeFile]] = {}
        self._made = 0

    def answer(self, request: FakeRequest) -> Answer | None:
        """None for what is not about files, or what the API has no route for."""
        place = _PATH.search(request.path)
        if place is None:
            return None
        file_id = place["id"]
        if file_id is None:
            return {"POST": self._take, "GET": self._list}.get(request.method, _no_route)(request)
        if file_id not in self._kept:
            return error_answer(404, f"No such File object: {file_id}", code="not_found")
        entry, file = self._kept[file_id]
        if place["content"]:
            return bytes_answer(file.content, file.content_type) if request.method == "GET" else None
        if request.method == "DELETE":
            del self._kept[file_id]
            return json_answer({"id": file_id, "object": "file", "deleted": True})
        return json_answer(entry) if request.method == "GET" else None

    def _take(self, request: FakeRequest) -> Answer:
        file = request.files.get("file")
        if file is None:
            return error_answer(400, "Missing required parameter: 'file'.", code="missing_required_parameter")
        self._made += 1
        file_id = f"file-{self._made}"
        entry = {
            "id": file_id,
            "object": "file",
            "bytes": len(file.content),
            "created_at": CREATED,
            "filename": file.filename,
            "purpose": request.form.get("purpose", "user_data"),
            "status": "processed",
        }
        self._kept[file_id] = (entry, file)
        return json_answer(entry)

    def _list(self, request: FakeRequest) -> Answer:
        return json_answer({"object": "list", "data": [entry for entry, _ in self._kept.values()], "has_more": False})


def _no_route(request: FakeRequest) -> None:
    return None
