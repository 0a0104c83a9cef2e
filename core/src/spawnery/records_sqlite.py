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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

from spawnery.errors import JobNotFound, StateError
from spawnery.holders import is_alive
from spawnery.outcomes import Outcome
from spawnery.records import Begun, Kill, Record
from spawnery.records_codec import dump, load_kill, load_outcome

SCHEMA: Final = 1
_BUSY_SECONDS: Final = 30.0
_COLUMNS: Final = (
    "job_id, name, spec_hash, intended_at, retention_seconds, engine_id, created_at, kill,"
    " outcome, ended_at, expires_at, announced"
)
_TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS jobs (
    scope TEXT NOT NULL, job_id TEXT NOT NULL, name TEXT NOT NULL, spec_hash TEXT NOT NULL,
    intended_at REAL NOT NULL, retention_seconds REAL NOT NULL, engine_id TEXT, created_at REAL,
    kill TEXT, outcome TEXT, ended_at REAL, expires_at REAL, announced INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (scope, job_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unfinished ON jobs (scope) WHERE outcome IS NULL;
CREATE TABLE IF NOT EXISTS leases (
    scope TEXT NOT NULL, key TEXT NOT NULL, holder TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA};
"""


def _time(value: float | None) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(value, UTC)


def _stamp(value: datetime | None) -> float | None:
    return None if value is None else value.timestamp()


def _record(row: tuple[Any, ...]) -> Record:
    try:
        return _load(row)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"malformed record of job {row[0]} ({type(error).__name__}: {error})"
        raise sqlite3.DatabaseError(msg) from error


def _load(row: tuple[Any, ...]) -> Record:
    return Record(
        job_id=row[0],
        name=row[1],
        spec_hash=row[2],
        intended_at=datetime.fromtimestamp(row[3], UTC),
        retention_seconds=row[4],
        engine_id=row[5],
        created_at=_time(row[6]),
        kill=load_kill(row[7]) if row[7] else None,
        outcome=load_outcome(row[8]) if row[8] else None,
        ended_at=_time(row[9]),
        expires_at=_time(row[10]),
        announced=bool(row[11]),
    )


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
        self._scope = scope
        self._lock = threading.Lock()
        with self._said():
            self._db = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        try:
            with self._said():
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
        if version < SCHEMA:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
        self._db.execute("PRAGMA synchronous = NORMAL")

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """Say a failure of SQLite in words."""
        try:
            yield
        except sqlite3.Error as error:
            _say(error, self._path)

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction that writes."""
        with self._lock, self._said():
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

    def _read(self, where: str, *values: object) -> list[Record]:
        sql = f"SELECT {_COLUMNS} FROM jobs WHERE scope = ? AND {where}"  # noqa: S608 - constants
        with self._lock, self._said():
            return [_record(row) for row in self._db.execute(sql, (self._scope, *values))]

    def _one(self, db: sqlite3.Connection, job_id: str) -> Record | None:
        sql = f"SELECT {_COLUMNS} FROM jobs WHERE scope = ? AND job_id = ?"  # noqa: S608 - constants
        row = db.execute(sql, (self._scope, job_id)).fetchone()
        return _record(row) if row else None

    def _insert(self, db: sqlite3.Connection, record: Record) -> bool:
        sql = (
            "INSERT OR IGNORE INTO jobs (scope, job_id, name, spec_hash, intended_at,"
            " retention_seconds, engine_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )
        values = (
            self._scope,
            record.job_id,
            record.name,
            record.spec_hash,
            _stamp(record.intended_at),
            record.retention_seconds,
            record.engine_id,
            _stamp(record.created_at),
        )
        return db.execute(sql, values).rowcount > 0

    def _update(self, db: sqlite3.Connection, job_id: str, **values: object) -> Record:
        names = ", ".join(f"{name} = ?" for name in values)
        where = f"WHERE scope = ? AND job_id = ? RETURNING {_COLUMNS}"
        sql = f"UPDATE jobs SET {names} {where}"  # noqa: S608 - own names
        row = db.execute(sql, (*values.values(), self._scope, job_id)).fetchone()
        if row is None:
            msg = f"no record of job {job_id}"
            raise JobNotFound(msg, job_id=job_id)
        return _record(row)

    # -- jobs --------------------------------------------------------------------------------

    def get(self, job_id: str) -> Record | None:
        """See ``JobRecords``."""
        found = self._read("job_id = ?", job_id)
        return found[0] if found else None

    def begin(self, record: Record, *, holder: str, seconds: float) -> Begun:
        """See ``JobRecords``."""
        with self._change() as db:
            inserted = self._insert(db, record)
            leased = self._take(db, record.job_id, holder, seconds)
            found = record if inserted else self._one(db, record.job_id)
        return Begun(record=found or record, inserted=inserted, leased=leased)

    def created(self, job_id: str, *, engine_id: str, at: datetime) -> Record:
        """See ``JobRecords``."""
        with self._lock, self._said():
            return self._update(self._db, job_id, engine_id=engine_id, created_at=_stamp(at))

    def withdraw(self, job_id: str) -> bool:
        """See ``JobRecords``."""
        sql = (
            "DELETE FROM jobs WHERE scope = ? AND job_id = ?"
            " AND created_at IS NULL AND kill IS NULL AND outcome IS NULL"
        )
        with self._change() as db:
            return db.execute(sql, (self._scope, job_id)).rowcount > 0

    def kill(self, record: Record, kill: Kill) -> Record:
        """See ``JobRecords``."""
        with self._change() as db:
            self._insert(db, record)
            found = self._one(db, record.job_id) or record
            if found.kill or found.outcome:
                return found
            return self._update(db, record.job_id, kill=dump(kill))

    def finish(
        self, record: Record, outcome: Outcome, *, at: datetime, expires_at: datetime
    ) -> tuple[Record, bool]:
        """See ``JobRecords``."""
        with self._change() as db:
            self._insert(db, record)
            found = self._one(db, record.job_id) or record
            if found.outcome:
                return found, False
            written = self._update(
                db,
                record.job_id,
                outcome=dump(outcome),
                ended_at=_stamp(at),
                expires_at=_stamp(expires_at),
            )
            return written, True

    def announced(self, job_id: str) -> None:
        """See ``JobRecords``."""
        sql = "UPDATE jobs SET announced = 1 WHERE scope = ? AND job_id = ?"
        with self._change() as db:
            db.execute(sql, (self._scope, job_id))

    def forget(self, job_id: str) -> None:
        """See ``JobRecords``."""
        with self._change() as db:
            db.execute("DELETE FROM jobs WHERE scope = ? AND job_id = ?", (self._scope, job_id))
            db.execute("DELETE FROM leases WHERE scope = ? AND key = ?", (self._scope, job_id))

    def unfinished(self) -> Sequence[Record]:
        """See ``JobRecords``."""
        return self._read("outcome IS NULL")

    def finished(self) -> Sequence[Record]:
        """See ``JobRecords``."""
        return self._read("outcome IS NOT NULL ORDER BY ended_at")

    # -- leases ------------------------------------------------------------------------------

    def _take(self, db: sqlite3.Connection, key: str, holder: str, seconds: float) -> bool:
        sql = (
            "INSERT INTO leases (scope, key, holder, until) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET holder = excluded.holder, until = excluded.until"
            " WHERE holder = excluded.holder"
        )
        values = (self._scope, key, holder, time.time() + seconds)
        if db.execute(sql, values).rowcount > 0:
            return True
        if self._holder(db, key) is not None:
            return False
        db.execute(sql.removesuffix(" WHERE holder = excluded.holder"), values)
        return True

    def _holder(self, db: sqlite3.Connection, key: str) -> str | None:
        sql = "SELECT holder, until FROM leases WHERE scope = ? AND key = ?"
        row = db.execute(sql, (self._scope, key)).fetchone()
        if row is None or row[1] < time.time() or not is_alive(row[0]):
            return None
        return str(row[0])

    def lease(self, key: str, *, holder: str, seconds: float) -> bool:
        """See ``JobRecords``."""
        with self._change() as db:
            return self._take(db, key, holder, seconds)

    def leased(self, key: str) -> str | None:
        """See ``JobRecords``."""
        with self._lock, self._said():
            return self._holder(self._db, key)

    def renew(self, *, holder: str, seconds: float) -> None:
        """See ``JobRecords``."""
        sql = "UPDATE leases SET until = ? WHERE scope = ? AND holder = ?"
        with self._change() as db:
            db.execute(sql, (time.time() + seconds, self._scope, holder))

    def release(self, key: str, *, holder: str) -> None:
        """See ``JobRecords``."""
        sql = "DELETE FROM leases WHERE scope = ? AND key = ? AND holder = ?"
        with self._change() as db:
            db.execute(sql, (self._scope, key, holder))

    def release_all(self, *, holder: str) -> None:
        """See ``JobRecords``."""
        sql = "DELETE FROM leases WHERE scope = ? AND holder = ?"
        with self._change() as db:
            db.execute(sql, (self._scope, holder))

    def close(self) -> None:
        """See ``JobRecords``."""
        with self._lock:
            self._db.close()


def _say(error: sqlite3.Error, path: Path) -> NoReturn:
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
