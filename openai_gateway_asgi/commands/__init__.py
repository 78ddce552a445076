"""What ``python -m openai_gateway_asgi`` can do: one module per command, each with ``add`` and a function to run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from . import check, explain, fake_upstream

COMMANDS = (check, explain, fake_upstream)


def main(arguments: Sequence[str]) -> int:
    """Runs one command and gives the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m openai_gateway_asgi")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    chosen = parser.parse_args(arguments)
    status: int = chosen.run(chosen)
    return status
