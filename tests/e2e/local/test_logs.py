"""The log: both streams, any place in it, while it is written, after the end, bounded."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from spawnery.errors import InvalidSpec, LogsUnavailable, StreamLost
from spawnery.local.output.log_file import files_of
from spawnery.local.system import files
from spawnery.model import JobSpec, JobState

LINES = (
    "import sys, time\nfor n in range(40):\n    print(n, file=(sys.stdout, sys.stderr)[n % 2],"
    " flush=True); time.sleep(0.002)"
)


def test_reading_goes_on_from_every_cursor_without_loss_or_repeat(engine):
    """At each record's end, what follows is exactly the rest."""
    engine.py("job", LINES)
    engine.ended("job")
    chunks = list(engine.logs("job"))
    assert len(chunks) > 10
    for index, chunk in enumerate(chunks):
        rest = list(engine.logs("job", cursor=chunk.cursor))
        assert rest == chunks[index + 1 :]


def test_following_sees_everything_and_ends_with_the_job(engine, tmp_path):
    """Begun while it runs; a clean end only after the last byte."""
    go = tmp_path / "go"
    engine.sh("job", f"echo one; while [ ! -e {go} ]; do sleep 0.02; done; echo two; exit 3")
    seen = []
    for chunk in engine.logs("job", follow=True):
        seen.append(chunk.data)
        go.touch()
    assert b"".join(seen) == b"one\ntwo\n"
    assert engine.ended("job").exit_code == 3


def test_not_following_ends_at_what_is_there(engine):
    """While the job runs on."""
    engine.sh("job", "echo one; sleep 600")
    assert engine.line("job") == "one"
    assert engine.text("job") == "one\n"
    assert engine.status("job").state is JobState.RUNNING


def test_a_blocked_reader_is_woken_by_close(engine):
    """From another thread."""
    engine.sh("job", "sleep 600")
    stream = engine.logs("job", follow=True)
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    time.sleep(0.1)
    stream.close()
    stream.close()
    reader.join(30)
    assert not reader.is_alive()


def test_a_flood_keeps_the_limit_and_says_what_is_lost(make_engine):
    """The end is there, the numbers add up, the supervisor's memory stays small."""
    engine = make_engine(log_max_bytes=512 * 1024)
    total = 20_000_000
    script = f"import sys\nfor n in range({total} // 1000): sys.stdout.write('x' * 999 + '\\n')"
    engine.py("job", script + "\nprint('end')")
    assert engine.ended("job").state is JobState.SUCCEEDED
    size = sum(path.stat().st_size for path in engine.job("job").glob("log.*"))
    assert size <= 512 * 1024
    chunks = list(engine.logs("job"))
    assert chunks[0].lost > 0
    assert sum(chunk.lost + len(chunk.data) for chunk in chunks) == total + 4
    assert chunks[-1].data.endswith(b"x\nend\n")
    assert max(len(chunk.data) for chunk in chunks) <= 64 * 1024


def test_a_reader_that_is_overtaken_is_told_how_much_it_lost(make_engine, tmp_path):
    """It goes on with what is there, and its sum is right."""
    engine = make_engine(log_max_bytes=256 * 1024)
    go = tmp_path / "go"
    script = (
        "import os, sys, time\nprint('begin', flush=True)\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.02)\n"
        "for n in range(3000): sys.stdout.write('y' * 999 + '\\n')"
    )
    engine.py("job", script)
    engine.line("job")
    first = list(engine.logs("job"))
    go.touch()
    engine.ended("job")
    rest = list(engine.logs("job", cursor=first[-1].cursor))
    assert rest[0].lost > 0
    assert sum(chunk.lost + len(chunk.data) for chunk in rest) == 3_000_000


def test_the_rest_that_a_full_disk_refused_is_told(engine):
    """Also where nothing could be written after it, and only once."""
    engine.sh("job", "echo one")
    engine.ended("job")
    path = engine.job("job") / files.EXIT
    path.write_text(json.dumps({**json.loads(path.read_text()), "log_bytes": 104}))
    for follow in (False, True):
        *_, last = engine.logs("job", follow=follow)
        assert (last.data, last.lost) == (b"", 100)
        assert list(engine.logs("job", cursor=last.cursor)) == []


def test_the_end_of_a_log_can_be_asked_for(make_engine):
    """Exactly so many bytes, across files too; all of it where it is shorter."""
    engine = make_engine(log_max_bytes=8 * 1024 * 1024)
    engine.py("job", "import sys\nfor n in range(200_000): sys.stdout.write('%09d\\n' % n)")
    engine.ended("job")
    whole = engine.text("job")
    assert len(whole) == 2_000_000
    assert len(files_of(str(engine.job("job")))) > 1
    for size in (1, 7, 1000, 65_536, 700_000, 2_000_000, 5_000_000):
        assert engine.text("job", tail_bytes=size) == whole[-size:]


def test_since_leaves_out_what_came_before(engine, tmp_path):
    """By the time at which it was received."""
    go = tmp_path / "go"
    engine.sh("job", f"echo old; while [ ! -e {go} ]; do sleep 0.02; done; echo new")
    engine.line("job")
    now = datetime.now(UTC)
    go.touch()
    engine.ended("job")
    assert engine.text("job", since=now) == "new\n"
    assert engine.text("job", since=now - timedelta(hours=1)) == "old\nnew\n"


def test_a_job_that_is_not_there_has_no_log(engine):
    """Never a silent empty stream."""
    with pytest.raises(LogsUnavailable):
        engine.logs("none")


def test_a_cursor_of_something_else_is_refused(engine):
    """It is named."""
    engine.sh("job", "echo x")
    with pytest.raises(InvalidSpec, match="cursor"):
        engine.logs("job", cursor="2026-01-01T00:00:00Z")


def test_a_log_removed_under_a_reader_is_no_clean_end(engine):
    """The stream breaks instead."""
    engine.sh("job", "echo one; sleep 600")
    engine.line("job")
    stream = engine.logs("job", follow=True)
    assert next(stream).data == b"one\n"
    job = engine.job("job")
    job.rename(job.with_name(".moved"))
    with pytest.raises(StreamLost):
        next(stream)
    job.with_name(".moved").rename(job)


def test_half_a_record_at_the_end_is_no_error(engine):
    """A supervisor died while it wrote."""
    engine.sh("job", "echo one")
    engine.ended("job")
    _, _, path = files_of(str(engine.job("job")))[-1]
    with open(path, "ab") as file:
        file.write(b"\x01\x00\x00")
    assert engine.text("job") == "one\n"
    assert b"".join(c.data for c in engine.logs("job", follow=True)) == b"one\n"


def test_the_tail_of_the_outcome_is_bounded_and_masked(engine):
    """Also where the cut goes through the value; the log itself is not altered."""
    secret = "planted-secret-value"
    script = "import os\nprint('a' * 3000 + os.environ['TOKEN'] + 'b' * 95)"
    engine.py("job", script, secrets={"TOKEN": secret}, tail_bytes=104)
    tail = engine.ended("job").log_tail
    assert tail == "***" + "b" * 95 + "\n"
    assert secret in engine.text("job")


def test_secrets_are_nowhere_on_disk_or_in_command_lines(engine):
    """Neither while it runs nor afterwards, unless the job prints them."""
    secret = b"planted-secret-value-2"
    spec = JobSpec(job_id="job", command=("sleep", "600"), env={"PLAIN": "plain-value-3"})
    engine.spawn(spec, secrets={"TOKEN": secret.decode()})
    from pathlib import Path

    def found():
        hits = [
            path
            for path in engine.folder.rglob("*")
            if path.is_file() and any(v in path.read_bytes() for v in (secret, b"plain-value-3"))
        ]
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if secret in path.read_bytes():
                    hits.append(path)
            except OSError:
                continue
        return hits

    assert found() == []
    engine.stop("job")
    assert engine.ended("job").state is JobState.CANCELLED
    assert found() == []
    assert secret.decode() not in repr(engine.status("job"))
