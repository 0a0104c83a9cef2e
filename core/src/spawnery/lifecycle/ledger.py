"""Writes down what becomes of jobs: the one place where kills and outcomes are recorded."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve, field, frozen

from spawnery.contract.declaration import Clock
from spawnery.contract.engine_clock import EngineClock
from spawnery.contract.records import JobRecords, Kill, KnownPlace, Record
from spawnery.errors import JobNotFound
from spawnery.lifecycle.decisions.evidence import concerns
from spawnery.lifecycle.decisions.policy import Present
from spawnery.lifecycle.decisions.verdict import verdict
from spawnery.lifecycle.observers import Observers
from spawnery.model.names import object_name
from spawnery.model.outcome import (
    EventKind,
    JobGone,
    JobState,
    JobStatus,
    KillReason,
    Outcome,
)
from spawnery.model.secret import Masker
from spawnery.records.placement import Placement

_WAITING: Final = frozenset({JobState.QUEUED, JobState.PENDING})


@frozen(kw_only=True)
class Ledger:
    """Records with the rules of what is written into them.

    Attributes:
        placement: The records, at the place of the engine.
        holder: Who we are, for leases.
        observers: Who is told.
        masker: Masks the text of outcomes.
        clock: Our time.
        engine_clock: The engine's.
        keep: How long the record of an ended job is kept.
        prefix: Beginning of the objects' names.
    """

    placement: Placement
    holder: str
    observers: Observers = field(repr=False)
    masker: Masker = field(repr=False)
    clock: Clock
    engine_clock: EngineClock = field(factory=EngineClock)
    keep: timedelta
    prefix: str

    @property
    def records(self) -> JobRecords:
        """The records of the present place; the first use asks the engine which one that is."""
        return self.placement.records

    def present(self) -> Present:
        """Return the moment at which something is to be decided."""
        return Present(engine=self.engine_clock.now(), ours=self.clock.now())

    def engine_time(self, moment: datetime) -> datetime:
        """Return a time of our clock as the engine's clock showed it."""
        return moment + self.engine_clock.shift()

    def concerns(self, record: Record, seen: JobStatus | JobGone) -> bool:
        """Tell whether evidence belongs to the job of a record."""
        offset = self.engine_clock.offset() if self.engine_clock.measured else None
        return concerns(record, seen, offset=offset)

    def of_object(
        self, status: JobStatus, record: Record | None = None
    ) -> tuple[Record, bool] | None:
        """Return the record of an object that is in the engine now, and whether it is a new one.

        A record is made from the object where it was lost. None where the record is another job's.

        Args:
            status: The object.
            record: What is kept under the job's id, where that was read since it was seen.
        """
        record = record or self.records.get(status.job_id)
        if record is None:
            return self.from_object(status), True
        if not self.concerns(record, status):
            return None
        return self.located(record), False

    def located(self, record: Record) -> Record:
        """Note that the object of a record is in this place, where that was not known."""
        if self.records.absence_counts(record):
            return record
        return self.records.seen_here(record)

    def from_object(self, status: JobStatus) -> Record:
        """Make the record of an object that has none."""
        now = self.clock.now()
        return Record(
            job_id=status.job_id,
            name=status.name,
            spec_hash=status.spec_hash or "",
            record_id=status.record_id,
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
            record_id=secrets.token_hex(8),
            intended_at=self.clock.now(),
            retention_seconds=retention_seconds,
        )

    def kill(
        self,
        record: Record,
        reason: KillReason,
        status: JobStatus | None = None,
        *,
        new: bool = False,
    ) -> Record:
        """Record why we end a job, before we do it; what it was waiting for goes with it.

        Args:
            record: Of the job.
            reason: Why.
            status: Its object as it was last seen.
            new: Write the record where it is missing: for an object that is in the engine now.
        """
        waiting = status if status is not None and status.state in _WAITING else None
        given_up = waiting if reason.gives_up else None
        kill = Kill(
            reason=reason,
            at=self.clock.now(),
            cause=None if given_up is None else given_up.cause,
            message=None if waiting is None else self._masked(waiting.message),
            hint=None if waiting is None else self._masked(_lasting(waiting)),
        )
        record = self.records.kill(record, kill, new=new)
        if record.kill is not None and record.outcome is None:
            self.observers.tell(EventKind.STOPPING, record.job_id, reason)
        return record

    def finish(self, record: Record, seen: Outcome | None, *, new: bool = False) -> Record:
        """Record how a job ended, once; later evidence changes nothing.

        Args:
            record: Of the job.
            seen: The engine's evidence.
            new: Write the record where it is missing: for an object that is in the engine now.

        Returns:
            The record; without an outcome where it was removed meanwhile.
        """
        if record.outcome is not None:
            self.announce(record)
            return record
        outcome = self._clean(verdict(record, seen))
        now = self.clock.now()
        if outcome.finished_at is None:
            outcome = evolve(outcome, finished_at=self.engine_clock.best_guess())
        record, first = self.records.finish(
            record, outcome, at=now, expires_at=self._expiry(now), new=new
        )
        if record.outcome is not None:
            self.announce(record, first=first)
        return record

    def give_up_place(self, key: str) -> Sequence[Record]:
        """End all jobs of a place that is gone for good.

        Raises:
            LookupError: There is no such place, or it is the present one.
        """
        now = self.clock.now()
        outcome = Outcome(
            state=JobState.LOST,
            cause="lost.place",
            message=f"the place {key} where it lived was given up",
            hint="it may have run to its end or not: look at what it was to produce",
            finished_at=now,
            log_tail_missing="the place is gone",
        )
        ended = self.records.give_up(key, outcome, at=now, expires_at=self._expiry(now))
        for record in ended:
            self.observers.tell(EventKind.FINISHED, record.job_id, outcome=record.outcome)
        return ended

    def unknown(self, job_id: str) -> JobNotFound:
        """Return the error for an id that is not known here; it names the places where it is."""
        there = self.records.elsewhere(job_id)
        if there:
            msg = f"no job {job_id} in this place"
            hint = f"it lives in another one, {_titles(there)}: spawnery places lists them"
            return JobNotFound(msg, job_id=job_id, hint=hint)
        msg = f"no job {job_id}: neither the engine nor the records know it"
        return JobNotFound(msg, job_id=job_id, hint="spawnery ps --all shows what is there")

    def out_of_reach(self, record: Record) -> JobNotFound:
        """Return the error for a job that is not seen here, where absence proves nothing."""
        known = [found for found in self.records.places() if found.key == record.place]
        where = f", {_titles(known)}" if known else ""
        msg = f"job {record.job_id} is not seen here; it may live where it was spawned{where}"
        hint = "point the spawner to where it was spawned: spawnery places lists the places"
        return JobNotFound(msg, job_id=record.job_id, hint=hint)

    def not_created(self, job_id: str, *, record: Record | None) -> JobNotFound:
        """Return the error for who waits for a job that was being created and never was.

        Args:
            job_id: The job.
            record: What is left of it: None where its spawn has failed.
        """
        if record is None:
            msg = f"job {job_id} was not created: its spawn failed"
            hint = "the process that spawned it was told why"
        else:
            msg = f"job {job_id} was not created: the process that spawned it is gone"
            hint = "spawn it again"
        return JobNotFound(msg, job_id=job_id, hint=hint)

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
        self.placement.unplaced.release_all(holder=self.holder)

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


def _lasting(status: JobStatus) -> str | None:
    """Return the hint of a job that is about to be removed, without commands about its object."""
    lines = (status.hint or "").splitlines()
    return "\n".join(line for line in lines if not status.name or status.name not in line) or None


def _titles(places: Sequence[KnownPlace]) -> str:
    return ", ".join(f"{found.place.title} ({found.key})" for found in places)
