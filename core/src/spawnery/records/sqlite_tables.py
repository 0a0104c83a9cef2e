"""The tables of ``SqliteRecords``, and how rows are read and written.

Processes of versions before 0.2 may use the same file at the same time: they know the scope
``<instance>/<spawner>`` only and name the columns that they use. So jobs of a place have a scope
of their own (``<instance>/<spawner>#<place>``), which those versions never see, and the rows in
the old scope stay where they are and get a column more: the place, once it is known.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any, Final

from spawnery.contract.records import Record
from spawnery.contract.requests import Place
from spawnery.records.codec import load_kill, load_outcome, load_step
from spawnery.records.places import PlaceRow

SCHEMA: Final = 1
"""``user_version``; it stays what versions before 0.2 accept."""
COLUMNS: Final = (
    "job_id, name, spec_hash, intended_at, retention_seconds, engine_id, created_at, kill,"
    " outcome, ended_at, expires_at, announced, record_id, place, step"
)
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS jobs (
    scope TEXT NOT NULL, job_id TEXT NOT NULL, name TEXT NOT NULL, spec_hash TEXT NOT NULL,
    intended_at REAL NOT NULL, retention_seconds REAL NOT NULL, engine_id TEXT, created_at REAL,
    kill TEXT, outcome TEXT, ended_at REAL, expires_at REAL, announced INTEGER NOT NULL DEFAULT 0,
    record_id TEXT, place TEXT, step TEXT,
    PRIMARY KEY (scope, job_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unfinished ON jobs (scope) WHERE outcome IS NULL;
CREATE TABLE IF NOT EXISTS leases (
    scope TEXT NOT NULL, key TEXT NOT NULL, holder TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS places (
    owner TEXT NOT NULL, key TEXT NOT NULL, scope TEXT NOT NULL, endpoint TEXT NOT NULL, id TEXT,
    title TEXT NOT NULL, seen_at REAL NOT NULL,
    PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS joined_places (
    owner TEXT NOT NULL, one TEXT NOT NULL, other TEXT NOT NULL,
    PRIMARY KEY (owner, one, other)
) WITHOUT ROWID;
"""

_SAME: Final = (
    "SELECT {column} FROM places WHERE owner = :owner AND"
    " (key = :key OR id = (SELECT id FROM places WHERE owner = :owner AND key = :key))"
)
SCOPES: Final = f"({_SAME.format(column='scope')})"
"""The scopes of all endpoints of the present place."""
KEYS: Final = f"({_SAME.format(column='key')})"
HERE: Final = f"(scope IN {SCOPES} OR (scope = :owner AND (place IS NULL OR place IN {KEYS})))"
"""Jobs of the present place, and those whose place nobody knows yet."""
NOWHERE: Final = "scope = :owner"
"""Jobs of a spawner that has no places."""


def prepare(db: sqlite3.Connection) -> None:
    """Make what is missing of the tables.

    Raises:
        sqlite3.DatabaseError: It is the right version and lacks them.
    """
    new = db.execute("PRAGMA user_version").fetchone()[0] < SCHEMA
    if new:
        db.execute("PRAGMA journal_mode = WAL")
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not new and "jobs" not in tables:
        msg = "no such table: jobs"
        raise sqlite3.DatabaseError(msg)
    if "joined_places" in tables and not _missing(db):
        return
    db.execute("BEGIN IMMEDIATE")
    for statement in _TABLES.split(";"):
        db.execute(statement)
    for name in _missing(db):
        db.execute(f"ALTER TABLE jobs ADD COLUMN {name} TEXT")
    db.execute(f"PRAGMA user_version = {SCHEMA}")
    db.execute("COMMIT")


def _missing(db: sqlite3.Connection) -> list[str]:
    """Return the columns of ``jobs`` that the version before did not have."""
    columns = {row[1] for row in db.execute("PRAGMA table_info(jobs)")}
    return [name for name in ("record_id", "place", "step") if name not in columns]


def moment(value: float | None) -> datetime | None:
    """Read a time."""
    return None if value is None else datetime.fromtimestamp(value, UTC)


def stamp(value: datetime | None) -> float | None:
    """Write a time: seconds since the epoch."""
    return None if value is None else value.timestamp()


def place_row(row: tuple[Any, ...]) -> PlaceRow:
    """Read a row of ``places``: key, endpoint, id, title, seen_at."""
    key, endpoint, place_id, title, seen_at = row
    place = Place(endpoint=endpoint, id=place_id, title=title)
    return PlaceRow(key=key, place=place, seen_at=datetime.fromtimestamp(seen_at, UTC))


def record_of(row: tuple[Any, ...]) -> Record:
    """Read a row of ``jobs`` (``COLUMNS``).

    Raises:
        sqlite3.DatabaseError: It cannot be read.
    """
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
        created_at=moment(row[6]),
        kill=load_kill(row[7]) if row[7] else None,
        outcome=load_outcome(row[8]) if row[8] else None,
        ended_at=moment(row[9]),
        expires_at=moment(row[10]),
        announced=bool(row[11]),
        record_id=row[12],
        place=row[13],
        step=load_step(row[14]) if row[14] else None,
    )
