"""A virtual environment with what the examples and tests need; plain Python and pip are enough to make it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"


def ready_python() -> Path:
    """The environment's interpreter; made and filled first where it is missing or out of date."""
    python = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    stamp = VENV / ".installed"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"Filling {VENV}; this takes a minute, and is done once.", file=sys.stderr)
        if not python.exists():
            venv.create(VENV, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--editable", f"{ROOT}[dev]"]
        subprocess.run(install, check=True)
        stamp.write_text(wanted)
    return python
