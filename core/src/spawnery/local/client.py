"""Starting a supervisor, and reaching one that runs."""

from __future__ import annotations

import json
import marshal
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from spawnery.contract.requests import Cancellation, Deadline
from spawnery.errors import Ambiguous, EngineTimeout, SpawnFailed
from spawnery.local.supervision.supervisor import LENGTH_BYTES, READY
from spawnery.local.system import files, processes
from spawnery.local.system.locks import Held

_PROGRAM: Final = Path(__file__).parent / "supervision" / "program.py"
_CLOSE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.3
_LOADER: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What some builds of Python need to start at all; the rest of our environment stays here."""


def supervise(
    held: Held,
    order: Mapping[str, Any],
    *,
    deadline: Deadline,
    cancellation: Cancellation,
    job_id: str,
) -> str | None:
    """Start the supervisor of a job and wait until the program runs or cannot be run.

    The supervisor keeps the lock; the order, with the values of secrets, goes through a pipe.

    Args:
        held: The job's folder, locked by us.
        order: See ``translate.order_of``.
        deadline: How long to wait.
        cancellation: Ends the wait as well.
        job_id: The job, for errors.

    Returns:
        None, or what went wrong with the supervisor itself.

    Raises:
        SpawnFailed: No process could be started.
        EngineTimeout: No answer came in time; the program may run.
        Ambiguous: The job was stopped before an answer came; the program may run.
    """
    body = marshal.dumps(dict(order))
    try:
        process = _start(held)
    except OSError as error:
        msg = f"no supervisor process could be started for job {job_id}: {error.strerror}"
        hint = "look at the limits of processes and memory: ulimit -u; free -m"
        raise SpawnFailed(
            msg, cause="start.failed", hint=hint, job_id=job_id, retryable=True
        ) from None
    letter: bytes | None = len(body).to_bytes(LENGTH_BYTES, "big") + body
    while True:
        try:
            answer, _ = process.communicate(
                letter, timeout=min(_LOOK_SECONDS, deadline.remaining())
            )
        except subprocess.TimeoutExpired:
            letter = None  # goes on being sent; to give it again is an error
            if not (deadline.expired or cancellation.requested):
                continue
            _abandon(process)
            if cancellation.requested:
                msg = f"cancelled while starting the program of job {job_id}"
                raise Ambiguous(msg, job_id=job_id) from None
            msg = f"the supervisor of job {job_id} did not answer in time"
            raise EngineTimeout(msg, job_id=job_id) from None
        break
    return None if answer == READY else answer.decode("utf-8", "replace").strip() or "no answer"


def _start(held: Held) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-I", "-S", str(_PROGRAM), str(held.folder), str(held.fd)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={name: os.environ[name] for name in _LOADER if name in os.environ},
        pass_fds=(held.fd,),
        start_new_session=True,
    )


def _abandon(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                continue
    process.wait(_CLOSE_SECONDS)


def nudge(folder: Path) -> None:
    """Let the supervisor of a job look at its stop file now; it looks by itself a bit later."""
    try:
        facts = json.loads((folder / files.SUPERVISOR).read_bytes())
    except (OSError, ValueError):
        return
    process = processes.find(int(facts["pid"]))
    if process is not None and facts["identity"] == f"{processes.boot()}/{process.start}":
        processes.send(process, signal.SIGTERM)


def end_leftovers(facts: Mapping[str, Any], started: Mapping[str, Any] | None) -> bool:
    """Kill what lives of a job whose supervisor died; False when something still lives.

    Args:
        facts: The job's record.
        started: What it ran as, if that was written.
    """
    this_boot = started is not None and started["boot"] == processes.boot()
    session = int(started["pid"]) if started is not None and this_boot else None
    return processes.end_members(nonce=facts["nonce"], session=session, seconds=_CLOSE_SECONDS)
