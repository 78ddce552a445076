from __future__ import annotations

import os

from openai_gateway_asgi.http.request_ids import RequestIds


def test_ids_are_never_the_same() -> None:
    one, other = RequestIds(), RequestIds()
    ids = [next(each) for _ in range(100) for each in (one, other)]
    assert len(set(ids)) == 200
    assert all(id.isalnum() and len(id) == 26 for id in ids)


def test_a_process_that_was_forked_gives_others() -> None:
    ids = RequestIds()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, next(ids).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    theirs = os.read(reading, 100).decode()
    os.close(reading)
    assert len(theirs) == 26
    assert theirs[:16] != next(ids)[:16]
