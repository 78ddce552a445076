"""Runs all tests in an environment of their own: ``python3 -m tests``, with pytest's arguments behind it."""

from __future__ import annotations

import subprocess
import sys

from examples.environment import ROOT, ready_python

if __name__ == "__main__":
    command = [str(ready_python()), "-m", "pytest", *sys.argv[1:]]
    sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)
