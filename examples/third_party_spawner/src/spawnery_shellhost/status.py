"""From what list.sh prints to the status of jobs: pure."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from attrs import field, frozen
from spawnery.contract import (
    LABEL_DEADLINE,
    LABEL_PREFIX,
    LABEL_RECORD_ID,
    LABEL_RETENTION,
    LABEL_START_DEADLINE,
)
from spawnery.model import JobState, JobStatus, Outcome

from .translate import Card

_SIGNALLED: Final = 128
_FROM_OUTSIDE: Final = frozenset({signal.SIGKILL})
"""Signals that a program does not send itself; of those that we sent, core has the record."""
_NOT_FOUND: Final = 127
_NOT_STARTED: Final = 126
_TAIL: Final = "| "
_CAUSES: Final[Mapping[str, tuple[str, str | None]]] = {
    "start.command_not_found": (
        "the program does not exist on the host",
        "install it there, or name it by its whole path",
    ),
    "start.not_executable": ("the program cannot be executed", "make it executable: chmod +x"),
    "start.workdir": ("the working directory cannot be entered", "create it on the host"),
}
_READ_LOG: Final = "read its log: spawnery logs JOB_ID (an ended job has one while it is kept)"
_LOST: Final = {
    "lost.supervisor": "the shell that waited for it died before it could write how it ended",
    "lost.missing": "its folder on the host is gone",
}


@frozen(kw_only=True)
class Facts:
    """What the host says of one job; times in seconds since the epoch, by the host's clock."""

    name: str
    uid: str
    spec_hash: str
    created: float
    card: Card
    started: float | None = None
    ended: float | None = None
    code: int | None = None
    cause: str | None = None
    lost: str | None = None
    tail: Sequence[str] = field(factory=list)


def read(lines: Iterable[str]) -> tuple[list[Facts], str]:
    """Read a whole answer: what is known of each job, and the host's time.

    Raises:
        ValueError: It is not what list.sh prints.
    """
    blocks: list[list[str]] = []
    moment = None
    for line in lines:
        if line.startswith("job "):
            blocks.append([line])
        elif line.startswith("now "):
            moment = line.removeprefix("now ")
        elif line and blocks:
            blocks[-1].append(line)
    if moment is None:
        msg = "the list of jobs has no end"
        raise ValueError(msg)
    return [_facts(block) for block in blocks], moment


def _facts(block: Sequence[str]) -> Facts:
    _, name, uid, spec_hash, created = block[0].split()
    found = dict(_fields(block[1:]))
    tail = [line.removeprefix(_TAIL) for line in block[1:] if line.startswith(_TAIL)]
    code, cause, ended = found["exit"].split() if "exit" in found else ("-", "-", None)
    return Facts(
        name=name,
        uid=uid,
        spec_hash=spec_hash,
        created=float(created),
        card=Card.loads(found["card"]),
        started=float(found["start"]) if "start" in found else None,
        ended=float(ended) if ended is not None else None,
        code=int(code) if code != "-" else None,
        cause=cause if cause != "-" else None,
        lost=found.get("lost"),
        tail=tail,
    )


def _fields(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if not line.startswith(_TAIL):
            key, _, value = line.partition(" ")
            yield key, value


def status_of(facts: Facts) -> JobStatus:
    """Make the status of a job; its times are of the host's clock."""
    outcome = _outcome(facts)
    state = JobState.PENDING if facts.started is None else JobState.RUNNING
    labels = facts.card.labels
    return JobStatus(
        job_id=facts.card.job_id,
        state=state if outcome is None else outcome.state,
        name=facts.name,
        engine_id=facts.uid,
        record_id=labels.get(LABEL_RECORD_ID),
        spec_hash=facts.spec_hash,
        labels={key: text for key, text in labels.items() if not key.startswith(LABEL_PREFIX)},
        launched=facts.started is not None,
        accepted_at=_moment(facts.created),
        started_at=_moment(facts.started),
        deadline_seconds=_number(labels, LABEL_DEADLINE),
        start_deadline_seconds=_number(labels, LABEL_START_DEADLINE),
        retention_seconds=_number(labels, LABEL_RETENTION),
        outcome=outcome,
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _number(labels: Mapping[str, str], key: str) -> float | None:
    return float(labels[key]) if key in labels else None


def _outcome(facts: Facts) -> Outcome | None:
    if facts.ended is None and facts.lost is None:
        return None
    state, cause, message, hint = _ending(facts)
    tailed = facts.tail or (state is JobState.FAILED and facts.cause is None)
    return Outcome(
        state=state,
        cause=cause,
        message=message,
        hint=hint,
        exit_code=_exit_code(facts),
        started_at=_moment(facts.started),
        finished_at=_moment(facts.ended or facts.started or facts.created),
        log_tail="\n".join(facts.tail) if tailed else None,
        log_tail_missing=None if tailed else _no_tail(state, facts),
    )


def _exit_code(facts: Facts) -> int | None:
    """Return the program's code; of one that could not be started, what a shell would say."""
    if facts.cause is None or facts.cause == "cancelled":
        return facts.code
    return _NOT_FOUND if facts.cause == "start.command_not_found" else _NOT_STARTED


def _no_tail(state: JobState, facts: Facts) -> str:
    if facts.cause is not None:
        return "the program never ran"
    return "it succeeded" if state is JobState.SUCCEEDED else "nobody wrote how it ended"


def _ending(facts: Facts) -> tuple[JobState, str, str, str | None]:
    """Return state, cause, message and hint of a job that has ended."""
    if facts.ended is None:
        return _lost(facts.lost or "lost.missing")
    if facts.cause == "cancelled":
        return JobState.CANCELLED, "cancelled", "stopped before it started", None
    if facts.cause is not None:
        message, hint = _CAUSES.get(facts.cause, (facts.cause, None))
        return JobState.FAILED, facts.cause, message, hint
    if facts.code == 0:
        return JobState.SUCCEEDED, "exit.zero", "exit code 0", None
    return _failure(facts.code or 0)


def _lost(cause: str) -> tuple[JobState, str, str, str | None]:
    hint = "look on the host for what it was to produce"
    return JobState.LOST, cause, _LOST.get(cause, cause), hint


def _failure(code: int) -> tuple[JobState, str, str, str | None]:
    """Tell of an exit code that is not 0; a shell adds 128 to the number of a signal."""
    try:
        found = signal.Signals(code - _SIGNALLED)
    except ValueError:
        return JobState.FAILED, "exit.nonzero", f"exit code {code}", _READ_LOG
    if found not in _FROM_OUTSIDE:
        return JobState.FAILED, "exit.signal", f"ended by {found.name}", _READ_LOG
    message = f"ended by {found.name}, which was not ours"
    hint = "somebody killed it, or memory ran out: dmesg | grep -i 'killed process'"
    return JobState.FAILED, "killed.external", message, hint
