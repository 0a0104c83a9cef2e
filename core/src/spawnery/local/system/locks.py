"""The lock of a job's folder: whoever holds it acts for the job; the supervisor does to its end.

flock(2): the lock belongs to the open file, so it passes to the supervisor with the descriptor
and goes when the last process that has it ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from spawnery.local.system import files

_PAUSE: Final = 0.01


class Held:
    """A folder whose lock we hold.

    Attributes:
        fd: The locked descriptor.
        folder: The folder.
    """

    def __init__(self, fd: int, folder: Path) -> None:
        self.fd = fd
        self.folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go; a supervisor that got the descriptor keeps the lock."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def create(folder: Path) -> Held | None:
    """Make the lock of a new folder and hold it; None when a sweep has taken the folder."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        os.close(os.open(folder / files.LOCK, flags, 0o600))
    except FileNotFoundError:
        return None
    return _try(folder)


def alive(folder: Path | None = None, *, dir_fd: int | None = None) -> bool:
    """Tell whether somebody acts for the job: its supervisor, or who is about to start it.

    Args:
        folder: The job's folder, or
        dir_fd: the same, open.
    """
    path = files.LOCK if folder is None else folder / files.LOCK
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=dir_fd)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def hold(folder: Path, *, seconds: float = 0.0) -> Held | None:
    """Take the lock; None when somebody else keeps it so long, or when the folder is gone."""
    until = time.monotonic() + seconds
    while True:
        held = _try(folder)
        if held is not None or time.monotonic() >= until or not folder.exists():
            return held
        time.sleep(_PAUSE)


def _try(folder: Path) -> Held | None:
    path = folder / files.LOCK
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        facts = path.stat()
        if (facts.st_dev, facts.st_ino) == _identity(fd):
            return Held(fd, folder)
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _identity(fd: int) -> tuple[int, int]:
    facts = os.fstat(fd)
    return facts.st_dev, facts.st_ino
