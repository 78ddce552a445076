"""A PostgreSQL server of this run's own, and the distance to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ..processes import BenchError, free_port

USER = "bench"


def programs() -> Path:
    """Where ``initdb`` and ``postgres`` are: Debian keeps them off the path, by version."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not found:
        raise BenchError("PostgreSQL is not installed: apt-get install postgresql")
    return found[0]


@contextlib.contextmanager
def server() -> Iterator[int]:
    """Its port; the server and all that it stored are gone afterwards."""
    bin, port = programs(), free_port()
    with tempfile.TemporaryDirectory(prefix="orm-threads-") as folder:
        as_owner = _as_owner(folder)
        data = f"{folder}/data"
        _run([*as_owner, f"{bin}/initdb", "-D", data, "-U", USER, "--auth=trust", "-E", "UTF8", "--no-sync"])
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
        control = [*as_owner, f"{bin}/pg_ctl", "-D", data, "-w"]
        _run([*control, "-l", f"{folder}/log", "-o", options, "start"])
        try:
            yield port
        finally:
            _run([*control, "-m", "fast", "stop"])


def _as_owner(folder: str) -> list[str]:
    """PostgreSQL does not run as root; Debian's package made it a user."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "postgres")
    return ["runuser", "-u", "postgres", "--"]


def _run(command: list[str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if ran.returncode != 0:
        raise BenchError(f"{' '.join(command)} failed:\n{ran.stdout}{ran.stderr}")


def delay(port: int, target: int, seconds: float) -> None:
    """A proxy in front of ``target`` that takes so long each way, as a network does.

    A thread for each direction, because an event loop's timers are a millisecond late.
    """
    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            client, _ = server.accept()
            database = socket.create_connection(("127.0.0.1", target))
            for source, sink in ((client, database), (database, client)):
                threading.Thread(target=_pass_on, args=(source, sink, seconds), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket, seconds: float) -> None:
    sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            time.sleep(seconds)
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
