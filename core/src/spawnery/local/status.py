"""What a job's folder says, as status and outcome: pure."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from spawnery.contract.declaration import LABEL_RECORD_ID
from spawnery.local.state.facts import Facts
from spawnery.local.system.clocks import Moment
from spawnery.model.names import RESERVED_LABELS
from spawnery.model.outcome import JobState, JobStatus, KillReason, Outcome

_EXTERNAL: Final = frozenset({signal.SIGKILL})
"""Nobody but another process sends it; the others may be the program's own fault."""
_NOT_FOUND: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
_NOT_EXECUTABLE: Final = frozenset({errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.EISDIR})


def status_of(facts: Facts, now: Moment) -> JobStatus:
    """Return the status of a job; a lost one must have been settled before.

    Args:
        facts: What its folder says.
        now: Its times are told by the clock of this process (``Moment.steady``).
    """
    job, outcome = facts.job, outcome_of(facts, now)
    if outcome is not None:
        state = outcome.state
    elif facts.locked and facts.started is not None:
        state = JobState.RUNNING
    else:
        state = JobState.PENDING
    started = facts.exit or facts.started or {}
    return JobStatus(
        job_id=job["job_id"],
        state=state,
        name=job["name"],
        engine_id=job["nonce"],
        record_id=record_id_of(job),
        spec_hash=job["spec_hash"],
        labels={k: v for k, v in job["labels"].items() if not k.startswith(RESERVED_LABELS)},
        launched=facts.launched or facts.exit is not None,
        accepted_at=_time(now.wall_time(job, "accepted")),
        started_at=_time(now.wall_time(started, "started")),
        ended_at=_time(now.wall_time(facts.exit or {}, "finished")),
        deadline_seconds=job["deadline_seconds"],
        start_deadline_seconds=job["start_deadline_seconds"],
        retention_seconds=job["retention_seconds"],
        outcome=outcome,
    )


def record_id_of(job: Mapping[str, Any]) -> str | None:
    """Return the id of the record that a job belongs to."""
    found: str | None = job["labels"].get(LABEL_RECORD_ID)
    return found


def outcome_of(facts: Facts, now: Moment) -> Outcome | None:
    """Return how a job ended; None while it has not."""
    end = facts.exit
    if end is None:
        return None
    state, cause, message, hint = _verdict(facts.job, end)
    if end.get("left"):
        message += "; some of its processes could not be ended"
    tail = end.get("log_tail")
    return Outcome(
        state=state,
        cause=cause,
        message=message,
        hint=hint,
        exit_code=_exit_code(end),
        started_at=_time(now.wall_time(end, "started")),
        finished_at=_time(now.wall_time(end, "finished")),
        log_tail=tail,
        log_tail_missing=None if tail is not None else _no_tail(end),
    )


def _verdict(
    job: Mapping[str, Any], end: Mapping[str, Any]
) -> tuple[JobState, str, str, str | None]:
    if end.get("lost") and end.get("earlier_boot"):
        message = "the machine was restarted while it ran, so nobody saw how the job ended"
        hint = "it may have done its work or not: look at what it was to produce"
        return JobState.LOST, "lost.supervisor", message, hint
    if end.get("lost"):
        message = "its supervisor died, so nobody saw how the job ended; what was left was ended"
        hint = "it may have done its work or not: look at what it was to produce"
        return JobState.LOST, "lost.supervisor", message, hint
    if end.get("start_stage"):
        return _start_failure(job, end)
    if end.get("reason") is not None:
        kill = KillReason.of_text(end["reason"])
        code = end.get("exit_code")
        how = "it never started" if end.get("never_started") else f"exit code {code}"
        return kill.state, kill.cause, f"{kill.message} ({how})", None
    if end.get("signal") is not None:
        return _signalled(job, int(end["signal"]))
    if end["exit_code"] == 0:
        return JobState.SUCCEEDED, "exit.zero", "exit code 0", None
    return JobState.FAILED, "exit.nonzero", f"exit code {end['exit_code']}", _read_log(job)


def _read_log(job: Mapping[str, Any]) -> str:
    if job["retention_seconds"]:
        return f"read its log: spawnery logs {job['job_id']}"
    return "read the end of its log; to keep all of it for a while: retention_seconds=900"


def _signalled(job: Mapping[str, Any], number: int) -> tuple[JobState, str, str, str | None]:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number not in _EXTERNAL:
        return JobState.FAILED, "exit.signal", f"ended by {name}", _read_log(job)
    message = f"ended by {name}, which was not ours"
    hint = "somebody killed it, or memory ran out: dmesg | grep -i 'killed process'"
    return JobState.FAILED, "killed.external", message, hint


def _start_failure(
    job: Mapping[str, Any], end: Mapping[str, Any]
) -> tuple[JobState, str, str, str | None]:
    number, program = int(end["start_errno"]), job["argv"][0]
    reason = os.strerror(number)
    if end["start_stage"] == "workdir":
        message = f"the working directory {job['workdir']} cannot be used: {reason}"
        return JobState.FAILED, "start.workdir", message, f"mkdir -p {job['workdir']}"
    if end["start_stage"] == "exec" and number in _NOT_FOUND:
        message = f"the program {program} was not found: {reason}"
        hint = "give its whole path, or add its folder to PATH; for a script, see its first line"
        return JobState.FAILED, "start.command_not_found", message, hint
    if end["start_stage"] == "exec" and number in _NOT_EXECUTABLE:
        message = f"the program {program} cannot be executed: {reason}"
        hint = f"look at it (ls -l {program}); for a script: chmod +x and a first line #!/bin/sh"
        return JobState.FAILED, "start.not_executable", message, hint
    message = f"the program {program} could not be started: {reason}"
    return JobState.FAILED, "start.failed", message, None


def _exit_code(end: Mapping[str, Any]) -> int | None:
    if end.get("start_stage"):
        found = end["start_stage"] == "exec" and end["start_errno"] in _NOT_FOUND
        return 127 if found else 126
    code = end.get("exit_code")
    return None if code is None else int(code)


def _no_tail(end: Mapping[str, Any]) -> str:
    if end.get("never_started") or end.get("start_stage"):
        return "the program never ran"
    if end.get("lost"):
        return "its supervisor died; what it wrote until then is in the log"
    return "there was no room on the disk"


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
