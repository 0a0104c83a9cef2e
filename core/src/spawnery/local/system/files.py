"""Files that are there whole or not at all; standard library only, the supervisor uses it too."""

from __future__ import annotations

import os

JOB = "job.json"
"""What is to run and for whom; without values of variables."""
LOCK = "lock"
"""Locked from the claim to the end of the job: lock held means alive."""
LAUNCHED = "launched"
"""Made right before the program is forked: from then on the job is never started again."""
STARTED = "started.json"
STOP = "stop"
EXIT = "exit.json"
SUPERVISOR = "supervisor.json"
WORK = "work"
"""Working directory of a job that names none."""

Flat = dict[str, "str | int | float | bool | None"]


def encode(facts: Flat) -> bytes:
    """Write a flat object as JSON, without the json module: it is a third of a supervisor."""
    parts = (f"{_string(key)}: {_value(value)}" for key, value in facts.items())
    return ("{" + ", ".join(parts) + "}\n").encode("ascii")


def _value(value: str | float | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _string(value) if isinstance(value, str) else repr(value)


def _string(text: str) -> str:
    return '"' + "".join(map(_character, text)) + '"'


def _character(letter: str) -> str:
    if " " <= letter <= "~" and letter not in '"\\':
        return letter
    units = letter.encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2] for at in range(0, len(units), 2))
    return "".join("\\u" + pair.hex() for pair in pairs)


def write_whole(
    folder: str, name: str, data: bytes, *, draft: str | None = None, dir_fd: int | None = None
) -> None:
    """Write a file so that a reader sees all of it or none, also after a crash.

    A draft that ``reserve`` made is used up, so the write succeeds on a full disk.

    Args:
        folder: Where; relative to ``dir_fd`` where that is given.
        name: The file.
        data: What is in it.
        draft: Name of a draft of its own, where several may write the file at once.
        dir_fd: An open folder.

    Raises:
        OSError: It cannot be written.
    """
    draft, path = os.path.join(folder, draft or f".{name}"), os.path.join(folder, name)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=dir_fd)
    try:
        write_all(fd, data)
        os.ftruncate(fd, len(data))
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(draft, path, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def read(name: str, *, dir_fd: int) -> bytes | None:
    """Read a file of an open folder; None when it is not there."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=dir_fd)
    except FileNotFoundError:
        return None
    try:
        parts = []
        while part := os.read(fd, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def exists(name: str, *, dir_fd: int) -> bool:
    """Tell whether an open folder has a file."""
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def reserve(folder: str, name: str, size: int) -> None:
    """Set disk space aside for a later ``write_whole`` of at most ``size`` bytes.

    Raises:
        OSError: The disk is full.
    """
    fd = os.open(os.path.join(folder, f".{name}"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, size)
        else:
            write_all(fd, bytes(size))
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of the data, in several pieces where need be."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(folder: str) -> None:
    """Make the names in a folder survive a crash of the machine."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
