"""One object of the fake engine, and what it is at a moment: pure functions of the clock."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from attrs import define, field

from spawnery.contract.declaration import LABEL_PREFIX, LABEL_RECORD_ID
from spawnery.model.outcome import JobState, JobStatus, Outcome
from spawnery.model.secret import Masker, Secret
from spawnery.testing.fake.program import End, Piece, Program, environment, parse

_SIGNALS: Final = {2: "SIGINT", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}
_SIGNAL_BASE: Final = 128


class Phase(enum.StrEnum):
    """Where an object stands."""

    CREATED = "created"
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"
    VANISHED = "vanished"


@define(kw_only=True)
class FakeJob:
    """An object of the engine; made of what JSON can carry. Times are seconds since the epoch.

    Attributes:
        name: Its name, unique in the engine.
        job_id, instance: Whose it is; None when it is foreign.
        engine_id: The engine's id of it.
        spec_hash, labels: As its spawner gave them.
        words: The program.
        env: All variables, as the program sees them.
        secret_keys: Those of them whose values are masked in the outcome.
        carried: Image, network, resources and so on, to be looked at.
        limits: Deadlines and retention in seconds, by name.
        created_at, launched_at: When it was made, when it was started.
        script: The fields of ``FakeOptions``.
        owner: The spawner that started it, where the object goes at its exit (AutoRemove).
        follow: Whether that spawner keeps the log.
        signals: What it got: (time, number, whether it came from outside).
        stopped_at: When it was stopped before its program ran.
        tail_bytes: How much of its log the outcome carries.
        logged: The phase that the engine's change log knows of.
    """

    name: str
    engine_id: str
    created_at: float
    job_id: str | None = None
    instance: str | None = None
    spec_hash: str = ""
    labels: dict[str, str] = field(factory=dict)
    words: list[str] = field(factory=list)
    env: dict[str, str] = field(factory=dict, repr=False)
    secret_keys: list[str] = field(factory=list)
    carried: dict[str, Any] = field(factory=dict)
    limits: dict[str, float | None] = field(factory=dict)
    launched_at: float | None = None
    script: dict[str, Any] = field(factory=dict)
    owner: str | None = None
    auto_remove: bool = False
    follow: bool = False
    signals: list[list[float]] = field(factory=list)
    stopped_at: float | None = None
    tail_bytes: int = 0
    logged: str = ""

    @property
    def record_id(self) -> str | None:
        """Id of the record that it belongs to."""
        return self.labels.get(LABEL_RECORD_ID)

    @property
    def program(self) -> Program:
        """What runs in it."""
        return parse(tuple(self.words))

    def _asked(self, name: str) -> float:
        return float(self.script.get(name) or 0.0)

    @property
    def admitted_at(self) -> float | None:
        """When the engine let it in."""
        if self.launched_at is None:
            return None
        return self.launched_at + self._asked("queued_seconds")

    @property
    def runs_at(self) -> float | None:
        """When its program begins; None when it never does."""
        if self.admitted_at is None or self.script.get("fatal"):
            return None
        at = self.admitted_at + self._asked("slow_start_seconds")
        return None if self.stopped_at is not None and self.stopped_at <= at else at

    def ending(self) -> tuple[float, End] | None:
        """Return when and how it ends, as things are; None when it does not."""
        if self.runs_at is None:
            return None if self.stopped_at is None else (self.stopped_at, End("stopped", 0))
        after, end = self._running_end(self.runs_at)
        return self.runs_at + after, end

    def _running_end(self, start: float) -> tuple[float, End]:
        """Return how many seconds after its start, and how, its program ends."""
        signals = tuple((at - start, int(number)) for at, number, _ in self.signals)
        after, end = self.program.killed(signals)
        oom = self.script.get("oom_after_seconds")
        return (oom, End("oom", 9)) if oom is not None and oom < after else (after, end)

    def vanishes_at(self) -> float | None:
        """When the engine loses it."""
        after = self.script.get("lost_after_seconds")
        return None if after is None or self.runs_at is None else self.runs_at + after

    def transitions(self) -> Iterator[float]:
        """Yield the times at which it changes by itself."""
        ending = self.ending()
        times = (self.admitted_at, self.runs_at, ending and ending[0], self.vanishes_at())
        yield from (at for at in times if at is not None)

    def phase(self, now: float) -> Phase:
        """Return where it stands."""
        if self.launched_at is None and self.stopped_at is None:
            return Phase.CREATED
        vanishes = self.vanishes_at()
        if vanishes is not None and now >= vanishes:
            return Phase.VANISHED
        ending = self.ending()
        if ending is not None and now >= ending[0]:
            return Phase.ENDED
        if self.runs_at is not None and now >= self.runs_at:
            return Phase.RUNNING
        return Phase.STARTING if now >= (self.admitted_at or 0) else Phase.QUEUED

    def output(self, now: float) -> Iterator[tuple[float, Piece]]:
        """Yield (time, piece) of what it has written."""
        start = self.runs_at
        if start is None or now < start:
            return
        after, _ = self._running_end(start)
        until = after if now >= start + after else now - start
        for piece in self.program.written(until=until):
            yield start + piece.at, piece

    def tail(self, now: float) -> str:
        """Return the end of its log, without secrets: also one that the cut goes through."""
        env, found = environment(self.env), b""
        wanted = self.tail_bytes + max((len(self.env[key]) for key in self.secret_keys), default=0)
        for _, piece in reversed(list(self.output(now))):
            size = piece.size(env)
            found = piece.read(env, max(0, size - wanted), size) + found
            if len(found) >= wanted:
                break
        masker = Masker()
        masker.add([Secret(self.env[key]) for key in self.secret_keys])
        text = masker.mask(found.decode(errors="replace"))
        return text[max(0, len(text) - self.tail_bytes) :]


def _when(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


_STATES: Final = {
    Phase.CREATED: JobState.PENDING,
    Phase.QUEUED: JobState.QUEUED,
    Phase.STARTING: JobState.PENDING,
    Phase.RUNNING: JobState.RUNNING,
}


def status_of(job: FakeJob, now: float) -> JobStatus:
    """Describe one of our objects as the contract wants it."""
    phase = job.phase(now)
    outcome = outcome_of(job) if phase is Phase.ENDED else None
    queued = job.script.get("queued_seconds")
    waiting = phase in {Phase.QUEUED, Phase.STARTING}
    return JobStatus(
        job_id=job.job_id or "",
        state=_STATES[phase] if outcome is None else outcome.state,
        name=job.name,
        engine_id=job.engine_id,
        record_id=job.record_id,
        spec_hash=job.spec_hash,
        labels={k: v for k, v in job.labels.items() if not k.startswith(LABEL_PREFIX)},
        launched=job.launched_at is not None,
        accepted_at=_when(job.admitted_at if queued and job.launched_at else job.created_at),
        started_at=_when(job.runs_at) if phase in {Phase.RUNNING, Phase.ENDED} else None,
        deadline_seconds=job.limits.get("deadline"),
        start_deadline_seconds=job.limits.get("start_deadline"),
        retention_seconds=job.limits.get("retention"),
        cause=job.script.get("pending_cause") if waiting else None,
        message=job.script.get("pending_message") if waiting else None,
        hint=job.script.get("pending_hint") if waiting else None,
        fatal=bool(job.script.get("fatal")) and waiting,
        outcome=outcome,
    )


def outcome_of(job: FakeJob) -> Outcome:
    """Say how a job ended, by the engine's evidence alone."""
    ending = job.ending()
    if ending is None:
        msg = f"{job.name} has not ended"
        raise ValueError(msg)
    at, end = ending
    outside = any(by_others for when, _, by_others in job.signals if when == at)
    state, cause, code, message, hint = _told(end, outside=outside)
    ran, wanted = job.runs_at is not None, state is JobState.FAILED or bool(job.signals)
    tail = job.tail(at) if ran and wanted else None
    missing = "it succeeded" if ran else "the program never ran"
    return Outcome(
        state=state,
        cause=cause,
        message=message,
        hint=hint,
        exit_code=code,
        oom=None if end.kind == "stopped" else end.kind == "oom",
        started_at=_when(job.runs_at),
        finished_at=_when(at),
        log_tail=tail,
        log_tail_missing=None if tail is not None else missing,
    )


def _told(end: End, *, outside: bool) -> tuple[JobState, str, int | None, str, str | None]:
    if end.kind == "stopped":
        hint = "spawn it again under a new job id"
        return JobState.FAILED, "killed.external", None, "it was stopped before it ran", hint
    if end.kind == "oom":
        code = _SIGNAL_BASE + 9
        hint = "give it more memory: resources.memory_limit=2Gi"
        return JobState.FAILED, "oom", code, "it ran out of memory (SIGKILL)", hint
    if end.kind == "signal":
        name = _SIGNALS.get(end.number, f"signal {end.number}")
        code = _SIGNAL_BASE + end.number
        if outside:
            hint = "look who did: the engine's own log names them"
            return JobState.FAILED, "killed.external", code, f"somebody sent it {name}", hint
        return JobState.FAILED, "exit.signal", code, f"it died of {name}", "look at its log"
    if end.number == 0:
        return JobState.SUCCEEDED, "exit.zero", 0, "exit code 0", None
    return JobState.FAILED, "exit.nonzero", end.number, f"exit code {end.number}", "look at its log"
