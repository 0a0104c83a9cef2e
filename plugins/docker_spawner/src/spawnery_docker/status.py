"""What the engine says of a container, as status and outcome: pure.

Sources: Docker Engine API, ``ContainerInspect``, ``ContainerList`` and ``SystemEvents``.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from attrs import evolve, frozen
from spawnery.contract import (
    LABEL_DEADLINE,
    LABEL_INSTANCE,
    LABEL_JOB_ID,
    LABEL_RECORD_ID,
    LABEL_RETENTION,
    LABEL_SPEC_HASH,
    LABEL_START_DEADLINE,
)
from spawnery.model import RESERVED_LABELS, JobState, JobStatus, Outcome
from spawnery.toolkit import denied_by_kernel

from spawnery_docker.start_errors import program_failure, start_failure, was_cut_off

LIVE: Final = frozenset({"running", "paused", "restarting"})
LEAVING: Final = frozenset({"removing", "dead"})
"""States of a container that the engine is about to remove."""
_SIGNALLED: Final = 128
_KILLED: Final = _SIGNALLED + signal.SIGKILL
_INIT_CODES: Final = frozenset({1, 126, 127, 255})
"""Exit codes of the engine's init process where it cannot run the program (tini, src/tini.c), and
of runc's (255 from 1.2 on)."""
NOT_STARTED_CODES: Final = frozenset({126, 127, 128})
"""Exit codes that the engine gives a container that it could not start (moby, daemon/start.go,
``setExitCodeFromError``). Any other is of a program that ran, whoever saw its start."""
_NEVER: Final = "0001-01-01"
_FRACTION: Final = re.compile(r"\.(\d{1,6})\d*")
LABEL_REPLACED_USER: Final = "spawnery.dev/replaced-user"
"""The image's own user (root, or a name), where the profile has put another one in its place."""
_ROOT: Final = frozenset({"root", "0"})
_HOME_HINT: Final = (
    "it did not run as its image's user {user}, and with another HOME; if it misses files of that"
    " home, name the user by number, and the home: user=UID env.HOME=PATH"
)
_BASELINE: Final = "security=baseline"
NEVER_RAN: Final = "the program never ran"
NOT_HEARD: Final = "nobody was listening to it"


@frozen(kw_only=True)
class End:
    """The evidence of how a container ended.

    Attributes:
        code: Exit code.
        started_at: When it started; None when no start was seen.
        finished_at: When it ended.
        oom: Whether the engine says that memory ran out; None where it says nothing.
        error: The engine's words on a start that failed.
    """

    code: int
    started_at: datetime | None
    finished_at: datetime | None = None
    oom: bool | None = None
    error: str = ""


def moment(text: str | None) -> datetime | None:
    """Read a time of the engine (RFC 3339 with nanoseconds); None for its zero."""
    if not text or text.startswith(_NEVER):
        return None
    return datetime.fromisoformat(_FRACTION.sub(r".\1", text))


def at_nano(value: int) -> datetime:
    """Turn the time of an event into ours."""
    return datetime.fromtimestamp(value / 1e9, UTC)


def is_ours(labels: Mapping[str, str] | None, instance: str) -> bool:
    """Tell whether a container belongs to an instance."""
    found = labels or {}
    return found.get(LABEL_INSTANCE) == instance and LABEL_JOB_ID in found


def _seconds(labels: Mapping[str, str], key: str) -> float | None:
    try:
        return float(labels[key])
    except (KeyError, ValueError):
        return None


def status_from(
    labels: Mapping[str, str],
    *,
    name: str,
    engine_id: str,
    accepted_at: datetime | None,
    launched: bool,
    started_at: datetime | None = None,
    outcome: Outcome | None = None,
) -> JobStatus:
    """Put a status together from a container's labels and what else is known."""
    if outcome is not None:
        state = outcome.state
    else:
        state = JobState.RUNNING if launched else JobState.PENDING
    return JobStatus(
        job_id=labels[LABEL_JOB_ID],
        state=state,
        name=name,
        engine_id=engine_id,
        record_id=labels.get(LABEL_RECORD_ID),
        spec_hash=labels.get(LABEL_SPEC_HASH),
        labels={k: v for k, v in labels.items() if not k.startswith(RESERVED_LABELS)},
        launched=launched,
        accepted_at=accepted_at,
        started_at=started_at,
        deadline_seconds=_seconds(labels, LABEL_DEADLINE),
        start_deadline_seconds=_seconds(labels, LABEL_START_DEADLINE),
        retention_seconds=_seconds(labels, LABEL_RETENTION) or 0,
        outcome=outcome,
    )


def _start_cut_off(state: Mapping[str, Any]) -> bool:
    """Tell whether a start ended with its request, before the program could run.

    Docker 28 gives up a start whose client goes away (moby, daemon/start.go): the container stays
    ``created`` with that error and exit code 128, and can be started again. With AutoRemove it is
    on its way out.
    """
    ran = moment(state.get("StartedAt")) is not None
    stays = state["Status"] in {"created", *LEAVING}
    return stays and not ran and was_cut_off(state.get("Error") or "")


def end_of(shown: Mapping[str, Any]) -> End | None:
    """Return the evidence in the reply of an inspect; None while it has not ended."""
    state = shown["State"]
    if state["Status"] in {"created", *LIVE} and not state.get("Error"):
        return None
    if _start_cut_off(state):
        return None
    return End(
        code=int(state["ExitCode"]),
        started_at=moment(state.get("StartedAt")),
        finished_at=moment(state.get("FinishedAt")),
        oom=bool(state.get("OOMKilled")),
        error=state.get("Error") or "",
    )


def launched(shown: Mapping[str, Any]) -> bool:
    """Tell whether a container was ever started, or its start was tried and failed."""
    state = shown["State"]
    never = (state["Status"] == "created" and not state.get("Error")) or _start_cut_off(state)
    return not never


def outcome_of(
    end: End,
    labels: Mapping[str, str],
    *,
    image: str | None = None,
    reference: str | None = None,
    tail: str | None = None,
    missing: str = NOT_HEARD,
) -> Outcome:
    """Say how a job ended, by the engine's evidence alone.

    Args:
        end: The evidence.
        labels: Of the container.
        image: Digest or id of the image that ran.
        reference: What the job called it, for hints.
        tail: The end of its log.
        missing: Why there is none.
    """
    if end.started_at is not None and end.finished_at is not None:
        # Where the start was confirmed to us and its event is not there yet, its time is estimated.
        end = evolve(end, started_at=min(end.started_at, end.finished_at))
    never_ran = end.started_at is None
    if end.error or (never_ran and end.code in NOT_STARTED_CODES):
        failure = start_failure(end.error, reference)
        return Outcome(
            state=JobState.FAILED,
            cause=failure.cause,
            message=failure.message,
            hint=failure.hint,
            exit_code=end.code or None,
            started_at=end.started_at,
            finished_at=end.finished_at,
            image_digest=image,
            log_tail=None if never_ran else tail,
            # One that ran has an error where somebody could not start it again.
            log_tail_missing=NEVER_RAN if never_ran else (None if tail is not None else missing),
        )
    if end.started_at is not None and end.code in _INIT_CODES:
        refused = program_failure(tail or "", reference)
        if refused is not None:
            return Outcome(
                state=JobState.FAILED,
                cause=refused.cause,
                message=refused.message,
                hint=refused.hint,
                exit_code=end.code,
                started_at=end.started_at,
                finished_at=end.finished_at,
                image_digest=image,
                log_tail=tail,
            )
    state, cause, message, hint = _judge(end)
    replaced = labels.get(LABEL_REPLACED_USER)
    if cause == "exit.nonzero" and replaced and denied_by_kernel(tail):
        cause = "security.root_image"
        message += f"; it was denied what its image's own user, {replaced}, may do"
        hint = "name a user that may: user=1000, or let it run as its image says: " + _BASELINE
    elif cause == "exit.nonzero" and replaced and replaced.partition(":")[0] not in _ROOT:
        hint = f"{hint}\n{_HOME_HINT.format(user=replaced)}"
    return Outcome(
        state=state,
        cause=cause,
        message=message,
        hint=hint,
        exit_code=end.code,
        oom=end.oom,
        started_at=end.started_at,
        finished_at=end.finished_at,
        image_digest=image,
        log_tail=tail,
        log_tail_missing=None if tail is not None else missing,
    )


def _judge(end: End) -> tuple[JobState, str, str, str | None]:
    if end.started_at is None and end.code == 0:
        message = "the engine says exit code 0 of a container that nobody saw start"
        hint = "it may have run or not: look at what it was to produce"
        return JobState.LOST, "lost.no_proof", message, hint
    if end.code == 0:
        return JobState.SUCCEEDED, "exit.zero", "exit code 0", None
    if end.oom and end.code == _KILLED:
        message = "memory ran out: the kernel killed it (exit code 137, OOM seen by the engine)"
        return JobState.FAILED, "oom", message, "give it more: resources.memory_limit=2Gi"
    if end.code == _KILLED:
        message = "killed by SIGKILL, which was not ours (exit code 137)"
        hint = (
            "somebody killed it (docker events); where nobody did, memory likely ran out unseen by"
            " the engine: dmesg | grep -i oom"
        )
        return JobState.FAILED, "killed.external", message, hint
    hint = "read the end of its log; to keep all of it for a while: retention_seconds=900"
    if end.code in {_SIGNALLED + number for number in signal.Signals}:
        name = signal.Signals(end.code - _SIGNALLED).name
        message = f"ended by {name}, or by itself with exit code {end.code}"
        return JobState.FAILED, "exit.signal", message, hint
    message = f"exit code {end.code}"
    if end.oom:
        message += "; memory ran out for one of its processes"
    return JobState.FAILED, "exit.nonzero", message, hint
