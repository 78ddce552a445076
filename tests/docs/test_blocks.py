"""Every block of Python in the README and in ``docs`` runs as it stands there, or says above itself why it does not."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import openai_gateway_asgi
from tests.contrib import site
from tests.docs.blocks import PAGES, ROOT, blocks_of, run
from tests.docs.guides import GUIDES
from tests.docs.yours import names, offline_gateway

site.set_up()

DJANGO = ROOT / "docs/django.md"


@pytest.fixture(autouse=True)
def _loggers_as_they_were() -> Iterator[None]:
    """Pages set up logging for the whole process, as a host does; the tests behind this one have a process as it was."""
    log = logging.getLogger("openai_gateway_asgi")
    level, propagates, handlers = log.level, log.propagate, set(log.handlers)
    yield
    log.setLevel(level)
    log.propagate = propagates
    for handler in set(log.handlers) - handlers:
        log.removeHandler(handler)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in (*GUIDES, DJANGO)], ids=lambda page: page.stem)
async def test_the_blocks_of_a_page_run_one_after_the_other(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_gateway_asgi, "Gateway", offline_gateway)
    given = names()
    for block in blocks_of(page):
        if block.reason is None:
            await run(block, given, files=tmp_path)


async def test_the_blocks_on_django_are_a_site(tmp_path: Path) -> None:
    """Its files are written, and what is no file is run inside the site; then the site is checked and tested."""
    blocks = list(blocks_of(DJANGO))
    command("-m", "django", "startproject", "mysite", ".", folder=tmp_path)
    for block in blocks:
        if block.file is not None:
            path = tmp_path / block.file
            before = path.read_text() if block.file.endswith("settings.py") else ""
            path.write_text(before + block.code)
    others = [block.code for block in blocks if block.file is None and block.reason is None]
    (tmp_path / "others.py").write_text("\n".join(["from mysite.asgi import *", *others]))

    checked, tested, _ = await asyncio.gather(
        *(
            asyncio.to_thread(command, "manage.py", *arguments, folder=tmp_path)
            for arguments in (["check"], ["test", "mysite"], ["shell", "-c", "import others"])
        )
    )

    assert "System check identified no issues" in checked
    assert re.search(r"Ran [1-9]\d* tests?", tested)


def command(*arguments: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": "sk-any"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    ran = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr
