"""Records in this process alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from attrs import evolve

from spawnery.contract.records import Begun, Kill, KnownPlace, Record, Step
from spawnery.contract.requests import Place
from spawnery.errors import JobNotFound
from spawnery.model.outcome import Outcome
from spawnery.records.duplicates import doubles, is_other
from spawnery.records.leases import is_alive
from spawnery.records.places import PlaceRow, key_of, known_row


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
