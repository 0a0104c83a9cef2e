"""Processes that die at the wrong moment: callers, supervisors; and what is left of a job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from spawnery.local.system import files, processes
from spawnery.model import JobSpec, JobState

HERE = Path(__file__).parent
DAEMON = """
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
{clear}
open({path!r}, "w").write(str(os.getpid()))
time.sleep(600)
"""


def eventually(probe):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = probe()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("not true within 60 seconds")


def lives(pid):
    """Tell whether a process is there and no zombie."""
    process = processes.find(pid)
    return process is not None and not process.zombie


def daemon(path, *, clear=False, then="sleep 600"):
    """Return a script that leaves a daemon behind: its own session, its parent gone."""
    extra = (
        'os.environ.clear(); os.execve(sys.executable, [sys.executable, "-I", "-c",'
        ' "import time; time.sleep(600)"], {})'
        if clear
        else ""
    )
    code = DAEMON.format(path=str(path), clear="")
    if clear:
        code = code.replace("time.sleep(600)\n", extra + "\n")
    program = path.with_suffix(".py")
    program.write_text(code)
    return f"{sys.executable} -I {program}; while [ ! -s {path} ]; do sleep 0.02; done; {then}"


def supervisor_of(engine, job_id):
    """Return the pid of a job's supervisor."""
    facts = json.loads((engine.job(job_id) / files.SUPERVISOR).read_bytes())
    return int(facts["pid"])


def pid_in(path):
    """Wait for the number in a file."""
    return int(eventually(lambda: path.exists() and path.read_text()))


CALLER = """
import os, signal, sys
sys.path.insert(0, {here!r})
from conftest import Engine
from pathlib import Path
from spawnery.local import client
from spawnery.model import JobSpec

def die(*_args, **_more):
    os.kill(os.getpid(), signal.SIGKILL)

engine = Engine(Path({folder!r}))
step = {step!r}
created = None
if step == "claimed":
    created = die
elif step == "marked":
    client.supervise = die
elif step == "half":
    start = client._start
    def half(held):
        process = start(held)
        process.stdin.write((10**6).to_bytes(8, "big") + b"half an order")
        process.stdin.flush()
        die()
    client._start = half
engine.spawn(JobSpec(job_id="job", command=("/bin/sh", "-c", {script!r})), created=created)
print("spawned", flush=True)
if step == "running":
    die()
"""


def call(engine, step, script):
    """Spawn in a process of its own that dies by SIGKILL at a step."""
    code = CALLER.format(here=str(HERE), folder=str(engine.folder), step=step, script=script)
    env = {"PATH": os.environ["PATH"]}
    if "PYTHONPATH" in os.environ:
        env["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, timeout=60, check=False
    )


@pytest.mark.parametrize("step", ["claimed", "marked", "half"])
def test_a_caller_killed_before_the_start_is_resumed_once(engine, tmp_path, step):
    """The folder is there and never ran; the next spawn starts it, the one after does not."""
    witness = tmp_path / "witness"
    script = f"echo ran >> {witness}"
    done = call(engine, step, script)
    assert done.returncode == -signal.SIGKILL, done.stderr
    eventually(lambda: not engine.spawner._store.read("agentsmith-job").locked)
    status = engine.status("job")
    assert (status.state, status.launched) == (JobState.PENDING, False)
    assert not witness.exists()
    assert not engine.sh("job", script).created
    assert engine.ended("job").state is JobState.SUCCEEDED
    assert not engine.sh("job", script).created
    assert witness.read_text() == "ran\n"


def test_a_job_outlives_its_caller(engine, tmp_path):
    """Killed while the job runs; a new process reads its outcome and its whole log."""
    go = tmp_path / "go"
    done = call(engine, "running", f"echo one; while [ ! -e {go} ]; do sleep 0.02; done; echo two")
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert engine.status("job").state is JobState.RUNNING
    go.touch()
    assert engine.ended("job").state is JobState.SUCCEEDED
    assert engine.text("job") == "one\ntwo\n"


def test_a_job_that_never_started_and_was_stopped_never_runs(engine, tmp_path):
    """Also when it is spawned again."""
    witness = tmp_path / "witness"
    script = f"echo ran >> {witness}"
    call(engine, "claimed", script)
    engine.stop("job")
    outcome = engine.ended("job")
    assert (outcome.state, outcome.cause) == (JobState.CANCELLED, "cancelled")
    assert not engine.sh("job", script).created
    assert engine.ended("job") == outcome
    assert not witness.exists()


def test_a_stop_while_the_job_is_being_started_wins(engine, tmp_path):
    """The supervisor looks for it after its mark, so one of the two always sees the other."""
    witness = tmp_path / "witness"
    stopped = threading.Event()
    stopper = threading.Thread(target=lambda: (engine.stop("job"), stopped.set()))

    def created(_engine_id):
        stopper.start()
        eventually((engine.job("job") / files.STOP).exists)

    engine.sh("job", f"echo ran >> {witness}", created=created)
    assert stopped.wait(60)
    stopper.join()
    assert engine.ended("job").state is JobState.CANCELLED
    assert not witness.exists()


def test_a_deadline_that_is_over_before_the_start_forbids_it(engine, tmp_path):
    """The clock starts when the job is accepted, not when somebody finishes the start."""
    witness = tmp_path / "witness"

    def created(_engine_id):
        time.sleep(0.2)

    engine.sh("job", f"echo ran >> {witness}", fields={"deadline_seconds": 0.1}, created=created)
    assert engine.ended("job").state is JobState.TIMED_OUT
    assert not witness.exists()


def test_many_callers_of_one_id_make_one_run(engine, make_engine, tmp_path):
    """Twenty at once: one of them created it, and it ran once."""
    witness = tmp_path / "witness"
    handles, errors = [], []
    gate = threading.Barrier(20)

    def spawn():
        mine = make_engine(engine.folder)
        gate.wait(60)
        try:
            handles.append(mine.sh("job", f"echo ran >> {witness}; sleep 0.2"))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=spawn) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert len(handles) == 20
    assert sum(handle.created for handle in handles) == 1
    assert len({handle.engine_id for handle in handles}) == 1
    engine.ended("job")
    assert witness.read_text() == "ran\n"


def test_a_supervisor_killed_is_lost_and_everything_is_ended(engine, tmp_path):
    """Never success; the program dies with it, a daemon of the job is found and ended."""
    left = tmp_path / "left"
    engine.sh("job", f"echo $$ > {tmp_path}/main; " + daemon(left))
    pid, main = pid_in(left), pid_in(tmp_path / "main")
    os.kill(supervisor_of(engine, "job"), signal.SIGKILL)
    eventually(lambda: not (engine.spawner._store.read("agentsmith-job").locked))
    outcome = engine.status("job").outcome
    assert (outcome.state, outcome.cause) == (JobState.LOST, "lost.supervisor")
    assert outcome.finished_at is not None
    assert not lives(pid)
    assert not lives(main)
    assert engine.status("job").outcome == outcome


def test_a_supervisor_killed_before_the_fork_is_lost_and_never_started_again(engine, tmp_path):
    """The mark is made before the program can run."""
    call(engine, "claimed", "true")
    (engine.job("job") / files.LAUNCHED).touch()
    assert engine.status("job").outcome.state is JobState.LOST
    assert not engine.sh("job", "true").created
    assert engine.status("job").outcome.state is JobState.LOST


@pytest.mark.parametrize("clear", [False, True])
@pytest.mark.parametrize("how", ["exit", "stop", "deadline"])
def test_a_double_forked_daemon_ends_with_its_job(engine, tmp_path, how, clear):
    """In a session of its own, with its parent gone, its environment cleared."""
    left = tmp_path / "left"
    then = "exit 0" if how == "exit" else "sleep 600"
    script = daemon(left, clear=clear, then=then)
    fields = {"deadline_seconds": 5.0} if how == "deadline" else {}
    engine.sh("job", script, fields=fields)
    pid = pid_in(left)
    if how == "stop":
        engine.stop("job")
    state = engine.ended("job").state
    wanted = {"exit": "SUCCEEDED", "stop": "CANCELLED", "deadline": "TIMED_OUT"}
    assert state == wanted[how]
    assert not lives(pid)


def test_a_child_that_keeps_the_pipe_does_not_hold_the_end(engine):
    """What is left is killed, and the log is taken without waiting."""
    engine.sh("job", "sleep 600 & echo done")
    assert engine.ended("job").state is JobState.SUCCEEDED
    assert engine.text("job") == "done\n"


def test_the_supervisor_survives_hangup_and_interrupt(engine, tmp_path):
    """And a SIGTERM without an order to stop."""
    go = tmp_path / "go"
    engine.sh("job", f"while [ ! -e {go} ]; do sleep 0.02; done")
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        os.kill(supervisor_of(engine, "job"), number)
    go.touch()
    assert engine.ended("job").state is JobState.SUCCEEDED


def test_a_stop_whose_signal_is_lost_is_found_by_the_supervisor(engine, monkeypatch):
    """It looks at the file by itself."""
    from spawnery.local import client

    monkeypatch.setattr(client, "nudge", lambda _folder: None)
    engine.sh("job", "sleep 600")
    engine.stop("job")
    assert engine.ended("job").state is JobState.CANCELLED


def test_half_made_folders_are_swept(engine):
    """Those whose maker is dead, at once; not one whose maker lives, not what is no draft."""
    from spawnery.local.system import locks

    engine.spawner._store.ensure()
    jobs = engine.folder / "local" / "jobs"
    names = (".job.{}", ".job.{}", ".job.{}", ".precious")
    kinds = ("empty", "dead", "alive", "other")
    made = {
        kind: jobs / name.format(str(number) * 16)
        for number, (kind, name) in enumerate(zip(kinds, names, strict=True))
    }
    for folder in made.values():
        folder.mkdir()
    locks.create(made["dead"]).close()
    (made["dead"] / "work").mkdir()
    with locks.create(made["alive"]):
        engine.spawner.list_jobs()
        assert [kind for kind, folder in made.items() if folder.exists()] == ["alive", "other"]
    engine.spawner.list_jobs()
    assert [kind for kind, folder in made.items() if folder.exists()] == ["other"]


def test_a_sweep_never_takes_what_is_being_made(engine, make_engine):
    """While others look for leftovers without a pause, every job is made, runs and is removed."""
    over = threading.Event()

    def sweep():
        store = make_engine().spawner._store
        while not over.is_set():
            store.sweep()

    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    engine.spawner._store.ensure()
    for thread in sweepers:
        thread.start()
    try:
        for number in range(20):
            engine.spawn(JobSpec(job_id=f"job-{number}", command=("true",)))
            assert engine.ended(f"job-{number}").state is JobState.SUCCEEDED
            engine.remove(f"job-{number}")
    finally:
        over.set()
        for thread in sweepers:
            thread.join()
    assert list((engine.folder / "local" / "jobs").iterdir()) == []


def test_no_zombie_and_no_descriptor_stays_with_the_caller(engine):
    """Ten jobs later we have as many open files as before."""
    engine.sh("first", "true")
    before = len(os.listdir("/proc/self/fd"))
    for number in range(10):
        engine.spawn(JobSpec(job_id=f"job-{number}", command=("true",)))
    for number in range(10):
        engine.ended(f"job-{number}")
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    children = [p for p in processes.table().values() if p.parent == os.getpid() and p.zombie]
    assert children == []
