"""Records: what we remember of a job outside the engine, and the port to where it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from attrs import field, frozen

from spawnery.contract.requests import Place
from spawnery.model.outcome import KillReason, Outcome


@frozen(kw_only=True)
class Kill:
    """Why we end a job; recorded before it is done.

    Attributes:
        reason: Why.
        at: When we decided it.
        cause, message, hint: What the job was waiting for when we gave it up.
    """

    reason: KillReason = field(converter=KillReason)
    at: datetime
    cause: str | None = None
    message: str | None = None
    hint: str | None = None


@frozen(kw_only=True)
class Step:
    """What the process that spawns a job is doing, before the engine has the job.

    Attributes:
        holder: That process; what another one wrote that held the lease before counts no more.
        since: When it began with it.
        message: What it is, for a person: ``pulling busybox:1``.
        cause: Stable code (``image.pulling``).
        current, total: How far it is, in bytes, where that is known.
    """

    holder: str
    since: datetime
    message: str
    cause: str | None = None
    current: int | None = None
    total: int | None = None


@frozen(kw_only=True)
class Record:
    """All that is remembered of one job.

    Attributes:
        job_id, name, spec_hash: What it is called and what it runs.
        record_id: Random id that its object carries; None in records of versions before 0.2, whose
            objects are told apart by ``engine_id``.
        place: Key of the place where it lives (``JobRecords.enter``); None where that is not known:
            in a record of a version before 0.2 until its object is seen.
        intended_at: When somebody first wanted it.
        engine_id: Set when its object exists and may have run: from then on it is never
            created again.
        created_at: When that was.
        retention_seconds: How long the engine keeps the ended job.
        step: What its spawn is doing, until the object exists.
        kill: Why we end it, if we do.
        outcome: How it ended; written once.
        ended_at: When that was recorded.
        expires_at: When the record of the ended job may be forgotten.
        announced: Whether all observers were told of the end.
    """

    job_id: str
    name: str
    spec_hash: str
    record_id: str | None = None
    place: str | None = None
    intended_at: datetime
    retention_seconds: float = 0
    engine_id: str | None = None
    created_at: datetime | None = None
    step: Step | None = None
    kill: Kill | None = None
    outcome: Outcome | None = None
    ended_at: datetime | None = None
    expires_at: datetime | None = None
    announced: bool = False

    @property
    def ended(self) -> Outcome:
        """The outcome of a job that has one."""
        if self.outcome is None:
            msg = f"job {self.job_id} has no outcome yet"
            raise ValueError(msg)
        return self.outcome


@frozen(kw_only=True)
class KnownPlace:
    """A place where jobs of the instance live or have lived.

    Attributes:
        key: Its name in ``spawnery places``.
        place: The place as it was last seen.
        seen_at: When we last were there.
        unfinished: How many jobs there have no outcome.
        here: Whether it is the place that these records are in now.
    """

    key: str
    place: Place
    seen_at: datetime
    unfinished: int = 0
    here: bool = False


@frozen(kw_only=True)
class Begun:
    """What ``JobRecords.begin`` found.

    Attributes:
        record: The record as it stands.
        inserted: Whether this call wrote it.
        leased: Whether the caller now holds the job's lease.
    """

    record: Record
    inserted: bool
    leased: bool


class JobRecords(Protocol):
    """Where records are kept. Every method is atomic, also between processes.

    Jobs belong to a place: until ``enter`` was called the records are of one place without a name,
    and afterwards every other method sees and changes jobs of that place only, and those of
    versions before 0.2 of which nobody knows the place yet (``Record.place`` is None). The same job
    id in two places is two jobs with two leases.

    A lease is held by a process (``holders.new_holder``) for some seconds; a holder that is known
    to be dead holds nothing.

    Errors: ``StateError`` when the place cannot be used.
    """

    def get(self, job_id: str) -> Record | None:
        """Return the record of a job."""

    def begin(self, record: Record, *, holder: str, seconds: float) -> Begun:
        """Write the intent where there is no record yet, and take the job's lease if it is free."""

    def created(
        self, job_id: str, *, engine_id: str, at: datetime, record_id: str | None = None
    ) -> Record:
        """Mark that the object exists and may run; returns the record (a kill may be in it).

        Args:
            job_id: The job.
            engine_id: The engine's id of the object.
            at: Now.
            record_id: What the object carries, where it is not what the record has: of an object
                that was there before its record.

        Raises:
            JobNotFound: There is no record.
        """

    def step(self, job_id: str, step: Step) -> None:
        """Note what the spawn of a job is doing, where there is a record and no object yet."""

    def withdraw(self, job_id: str) -> bool:
        """Delete an intent that never reached ``created`` and has no kill or outcome."""

    def kill(self, record: Record, kill: Kill, *, new: bool = False) -> Record:
        """Write why we end a job; the first reason stays.

        Args:
            record: Of the job. What is kept under its id with another record id is another job's
                and stays as it is.
            kill: Why.
            new: Write the record too where it is missing. Without, a record that was removed
                meanwhile stays removed, and ``record`` is returned as it was given.
        """

    def finish(
        self,
        record: Record,
        outcome: Outcome,
        *,
        at: datetime,
        expires_at: datetime,
        new: bool = False,
    ) -> tuple[Record, bool]:
        """Write the outcome once; returns the record and whether this call wrote it.

        ``record`` and ``new`` as for ``kill``.
        """

    def announced(self, job_id: str) -> None:
        """Mark that observers were told of the end."""

    def forget(self, job_id: str) -> None:
        """Delete the record."""

    def unfinished(self) -> Sequence[Record]:
        """Return the records without an outcome."""

    def finished(self) -> Sequence[Record]:
        """Return the records with an outcome, oldest first."""

    def enter(self, place: Place) -> str:
        """Say where the jobs are from now on; returns the key of that place.

        It is a known place when ids are equal, or, where one of both has no id, when endpoints are.
        A place that was known by its endpoint only learns its id. May be called again, for another
        place too.
        """

    def places(self) -> Sequence[KnownPlace]:
        """Return all places of these records, the present one too."""

    def elsewhere(self, job_id: str) -> Sequence[KnownPlace]:
        """Return the other places that have a record of this id."""

    def seen_here(self, record: Record) -> Record:
        """Note that the object of a record is in the present place.

        A record without a place gets this one. Where it was made through another endpoint of the
        same id, both endpoints are from now on known to lead to one engine.
        """

    def absence_counts(self, record: Record) -> bool:
        """Tell whether the record's object would be seen here if it existed.

        False for a record whose place is not known, and for one that was made through another
        endpoint of which nobody has seen that it leads to the same engine (cloned machines have
        the same id).
        """

    def give_up(
        self, key: str, outcome: Outcome, *, at: datetime, expires_at: datetime
    ) -> Sequence[Record]:
        """End all jobs of a place that is gone; returns the records that this call ended.

        Raises:
            LookupError: There is no such place, or it is the present one.
        """

    def lease(self, key: str, *, holder: str, seconds: float) -> bool:
        """Take or renew a lease; False when somebody else holds it."""

    def leased(self, key: str) -> str | None:
        """Return who holds a lease now."""

    def renew(self, *, holder: str, seconds: float) -> None:
        """Renew all leases of a holder."""

    def release(self, key: str, *, holder: str) -> None:
        """Give a lease back."""

    def release_all(self, *, holder: str) -> None:
        """Give all leases of a holder back."""

    def close(self) -> None:
        """Let go of files; the records stay."""
