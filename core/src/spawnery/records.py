"""Records: what we remember of a job outside the engine, and the port to where it is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from attrs import evolve, frozen

from spawnery.errors import JobNotFound
from spawnery.holders import is_alive
from spawnery.outcomes import Outcome


@frozen(kw_only=True)
class Kill:
    """Why we end a job; recorded before it is done.

    Attributes:
        reason: ``stop``, ``deadline``, ``start_deadline`` or ``hopeless`` (it can never start).
        at: When we decided it.
        cause, message, hint: What the job was waiting for when we gave it up.
    """

    reason: str
    at: datetime
    cause: str | None = None
    message: str | None = None
    hint: str | None = None


@frozen(kw_only=True)
class Record:
    """All that is remembered of one job.

    Attributes:
        job_id, name, spec_hash: Its identity.
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

    A lease is held by a process (``holders.new_holder``) for some seconds; a holder that is known
    to be dead holds nothing.

    Errors: ``StateError`` when the place cannot be used.
    """

    def get(self, job_id: str) -> Record | None:
        """Return the record of a job."""

    def begin(self, record: Record, *, holder: str, seconds: float) -> Begun:
        """Write the intent where there is no record yet, and take the job's lease if it is free."""

    def created(self, job_id: str, *, engine_id: str, at: datetime) -> Record:
        """Mark that the object exists and may run; returns the record (a kill may be in it).

        Raises:
            JobNotFound: There is no record.
        """

    def withdraw(self, job_id: str) -> bool:
        """Delete an intent that never reached ``created`` and has no kill or outcome."""

    def kill(self, record: Record, kill: Kill) -> Record:
        """Write why we end a job, and its record where it is missing; the first reason stays."""

    def finish(
        self, record: Record, outcome: Outcome, *, at: datetime, expires_at: datetime
    ) -> tuple[Record, bool]:
        """Write the outcome once; returns the record and whether this call wrote it."""

    def announced(self, job_id: str) -> None:
        """Mark that observers were told of the end."""

    def forget(self, job_id: str) -> None:
        """Delete the record."""

    def unfinished(self) -> Sequence[Record]:
        """Return the records without an outcome."""

    def finished(self) -> Sequence[Record]:
        """Return the records with an outcome, oldest first."""

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
