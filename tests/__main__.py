"""Runs all tests in an environment of their own: ``python3 -m tests``, with pytest's arguments behind it.

One more runs at once than there are processors, because a third of their time is waiting; ``-n 0`` behind it has them
run one after another.
"""

from __future__ import annotations

import os
import subprocess
import sys

from examples.environment import ROOT, ready_python


def at_once() -> int:
    return 1 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


if __name__ == "__main__":
    command = [str(ready_python()), "-m", "pytest", "-n", str(at_once()), "--dist", "worksteal", *sys.argv[1:]]
    sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)
