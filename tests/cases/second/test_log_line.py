"""Cases 256 and 272: whatever callers and hosts call themselves and their models, a call is one line of the log."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from openai_gateway_asgi import User
from tests.surface.world import FORM, form, surface

LINE_BREAKS = ["m1\nm2", "m1\r\n", "\nm1", "m1\x0b", "m1\x85", "m1\u2028", "m1\u2029", "m1 status=200 \u00a0"]


def calls(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line.getMessage() for line in caplog.records if hasattr(line, "call")]


@pytest.mark.parametrize("model", LINE_BREAKS)
@pytest.mark.parametrize("path", ["/audio/transcriptions", "/deployments/m1/audio/transcriptions"])
async def test_case_272_a_multipart_model_is_checked_before_it_is_kept(
    path: str, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    records: list[Any] = []
    async with surface(record_usage=records.append) as s:
        with caplog.at_level(logging.INFO, "openai_gateway_asgi"):
            body = form(('name="model"', model.encode()), ('name="file"; filename="a"', b"x"))
            got = await s.ask("POST", path, body=body, headers={"content-type": FORM})

        assert (got.status, got.json()["error"]["param"], s.up.requests) == (400, "model", [])
        assert [record.model for record in records] == [None]
        [line] = calls(caplog)
        assert line.isprintable()
        assert " model=None " in line


@pytest.mark.parametrize("model", LINE_BREAKS)
async def test_case_256_a_model_that_is_refused_leaves_one_line(model: str, caplog: pytest.LogCaptureFixture) -> None:
    async with surface() as s:
        with caplog.at_level(logging.INFO, "openai_gateway_asgi"):
            for path in ("/chat/completions", "/embeddings", "/responses"):
                assert (await s.ask("POST", path, json={"model": model, "input": "x", "messages": []})).status == 400
        lines = calls(caplog)
        assert len(lines) == 3
        assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("id", ["ann\nroot", "ann status=200", "ann\u2028", 'ann" model="x'])
async def test_case_256_a_user_of_any_name_leaves_one_line(id: str, caplog: pytest.LogCaptureFixture) -> None:
    async with surface(resolve_user=lambda request: User(id)) as s:
        with caplog.at_level(logging.INFO, "openai_gateway_asgi"):
            await s.ask("POST", "/chat/completions", json={"model": "pre.other", "messages": []})
        [line] = calls(caplog)
        assert line.isprintable()
        assert ' user="ann' in line
        assert " model=pre.other " in line
