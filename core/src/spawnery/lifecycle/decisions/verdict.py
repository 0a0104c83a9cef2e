"""How a job ended, from all evidence together: pure, and the only place that decides it (P2, P3).

What the engine says counts, but a kill of ours that was recorded before wins over it: a program
that traps SIGTERM and exits 0 was still cancelled. Nothing seen is LOST, never success.
"""

from __future__ import annotations

from attrs import evolve

from spawnery.contract.records import Kill, Record
from spawnery.model.outcome import JobState, Outcome


def verdict(record: Record | None, seen: Outcome | None) -> Outcome:
    """Decide the outcome of a job that has ended or is gone.

    Args:
        record: What we remember; None where the records were lost.
        seen: The engine's evidence of the end; None when its object is gone without any.
    """
    if record is not None and record.kill is not None:
        return _killed(record.kill, seen)
    if seen is not None:
        return _proven(seen)
    if record is not None and record.created_at is None:
        return Outcome(
            state=JobState.LOST,
            cause="lost.never_started",
            message="the job never reached the engine: the process that spawned it died before",
            hint="spawn it again under a new job id",
        )
    return Outcome(
        state=JobState.LOST,
        cause="lost.missing",
        message="the engine has no object of this job any more, and nobody saw how it ended",
        hint="it may have run to its end or not: look at what it was to produce",
        log_tail_missing="nobody was watching when it ended",
    )


def _proven(seen: Outcome) -> Outcome:
    if seen.state is not JobState.SUCCEEDED or seen.exit_code == 0:
        return seen
    return evolve(
        seen,
        state=JobState.LOST,
        cause="lost.no_proof",
        message=f"the spawner says success without exit code 0 (it has {seen.exit_code})",
        hint="this is a bug of the spawner plugin",
    )


def _killed(kill: Kill, seen: Outcome | None) -> Outcome:
    reason = kill.reason
    ran = seen is not None and seen.started_at is not None
    # It may have started between the look that the reason is of and the kill.
    waited = kill.message is not None and (reason.gives_up or not ran)
    message = reason.message
    if waited:
        unstarted = "" if reason.gives_up else " before it started"
        message += f"{unstarted}: {kill.message}"
    elif seen is not None and seen.cause == "cancelled" and not ran:
        message += f": {seen.message}"  # what its spawn was doing
    cause = kill.cause or reason.cause
    if seen is None:
        return Outcome(
            state=reason.state,
            cause=cause,
            message=message,
            hint=kill.hint,
            log_tail_missing="nobody was watching when it ended",
        )
    if seen.exit_code is not None:
        message += f" (exit code {seen.exit_code})"
    return evolve(seen, state=reason.state, cause=cause, message=message, hint=kill.hint, oom=None)
