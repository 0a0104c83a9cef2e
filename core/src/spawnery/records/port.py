"""Records: what we remember of a job outside the engine, and the port to where it is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from attrs import evolve, field, frozen

from spawnery.contract.requests import Place
from spawnery.errors import JobNotFound
from spawnery.model.outcome import KillReason, Outcome
from spawnery.records.leases import is_alive
from spawnery.records.places import PlaceRow, key_of, known_row


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


def is_other(one: Record, other: Record) -> bool:
    """Tell whether two records of one job id are known to be of different jobs."""
    return None not in {one.record_id, other.record_id} and one.record_id != other.record_id


def doubles(records: Iterable[Record]) -> list[tuple[Record, list[Record]]]:
    """Find records of one object, which two endpoints of one engine kept while it hid its id.

    Args:
        records: Of the present place; other jobs of one id (of cloned engines) are let be.

    Returns:
        For each such object the record that stays, and those that are to go.
    """
    jobs: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.record_id or record.engine_id:
            mark = record.record_id or record.engine_id or ""
            jobs.setdefault((record.job_id, mark), []).append(record)
    found = []
    for same in jobs.values():
        best = max(same, key=lambda r: (r.outcome is not None, r.kill is not None))
        if len(same) > 1:
            found.append((best, [record for record in same if record is not best]))
    return found


class MemoryRecords:
    """Records in this process alone: for tests, and for callers that need no memory."""

    def __init__(self) -> None:
        self._records: dict[tuple[str | None, str], Record] = {}
        self._leases: dict[tuple[str | None, str], tuple[str, float]] = {}
        self._places: dict[str, PlaceRow] = {}
        self._joined: set[frozenset[str]] = set()
        self._key: str | None = None
        self._lock = threading.RLock()
        self._now = time.monotonic

    def _keys(self) -> list[str | None]:
        """Return the keys of all endpoints of the present place, and None: no place known."""
        here = self._places.get(self._key or "")
        if here is None:
            return [None]
        same = [
            row.key
            for row in self._places.values()
            if row.key != self._key and row.place.id is not None and row.place.id == here.place.id
        ]
        return [self._key, *same, None]

    def get(self, job_id: str) -> Record | None:
        """See ``JobRecords``."""
        with self._lock:
            found = (self._records.get((key, job_id)) for key in self._keys())
            return next((record for record in found if record is not None), None)

    def begin(self, record: Record, *, holder: str, seconds: float) -> Begun:
        """See ``JobRecords``."""
        with self._lock:
            found = self.get(record.job_id)
            inserted = found is None
            if found is None:
                found = self._write(evolve(record, place=self._key))
            leased = self._take(record.job_id, holder, seconds)
            return Begun(record=found, inserted=inserted, leased=leased)

    def _write(self, record: Record) -> Record:
        self._records[record.place, record.job_id] = record
        return record

    def _take(self, key: str, holder: str, seconds: float) -> bool:
        if self._holder(key) not in (None, holder):
            return False
        self._leases[self._key, key] = (holder, self._now() + seconds)
        return True

    def _holder(self, key: str) -> str | None:
        for place in self._keys():
            holder, until = self._leases.get((place, key), (None, 0.0))
            if holder is not None and until >= self._now() and is_alive(holder):
                return holder
        return None

    def created(
        self, job_id: str, *, engine_id: str, at: datetime, record_id: str | None = None
    ) -> Record:
        """See ``JobRecords``."""
        with self._lock:
            record = self.get(job_id)
            if record is None:
                msg = f"no record of job {job_id}"
                raise JobNotFound(msg, job_id=job_id)
            record_id = record_id or record.record_id
            changed = evolve(record, engine_id=engine_id, created_at=at, record_id=record_id)
            return self._write(changed)

    def step(self, job_id: str, step: Step) -> None:
        """See ``JobRecords``."""
        with self._lock:
            record = self.get(job_id)
            if record is not None and record.created_at is None:
                self._write(evolve(record, step=step))

    def withdraw(self, job_id: str) -> bool:
        """See ``JobRecords``."""
        with self._lock:
            record = self.get(job_id)
            if record is None or record.created_at or record.kill or record.outcome:
                return False
            del self._records[record.place, job_id]
            return True

    def _found(self, record: Record, *, new: bool) -> Record | None:
        """Return what is kept of a job; None where it is another one's, or there is none."""
        found = self.get(record.job_id)
        if found is None and new:
            return self._write(evolve(record, place=self._key))
        return None if found is None or is_other(found, record) else found

    def kill(self, record: Record, kill: Kill, *, new: bool = False) -> Record:
        """See ``JobRecords``."""
        with self._lock:
            found = self._found(record, new=new)
            if found is None:
                return record
            if found.kill or found.outcome:
                return found
            return self._write(evolve(found, kill=kill))

    def finish(
        self,
        record: Record,
        outcome: Outcome,
        *,
        at: datetime,
        expires_at: datetime,
        new: bool = False,
    ) -> tuple[Record, bool]:
        """See ``JobRecords``."""
        with self._lock:
            found = self._found(record, new=new)
            if found is None:
                return record, False
            if found.outcome:
                return found, False
            ended = evolve(found, outcome=outcome, ended_at=at, expires_at=expires_at)
            return self._write(ended), True

    def announced(self, job_id: str) -> None:
        """See ``JobRecords``."""
        with self._lock:
            record = self.get(job_id)
            if record is not None:
                self._write(evolve(record, announced=True))

    def forget(self, job_id: str) -> None:
        """See ``JobRecords``."""
        with self._lock:
            for key in self._keys():
                self._records.pop((key, job_id), None)
                self._leases.pop((key, job_id), None)

    def _all(self) -> list[Record]:
        with self._lock:
            keys = set(self._keys())
            return [record for (key, _), record in self._records.items() if key in keys]

    def unfinished(self) -> Sequence[Record]:
        """See ``JobRecords``."""
        return [record for record in self._all() if record.outcome is None]

    def finished(self) -> Sequence[Record]:
        """See ``JobRecords``."""
        ended = [record for record in self._all() if record.outcome is not None]
        return sorted(ended, key=lambda r: r.ended_at or r.intended_at)

    def enter(self, place: Place) -> str:
        """See ``JobRecords``."""
        with self._lock:
            row = known_row(self._places.values(), place)
            key = key_of(place) if row is None else row.key
            if row is not None and place.id is None:
                place = evolve(place, id=row.place.id)
            place = evolve(place, title=place.title or place.endpoint)
            self._places[key] = PlaceRow(key=key, place=place, seen_at=datetime.now(UTC))
            self._key = key
            for kept, others in doubles(self._all()):
                for other in others:
                    del self._records[other.place, other.job_id]
                    self._join(kept.place, other.place)
            return key

    def _join(self, one: str | None, other: str | None) -> None:
        self._joined.add(frozenset(filter(None, (one, other))))

    def places(self) -> Sequence[KnownPlace]:
        """See ``JobRecords``."""
        with self._lock:
            here = self._keys()
            waiting = [record.place for record in self._records.values() if record.outcome is None]
            return [
                KnownPlace(
                    key=row.key,
                    place=row.place,
                    seen_at=row.seen_at,
                    unfinished=waiting.count(row.key),
                    here=row.key in here,
                )
                for row in self._places.values()
            ]

    def elsewhere(self, job_id: str) -> Sequence[KnownPlace]:
        """See ``JobRecords``."""
        with self._lock:
            return [
                found
                for found in self.places()
                if not found.here and (found.key, job_id) in self._records
            ]

    def seen_here(self, record: Record) -> Record:
        """See ``JobRecords``."""
        with self._lock:
            if self._key is None or record.place == self._key:
                return record
            if record.place is not None:
                self._join(record.place, self._key)
                return record
            found = self._records.pop((None, record.job_id), None)
            if found is not None:
                self._write(evolve(found, place=self._key))
            return evolve(record, place=self._key)

    def absence_counts(self, record: Record) -> bool:
        """See ``JobRecords``."""
        with self._lock:
            if self._key is None or record.place == self._key:
                return True
            return record.place is not None and {record.place, self._key} in self._joined

    def give_up(
        self, key: str, outcome: Outcome, *, at: datetime, expires_at: datetime
    ) -> Sequence[Record]:
        """See ``JobRecords``."""
        with self._lock:
            if key not in self._places or key in self._keys():
                raise LookupError(key)
            ended = [r for r in self._records.values() if r.place == key and r.outcome is None]
            return [
                self._write(evolve(r, outcome=outcome, ended_at=at, expires_at=expires_at))
                for r in ended
            ]

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
            for place in self._keys():
                if self._leases.get((place, key), ("", 0.0))[0] == holder:
                    del self._leases[place, key]

    def release_all(self, *, holder: str) -> None:
        """See ``JobRecords``."""
        with self._lock:
            for key in [key for key, (who, _) in self._leases.items() if who == holder]:
                del self._leases[key]

    def close(self) -> None:
        """Nothing to let go of."""
