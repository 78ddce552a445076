"""Runs all tests in an environment of their own: ``python3 -m tests``, with pytest's arguments behind it.

As many run at once as there are processors; ``-n 0`` behind it has them run one after another.
"""

from __future__ import annotations

import subprocess
import sys

from examples.environment import ROOT, ready_python

AT_ONCE = ("-n", "logical", "--dist", "worksteal")

if __name__ == "__main__":
    command = [str(ready_python()), "-m", "pytest", *AT_ONCE, *sys.argv[1:]]
    sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)
