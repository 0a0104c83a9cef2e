"""Records in an SQLite file (WAL): several processes at once, safe against kill -9.

``synchronous=NORMAL`` keeps every committed transaction when processes die; a power cut may undo
the last ones, which the engine's labels then make good. A local file system is required
(sqlite.org/wal.html: all processes must be on one host).
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NoReturn

from attrs import evolve

from spawnery.contract.records import Begun, Kill, KnownPlace, Record, Step
from spawnery.contract.requests import Place
from spawnery.errors import JobNotFound, StateError
from spawnery.model.outcome import Outcome
from spawnery.records.codec import dump
from spawnery.records.duplicates import doubles, is_other
from spawnery.records.leases import is_alive
from spawnery.records.places import PlaceRow, key_of, known_row
from spawnery.records.sqlite_tables import (
    COLUMNS,
    HERE,
    NOWHERE,
    SCHEMA,
    SCOPES,
    place_row,
    prepare,
    record_of,
    stamp,
)

_BUSY_SECONDS: Final = 30.0


class SqliteRecords:
    """``JobRecords`` in one file.

    Args:
        path: The file; its folder must exist.
        scope: Whose jobs these are (instance and spawner); others in the file are not seen.

    Raises:
        StateError: ``state.corrupt``, ``state.newer``, ``state.full`` or ``state.denied``.
    """

    def __init__(self, path: Path, *, scope: str) -> None:
        self._path = path
        self._owner = scope
        self._key: str | None = None
        self._scope = scope
        self._lock = threading.Lock()
        with self._translated():
            self._db = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with self._translated():
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            msg = f"the records in {self._path} were written by a newer Spawnery (schema {version})"
            hint = "pip install --upgrade spawnery, or name another folder: SPAWNERY_STATE_DIR"
            raise StateError(msg, cause="state.newer", hint=hint)
        prepare(self._db)
        self._db.execute("PRAGMA synchronous = NORMAL")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn a failure of SQLite into a ``StateError``."""
        try:
            yield
        except sqlite3.Error as error:
            _explain(error, self._path)

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction that writes."""
        with self._lock, self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._undo()
                raise

    def _undo(self) -> None:
        """Roll back what SQLite has not rolled back itself, as it does on a full disk."""
        if self._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")

    # -- rows --------------------------------------------------------------------------------

    @property
    def _here(self) -> str:
        """The condition on rows of ``jobs`` that are to be seen now."""
        return NOWHERE if self._key is None else HERE

    def _names(self, **more: object) -> dict[str, object]:
        return {"owner": self._owner, "key": self._key, **more}

    def _read(self, where: str, **values: object) -> list[Record]:
        sql = f"SELECT {COLUMNS} FROM jobs WHERE {self._here} AND {where}"  # noqa: S608 - constants
        with self._lock, self._translated():
            return [record_of(row) for row in self._db.execute(sql, self._names(**values))]

    def _one(self, db: sqlite3.Connection, job_id: str) -> Record | None:
        found = self._row(db, job_id)
        return found[1] if found else None

    def _row(self, db: sqlite3.Connection, job_id: str) -> tuple[str, Record] | None:
        """Return the scope and the record of a job: ours, another endpoint's, one without place."""
        sql = (
            f"SELECT scope, {COLUMNS} FROM jobs WHERE {self._here} AND job_id = :job"  # noqa: S608 - constants
            " ORDER BY place IS NULL, scope = :owner, place != :key LIMIT 1"
        )
        row = db.execute(sql, self._names(job=job_id)).fetchone()
        return (str(row[0]), record_of(row[1:])) if row else None

    def _insert(self, db: sqlite3.Connection, record: Record) -> Record:
        record = evolve(record, place=self._key)
        sql = (
            "INSERT INTO jobs (scope, job_id, name, spec_hash, intended_at, retention_seconds,"
            " engine_id, created_at, record_id, place) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        values = (
            self._scope,
            record.job_id,
            record.name,
            record.spec_hash,
            stamp(record.intended_at),
            record.retention_seconds,
            record.engine_id,
            stamp(record.created_at),
            record.record_id,
            record.place,
        )
        db.execute(sql, values)
        return record

    def _update(self, db: sqlite3.Connection, scope: str, job_id: str, **values: object) -> Record:
        names = ", ".join(f"{name} = ?" for name in values)
        where = f"WHERE scope = ? AND job_id = ? RETURNING {COLUMNS}"
        sql = f"UPDATE jobs SET {names} {where}"  # noqa: S608 - own names
        return record_of(db.execute(sql, (*values.values(), scope, job_id)).fetchone())

    # -- jobs --------------------------------------------------------------------------------

    def get(self, job_id: str) -> Record | None:
        """See ``JobRecords``."""
        with self._lock, self._translated():
            return self._one(self._db, job_id)

    def begin(self, record: Record, *, holder: str, seconds: float) -> Begun:
        """See ``JobRecords``."""
        with self._change() as db:
            found = self._one(db, record.job_id)
            inserted = found is None
            if found is None:
                found = self._insert(db, record)
            leased = self._take(db, record.job_id, holder, seconds)
        return Begun(record=found, inserted=inserted, leased=leased)

    def created(
        self, job_id: str, *, engine_id: str, at: datetime, record_id: str | None = None
    ) -> Record:
        """See ``JobRecords``."""
        values: dict[str, object] = {"engine_id": engine_id, "created_at": stamp(at)}
        if record_id is not None:
            values["record_id"] = record_id
        with self._change() as db:
            row = self._row(db, job_id)
            if row is None:
                msg = f"no record of job {job_id}"
                raise JobNotFound(msg, job_id=job_id)
            return self._update(db, row[0], job_id, **values)

    def step(self, job_id: str, step: Step) -> None:
        """See ``JobRecords``."""
        sql = (
            f"UPDATE jobs SET step = :step WHERE {self._here} AND job_id = :job"  # noqa: S608 - constants
            " AND created_at IS NULL"
        )
        with self._change() as db:
            db.execute(sql, self._names(job=job_id, step=dump(step)))

    def withdraw(self, job_id: str) -> bool:
        """See ``JobRecords``."""
        sql = (
            f"DELETE FROM jobs WHERE {self._here} AND job_id = :job"  # noqa: S608 - constants
            " AND created_at IS NULL AND kill IS NULL AND outcome IS NULL"
        )
        with self._change() as db:
            return db.execute(sql, self._names(job=job_id)).rowcount > 0

    def _found(
        self, db: sqlite3.Connection, record: Record, *, new: bool
    ) -> tuple[str, Record] | None:
        """Return the row that a record means; None where there is none, or another job's."""
        row = self._row(db, record.job_id)
        if row is None and new:
            return self._scope, self._insert(db, record)
        return None if row is None or is_other(row[1], record) else row

    def kill(self, record: Record, kill: Kill, *, new: bool = False) -> Record:
        """See ``JobRecords``."""
        with self._change() as db:
            row = self._found(db, record, new=new)
            if row is None:
                return record
            scope, found = row
            if found.kill or found.outcome:
                return found
            return self._update(db, scope, record.job_id, kill=dump(kill))

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
        with self._change() as db:
            row = self._found(db, record, new=new)
            if row is None:
                return record, False
            scope, found = row
            if found.outcome:
                return found, False
            written = self._update(
                db,
                scope,
                record.job_id,
                outcome=dump(outcome),
                ended_at=stamp(at),
                expires_at=stamp(expires_at),
            )
            return written, True

    def announced(self, job_id: str) -> None:
        """See ``JobRecords``."""
        sql = f"UPDATE jobs SET announced = 1 WHERE {self._here} AND job_id = :job"  # noqa: S608 - constants
        with self._change() as db:
            db.execute(sql, self._names(job=job_id))

    def forget(self, job_id: str) -> None:
        """See ``JobRecords``."""
        with self._change() as db:
            jobs = f"DELETE FROM jobs WHERE {self._here} AND job_id = :job"  # noqa: S608 - constants
            db.execute(jobs, self._names(job=job_id))
            leases = f"DELETE FROM leases WHERE {self._leases} AND key = :lease"  # noqa: S608 - constants
            db.execute(leases, self._names(lease=job_id))

    def unfinished(self) -> Sequence[Record]:
        """See ``JobRecords``."""
        return self._read("outcome IS NULL")

    def finished(self) -> Sequence[Record]:
        """See ``JobRecords``."""
        return self._read("outcome IS NOT NULL ORDER BY ended_at")

    # -- places ------------------------------------------------------------------------------

    def enter(self, place: Place) -> str:
        """See ``JobRecords``."""
        now = time.time()
        with self._change() as db:
            row = known_row(self._rows(db), place)
            key = key_of(place) if row is None else row.key
            place_id = place.id or (row.place.id if row is not None else None)
            db.execute(
                "INSERT OR REPLACE INTO places (owner, key, scope, endpoint, id, title, seen_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    self._owner,
                    key,
                    f"{self._owner}#{key}",
                    place.endpoint,
                    place_id,
                    place.title or place.endpoint,
                    now,
                ),
            )
            self._key, self._scope = key, f"{self._owner}#{key}"
            db.execute(
                "DELETE FROM jobs WHERE outcome IS NOT NULL AND expires_at < :now AND scope IN"  # noqa: S608 - constants
                f" (SELECT scope FROM places WHERE owner = :owner) AND scope NOT IN {SCOPES}",
                self._names(now=now),
            )
            self._merge(db)
        return key

    def _merge(self, db: sqlite3.Connection) -> None:
        """Keep one record of each object that two endpoints of the present place have one of."""
        sql = (
            f"SELECT {COLUMNS} FROM jobs WHERE scope IN {SCOPES} AND job_id IN (SELECT job_id FROM"  # noqa: S608 - constants
            f" jobs WHERE scope IN {SCOPES} GROUP BY job_id HAVING count(*) > 1)"
        )
        twice = [record_of(row) for row in db.execute(sql, self._names())]
        for kept, others in doubles(twice):
            for other in others:
                scope = f"{self._owner}#{other.place}"
                gone = (scope, other.job_id)
                db.execute("DELETE FROM jobs WHERE scope = ? AND job_id = ?", gone)
                self._join(db, kept.place, other.place)

    def _join(self, db: sqlite3.Connection, one: str | None, other: str | None) -> None:
        pair = sorted((one or "", other or ""))
        sql = "INSERT OR IGNORE INTO joined_places (owner, one, other) VALUES (?, ?, ?)"
        db.execute(sql, (self._owner, *pair))

    def _rows(self, db: sqlite3.Connection) -> list[PlaceRow]:
        sql = "SELECT key, endpoint, id, title, seen_at FROM places WHERE owner = ?"
        return [place_row(row) for row in db.execute(sql, (self._owner,))]

    def places(self) -> Sequence[KnownPlace]:
        """See ``JobRecords``."""
        sql = (
            "SELECT p.key, (SELECT count(*) FROM jobs j WHERE j.outcome IS NULL AND (j.scope ="  # noqa: S608 - constants
            " p.scope OR (j.scope = p.owner AND j.place = p.key))),"
            f" p.scope IN {SCOPES} FROM places p WHERE p.owner = :owner"
        )
        with self._lock, self._translated():
            rows = {row.key: row for row in self._rows(self._db)}
            counts = self._db.execute(sql, self._names()).fetchall()
        return [
            KnownPlace(
                key=key,
                place=rows[key].place,
                seen_at=rows[key].seen_at,
                unfinished=unfinished,
                here=bool(here),
            )
            for key, unfinished, here in counts
        ]

    def elsewhere(self, job_id: str) -> Sequence[KnownPlace]:
        """See ``JobRecords``."""
        sql = (
            "SELECT p.key FROM places p JOIN jobs j ON j.scope = p.scope OR (j.scope = p.owner AND"
            " j.place = p.key) WHERE p.owner = ? AND j.job_id = ?"
        )
        with self._lock, self._translated():
            keys = {key for (key,) in self._db.execute(sql, (self._owner, job_id))}
        return [found for found in self.places() if found.key in keys and not found.here]

    def seen_here(self, record: Record) -> Record:
        """See ``JobRecords``."""
        if self._key is None or record.place == self._key:
            return record
        with self._change() as db:
            if record.place is None:
                sql = "UPDATE jobs SET place = ? WHERE scope = ? AND job_id = ? AND place IS NULL"
                db.execute(sql, (self._key, self._owner, record.job_id))
                return evolve(record, place=self._key)
            self._join(db, record.place, self._key)
        return record

    def absence_counts(self, record: Record) -> bool:
        """See ``JobRecords``."""
        if self._key is None or record.place == self._key:
            return True
        if record.place is None:
            return False
        one, other = sorted((record.place, self._key))
        sql = "SELECT 1 FROM joined_places WHERE owner = ? AND one = ? AND other = ?"
        with self._lock, self._translated():
            return self._db.execute(sql, (self._owner, one, other)).fetchone() is not None

    def give_up(
        self, key: str, outcome: Outcome, *, at: datetime, expires_at: datetime
    ) -> Sequence[Record]:
        """See ``JobRecords``."""
        known = {found.key: found for found in self.places()}
        if key not in known or known[key].here:
            raise LookupError(key)
        where = "outcome IS NULL AND (scope = ? OR (scope = ? AND place = ?))"
        sql = (
            f"UPDATE jobs SET outcome = ?, ended_at = ?, expires_at = ? WHERE {where}"  # noqa: S608 - constants
            f" RETURNING {COLUMNS}"
        )
        values = (dump(outcome), stamp(at), stamp(expires_at))
        with self._change() as db:
            rows = db.execute(sql, (*values, f"{self._owner}#{key}", self._owner, key)).fetchall()
            return [record_of(row) for row in rows]

    # -- leases ------------------------------------------------------------------------------

    @property
    def _leases(self) -> str:
        """The condition on leases that bind us: those of every endpoint of this place."""
        return NOWHERE if self._key is None else f"(scope IN {SCOPES} OR scope = :owner)"

    def _take(self, db: sqlite3.Connection, key: str, holder: str, seconds: float) -> bool:
        if self._holder(db, key) not in {None, holder}:
            return False
        sql = (
            "INSERT INTO leases (scope, key, holder, until) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET holder = excluded.holder, until = excluded.until"
        )
        db.execute(sql, (self._scope, key, holder, time.time() + seconds))
        return True

    def _holder(self, db: sqlite3.Connection, key: str) -> str | None:
        sql = f"SELECT holder, until FROM leases WHERE {self._leases} AND key = :lease"  # noqa: S608 - constants
        now = time.time()
        for holder, until in db.execute(sql, self._names(lease=key)):
            if until >= now and is_alive(holder):
                return str(holder)
        return None

    def lease(self, key: str, *, holder: str, seconds: float) -> bool:
        """See ``JobRecords``."""
        with self._change() as db:
            return self._take(db, key, holder, seconds)

    def leased(self, key: str) -> str | None:
        """See ``JobRecords``."""
        with self._lock, self._translated():
            return self._holder(self._db, key)

    def renew(self, *, holder: str, seconds: float) -> None:
        """See ``JobRecords``."""
        sql = f"UPDATE leases SET until = :until WHERE {self._leases} AND holder = :holder"  # noqa: S608 - constants
        with self._change() as db:
            db.execute(sql, self._names(until=time.time() + seconds, holder=holder))

    def release(self, key: str, *, holder: str) -> None:
        """See ``JobRecords``."""
        sql = f"DELETE FROM leases WHERE {self._leases} AND key = :lease AND holder = :holder"  # noqa: S608 - constants
        with self._change() as db:
            db.execute(sql, self._names(lease=key, holder=holder))

    def release_all(self, *, holder: str) -> None:
        """See ``JobRecords``."""
        sql = f"DELETE FROM leases WHERE {self._leases} AND holder = :holder"  # noqa: S608 - constants
        with self._change() as db:
            db.execute(sql, self._names(holder=holder))

    def close(self) -> None:
        """See ``JobRecords``."""
        with self._lock:
            self._db.close()


def _explain(error: sqlite3.Error, path: Path) -> NoReturn:
    """Turn a failure of SQLite into a ``StateError`` that tells what to do."""
    text = str(error)
    where = f"the records in {path}"
    elsewhere = "or name another folder: export SPAWNERY_STATE_DIR=..."
    if "full" in text or "disk I/O error" in text:
        msg, cause = f"{where} cannot be written: the disk is full ({text})", "state.full"
        hint = f"free space on it (df -h '{path.parent}'), {elsewhere}"
    elif any(word in text for word in ("readonly", "read-only", "unable to open", "denied")):
        msg, cause = f"{where} cannot be opened or written: {text}", "state.denied"
        hint = f"ls -ld '{path.parent}' shows whose it is; make it writable, {elsewhere}"
    elif isinstance(error, sqlite3.OperationalError) and "locked" in text:
        msg = f"{where} were locked by another process for {_BUSY_SECONDS:g} s"
        cause, hint = "state.busy", f"fuser -v '{path}' shows by whom"
    elif isinstance(error, sqlite3.DatabaseError) and (
        "not a database" in text or "malformed" in text or "no such" in text
    ):
        msg, cause = f"{where} are corrupt: {text}", "state.corrupt"
        hint = (
            "running jobs are not affected: the engine knows them by their labels."
            f" Put the file aside: mv '{path}' '{path}.corrupt'"
        )
    else:
        msg, cause, hint = f"{where} cannot be used: {text}", "state.error", None
    raise StateError(msg, cause=cause, hint=hint) from error
