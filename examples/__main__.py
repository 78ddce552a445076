"""The whole thing at a glance: ``python3 -m examples``.

Makes an environment, starts a local upstream and a FastAPI host with the gateway mounted, and lets the official
``openai`` client stream a chat through it, as a user whom the host knows.
"""

from __future__ import annotations

import subprocess
import sys

from examples.environment import ROOT, ready_python

if __name__ == "__main__":
    sys.exit(subprocess.run([str(ready_python()), "-m", "examples.demo"], cwd=ROOT, check=False).returncode)
