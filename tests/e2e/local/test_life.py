"""The life of local jobs: start, end, stop, deadline, removal."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from attrs import evolve
from spawnery.contract import Cancellation
from spawnery.errors import (
    Ambiguous,
    InvalidSpec,
    JobRunning,
    NameConflict,
    SpawnFailed,
    SpecConflict,
)
from spawnery.local import client
from spawnery.model import JobSpec, JobState


def test_a_job_that_exits_zero_succeeds(engine):
    """Exit code 0, both streams in the log, the times in order."""
    handle = engine.sh("ok", "echo out; echo err >&2")
    outcome = engine.ended("ok")
    assert handle.created
    assert engine.marked == [handle.engine_id]
    assert (outcome.state, outcome.exit_code, outcome.cause) == (
        JobState.SUCCEEDED,
        0,
        "exit.zero",
    )
    assert outcome.started_at <= outcome.finished_at
    assert sorted((c.stream, c.data) for c in engine.logs("ok")) == [
        ("stderr", b"err\n"),
        ("stdout", b"out\n"),
    ]


@pytest.mark.parametrize(
    ("script", "code", "cause"),
    [
        ("exit 3", 3, "exit.nonzero"),
        ("kill -TERM $$", 143, "exit.signal"),
        ("kill -KILL $$", 137, "killed.external"),
    ],
)
def test_a_job_that_fails_says_how(engine, script, code, cause):
    """The code, or 128 and the signal."""
    engine.sh("bad", script)
    outcome = engine.ended("bad")
    assert (outcome.state, outcome.exit_code, outcome.cause) == (JobState.FAILED, code, cause)


@pytest.mark.parametrize(
    ("command", "code", "cause"),
    [
        (("no-such-program-here",), 127, "start.command_not_found"),
        (("/no/such/program",), 127, "start.command_not_found"),
        (("/etc",), 126, "start.not_executable"),
        (("/etc/passwd",), 126, "start.not_executable"),
    ],
)
def test_a_program_that_cannot_start_is_told_apart(engine, command, code, cause):
    """Not found is 127, not executable 126, as shells do."""
    engine.spawn(JobSpec(job_id="no", command=command))
    outcome = engine.ended("no")
    assert (outcome.state, outcome.exit_code, outcome.cause) == (JobState.FAILED, code, cause)
    assert command[0] in outcome.message


def test_a_missing_workdir_is_said(engine, tmp_path):
    """With the folder in the message and the command that makes it."""
    engine.sh("wd", "true", fields={"workdir": str(tmp_path / "gone")})
    outcome = engine.ended("wd")
    assert outcome.cause == "start.workdir"
    assert str(tmp_path / "gone") in outcome.message
    assert outcome.hint == f"mkdir -p {tmp_path / 'gone'}"


def test_a_job_sees_its_own_environment_only(engine):
    """An allow-list of ours, the job's own, and its secrets; cwd is empty and its own."""
    engine.sh("env", "env; pwd; ls", fields={"env": {"MINE": "1"}}, secrets={"TOKEN": "hidden-12"})
    engine.ended("env")
    lines = engine.text("env").splitlines()
    assert "MINE=1" in lines
    assert "TOKEN=hidden-12" in lines
    assert f"HOME={engine.folder}" in lines
    assert not [line for line in lines if line.startswith("NOT_PASSED")]
    assert lines[-1] == str(engine.job("env") / "work")


def test_pass_env_extends_the_environment(make_engine):
    """The setting takes globs."""
    engine = make_engine(pass_env=("NOT_*",))
    engine.sh("env", "echo $NOT_PASSED")
    engine.ended("env")
    assert engine.text("env") == "no\n"


def test_signals_that_we_ignore_are_not_ignored_by_the_job(engine):
    """Python ignores SIGPIPE, and a caller may ignore SIGINT: a program must not inherit it.

    Signals 32 and 33 belong to glibc: its posix_spawn, which make uses, leaves 32 ignored, and no
    program can take that back through glibc.
    """
    engine.sh("sig", "cat /proc/self/status")
    engine.ended("sig")
    found = dict(line.split(":", 1) for line in engine.text("sig").splitlines())
    masks = [int(found[name], 16) for name in ("SigIgn", "SigBlk")]
    assert [mask & ~(0b11 << 31) for mask in masks] == [0, 0]


def test_a_spec_without_a_program_is_refused_before_anything_is_made(engine):
    """The field is named; no folder appears."""
    with pytest.raises(InvalidSpec, match="needs a program") as caught:
        engine.spawn(JobSpec(job_id="empty"))
    assert caught.value.field == "command"
    assert not engine.job("empty").exists()


def test_the_same_spec_again_is_the_same_job(engine):
    """Running or ended: created=False, and it does not run again."""
    script = "echo ran >> ran; sleep 0.2; cat ran"
    first = engine.sh("twice", script)
    second = engine.sh("twice", script)
    engine.ended("twice")
    third = engine.sh("twice", script)
    assert [h.created for h in (first, second, third)] == [True, False, False]
    assert first.engine_id == second.engine_id == third.engine_id
    assert engine.text("twice") == "ran\n"


def test_another_spec_under_the_id_is_a_conflict(engine):
    """The job that is there goes on."""
    engine.sh("same", "sleep 60")
    with pytest.raises(SpecConflict):
        engine.sh("same", "echo other")
    assert engine.status("same").state is JobState.RUNNING


@pytest.mark.parametrize("kind", ["empty", "file", "instance"])
def test_what_is_not_ours_is_never_touched(engine, make_engine, kind):
    """A foreign folder, a file, another instance's job: NameConflict, and it stays as it was."""
    path = engine.job("alien")
    if kind == "instance":
        other = make_engine(instance="others")
        other.sh("alien", "sleep 60")
    else:
        path.parent.mkdir(parents=True)
        if kind == "empty":
            path.mkdir()
            (path / "precious").write_text("x")
        else:
            path.write_text("x")
    with pytest.raises(NameConflict):
        engine.sh("alien", "true")
    assert engine.spawner.status("alien") is None
    assert engine.spawner.list_jobs() == []
    engine.stop("alien")
    engine.remove("alien")
    assert path.exists()
    if kind == "instance":
        assert other.status("alien").state is JobState.RUNNING


def test_a_program_that_traps_term_and_exits_zero_was_cancelled(engine):
    """The reason wins over the code."""
    engine.sh("trap", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done")
    engine.line("trap")
    engine.stop("trap")
    outcome = engine.ended("trap")
    assert (outcome.state, outcome.exit_code, outcome.cause) == (JobState.CANCELLED, 0, "cancelled")


def test_a_program_that_ignores_term_is_killed_after_the_grace(engine):
    """With everything that it started."""
    engine.sh("deaf", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    engine.line("deaf")
    engine.stop("deaf", grace=0.2)
    outcome = engine.ended("deaf")
    assert (outcome.state, outcome.exit_code) == (JobState.CANCELLED, 137)


def test_a_second_stop_with_a_shorter_grace_is_honoured(engine):
    """While the first one still waits."""
    import threading

    engine.sh("deaf2", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    engine.line("deaf2")
    first = threading.Thread(target=lambda: engine.stop("deaf2", grace=3000))
    first.start()
    engine.stop("deaf2", grace=0)
    first.join(60)
    assert engine.ended("deaf2").state is JobState.CANCELLED


def test_an_order_that_was_written_over_is_given_again(engine, monkeypatch):
    """Of two stops at once the one with the longer grace may be written last."""
    engine.sh("deaf3", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    engine.line("deaf3")
    store, nudge = engine.spawner._store, client.nudge

    def late(folder):
        monkeypatch.undo()
        store.write_stop(store.read(folder.name), "stop", 3000)
        nudge(folder)

    monkeypatch.setattr(client, "nudge", late)
    engine.stop("deaf3", grace=0)
    assert engine.ended("deaf3").state is JobState.CANCELLED


def test_a_halted_program_can_be_stopped(engine):
    """SIGCONT follows SIGTERM."""
    engine.sh("halt", "echo ready; kill -STOP $$; sleep 60")
    engine.line("halt")
    engine.stop("halt")
    assert engine.ended("halt").exit_code == 143


def test_the_deadline_is_the_supervisors_own(engine):
    """Nobody watches, and exit 0 upon SIGTERM is still TIMED_OUT."""
    script = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
    engine.sh("late", script, fields={"deadline_seconds": 0.5})
    outcome = engine.ended("late")
    assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "deadline")


def test_stop_and_remove_of_nothing_are_no_errors(engine):
    """Idempotent, on an empty state directory too."""
    engine.stop("none")
    engine.remove("none")
    engine.sh("once", "true")
    engine.ended("once")
    engine.stop("once")
    engine.remove("once")
    engine.remove("once")
    assert engine.spawner.status("once") is None
    assert os.listdir(engine.folder / "local" / "jobs") == []


def test_a_running_job_is_not_removed(engine):
    """It says so, with the command to stop it."""
    engine.sh("busy", "sleep 60")
    with pytest.raises(JobRunning, match="spawnery stop busy"):
        engine.remove("busy")
    assert engine.status("busy").state is JobState.RUNNING


def test_removal_takes_what_a_job_made_read_only(engine):
    """Its working directory goes with it."""
    engine.sh("ro", "mkdir -p a/b; touch a/b/c; chmod 500 a/b a; chmod 500 .")
    engine.ended("ro")
    engine.remove("ro")
    assert not engine.job("ro").exists()


def test_a_link_in_the_working_directory_is_not_followed(engine, tmp_path):
    """What it points to stays."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "precious").write_text("x")
    engine.sh("link", f"ln -s {target} link")
    engine.ended("link")
    engine.remove("link")
    assert (target / "precious").exists()


def test_folders_and_files_are_closed_to_others(engine):
    """0700 and 0600."""
    engine.sh("mode", "echo x")
    engine.ended("mode")
    local = engine.folder / "local"
    for path in [local, *local.rglob("*")]:
        assert not path.lstat().st_mode & 0o077, path


def test_the_plan_shows_what_would_run(engine):
    """Secret values are masked, and nothing is made."""
    from spawnery.contract import PlanRequest

    spec = JobSpec(job_id="plan", command=("echo",), args=("x",), env={"A": "1"})
    request = engine.request(spec, secrets={"TOKEN": "planted-value"})
    plan = engine.spawner.plan(PlanRequest(spawn=request))
    assert plan.engine_object["argv"] == ["echo", "x"]
    assert plan.engine_object["env"] == {"A": "1", "JOB_ID": "plan", "TOKEN": "***"}
    assert "planted-value" not in repr(plan)
    assert not engine.folder.exists()


def test_the_doctor_finds_a_sound_machine(engine):
    """And says that nothing is isolated."""
    items = {item.name: item for item in engine.spawner.check()}
    assert {name for name, item in items.items() if item.level == "failed"} == set()
    assert "isolates nothing" in items["isolation"].detail
    assert items["locks"].level == "ok"
    assert [p for p in Path(engine.folder / "local").iterdir() if p.name != "jobs"] == []


@pytest.mark.parametrize("when", ["before", "created"])
def test_a_stopped_job_is_not_started(engine, when):
    """A stop that comes before the program is started leaves nothing behind."""
    request = engine.request(JobSpec(job_id="job", command=("sleep", "600")))
    cancellation = Cancellation()
    if when == "before":
        cancellation.cancel()
    request = evolve(request, cancellation=cancellation, created=lambda _id: cancellation.cancel())
    with pytest.raises(SpawnFailed, match="cancelled before") as caught:
        engine.spawner.spawn(request)
    assert caught.value.cause == "cancelled"
    assert not engine.job("job").exists()


def test_a_stop_is_heard_while_the_supervisor_does_not_answer(engine, monkeypatch):
    """The wait ends within a second, and the job is looked at again."""
    monkeypatch.setattr(client, "_PROGRAM", Path(__file__).with_name("silent_supervisor.py"))
    cancellation = Cancellation()
    request = evolve(engine.request(JobSpec(job_id="job", command=("true",))),
                     cancellation=cancellation)  # fmt: skip
    threading.Timer(0.2, cancellation.cancel).start()
    with pytest.raises(Ambiguous, match="cancelled while starting"):
        engine.spawner.spawn(request)
    assert request.deadline.remaining() > 10
    engine.stop("job", grace=0)
    assert engine.ended("job").state is JobState.CANCELLED


def test_a_supervisor_that_is_slow_to_answer_is_waited_for(engine, monkeypatch, tmp_path):
    """A busy machine: the wait is looked at several times, and the job runs once."""
    slow = tmp_path / "slow.py"
    code = "import os, sys, time; time.sleep(1.2); os.execv(sys.executable, {!r} + sys.argv[1:])"
    words = [sys.executable, "-I", "-S", str(client._PROGRAM)]
    slow.write_text(code.format(words))
    monkeypatch.setattr(client, "_PROGRAM", slow)
    engine.spawner.spawn(engine.request(JobSpec(job_id="job", command=("true",))))
    assert engine.ended("job").state is JobState.SUCCEEDED
