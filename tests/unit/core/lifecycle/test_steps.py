"""What a spawn is doing is written down for other processes, and believed of its own spawn only."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from spawnery import JobEvent, JobSpec, JobState, Spawner
from spawnery.contract import Record, Step, hookimpl
from spawnery.contract.declaration import Clock
from spawnery.model import EventKind, Masker, Secret
from spawnery.records.leases import new_holder
from spawnery.records.memory import MemoryRecords
from spawnery.records.sqlite import SqliteRecords
from spawnery.records.steps import Steps
from spawnery.testing import eventually
from spawnery.testing.faults import Fault, Rule

LIMIT = 60
NOW = datetime(2030, 1, 2, tzinfo=UTC)


def progress(message, *, job_id="a", kind=EventKind.PROGRESS, cause="image.pulling", **data):
    return JobEvent(
        id=message, kind=kind, job_id=job_id, time=NOW, message=message, cause=cause, data=data
    )


class Times:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = NOW


@pytest.fixture
def times():
    """The clock of the steps."""
    return Times()


@pytest.fixture
def steps(times):
    """Steps of this process."""
    masker = Masker()
    masker.add([Secret("planted-value")])
    return Steps(holder="me", clock=Clock(now=lambda: times.now), masker=masker)


@pytest.fixture
def records():
    """Records with the intent of job ``a``."""
    made = MemoryRecords()
    intent = Record(job_id="a", name="p-a", spec_hash="h", intended_at=NOW)
    made.begin(intent, holder="me", seconds=60)
    return made


def test_a_step_is_written_as_it_was_told(steps, records):
    """Message, code and bytes; a secret in it is masked."""
    steps.take(progress("pulling planted-value", current=1, total=2))
    steps.write("a", records)
    written = Step(
        holder="me",
        since=NOW,
        message="pulling ***",
        cause="image.pulling",
        current=1,
        total=2,
    )
    assert records.get("a").step == written


def test_more_bytes_are_the_same_step(steps, records, times):
    """It began when it was first told of; another message is another step."""
    steps.take(progress("pulling x", current=1, total=9))
    times.now = NOW + timedelta(seconds=5)
    steps.take(progress("pulling x", current=5, total=9))
    steps.write("a", records)
    assert (records.get("a").step.since, records.get("a").step.current) == (NOW, 5)
    steps.take(progress("unpacking x"))
    steps.write("a", records)
    assert (records.get("a").step.since, records.get("a").step.current) == (times.now, None)


def test_bytes_are_not_written_all_the_time(steps, records):
    """Progress alone is written once in a while, another step at once."""
    writes = []
    records.step = lambda _job_id, step: writes.append((step.message, step.current))
    for current in range(50):
        steps.take(progress("pulling x", current=current, total=50))
        steps.write("a", records)
    assert writes == [("pulling x", 0)]
    steps.take(progress("unpacking x"))
    steps.write("a", records)
    steps.write("a", records)
    assert writes == [("pulling x", 0), ("unpacking x", None)]


def test_only_progress_is_a_step(steps, records):
    """Other events and events without words are none; nor are those of a spawn that is over."""
    steps.take(progress("m", kind=EventKind.RUNNING))
    steps.take(progress(""))
    steps.write("a", records)
    steps.take(progress("pulling x"))
    steps.keep([])
    steps.write("a", records)
    assert records.get("a").step is None


# -- another process ------------------------------------------------------------------------------


@pytest.fixture
def pair(fake, tmp_path):
    """Two spawners on one engine and one file of records, as two processes have them."""
    path = tmp_path / "r.sqlite3"
    one = fake(records=SqliteRecords(path, scope="t"), io_timeout_seconds=600)
    other = fake(engine=one.engine, records=SqliteRecords(path, scope="t"), io_timeout_seconds=600)
    return one, other


def hanging(spawner: Spawner, job_id="a"):
    options = {"fake": {"hang_before": "create", "hang_seconds": 600}}
    spec = JobSpec(job_id=job_id, image="img", command=["exit:0"], options=options)
    thread = threading.Thread(target=spawner.spawn, args=[spec])
    thread.start()
    eventually(lambda: spawner.records.get(job_id) is not None, message="the intent is there")
    return thread


def test_another_process_sees_what_a_spawn_is_doing(pair):
    """Status and list: pending, with code, words, since when and how far; then it is created."""
    one, other = pair
    began = datetime.now(UTC)
    thread = hanging(one.spawner)
    first = other.spawner.status("a")
    assert (first.state, first.cause) == (JobState.PENDING, "creating")
    assert first.since is not None
    one.spawner._parts.runtime.emit(progress("pulling x", current=3_140_000, total=10_000_000))
    eventually(lambda: other.spawner.status("a").cause == "image.pulling", message="it is written")
    for found in (other.spawner.status("a"), other.spawner.list()[0], one.spawner.status("a")):
        assert (found.state, found.cause) == (JobState.PENDING, "image.pulling")
        assert (found.message, found.progress) == ("pulling x", "3.1 of 10.0 MB")
        assert began - timedelta(seconds=1) < found.since < datetime.now(UTC)
    other.spawner.stop("a", grace_seconds=0)
    thread.join(LIMIT)


def test_the_step_of_a_spawn_before_is_not_told(pair):
    """Who spawns a job again does not do what a process did that is gone."""
    one, other = pair
    thread = hanging(one.spawner)
    old = Step(holder=new_holder(), since=NOW, message="pulling x", cause="image.pulling")
    one.spawner.records.step("a", old)
    assert other.spawner.status("a").cause == "creating"
    one.spawner.records.step("a", evolve(old, holder=one.spawner.records.leased("a")))
    assert other.spawner.status("a").cause == "image.pulling"
    other.spawner.stop("a", grace_seconds=0)
    thread.join(LIMIT)


class Watching:
    """An observer."""

    def __init__(self):
        self.events = []

    @hookimpl
    def job_event(self, event):
        """Keep it."""
        self.events.append(event)

    def progress(self):
        """Return what was told of spawns."""
        return [event for event in self.events if event.kind is EventKind.PROGRESS]


def test_a_retry_is_told(fake):
    """A spawn without a reply says so while it is tried again, with the first reason."""
    watching = Watching()
    one = fake(watching)
    one.engine.faults.arm(Rule(fault=Fault.DROP_BEFORE, method="CALL", path="^/create/", times=1))
    assert one.spawn("exit:0", job_id="a").created
    event = eventually(watching.progress, message="it is told")[0]
    assert event.message.startswith("trying again to create it: ")
    assert (event.job_id, event.cause) == ("a", "engine.ambiguous")
