"""A stranger's walk: the wheel is built, checked and installed in fresh environments of each Python that is found, and
the guides are followed there word by word. And how long it takes from a clone to the first answer.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from tests.docs.guides import GUIDES, Walk

pytestmark = pytest.mark.soak

OLDEST = (3, 11)
TYPED = ("app.py", "routes.py", "mysite/asgi.py")
"""The files of the guides that a host would have checked."""


def pythons() -> dict[str, Path]:
    """One interpreter of each version that is wanted, from the path and from pyenv."""
    found = [Path(path) for minor in range(OLDEST[1], 20) if (path := shutil.which(f"python3.{minor}"))]
    found += sorted((Path.home() / ".pyenv/versions").glob("3.*/bin/python"))
    versions: dict[str, Path] = {"{}.{}".format(*sys.version_info[:2]): Path(sys.executable)}
    for python in found:
        asked = [str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        if told and tuple(map(int, told.split("."))) >= OLDEST:
            versions.setdefault(told, python)
    return versions


PYTHONS = pythons()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what is in the repository, by way of the sdist, as it would be for an upload."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT))
    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, folder.iterdir()))
    (built,) = folder.glob("*.whl")
    return built


def test_what_is_uploaded_has_no_strays(wheel: Path) -> None:
    (sdist,) = wheel.parent.glob("*.tar.gz")
    kept = set(run("git", "ls-files", folder=ROOT).split())
    with tarfile.open(sdist) as archive:
        sent = {name.partition("/")[2] for name in archive.getnames()} - {"PKG-INFO"}
    with zipfile.ZipFile(wheel) as archive:
        installed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert sent == kept
    assert installed == {
        name for name in kept if name.startswith(("openai_gateway_asgi/", "openai_gateway_asgi_pytest"))
    }


@pytest.fixture(scope="module", params=PYTHONS)
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh one; gives its interpreter."""
    folder = tmp_path_factory.mktemp(f"python{request.param}")
    run(str(PYTHONS[request.param]), "-m", "venv", str(folder))
    return folder / "bin/python"


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
async def test_each_guide_leads_to_an_answer(page: Path, environment: Path, wheel: Path, tmp_path: Path) -> None:
    def install(arguments: list[str]) -> None:
        wanted = [re.sub(r"^openai-gateway-asgi", str(wheel), argument) for argument in arguments]
        run(str(environment), "-m", "pip", "install", "--quiet", *wanted)

    walk = Walk(tmp_path, environment, installed=install)
    began = time.monotonic()
    await walk.through(page)

    run(str(environment), "-m", "pip", "check")
    run(str(environment), "-m", "pip", "install", "--quiet", "mypy", "pyright[nodejs]")
    written = [name for name in TYPED if (tmp_path / name).exists()]
    run(str(environment), "-m", "mypy", "--strict", *untyped_libraries(page), *written, folder=tmp_path)
    run(str(environment), "-m", "pyright", "--pythonpath", str(environment), *written, folder=tmp_path)
    assert walk.first_answer is not None
    tell(f"{page.stem}, {environment.parents[1].name}: first answer after {walk.first_answer - began:.0f} s")


def untyped_libraries(page: Path) -> list[str]:
    """Django ships no types."""
    return ["--ignore-missing-imports"] if "django" in page.stem else []


async def test_from_a_clone_to_the_first_streamed_answer(tmp_path: Path) -> None:
    """The first of the two commands in the README."""
    began = time.monotonic()
    run("git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(tmp_path / "clone"))
    said = await asyncio.to_thread(
        run, str(PYTHONS.get("3.11", sys.executable)), "-m", "examples", folder=tmp_path / "clone"
    )
    tell(f"from a clone to the streamed answers of the demonstration: {time.monotonic() - began:.0f} s")
    assert "tiny-chat" in said


def tell(figure: str) -> None:
    """With ``-s`` it is shown."""
    sys.stdout.write(f"\n{figure}\n")


def run(*command: str, folder: Path | None = None) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    ran = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}{ran.stderr}"
    return ran.stdout + ran.stderr
