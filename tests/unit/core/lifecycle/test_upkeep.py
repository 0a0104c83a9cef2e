"""What time asks for: deadlines, removal, jobs that vanished; and what a failure holds back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from spawnery import JobSpec, JobState, JobStatus, Outcome, Spawner
from spawnery.contract import hookimpl
from spawnery.contract.engine_clock import TimeRange
from spawnery.errors import JobNotFound, SpawnerError
from spawnery.lifecycle import reaper, upkeep
from spawnery.lifecycle.decisions.policy import decide, overdue
from spawnery.records.leases import new_holder
from spawnery.records.memory import MemoryRecords
from spawnery.testing import Fault, Rule, eventually
from spawnery.testing.fake import FakeEngine, FakeSpawner, declare

LIMIT = 60
NOW = datetime(2030, 1, 1, tzinfo=UTC)
RUNS = JobStatus(
    job_id="a", state=JobState.RUNNING, name="p-a", accepted_at=NOW - timedelta(seconds=50)
)
WAITS = evolve(RUNS, state=JobState.PENDING)
DONE = Outcome(state=JobState.SUCCEEDED, cause="exit.zero", exit_code=0, finished_at=NOW)
OVER = evolve(RUNS, state=JobState.SUCCEEDED, outcome=DONE)


@pytest.mark.parametrize(
    ("status", "slack", "why"),
    [
        (RUNS, 0, None),
        (evolve(RUNS, deadline_seconds=51), 0, None),
        (evolve(RUNS, deadline_seconds=49), 0, "deadline"),
        (evolve(RUNS, deadline_seconds=49), 10, None),
        (evolve(RUNS, deadline_seconds=39), 10, "deadline"),
        (evolve(RUNS, deadline_seconds=49, accepted_at=None), 0, None),
        (evolve(RUNS, start_deadline_seconds=1), 0, None),
        (evolve(WAITS, start_deadline_seconds=49), 0, "start_deadline"),
        (evolve(WAITS, start_deadline_seconds=49), 10, "start_deadline"),
        (evolve(WAITS, start_deadline_seconds=51), 0, None),
        (evolve(WAITS, fatal=True), 0, "hopeless"),
        (evolve(WAITS, fatal=True, deadline_seconds=1), 0, "hopeless"),
        (evolve(WAITS, state=JobState.QUEUED, deadline_seconds=1, fatal=True), 0, None),
        (evolve(OVER, deadline_seconds=1), 0, None),
    ],
)
def test_overdue(status, slack, why):
    """Which limit is over; the engine's own deadline gets slack, a start deadline is ours alone."""
    assert overdue(status, TimeRange(NOW, NOW), slack=slack) == why


def test_a_job_past_its_deadline_is_removed_without_a_pause(fake, monkeypatch):
    """The pause between two attempts to end a job holds back nothing else of that job."""
    monkeypatch.setattr(upkeep, "_RETRY_SECONDS", 10 * LIMIT)
    bench = fake()
    bench.spawn("sleep:600", job_id="a", deadline_seconds=0.2)
    outcome = bench.spawner.wait("a", timeout=LIMIT)
    assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "deadline")
    eventually(lambda: not bench.there("a"), message="the ended job is removed")


def test_a_stop_that_got_lost_is_sent_again(fake, monkeypatch):
    """The reason was recorded first, and stays."""
    monkeypatch.setattr(upkeep, "_RETRY_SECONDS", 0.1)
    bench = fake()
    bench.engine.faults.arm(Rule(Fault.DROP_BEFORE, path="^/stop/", times=2))
    bench.spawn("sleep:600", job_id="a", deadline_seconds=0.2)
    assert bench.spawner.wait("a", timeout=LIMIT).state is JobState.TIMED_OUT
    assert bench.engine.faults.count(path="^/stop/") == 3


def test_a_removal_that_failed_is_tried_again(fake, monkeypatch):
    """An object that was not removed at first is not forgotten."""
    monkeypatch.setattr(upkeep, "_RETRY_SECONDS", 0.1)
    bench = fake()
    bench.engine.faults.arm(Rule(Fault.DROP_BEFORE, path="^/remove/", times=2))
    bench.spawn("exit:3", job_id="a")
    assert bench.spawner.wait("a", timeout=LIMIT).exit_code == 3
    eventually(lambda: not bench.there("a"), message="the ended job is removed")
    assert bench.engine.faults.count(path="^/remove/") == 3


def test_what_goes_wrong_with_one_job_leaves_others_alone(fake, caplog):
    """A failure is said in the log, with its job and what was tried."""
    bench = fake()
    bench.engine.faults.arm(Rule(Fault.DROP_BEFORE, path="^/stop/agentsmith-bad"))
    bench.spawn("sleep:600", job_id="bad", deadline_seconds=0.2)
    bench.spawn("sleep:600", job_id="good", deadline_seconds=0.2)
    assert bench.spawner.wait("good", timeout=LIMIT).state is JobState.TIMED_OUT
    eventually(lambda: "upkeep (end) of job bad" in caplog.text, message="a line in the log")
    bench.engine.faults.clear()
    assert bench.spawner.wait("bad", timeout=LIMIT).state is JobState.TIMED_OUT


def test_an_ended_job_stays_while_another_process_holds_it(fake, monkeypatch):
    """Somebody reads its log there: its object goes when that one has let go."""
    monkeypatch.setattr(upkeep, "_RETRY_SECONDS", 0.1)
    bench, other = fake(), new_holder()
    bench.spawn("exit:0", job_id="a", retention_seconds=0.2)
    assert bench.records.lease("a", holder=other, seconds=10 * LIMIT)
    bench.spawner.wait("a", timeout=LIMIT)
    pauses = bench.spawner._upkeep._not_before
    eventually(lambda: ("a", "remove") in pauses, message="upkeep looked at it")
    assert bench.there("a")
    bench.records.release("a", holder=other)
    eventually(lambda: not bench.there("a"), message="the ended job is removed")


def test_retention_keeps_an_ended_job(fake):
    """It goes when that is over, and not at close."""
    bench = fake()
    bench.spawn("exit:0", job_id="kept", retention_seconds=600)
    bench.spawn("exit:0", job_id="soon", retention_seconds=0.3)
    for job_id in ("kept", "soon"):
        assert bench.spawner.wait(job_id, timeout=LIMIT).state is JobState.SUCCEEDED
    eventually(lambda: not bench.there("soon"), message="its retention is over")
    bench.spawner.close()
    assert bench.there("kept")


def test_close_removes_what_is_due(fake):
    """An ended job whose log was being read goes with its reader, at the latest at close."""
    bench = fake()
    bench.spawner._tracker.hold("a")
    bench.spawn("exit:0", job_id="a")
    bench.spawner.wait("a", timeout=LIMIT)
    assert bench.there("a")
    bench.spawner.close()
    assert not bench.there("a")


def test_a_vanished_job_is_lost_after_the_settle_time(fake):
    """Only a second look, some time later, makes it so."""
    bench = fake(settle_seconds=0.2)
    bench.spawn("sleep:600", job_id="a")
    bench.engine.remove_outside("agentsmith-a")
    outcome = bench.spawner.wait("a", timeout=LIMIT)
    assert (outcome.state, outcome.exit_code) == (JobState.LOST, None)


def test_an_intent_that_never_reached_the_engine_is_taken_back(fake):
    """Nobody is at work on it and its grace is over: waiting for it is told, the id is free."""
    bench = fake(orphan_grace_seconds=0)
    ledger = bench.spawner._ledger
    record = ledger.intent("a", spec_hash="h", retention_seconds=0)
    bench.records.begin(record, holder=new_holder(), seconds=0)
    with pytest.raises(JobNotFound, match="was not created"):
        bench.spawner.wait("a", timeout=LIMIT)
    assert bench.records.get("a") is None


class Forgetful(FakeSpawner):
    """A spawner that does not give back what retention a job has."""

    @hookimpl
    def status(self, job_id):
        """Leave the retention out."""
        found = super().status(job_id)
        return found and evolve(found, retention_seconds=None)

    @hookimpl
    def list_jobs(self):
        """Leave the retentions out."""
        return [evolve(status, retention_seconds=None) for status in super().list_jobs()]


def test_retention_is_what_our_record_knows(tmp_path):
    """A spawner that does not give it back neither leaks ended jobs nor removes them early."""
    engine = FakeEngine()
    plugin = evolve(
        declare(engine), create=lambda settings, runtime: Forgetful(engine, settings, runtime)
    )
    environ = {"SPAWNERY_STATE_DIR": str(tmp_path), "SPAWNERY_INSTANCE": "forgetful"}
    with Spawner.open(plugin=plugin, records=MemoryRecords(), environ=environ) as spawner:
        for job_id, retention in (("kept", 600), ("soon", 0.3)):
            words = ["exit:0"]
            spec = JobSpec(job_id=job_id, image="i", command=words, retention_seconds=retention)
            spawner.spawn(spec)
            assert spawner.wait(job_id, timeout=LIMIT).state is JobState.SUCCEEDED
        eventually(lambda: "agentsmith-soon" not in engine.objects(), message="it goes")
        actions = {decision.job_id: decision.action for decision in spawner.reap(dry_run=True)}
        assert actions["kept"] == "keep"
        assert "agentsmith-kept" in engine.objects()


@pytest.mark.parametrize("started", [False, True], ids=["being taken up", "taken up and started"])
def test_reap_leaves_what_a_spawn_takes_up(fake, monkeypatch, started):
    """What was to be removed when it was looked at, and is taken up since then, stays."""
    first = fake()
    first.engine.faults.arm(Rule(Fault.DROP_BEFORE, path="^/start/", times=50))
    with pytest.raises(SpawnerError):
        first.spawn("sleep:600", job_id="cut")
    first.engine.faults.clear()
    second = fake(engine=first.engine, records=first.records, orphan_grace_seconds=0)
    verdicts = []

    def decide_late(*given, **named):
        """Decide; then a spawn takes the job up before anything is done."""
        verdicts.append(decide(*given, **named))
        if len(verdicts) == 1 and started:
            first.spawn("sleep:600", job_id="cut")
            first.records.release("cut", holder=first.spawner._ledger.holder)
        elif len(verdicts) == 1:
            first.records.lease("cut", holder=new_holder(), seconds=60)
        return verdicts[-1]

    monkeypatch.setattr(reaper, "decide", decide_late)
    decisions = second.spawner.reap()
    assert verdicts[0].action == "remove"
    assert [(item.action, item.done) for item in decisions] == [("keep", False)]
    assert first.there("cut")
    assert second.spawner.status("cut").outcome is None
