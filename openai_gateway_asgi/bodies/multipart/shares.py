"""What of one user's uploads may wait at one time: so that no user fills the disk, or the memory, of all."""

from __future__ import annotations

import threading
from dataclasses import dataclass

MEMORY = 64 * 1024 * 1024
"""Bytes of one user's uploads in memory, from which on what waits goes to disk at once."""


@dataclass(slots=True)
class _Held:
    disk: int = 0
    memory: int = 0


class Shares:
    """Counts by user, for as long as something of theirs is held. Safe from any thread."""

    def __init__(self, limit: int) -> None:
        """``limit`` is in bytes of one user's on disk."""
        self.limit = limit
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()

    def of(self, user: str) -> Share:
        """For one upload of the user's."""
        return Share(self, user)

    def change(self, user: str, *, disk: int = 0, memory: int = 0) -> bool:
        """Counts so many bytes more, or less; whether they were within the limit, else nothing is changed."""
        with self._lock:
            held = self._held.setdefault(user, _Held())
            if disk > 0 and held.disk + disk > self.limit:
                self._forget(user, held)
                return False
            held.disk += disk
            held.memory += memory
            self._forget(user, held)
            return True

    def held(self) -> dict[str, int]:
        """Bytes by user, on disk and in memory, of those that hold any."""
        with self._lock:
            return {user: held.disk + held.memory for user, held in self._held.items()}

    def crowded(self, user: str) -> bool:
        held = self._held.get(user)
        return held is not None and held.memory > MEMORY

    def _forget(self, user: str, held: _Held) -> None:
        if not held.disk and not held.memory:
            del self._held[user]


class Share:
    """One upload's part of what its user may hold."""

    __slots__ = ("_all", "_disk", "_memory", "_over", "_user")

    def __init__(self, all: Shares, user: str) -> None:
        self._all = all
        self._user = user
        self._disk = 0
        self._memory = 0
        self._over = False

    @property
    def crowded(self) -> bool:
        """Whether the user's uploads hold so much memory that this one should use the disk."""
        return self._all.crowded(self._user)

    def hold(self, size: int) -> None:
        """So many bytes more are in memory, or less."""
        self._change(memory=size)

    def take(self, size: int) -> bool:
        """Whether so many bytes may go to disk."""
        return self._change(disk=size)

    def give_back(self, size: int) -> None:
        self._change(disk=-size)

    def close(self) -> None:
        """Nothing of the upload is held any more; what is still told of it does not count."""
        self._change(disk=-self._disk, memory=-self._memory)
        self._over = True

    def _change(self, *, disk: int = 0, memory: int = 0) -> bool:
        if self._over or not self._all.change(self._user, disk=disk, memory=memory):
            return False
        self._disk += disk
        self._memory += memory
        return True
