"""Which of the known places an engine is, and what becomes of records of version 0.1."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from records_cases import DONE, NOW, begin, finish, intent
from spawnery.contract import Place
from spawnery.records.leases import new_holder
from spawnery.records.places import PlaceRow, key_of, known_row
from spawnery.records.sqlite import SqliteRecords

SOCKET = Place(endpoint="unix:///run/engine.sock", id="A")
TCP = Place(endpoint="tcp://engine:2375", id="A")
OTHER_ENGINE = Place(endpoint="tcp://other:2375", id="B")
OLD_TABLES = """
CREATE TABLE jobs (
    scope TEXT NOT NULL, job_id TEXT NOT NULL, name TEXT NOT NULL, spec_hash TEXT NOT NULL,
    intended_at REAL NOT NULL, retention_seconds REAL NOT NULL, engine_id TEXT, created_at REAL,
    kill TEXT, outcome TEXT, ended_at REAL, expires_at REAL, announced INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (scope, job_id)
) WITHOUT ROWID;
CREATE INDEX unfinished ON jobs (scope) WHERE outcome IS NULL;
CREATE TABLE leases (
    scope TEXT NOT NULL, key TEXT NOT NULL, holder TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""
"""What version 0.1 made."""
OLD_INSERT = (
    "INSERT OR IGNORE INTO jobs (scope, job_id, name, spec_hash, intended_at,"
    " retention_seconds, engine_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def without_id(place):
    return evolve(place, id=None)


# -- which place it is ---------------------------------------------------------------------------


def row(place, age=0.0):
    return PlaceRow(key=key_of(place), place=place, seen_at=NOW - timedelta(seconds=age))


def test_a_place_is_known_by_endpoint_and_id():
    """Another id at the same endpoint is another place; no id yet may become any."""
    assert known_row([row(SOCKET)], SOCKET) == row(SOCKET)
    assert known_row([row(SOCKET)], evolve(SOCKET, id="B")) is None
    assert known_row([row(without_id(SOCKET))], SOCKET) == row(without_id(SOCKET))
    assert known_row([row(TCP)], SOCKET) is None, "a row is of one endpoint"


def test_an_endpoint_that_says_no_id_is_what_it_was_last():
    """The socket proxy closed INFO, or the engine is away."""
    rows = [row(SOCKET, age=100), row(evolve(SOCKET, id="B"), age=10), row(OTHER_ENGINE)]
    assert known_row(rows, without_id(SOCKET)) == rows[1]
    assert known_row(rows, Place(endpoint="tcp://new:1")) is None


# -- what version 0.1 left -----------------------------------------------------------------------


@pytest.fixture
def old(tmp_path):
    """A file of version 0.1 with an unfinished job, and a process of it that goes on."""
    with contextlib.closing(sqlite3.connect(tmp_path / "records.sqlite3")) as db:
        db.executescript(OLD_TABLES)
        db.execute(OLD_INSERT, ("i/test", "a", "p-a", "h", 1.0, 0.0, "e", 2.0))
        db.commit()
        yield db


@pytest.fixture
def records(tmp_path):
    """Records in a file that may be there already."""
    found = SqliteRecords(tmp_path / "records.sqlite3", scope="i/test")
    yield found
    found.close()


@pytest.fixture
def me():
    """A holder of leases."""
    return new_holder()


def test_a_job_of_the_version_before_has_no_place_until_it_is_seen(old, records, me):
    """It is in force everywhere, and absence ends it nowhere, until its object was seen."""
    for place in (SOCKET, OTHER_ENGINE):
        records.enter(place)
        record = records.get("a")
        assert (record.place, record.record_id, record.engine_id) == (None, None, "e")
        assert not records.absence_counts(record)
        assert not begin(records, me, intent(spec_hash="h")).inserted
    placed = records.seen_here(records.get("a"))
    assert records.absence_counts(placed)
    assert records.get("a") == placed
    records.enter(SOCKET)
    assert records.get("a") is None
    assert [found.place.id for found in records.elsewhere("a")] == ["B"]


def test_a_process_of_the_version_before_goes_on(old, records):
    """It reads and writes its own rows; the jobs of places are not seen by it."""
    records.enter(SOCKET)
    begin(records, new_holder(), intent("new"))
    old.execute(OLD_INSERT, ("i/test", "b", "p-b", "h", 1.0, 0.0, None, None))
    old.execute(
        "UPDATE jobs SET kill = ? WHERE scope = 'i/test' AND job_id = 'a'",
        ('{"reason": "stop", "at": "2030-01-01T00:00:00+00:00"}',),
    )
    old.commit()
    assert records.get("a").kill.at == datetime(2030, 1, 1, tzinfo=UTC)
    assert records.get("b") is not None
    written, _ = finish(records, records.get("a"))
    mine = old.execute("SELECT job_id, outcome FROM jobs WHERE scope = 'i/test' ORDER BY job_id")
    assert [job_id for job_id, _ in mine] == ["a", "b"]
    assert written.outcome == DONE
