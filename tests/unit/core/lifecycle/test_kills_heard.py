"""A recorded kill is heard by a spawn in every step, from this process and from another one."""

from __future__ import annotations

import threading
import time

import pytest
from spawnery import JobSpec, JobState, Spawner
from spawnery.records.sqlite import SqliteRecords
from spawnery.testing import eventually

LIMIT = 60
HANGS = 600.0


def hanging(step, **fields):
    options = {"fake": {"hang_before": step, "hang_seconds": HANGS}}
    return JobSpec(job_id="a", image="img", command=["sleep:900"], options=options, **fields)


@pytest.fixture
def pair(fake, tmp_path):
    """Two spawners on one engine and one file of records, as two processes have them."""
    one = fake(records=SqliteRecords(tmp_path / "r.sqlite3", scope="t"), io_timeout_seconds=HANGS)
    other = fake(
        engine=one.engine,
        records=SqliteRecords(tmp_path / "r.sqlite3", scope="t"),
        io_timeout_seconds=HANGS,
    )
    return one, other


def spawning(spawner: Spawner, spec, results):
    thread = threading.Thread(target=lambda: results.append(spawner.spawn(spec)))
    thread.start()
    return thread


@pytest.mark.parametrize("who", ["same", "another"])
@pytest.mark.parametrize("step", ["create", "start"])
@pytest.mark.parametrize("retention", [0, 900])
def test_a_stop_ends_a_spawn_that_hangs(pair, step, who, retention):
    """The spawn returns, nothing starts afterwards, nothing stays, and the outcome says it."""
    one, other = pair
    results = []
    spec = hanging(step, retention_seconds=retention)
    thread = spawning(one.spawner, spec, results)
    eventually(lambda: one.spawner.records.get("a") is not None, message="the intent is there")
    began = time.monotonic()
    outcome = (one if who == "same" else other).spawner.stop("a", grace_seconds=0)
    thread.join(LIMIT)
    assert not thread.is_alive()
    assert time.monotonic() - began < LIMIT
    assert (outcome.state, outcome.cause) == (JobState.CANCELLED, "cancelled")
    assert outcome.message.startswith("stopped on request")
    assert one.engine.starts("a") == 0
    eventually(lambda: not one.there("a"), message="nothing stays")
    assert [handle.job_id for handle in results] == ["a"]
    for found in pair:
        assert found.spawner.wait("a", timeout=LIMIT).state is JobState.CANCELLED


def test_a_waiter_is_told_of_a_spawn_that_was_stopped(pair):
    """Whoever waited before the stop gets the outcome too."""
    one, other = pair
    thread = spawning(one.spawner, hanging("create"), [])
    eventually(lambda: one.spawner.records.get("a") is not None, message="the intent is there")
    ended = []
    for found in pair:
        assert found.spawner.on_end("a", ended.append)
    other.spawner.stop("a", grace_seconds=0)
    thread.join(LIMIT)
    eventually(lambda: len(ended) == 2, message="both are told")
    assert {outcome.state for outcome in ended} == {JobState.CANCELLED}
