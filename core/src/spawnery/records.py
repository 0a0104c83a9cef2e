"""Records: what we remember of a job outside the engine, and the port to where it is kept."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from attrs import evolve, frozen

from spawnery.contract import Place
from spawnery.errors import JobNotFound
from spawnery.holders import is_alive
from spawnery.outcomes import Outcome


class KillReason(enum.StrEnum):
    """Why we end a job; what each means for its outcome stands in ``verdict``."""

    STOP = "stop"
    """Somebody asked for it."""
    DEADLINE = "deadline"
    START_DEADLINE = "start_deadline"
    HOPELESS = "hopeless"
    """It can never start."""


@frozen(kw_only=True)
class Kill:
    """Why we end a job; recorded before it is done.

    Attributes:
        reason: Why.
        at: When we decided it.
        cause, message, hint: What the job was waiting for when we gave it up.
    """

    reason: KillReason
    at: datetime
    cause: str | None = None
    message: str | None = None
    hint: str | None = None


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


class MemoryRecords:
    """Records in this process alone: for tests, and for callers that need no memory."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._now = time.monotonic

    def get(self, job_id: str) -> Record | None:
        """See ``JobRecords``."""
        return self._records.get(job_id)

    def begin(self, record: Record, *, holder: str, seconds: float) -> Begun:
        """See ``JobRecords``."""
        with self._lock:
            inserted = record.job_id not in self._records
            found = self._records.setdefault(record.job_id, record)
            leased = self._take(record.job_id, holder, seconds)
            return Begun(record=found, inserted=inserted, leased=leased)

    def _take(self, key: str, holder: str, seconds: float) -> bool:
        if self._holder(key) not in (None, holder):
            return False
        self._leases[key] = (holder, self._now() + seconds)
        return True

    def _holder(self, key: str) -> str | None:
        holder, until = self._leases.get(key, (None, 0.0))
        if holder is None or until < self._now() or not is_alive(holder):
            return None
        return holder

    def _change(self, job_id: str, **changes: Any) -> Record:
        record = self._records.get(job_id)
        if record is None:
            msg = f"no record of job {job_id}"
            raise JobNotFound(msg, job_id=job_id)
        self._records[job_id] = changed = evolve(record, **changes)
        return changed

    def created(self, job_id: str, *, engine_id: str, at: datetime) -> Record:
        """See ``JobRecords``."""
        with self._lock:
            return self._change(job_id, engine_id=engine_id, created_at=at)

    def withdraw(self, job_id: str) -> bool:
        """See ``JobRecords``."""
        with self._lock:
            record = self._records.get(job_id)
            if record is None or record.created_at or record.kill or record.outcome:
                return False
            del self._records[job_id]
            return True

    def kill(self, record: Record, kill: Kill) -> Record:
        """See ``JobRecords``."""
        with self._lock:
            found = self._records.setdefault(record.job_id, record)
            if found.kill or found.outcome:
                return found
            return self._change(record.job_id, kill=kill)

    def finish(
        self, record: Record, outcome: Outcome, *, at: datetime, expires_at: datetime
    ) -> tuple[Record, bool]:
        """See ``JobRecords``."""
        with self._lock:
            found = self._records.setdefault(record.job_id, record)
            if found.outcome:
                return found, False
            written = self._change(
                record.job_id, outcome=outcome, ended_at=at, expires_at=expires_at
            )
            return written, True

    def announced(self, job_id: str) -> None:
        """See ``JobRecords``."""
        with self._lock:
            if job_id in self._records:
                self._change(job_id, announced=True)

    def forget(self, job_id: str) -> None:
        """See ``JobRecords``."""
        with self._lock:
            self._records.pop(job_id, None)
            self._leases.pop(job_id, None)

    def unfinished(self) -> Sequence[Record]:
        """See ``JobRecords``."""
        with self._lock:
            return [r for r in self._records.values() if r.outcome is None]

    def finished(self) -> Sequence[Record]:
        """See ``JobRecords``."""
        with self._lock:
            ended = [r for r in self._records.values() if r.outcome is not None]
        return sorted(ended, key=lambda r: r.ended_at or r.intended_at)

    def lease(self, key: str, *, holder: str, seconds: float) -> bool:
        """See ``JobRecords``."""
        with self._lock:
            return self._take(key, holder, seconds)

    def leased(self, key: str) -> str | None:
        """See ``JobRecords``."""
        with self._lock:
            return self._holder(key)

    def renew(self, *, holder: str, seconds: float) -> None:
        """See ``JobRecords``."""
        with self._lock:
            until = self._now() + seconds
            mine = [key for key, (who, _) in self._leases.items() if who == holder]
            self._leases.update((key, (holder, until)) for key in mine)

    def release(self, key: str, *, holder: str) -> None:
        """See ``JobRecords``."""
        with self._lock:
            if self._leases.get(key, ("", 0.0))[0] == holder:
                del self._leases[key]

    def release_all(self, *, holder: str) -> None:
        """See ``JobRecords``."""
        with self._lock:
            for key in [key for key, (who, _) in self._leases.items() if who == holder]:
                del self._leases[key]

    def close(self) -> None:
        """Nothing to let go of."""
