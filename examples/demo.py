"""Starts a local upstream and the FastAPI example, and asks it as its two users.

``python3 -m examples`` makes an environment first and then runs this. Exits with 0 only if all went as it should.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from openai import NotFoundError, OpenAI

from examples.ask import chat, client, list_models
from examples.environment import ROOT

PATIENCE = 30.0
"""Seconds for a server to start: generous, for the first run compiles every module."""


def main() -> None:
    upstream, host = free_port(), free_port()
    with (
        serving("examples.local_upstream:app", upstream) as upstream_process,
        serving("examples.fastapi_app:app", host, UPSTREAM_URL=f"http://127.0.0.1:{upstream}/v1") as host_process,
    ):
        wait_for(upstream_process, upstream)
        wait_for(host_process, host)
        base_url = f"http://127.0.0.1:{host}/openai/v1"
        print(f"A FastAPI application with the gateway at {base_url}, in front of a local upstream.\n")
        with client(base_url, "ada-demo-token") as ada, client(base_url, "bob-demo-token") as bob:
            show(ada, bob)


def show(ada: OpenAI, bob: OpenAI) -> None:
    print("ada sees", ", ".join(list_models(ada)))
    print("ada asks tiny-secret: ", end="", flush=True)
    check(chat(ada, "tiny-secret", "Good morning!") > 1, "the answer did not come word by word")
    seen = list_models(bob)
    print("\nbob sees", ", ".join(seen))
    check(seen == ["tiny-chat"], "bob sees models that are not his")
    print("bob asks tiny-chat:   ", end="", flush=True)
    check(chat(bob, "tiny-chat", "Good evening!") > 1, "the answer did not come word by word")
    print("bob asks tiny-secret: ", end="", flush=True)
    try:
        chat(bob, "tiny-secret", "Psst!")
    except NotFoundError as error:
        check(error.code == "model_not_found", "the refusal has another code than expected")
        print(error)
    else:
        check(False, "bob was let through to a model that is not his")


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SystemExit(f"This demonstration failed: {otherwise}.")


@contextlib.contextmanager
def serving(app: str, port: int, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "warning"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **env}) as process:
        try:
            yield process
        finally:
            process.terminate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit("This demonstration failed: a server did not start; what it said stands above.")


if __name__ == "__main__":
    main()
