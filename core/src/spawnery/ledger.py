"""Writes down what becomes of jobs: the one place where kills and outcomes are recorded."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from attrs import evolve, field, frozen

from spawnery.naming import object_name
from spawnery.observers import Observers
from spawnery.outcomes import EventKind, JobState, JobStatus, Outcome
from spawnery.plugin import Clock
from spawnery.records import JobRecords, Kill, Record
from spawnery.secret import Masker
from spawnery.verdict import verdict

_WAITING: Final = frozenset({JobState.QUEUED, JobState.PENDING})


@frozen(kw_only=True)
class Ledger:
    """Records with the rules of what is written into them.

    Attributes:
        records: Where it is written.
        holder: Who we are, for leases.
        observers: Who is told.
        masker: Masks the text of outcomes.
        clock: Time.
        keep: How long the record of an ended job is kept.
        prefix: Beginning of the objects' names.
    """

    records: JobRecords
    holder: str
    observers: Observers = field(repr=False)
    masker: Masker = field(repr=False)
    clock: Clock
    keep: timedelta
    prefix: str

    def remembered(self, status: JobStatus) -> Record:
        """Return the record of an object, made from the object where it was lost."""
        return self.records.get(status.job_id) or self.from_status(status)

    def from_status(self, status: JobStatus) -> Record:
        """Make the record of an object that has none."""
        now = self.clock.now()
        return Record(
            job_id=status.job_id,
            name=status.name,
            spec_hash=status.spec_hash or "",
            intended_at=status.accepted_at or now,
            retention_seconds=status.retention_seconds or 0,
            engine_id=status.engine_id or status.name,
            created_at=status.accepted_at or now,
        )

    def intent(self, job_id: str, *, spec_hash: str, retention_seconds: float) -> Record:
        """Make the record of a job that is about to be spawned."""
        return Record(
            job_id=job_id,
            name=object_name(self.prefix, job_id),
            spec_hash=spec_hash,
            intended_at=self.clock.now(),
            retention_seconds=retention_seconds,
        )

    def kill(self, record: Record, reason: str, status: JobStatus | None = None) -> Record:
        """Record why we end a job, before we do it; what it was waiting for goes with it."""
        waiting = status if status is not None and status.state in _WAITING else None
        given_up = reason in {"start_deadline", "hopeless"}
        kill = Kill(
            reason=reason,
            at=self.clock.now(),
            cause=waiting.cause if waiting is not None and given_up else None,
            message=self._masked(waiting.message) if waiting is not None else None,
            hint=self._masked(waiting.hint) if waiting is not None else None,
        )
        record = self.records.kill(record, kill)
        if record.outcome is None:
            self.observers.tell(EventKind.STOPPING, record.job_id, reason)
        return record

    def finish(self, record: Record, seen: Outcome | None) -> Record:
        """Record how a job ended, once; later evidence changes nothing."""
        outcome = self._clean(verdict(record, seen))
        now = self.clock.now()
        if outcome.finished_at is None:
            outcome = evolve(outcome, finished_at=now)
        record, first = self.records.finish(record, outcome, at=now, expires_at=self._expiry(now))
        self.announce(record, first=first)
        return record

    def announce(self, record: Record, *, first: bool = False) -> None:
        """Tell observers of an end: of one written here, and of one that they never heard of."""
        if first or (self.observers.lasting and not record.announced):
            self.observers.tell(EventKind.FINISHED, record.job_id, outcome=record.outcome)

    def tell_again(self) -> None:
        """Tell observers of the ends that no process has told them of."""
        if self.observers.lasting:
            for record in self.records.finished():
                self.announce(record)

    def let_go(self) -> None:
        """Give back all leases: no more evidence comes from us."""
        self.records.release_all(holder=self.holder)

    def _expiry(self, now: datetime) -> datetime:
        return now + self.keep

    def _masked(self, text: str | None) -> str | None:
        return None if text is None else self.masker.mask(text)

    def _clean(self, outcome: Outcome) -> Outcome:
        return evolve(
            outcome,
            message=self.masker.mask(outcome.message),
            hint=self._masked(outcome.hint),
            log_tail=self._masked(outcome.log_tail),
        )
