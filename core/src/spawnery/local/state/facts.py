"""What the folder of a job says, read from one open folder: never from two of one name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from spawnery.local.state.errors import corrupt
from spawnery.local.system import files, locks


@frozen(kw_only=True)
class Facts:
    """What the folder of a job says at one moment.

    Attributes:
        folder: The folder.
        job: What ``translate.record_of`` made.
        locked: Whether somebody acts for the job.
        launched: Whether its program may have run.
        started: When and as what it runs, once it does.
        exit: How it ended, once it has.
        stop: Whether somebody asked it to stop: reason and grace.
    """

    folder: Path
    job: Mapping[str, Any] = field(repr=False)
    locked: bool
    launched: bool
    started: Mapping[str, Any] | None
    exit: Mapping[str, Any] | None
    stop: tuple[str, float] | None

    @property
    def engine_id(self) -> str:
        """What tells this folder from another one of the same name."""
        found: str = self.job["nonce"]
        return found

    @property
    def lost(self) -> bool:
        """Whether the supervisor died before it could write how the job ended."""
        return self.launched and self.exit is None and not self.locked


def read_facts(folder: Path, fd: int) -> Facts | None:
    """Read an open folder; None when it is no job's."""
    job = read_json(folder, files.JOB, fd)
    locked = locks.alive(dir_fd=fd)  # before the exit record: it is written under the lock
    launched = files.exists(files.LAUNCHED, dir_fd=fd)
    if job is None:
        return None
    return Facts(
        folder=folder,
        job=job,
        locked=locked,
        launched=launched,
        started=read_json(folder, files.STARTED, fd),
        exit=read_json(folder, files.EXIT, fd),
        stop=_stop(folder, fd),
    )


def is_still(folder: Path, fd: int) -> bool:
    """Tell whether an open folder still has its name."""
    try:
        there, ours = os.lstat(folder), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def read_json(folder: Path, name: str, fd: int) -> Mapping[str, Any] | None:
    """Read an object from a file of an open folder; None when it is not there.

    Raises:
        StateError: It is damaged.
    """
    text = files.read(name, dir_fd=fd)
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise corrupt(folder / name, str(error)) from None
    if not isinstance(found, dict):
        raise corrupt(folder / name, "it holds no object")
    return found


def _stop(folder: Path, fd: int) -> tuple[str, float] | None:
    text = files.read(files.STOP, dir_fd=fd)
    if text is None:
        return None
    try:
        reason, grace = text.decode("ascii").split()
        return reason, float(grace)
    except ValueError as error:
        raise corrupt(folder / files.STOP, str(error)) from None
