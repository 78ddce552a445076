"""A file that is replaced in one step, by one writer at a time: readers see the old one or the new one, never a part.

A writer holds the lock of a file beside it (``flock``: POSIX systems, local file systems) from before it makes its
temporary file until that has become the file. So a temporary file that is there while nobody holds the lock was left
by a writer that crashed, and what is in it is nobody's any more.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RANDOM = "[a-z0-9_]{8}"  # as tempfile makes it
_ENDING = ".unfinished"

logger = logging.getLogger("openai_gateway_asgi")


class Locked(Exception):
    """Somebody else is writing."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Makes the block the file's only writer. Raises ``Locked`` at once where there is another, and ``OSError``."""
    # Not on every system; the rest of the package is.
    import fcntl

    # A file of its own: the one that is replaced is another one after each time.
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Locked from error
        yield
    finally:
        os.close(lock)


def replace_file(path: Path, content: bytes) -> None:
    """Puts ``content`` in the place of the file, for its owner alone to read. To be called by the only writer."""
    _remove_unfinished(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_ENDING)
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_directory(path.parent)


def tidy(path: Path) -> None:
    """Removes what writers of this file left when they crashed, unless somebody is writing now."""
    try:
        if _unfinished(path):
            with writing(path):
                _remove_unfinished(path)
    except Locked:
        pass  # who is writing removes them first
    except OSError as error:
        logger.warning("%s: what a crash left beside it cannot be removed: %s", path, error.strerror)


def _remove_unfinished(path: Path) -> None:
    for left in _unfinished(path):
        os.unlink(left)


def _unfinished(path: Path) -> list[str]:
    """Files of exactly our own kind: our names, plain files, of our user."""
    ours = re.compile(re.escape(f".{path.name}.") + _RANDOM + re.escape(_ENDING))
    try:
        with os.scandir(path.parent) as entries:
            return [
                entry.path
                for entry in entries
                if ours.fullmatch(entry.name) and _is_own(entry.stat(follow_symlinks=False))
            ]
    except FileNotFoundError:
        return []  # no folder yet, or what was there a moment ago is gone


def _is_own(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
