"""What is observed of a job: states, status, outcome, handle, events and pieces of its log."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen


class JobState(enum.StrEnum):
    """Where a job stands; five of the states are final."""

    QUEUED = "QUEUED"
    """The engine holds it back."""
    PENDING = "PENDING"
    """Accepted, not running."""
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"
    LOST = "LOST"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.TIMED_OUT,
        JobState.LOST,
    }
)


class KillReason(enum.StrEnum):
    """Why we end a job; recorded before it is done."""

    STOP = "stop"
    """Somebody asked for it."""
    DEADLINE = "deadline"
    START_DEADLINE = "start_deadline"
    HOPELESS = "hopeless"
    """It can never start."""

    @classmethod
    def of_text(cls, text: str) -> KillReason:
        """Read a reason off an object; ``STOP`` for one of a version that has more of them."""
        return cls(text) if text in set(cls) else cls.STOP

    @property
    def gives_up(self) -> bool:
        """Whether the job is ended because it did not start."""
        return self in {KillReason.START_DEADLINE, KillReason.HOPELESS}

    @property
    def state(self) -> JobState:
        """The state that a job ends in which was ended for this reason."""
        return _KILLED[self][0]

    @property
    def cause(self) -> str:
        """The cause of its outcome, where nothing more is known."""
        return _KILLED[self][1]

    @property
    def message(self) -> str:
        """The beginning of the message of its outcome."""
        return _KILLED[self][2]


_KILLED: Mapping[KillReason, tuple[JobState, str, str]] = {
    KillReason.STOP: (JobState.CANCELLED, "cancelled", "stopped on request"),
    KillReason.DEADLINE: (JobState.TIMED_OUT, "deadline", "stopped at its deadline"),
    KillReason.START_DEADLINE: (JobState.TIMED_OUT, "deadline.start", "did not start in time"),
    KillReason.HOPELESS: (JobState.FAILED, "start.failed", "cannot start"),
}


@frozen(kw_only=True)
class Outcome:
    """How a job ended.

    Attributes:
        state: One of the five terminal states.
        exit_code: The program's own code (128 + n for signal n), where one was seen.
        cause: Stable code (see docs/causes.md): ``exit.zero``, ``exit.nonzero``, ``oom``, ...
        message: What happened, for a person, with the evidence.
        hint: What to do next, for a person.
        oom: True when memory ran out, None when the engine cannot tell.
        started_at, finished_at: Times of the engine's clock, with zone, where known.
        image_digest: The image that ran, where the engine knows it.
        log_tail: The end of the log, masked and bounded; None for the reason in
            ``log_tail_missing``.
    """

    state: JobState = field()
    cause: str
    message: str = ""
    hint: str | None = None
    exit_code: int | None = None
    oom: bool | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    image_digest: str | None = None
    log_tail: str | None = None
    log_tail_missing: str | None = None

    @state.validator
    def _check_state(self, _attribute: object, value: JobState) -> None:
        if not value.terminal:
            msg = f"an outcome needs a terminal state, not {value}"
            raise ValueError(msg)


@frozen(kw_only=True)
class JobHandle:
    """What ``spawn`` returns: the job's id, its object in the engine, and who made it.

    Attributes:
        job_id: The id to use with every other verb.
        name: Name of the object in the engine.
        engine_id: The engine's own id of the object, where it still has one.
        created: True for exactly one of the callers that spawned this id.
        record_id: The record id that the object carries (``SpawnRequest.record_id`` where this
            call made it); None where the spawner cannot tell.
    """

    job_id: str
    name: str
    engine_id: str | None = None
    created: bool = True
    record_id: str | None = None


@frozen(kw_only=True)
class JobStatus:
    """What the engine says of a job at one moment.

    Attributes:
        job_id: The job.
        state: Its state; terminal exactly when ``outcome`` is set.
        name: Name of the object in the engine.
        engine_id: The engine's own id of the object.
        record_id: The record id that the object carries (label ``spawnery.dev/record-id``); None
            where it carries none or the spawner cannot tell (capability ``evidence.identity``).
        spec_hash: The hash that the object carries.
        labels: The job's own labels (ours left out).
        launched: False while the object exists and was never started: it may be finished by
            another ``spawn`` with the same spec, or removed as an orphan. With an outcome: the
            object is gone and provably never ran; another ``spawn`` makes a new one.
        accepted_at: When the engine accepted the job, by the engine's clock; its deadlines count
            from here.
        started_at: When its program started.
        ended_at: When the engine learned of the end, by the clock of ``accepted_at``; needed only
            where ``outcome.finished_at`` is of another machine's clock. Retention counts from it.
        deadline_seconds, start_deadline_seconds, retention_seconds: As the object carries them.
        cause, message, hint: Why it is where it is (``image.pulling``, ``unschedulable``, ...).
        since: When that began, by the clock of ``accepted_at``, where it is known.
        progress: How far it is, for a person: ``3.1 of 10.2 MB``.
        fatal: True when waiting will not help: the job can never start as it is.
        outcome: How it ended, by the engine's evidence alone.
    """

    job_id: str
    state: JobState
    name: str
    engine_id: str | None = None
    record_id: str | None = None
    spec_hash: str | None = None
    labels: Mapping[str, str] = field(factory=dict)
    launched: bool = True
    accepted_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    deadline_seconds: float | None = None
    start_deadline_seconds: float | None = None
    retention_seconds: float | None = None
    cause: str | None = None
    message: str | None = None
    hint: str | None = None
    since: datetime | None = None
    progress: str | None = None
    fatal: bool = False
    outcome: Outcome | None = field(default=None)

    @outcome.validator
    def _check_outcome(self, _attribute: object, value: Outcome | None) -> None:
        if self.state.terminal != (value is not None):
            msg = f"state {self.state} {'needs' if value is None else 'forbids'} an outcome"
            raise ValueError(msg)
        if value is not None and value.state is not self.state:
            msg = f"state {self.state} with an outcome {value.state}"
            raise ValueError(msg)

    @property
    def never_ran(self) -> bool:
        """Whether its object is gone and provably never ran (see ``launched``)."""
        return self.outcome is not None and not self.launched


class EventKind(enum.StrEnum):
    """What a ``JobEvent`` tells."""

    INTENDED = "intended"
    SPAWNED = "spawned"
    PROGRESS = "progress"
    RUNNING = "running"
    STOPPING = "stopping"
    FINISHED = "finished"
    REMOVED = "removed"


@frozen(kw_only=True)
class JobEvent:
    """Something happened to a job; observers get it at least once, told apart by ``id``.

    Of the kind ``progress``, ``message`` says what its spawn is doing, ``cause`` is the code that
    others see while it does (``JobStatus.cause``), and ``data`` may have ``current`` and ``total``:
    how far it is, in bytes.
    """

    id: str
    kind: EventKind
    job_id: str
    time: datetime
    message: str = ""
    cause: str | None = None
    outcome: Outcome | None = None
    data: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class LogChunk:
    """A piece of a job's log, as the program wrote it.

    Attributes:
        stream: ``stdout`` or ``stderr`` (``stdout`` for all where the engine mixes them).
        data: The bytes; a chunk may end inside a line or a character.
        cursor: Give it to ``logs`` to go on right behind this chunk.
        time: When the engine received it.
        lost: Bytes that are known to be missing before this chunk (log rotation, a full disk).
        lost_reason: Why bytes are missing, or may be, where ``lost`` does not count them all: the
            engine began a new file of the log, and does not say how much was in the old ones.

    A chunk without data tells at the end of a log that something of it is missing before that end.
    """

    stream: str
    data: bytes
    cursor: str
    time: datetime | None = None
    lost: int = 0
    lost_reason: str | None = None

    @property
    def gap(self) -> bool:
        """Whether bytes are missing before this chunk, or may be."""
        return self.lost > 0 or self.lost_reason is not None


@frozen(kw_only=True)
class JobSeen:
    """Watch: a job of the instance as it stands now."""

    status: JobStatus
    cursor: str | None = None


@frozen(kw_only=True)
class JobGone:
    """Watch: the object of a job is no longer in the engine.

    Attributes:
        job_id: The job.
        engine_id, record_id: Which object it was; without either core looks before it believes.
    """

    job_id: str
    engine_id: str | None = None
    record_id: str | None = None
    cursor: str | None = None


@frozen(kw_only=True)
class Synced:
    """Watch: all existing jobs were told of, and the stream of changes is open."""

    cursor: str | None = None


WatchEvent = JobSeen | JobGone | Synced
