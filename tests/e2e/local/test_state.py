"""A state directory that cannot be used: said in words, and no running job is lost."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from commands import checked
from spawnery.errors import StateError
from spawnery.local.system import files
from spawnery.model import JobState

HERE = Path(__file__).parent
PROGRAM = """
import json, os, sys
sys.path.insert(0, {here!r})
from conftest import Engine
from pathlib import Path
from spawnery.errors import SpawnerError
engine = Engine(Path({folder!r}))
facts = {{}}
try:
    engine.sh("job", "echo x")
    facts["state"] = engine.ended("job").state
except SpawnerError as error:
    facts = {{"kind": type(error).__name__, "cause": error.cause, "text": str(error)}}
print(json.dumps(facts))
"""


def in_another_process(folder, *, before="", nobody=False):
    """Spawn a job in a process of its own, as nobody where asked; returns what came of it."""
    import json

    code = PROGRAM.format(here=str(HERE), folder=str(folder))
    lead = ["import sys, os", f"sys.path[:0] = {sys.path!r}"]
    lead += ["import attrs, pytest, spawnery.local.plugin, json"]
    lead += ["import spawnery.lifecycle.preparation.prepare"]
    lead += [f"sys.path.insert(0, {str(HERE)!r})", "import conftest, fnmatch, shutil, platform"]
    if nobody:
        lead += ["os.setgroups([])", "os.setgid(65534)", "os.setuid(65534)"]
    code = "\n".join([*lead, before, code])
    env = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, timeout=60, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def open_to_nobody(path):
    """Let every user pass through the folders of the test."""
    for folder in (path, *path.parents):
        if folder.stat().st_uid == os.geteuid() and len(folder.parts) > 2:
            folder.chmod(0o755)


def test_a_state_directory_of_another_user_is_refused(engine, tmp_path, monkeypatch):
    """With both users and what to do; nothing is made in it."""
    engine.spawner._store.ensure()
    if os.geteuid() == 0:
        os.chown(engine.folder / "local", 65534, 65534)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
    for verb in (lambda: engine.sh("job", "true"), lambda: engine.spawner.status("job")):
        with pytest.raises(StateError, match="another user") as caught:
            verb()
        assert caught.value.cause == "state.denied"
        assert "SPAWNERY_STATE_DIR" in caught.value.hint
    items = {item.name: item for item in engine.spawner.check()}
    assert items["state directory"].level == "failed"
    monkeypatch.undo()
    assert list((engine.folder / "local" / "jobs").iterdir()) == []
    if os.geteuid() == 0:
        os.chown(engine.folder / "local", 0, 0)


def test_a_state_directory_that_cannot_be_written_is_said(engine, tmp_path):
    """Read-only for us: the path and the reason, and nothing half made."""
    home = tmp_path / "home"
    home.mkdir()
    open_to_nobody(tmp_path)
    home.chmod(0o555)
    if os.geteuid() == 0:
        facts = in_another_process(home / "state", nobody=True)
    else:
        facts = in_another_process(home / "state")
    assert facts["cause"] == "state.denied", facts
    assert str(home / "state") in facts["text"]
    assert list(home.iterdir()) == []


def test_a_jobs_folder_that_turned_read_only_is_said(make_engine, tmp_path):
    """The claim fails, and no draft stays."""
    folder = tmp_path / "state"
    if os.geteuid() == 0:
        before = f"os.makedirs({str(folder)!r} + '/local/jobs', 0o700)\n"
        before += f"os.chmod({str(folder)!r} + '/local/jobs', 0o500)"
        open_to_nobody(tmp_path)
        tmp_path.chmod(0o777)
        facts = in_another_process(folder, before=before, nobody=True)
    else:
        (folder / "local" / "jobs").mkdir(parents=True, mode=0o700)
        (folder / "local" / "jobs").chmod(0o500)
        facts = in_another_process(folder)
    assert facts["cause"] == "state.denied", facts
    assert list((folder / "local" / "jobs").iterdir()) == []
    os.chmod(folder / "local" / "jobs", 0o700)
    if os.geteuid() == 0:
        for path in (folder / "local" / "jobs", folder / "local", folder):
            os.chown(path, 0, 0)


def test_a_file_in_place_of_the_state_directory_is_said(engine):
    """It is not a folder."""
    engine.folder.mkdir()
    (engine.folder / "local").write_text("x")
    with pytest.raises(StateError, match=r"cannot make|not a folder"):
        engine.sh("job", "true")
    (engine.folder / "local").unlink()


def test_a_full_disk_is_said_and_nothing_is_made(engine, tmp_path):
    """By a limit on the size of files: the claim reserves the room for how the job ends."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    engine.spawner._store.ensure()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        with pytest.raises(StateError) as caught:
            engine.sh("job", "true")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.cause == "state.full"
    assert list((engine.folder / "local" / "jobs").iterdir()) == []


def test_a_disk_that_fills_up_loses_log_but_not_the_job(make_engine, tmp_path):
    """Its program runs to its end, its outcome is written, readers are told what is lost."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = (
        os.geteuid() == 0
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(small)], capture_output=True
        ).returncode
        == 0
    )
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    engine = make_engine(small / "state")
    try:
        if not mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
        engine.py("job", "import sys; sys.stdout.write('x' * 2_000_000); print('end')")
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        outcome = engine.ended("job")
        assert (outcome.state, outcome.exit_code) == (JobState.SUCCEEDED, 0)
        assert outcome.log_tail.endswith("xxxend\n")
        if mounted:
            with pytest.raises(StateError) as caught:
                engine.sh("other", "true", tail_bytes=1_000_000)
            assert caught.value.cause == "state.full"
        engine.remove("job")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        engine.close()
        if mounted:
            checked("umount", small)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\xff"])
def test_a_damaged_record_is_said_and_hides_no_other_job(engine, text, caplog):
    """The file is named; the job that runs under it goes on and its end is written."""
    engine.sh("good", "sleep 600")
    engine.sh("bad", "sleep 600")
    path = engine.job("bad") / files.JOB
    kept = path.read_bytes()
    path.write_text(text)
    for verb in (lambda: engine.spawner.status("bad"), lambda: engine.sh("bad", "true")):
        with pytest.raises(StateError) as caught:
            verb()
        assert caught.value.cause == "state.corrupt"
        assert str(path) in caught.value.message
    assert [status.job_id for status in engine.spawner.list_jobs()] == ["good"]
    assert str(path) in caplog.text
    path.write_bytes(kept)
    assert engine.status("bad").state is JobState.RUNNING


def test_what_the_supervisor_cannot_write_is_said(engine, tmp_path):
    """The mark cannot be made: no run, no success, no hang."""
    from spawnery.errors import SpawnerError

    def created(_engine_id):
        (engine.job("job") / files.LAUNCHED).mkdir()

    with contextlib.suppress(SpawnerError):
        engine.sh("job", f"touch {tmp_path}/ran", created=created)
    assert engine.status("job").state is not JobState.SUCCEEDED
    (engine.job("job") / files.LAUNCHED).rmdir()
    assert not (tmp_path / "ran").exists()


def test_error_numbers_are_told_apart():
    """Full, denied, and everything else."""
    from spawnery.local.state.errors import state_error

    causes = {
        number: state_error(OSError(number, os.strerror(number)), "x", Path("/x")).cause
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO)
    }
    assert list(causes.values()) == [
        "state.full",
        "state.full",
        "state.denied",
        "state.denied",
        "state.error",
    ]
