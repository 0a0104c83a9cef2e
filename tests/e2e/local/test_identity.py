"""Whose evidence it is: record, object, machine and boot."""

from __future__ import annotations

import json
import os
import signal

import pytest
from attrs import evolve
from spawnery.contract import LABEL_RECORD_ID, Deadline, RemoveRequest, StopRequest
from spawnery.errors import NameConflict
from spawnery.local.system import processes
from spawnery.local.system.clocks import Clocks
from spawnery.model import JobSpec, JobState

SLEEPS = JobSpec(job_id="job", command=("sleep", "600"))


def spawn(engine, record_id):
    """Spawn the job of a record."""
    request = engine.request(SLEEPS)
    labels = {**request.labels, LABEL_RECORD_ID: record_id}
    return engine.spawner.spawn(evolve(request, record_id=record_id, labels=labels))


def rewrite(engine, **facts):
    """Change what is kept of the job."""
    path = engine.job("job") / "job.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **facts}))


def test_the_record_id_is_on_the_object(engine):
    """Whoever adopts it is told whose it is."""
    assert spawn(engine, "r1").record_id == "r1"
    assert spawn(engine, "r2").record_id == "r1"
    assert engine.status("job").record_id == "r1"


def test_a_request_for_another_object_does_nothing(engine):
    """Stop and remove act on the object that they name."""
    ours = spawn(engine, "r1").engine_id
    ask = {"job_id": "job", "name": engine.job("job").name, "deadline": Deadline.after(60)}
    engine.spawner.stop(StopRequest(**ask, engine_id="x", reason="stop", grace_seconds=0))
    assert engine.status("job").state is JobState.RUNNING
    engine.spawner.stop(StopRequest(**ask, engine_id=ours, reason="stop", grace_seconds=0))
    engine.spawner.remove(RemoveRequest(**ask, engine_id="x"))
    assert engine.status("job").state is JobState.CANCELLED
    engine.spawner.remove(RemoveRequest(**ask, engine_id=ours))
    assert not engine.job("job").exists()


def test_the_place_is_machine_and_folder(engine, make_engine, tmp_path, monkeypatch):
    """Another folder is another place, a link to the same folder is not."""
    engine.spawner._store.ensure()
    here = engine.spawner.place()
    assert str(tmp_path) in here.endpoint
    assert make_engine(tmp_path / "other").spawner.place().id != here.id
    (tmp_path / "link").symlink_to(tmp_path / "state")
    assert make_engine(tmp_path / "link").spawner.place() == here
    monkeypatch.setattr(processes, "machine", lambda: None)
    unnamed = make_engine().spawner.place()
    assert (unnamed.id, unnamed.endpoint) == (None, here.endpoint)


def test_a_job_of_another_machine_is_left_alone(engine, make_engine, monkeypatch):
    """On a shared disk it is neither judged, nor stopped, nor removed, nor adopted."""
    monkeypatch.setattr(processes, "machine", lambda: "a" * 32)
    theirs = make_engine()
    spawn(theirs, "r1")
    monkeypatch.setattr(processes, "machine", lambda: "b" * 32)
    ours = make_engine()
    assert ours.spawner.status("job") is None
    assert ours.spawner.list_jobs() == []
    ours.stop("job", grace=0)
    ours.remove("job")
    with pytest.raises(NameConflict, match="another machine"):
        spawn(ours, "r2")
    assert theirs.status("job").state is JobState.RUNNING


def test_a_job_of_an_earlier_boot_is_lost(engine):
    """Its supervisor died with the machine; nothing is done to who has its pids now."""
    spawn(engine, "r1")
    folder = engine.job("job")
    supervisor = json.loads((folder / "supervisor.json").read_bytes())["pid"]
    os.kill(supervisor, signal.SIGKILL)
    rewrite(engine, boot="earlier")
    outcome = engine.ended("job")
    assert (outcome.state, outcome.cause) == (JobState.LOST, "lost.supervisor")
    assert "restarted" in outcome.message


def test_a_job_that_ended_in_an_earlier_boot_keeps_its_end(engine):
    """Its end is what its record on disk says, with the times that it had then."""
    engine.sh("job", "exit 3")
    before = engine.ended("job")
    path = engine.job("job") / "exit.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "boot": "earlier"}))
    rewrite(engine, boot="earlier")
    assert engine.ended("job") == before


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_step_of_the_wall_clock_changes_no_age(engine, step):
    """Ages are told as if the clock had always been as it is now."""
    spawn(engine, "r1")
    before = engine.status("job")
    moment = Clocks().now
    clock = Clocks(wall=lambda: moment().wall + step)
    engine.spawner._lifecycle.clocks = clock
    after = engine.status("job")
    assert (after.accepted_at - before.accepted_at).total_seconds() == pytest.approx(step, abs=1)
    assert (after.started_at - before.started_at).total_seconds() == pytest.approx(step, abs=1)
    assert clock.now().wall - after.accepted_at.timestamp() < 60


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
def test_a_step_while_a_process_runs_changes_no_time_in_it(engine, step):
    """What it was told before the step can be compared with the present after it."""
    moment, steps = Clocks().now, [0.0]
    engine.spawner._lifecycle.clocks = Clocks(wall=lambda: moment().wall + steps[0])
    spawn(engine, "r1")
    before = engine.status("job")
    steps[0] = step
    assert engine.status("job") == before
    present = engine.spawner._runtime.engine_clock.now()
    assert 0 <= (present.earliest - before.accepted_at).total_seconds() < 60


def test_the_present_follows_a_machine_that_slept(engine):
    """After an hour of sleep core knows with the next look that the job is an hour older."""
    awake, slept = Clocks().now, [0.0]
    engine.spawner._lifecycle.clocks = Clocks(seconds=lambda: awake().seconds + slept[0])
    spawn(engine, "r1")
    before = engine.status("job")
    slept[0] = 3600.0
    assert engine.status("job") == before
    present = engine.spawner._runtime.engine_clock.now()
    assert 3600 <= (present.earliest - before.accepted_at).total_seconds() < 3660


def test_a_deadline_counts_the_sleep_of_the_machine(engine):
    """An hour of sleep between acceptance and start: the job never runs."""
    awake = Clocks().now
    engine.spawner._lifecycle.clocks = Clocks(seconds=lambda: awake().seconds - 3600)
    spec = JobSpec(job_id="job", command=("sleep", "600"), deadline_seconds=60)
    engine.spawn(spec)
    engine.spawner._lifecycle.clocks = Clocks()
    outcome = engine.ended("job")
    assert (outcome.state, outcome.started_at) == (JobState.TIMED_OUT, None)
