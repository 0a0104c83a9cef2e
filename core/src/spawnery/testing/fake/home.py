"""Where the fake engine lives: in this process, or in a file that processes share."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

from spawnery.testing.fake.state import State

_POLL_SECONDS: Final = 0.03
_PRIVATE: Final = 0o600


class Home(Protocol):
    """One engine's state, handed out to one caller at a time."""

    def state(self) -> contextlib.AbstractContextManager[State]:
        """Hold the state; what is changed in it is kept."""

    def wait(self, seconds: float, until: Callable[[State], bool]) -> None:
        """Wait until something has changed, at most so long, unless ``until`` is true already."""

    def wake(self) -> None:
        """End all waits."""


class MemoryHome:
    """In this process."""

    def __init__(self) -> None:
        self._state = State()
        self._changed = threading.Condition(threading.RLock())

    @contextlib.contextmanager
    def state(self) -> Iterator[State]:
        """Hold the state; see ``Home``."""
        with self._changed:
            yield self._state
            if self._state.dirty:
                self._state.dirty = False
                self._changed.notify_all()

    def wait(self, seconds: float, until: Callable[[State], bool]) -> None:
        """Wait for a change; see ``Home``."""
        with self._changed:
            if not until(self._state):
                self._changed.wait(seconds)

    def wake(self) -> None:
        """End all waits; see ``Home``."""
        with self._changed:
            self._changed.notify_all()


class FileHome:
    """In a file, under a lock beside it: it survives its callers. Waiting is polling.

    Args:
        path: The file; made when it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._woken = threading.Event()
        self._cached: tuple[tuple[int, int], State] | None = None

    @contextlib.contextmanager
    def state(self) -> Iterator[State]:
        """Hold the state; see ``Home``."""
        import fcntl  # noqa: PLC0415 - not on every system, and only here

        with self._lock:
            lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                state = self._load()
                try:
                    yield state
                finally:
                    self._keep(state)
            finally:
                os.close(lock)

    def _mark(self) -> tuple[int, int]:
        facts = self._path.stat()
        return facts.st_ino, facts.st_mtime_ns

    def _load(self) -> State:
        try:
            mark = self._mark()
        except FileNotFoundError:
            return State()
        if self._cached is None or self._cached[0] != mark:
            self._cached = mark, State.from_json(self._path.read_text(encoding="utf-8"))
        return self._cached[1]

    def _keep(self, state: State) -> None:
        if not state.dirty:
            return
        state.dirty = False
        self._cached = None
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with open(draft, "w", encoding="utf-8", opener=_private) as file:
            file.write(state.to_json())
        draft.replace(self._path)
        self._cached = self._mark(), state

    def wait(self, seconds: float, until: Callable[[State], bool]) -> None:
        """Wait a moment; see ``Home``."""
        self._woken.wait(min(seconds, _POLL_SECONDS))

    def wake(self) -> None:
        """End all waits; see ``Home``. Polling ends them soon enough."""


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, _PRIVATE)
