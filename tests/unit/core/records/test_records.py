"""Records: the same behaviour in memory and in SQLite, leases, and what a broken file says."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import pytest
from attrs import evolve
from commands import checked
from records_cases import (
    DONE,
    KILL,
    LATER,
    LIMIT,
    NOW,
    RecordsCases,
    begin,
    end,
    finish,
    intent,
    python,
    together,
)
from spawnery.contract import JobRecords
from spawnery.errors import StateError
from spawnery.records.leases import is_alive, new_holder
from spawnery.records.memory import MemoryRecords
from spawnery.records.sqlite import SCHEMA, SqliteRecords


@pytest.fixture(params=["memory", "sqlite"])
def records(request, tmp_path):
    """Empty records of each kind."""
    found: JobRecords
    if request.param == "memory":
        found = MemoryRecords()
    else:
        found = SqliteRecords(tmp_path / "records.sqlite3", scope="i/test")
    yield found
    found.close()


class TestRecords(RecordsCases):
    """In memory and in SQLite."""


@pytest.fixture
def me():
    """Name of this process as a holder."""
    return new_holder()


@pytest.fixture
def other():
    """Name of another holder that is alive as well."""
    return new_holder()


def test_another_process_with_the_same_pid_is_not_the_holder(me):
    """A pid that was given to a later process does not keep a lease alive."""
    boot, pid, mark, number = me.rsplit(" ", 3)
    assert is_alive(me)
    assert not is_alive(f"{boot} {pid} {int(mark) - 1} {number}")
    assert is_alive(f"elsewhere {pid} {int(mark) - 1} {number}"), "nobody here can know"


# -- the file ------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    """Where a file of records may be."""
    return tmp_path / "records.sqlite3"


@contextlib.contextmanager
def opened(path, scope="i/test"):
    """Open a file of records for a while."""
    found = SqliteRecords(path, scope=scope)
    try:
        yield found
    finally:
        found.close()


def test_records_outlive_the_process(path, me):
    """All that was written is read by the next process, to the microsecond."""
    with opened(path) as records:
        begin(records, me)
        records.created("a", engine_id="e", at=NOW)
        records.kill(intent(), KILL)
        written, _ = finish(records, intent())
    with opened(path) as records:
        assert records.get("a") == written
        assert written.outcome == DONE
        assert written.kill == KILL
        assert written.retention_seconds == 2.5


def test_scopes_do_not_see_each_other(path, me):
    """Instances and spawners in one file are apart, leases too."""
    with opened(path) as mine, opened(path, "i/other") as theirs:
        begin(mine, me)
        assert theirs.get("a") is None
        assert theirs.leased("a") is None
        theirs.forget("a")
        assert mine.get("a") is not None
        assert mine.leased("a") == me


def test_what_a_newer_version_wrote_beside_is_left_out(path, me):
    """Fields of outcomes and kills that this version does not know are no error."""
    with opened(path) as records:
        begin(records, me)
        records.kill(intent(), KILL)
        finish(records, intent())
        with contextlib.closing(sqlite3.connect(path)) as db:
            for column in ("outcome", "kill"):
                text = db.execute(f"SELECT {column} FROM jobs").fetchone()[0]  # noqa: S608
                more = json.dumps(json.loads(text) | {"mood": "sunny"})
                db.execute(f"UPDATE jobs SET {column} = ?", (more,))  # noqa: S608
            db.commit()
        assert records.get("a") == intent(outcome=DONE, kill=KILL, ended_at=NOW, expires_at=LATER)


PRELUDE = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from spawnery import JobState, Outcome
from spawnery.contract import Record
from spawnery.records.sqlite import SqliteRecords
now = datetime(2030, 1, 1, tzinfo=UTC)
def intent(job_id):
    return Record(job_id=job_id, name="p", spec_hash="h", intended_at=now)
"""
OPEN = "records = SqliteRecords(Path(sys.argv[1]), scope='i/test')\n"


def test_processes_finish_a_job_once(path):
    """Eight processes record an end of the same 30 jobs: each job has exactly one writer."""
    script = """
from spawnery.records.leases import new_holder
wins = []
for number in range(30):
    outcome = Outcome(state=JobState.LOST, cause=f"c.{new_holder()}")
    record, first = records.finish(intent(f"j{number}"), outcome, at=now, expires_at=now, new=True)
    assert not first or record.outcome == outcome
    wins += [number] * first
print(*wins)
"""
    with opened(path) as records:
        outputs = together(PRELUDE + OPEN + script, 8, path)
        wins = [int(number) for output in outputs for number in output.split()]
        assert sorted(wins) == list(range(30))
        assert len(records.finished()) == 30


def test_processes_take_a_lease_in_turn(path):
    """Eight living processes begin the same job: one inserts it, one holds it."""
    script = """
from spawnery.records.leases import new_holder
begun = records.begin(intent("a"), holder=new_holder(), seconds=60)
print(int(begun.inserted), int(begun.leased), flush=True)
sys.stdin.read()
"""
    children = [python(PRELUDE + OPEN + script, path) for _ in range(8)]
    try:
        lines = [child.stdout.readline().split() for child in children]
    finally:
        for child in children:
            end(child)
    assert sorted(inserted for inserted, _ in lines) == ["0"] * 7 + ["1"]
    assert sorted(leased for _, leased in lines) == ["0"] * 7 + ["1"]


@pytest.mark.parametrize("attempt", range(3))
def test_processes_open_a_fresh_file_at_once(path, attempt):
    """Twelve processes make the same file at the same moment and write into it."""
    script = """
import os
records.begin(intent(f"p{os.getpid()}"), holder="h 1 1 1", seconds=1)
print(len(records.unfinished()) > 0)
records.close()
"""
    assert together(PRELUDE + OPEN + script, 12, path) == ["True"] * 12
    with opened(path) as records:
        assert len(records.unfinished()) == 12


def test_kill_in_the_middle_of_writes(path):
    """After kill -9 of a writer the file opens, and what was confirmed is there."""
    script = """
for number in range(1_000_000):
    records.begin(intent(f"j{number}"), holder="h 1 1 1", seconds=60)
    outcome = Outcome(state=JobState.LOST, cause="x")
    records.finish(intent(f"j{number}"), outcome, at=now, expires_at=now, new=True)
    print(number, flush=True)
"""
    confirmed = -1
    for _ in range(3):
        child = python(PRELUDE + OPEN + script, path)
        try:
            for _ in range(40):
                line = child.stdout.readline()
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read()
        finally:
            end(child)
        lines = [line, *[text + "\n" for text in rest.split("\n")[:-1]]]
        confirmed = max(confirmed, int(lines[-1]))
        with opened(path) as records:
            ended = {record.job_id for record in records.finished()}
        assert {f"j{number}" for number in range(confirmed + 1)} <= ended
        with contextlib.closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# -- a file that cannot be used ------------------------------------------------------------------


def refused(path, use=lambda records: None):
    """Return the error of opening or using a file."""
    with pytest.raises(StateError) as caught, opened(path) as records:
        use(records)
    error = caught.value
    assert str(path) in error.message
    assert error.hint
    return error


def test_a_file_that_is_no_database(path):
    """Garbage in place of the file is told as such, and how to put it aside."""
    path.write_bytes(b"this is no database at all\n" * 200)
    error = refused(path)
    assert error.cause == "state.corrupt"
    assert f"mv '{path}'" in (error.hint or "")


def test_a_damaged_file(path, me):
    """Damage inside the file is found when it is read."""
    with opened(path) as records:
        for number in range(300):
            begin(records, me, intent(f"j{number}"))
    damaged = bytearray(path.read_bytes())
    for start in range(4096, len(damaged), 4096):
        damaged[start : start + 2000] = b"\xa5" * 2000
    path.write_bytes(damaged)
    error = refused(path, lambda records: records.unfinished())
    assert error.cause == "state.corrupt"


def test_a_file_without_our_tables(path):
    """A database of the right version without tables is corrupt too."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA}")
    assert refused(path, lambda records: records.get("a")).cause == "state.corrupt"


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"state": "SLEEPING", "cause": "x"}'])
def test_a_damaged_outcome(path, me, text):
    """An outcome that cannot be read is told as corruption, with the job."""
    with opened(path) as records:
        finish(records, intent())
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE jobs SET outcome = ?", (text,))
        db.commit()
    error = refused(path, lambda records: records.get("a"))
    assert error.cause == "state.corrupt"
    assert "job a" in error.message


def test_a_newer_file(path):
    """A file of a newer version is left alone."""
    with opened(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    before = path.read_bytes()
    error = refused(path)
    assert error.cause == "state.newer"
    assert "upgrade" in (error.hint or "")
    assert path.read_bytes() == before


def test_a_missing_folder(tmp_path):
    """A folder that is not there is told, not made."""
    error = refused(tmp_path / "absent" / "records.sqlite3")
    assert error.cause == "state.denied"


@contextlib.contextmanager
def unprivileged():
    """Be somebody who may not write everywhere: root becomes nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared_folder():
    """A folder that every user can get into."""
    folder = Path(tempfile.mkdtemp(prefix="spawnery-test-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_read_only_folder(shared_folder):
    """A file that cannot be made there: who may what, and where else to go."""
    shared_folder.chmod(0o555)
    with unprivileged():
        error = refused(shared_folder / "records.sqlite3")
    assert error.cause == "state.denied"
    assert "SPAWNERY_STATE_DIR" in (error.hint or "")


def test_a_file_that_became_read_only(shared_folder, me):
    """Records that can no longer be written say so at the first write."""
    path = shared_folder / "records.sqlite3"
    with opened(path):
        pass
    path.chmod(0o444)
    shared_folder.chmod(0o555)
    with unprivileged():
        error = refused(path, lambda records: begin(records, me))
    assert error.cause == "state.denied"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a small file system")
    if subprocess.run(command, capture_output=True, env={"PATH": os.environ["PATH"]}).returncode:
        pytest.skip("may not mount a small file system here")
    yield folder
    checked("umount", folder)


def fill(folder):
    """Use up all space."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    return ballast


def write_much(records):
    for number in range(20_000):
        record = intent(f"j{number}")
        finish(records, record, evolve(DONE, log_tail="x" * 8000))


def test_a_full_disk(small_disk):
    """A full disk is told with the command that shows it; afterwards the records go on."""
    path = small_disk / "records.sqlite3"
    with opened(path) as records:
        with pytest.raises(StateError) as caught:
            write_much(records)
        error = caught.value
        assert error.cause == "state.full"
        assert str(path) in error.message
        assert "df -h" in (error.hint or "")
        written = len(records.finished())
        with pytest.raises(StateError):
            write_much(records)
    larger = shutil.copytree(small_disk, small_disk.parent / "larger")
    with opened(larger / "records.sqlite3") as records:
        assert len(records.finished()) >= written


def test_records_go_on_when_the_disk_has_space_again(small_disk, me):
    """A failed write leaves nothing half done: the same object writes when there is space."""
    with opened(small_disk / "records.sqlite3") as records:
        begin(records, me)
        ballast = fill(small_disk)
        with pytest.raises(StateError) as caught:
            write_much(records)
        assert caught.value.cause == "state.full"
        ballast.unlink()
        written, _ = finish(records, intent("again"))
        assert records.get("again") == written


def test_a_full_disk_at_the_first_opening(small_disk):
    """Not even the empty file fits: told the same way."""
    fill(small_disk)
    assert refused(small_disk / "records.sqlite3").cause == "state.full"


def test_a_file_size_limit(path):
    """A limit on file sizes (RLIMIT_FSIZE) is told like a full disk, by a process of its own."""
    script = """
import resource
from spawnery.errors import StateError
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    for number in range(10_000):
        outcome = Outcome(state=JobState.LOST, cause="x", log_tail="x" * 8000)
        records.finish(intent(f"j{number}"), outcome, at=now, expires_at=now, new=True)
except StateError as error:
    print(error.cause)
"""
    child = python(PRELUDE + OPEN + script, path)
    try:
        assert child.communicate(timeout=LIMIT)[0].strip() == "state.full"
    finally:
        end(child)


def test_closed_records_say_so(path):
    """Using records after close is an error in our words."""
    with opened(path) as records:
        records.close()
        with pytest.raises(StateError):
            records.get("a")
