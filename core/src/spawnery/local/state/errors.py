"""Errors of the operating system, in our words."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

from spawnery.errors import StateError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_HINT: Final = "name another folder: export SPAWNERY_STATE_DIR=..."


def state_error(error: OSError, doing: str, path: Path, *, job_id: str | None = None) -> StateError:
    """Say why something in the state directory failed.

    Args:
        error: What the system said.
        doing: What was tried, for example ``keep the job``.
        path: Where.
        job_id: The job that it is about.
    """
    msg = f"cannot {doing} in {path}: {error.strerror}"
    if error.errno in _FULL:
        hint = f"make room (df -h {path}), or {_HINT}"
        return StateError(msg, cause="state.full", hint=hint, job_id=job_id)
    if error.errno in _DENIED:
        hint = f"look at who may write there (ls -ld {path}), or {_HINT}"
        return StateError(msg, cause="state.denied", hint=hint, job_id=job_id)
    return StateError(msg, cause="state.error", hint=_HINT, job_id=job_id)


def of_another_user(path: Path, owner: int, own: int) -> StateError:
    """Refuse a folder that somebody else could write."""
    msg = f"the state directory {path} belongs to another user ({owner}, we are {own})"
    return StateError(msg, cause="state.denied", hint=_HINT)


def corrupt(path: Path, problem: str, *, job_id: str | None = None) -> StateError:
    """Say that a file of ours cannot be understood."""
    msg = f"the file {path} is damaged: {problem}"
    hint = f"a job that runs goes on; if it is not needed any more: rm -r {path.parent}"
    return StateError(msg, cause="state.corrupt", hint=hint, job_id=job_id)
