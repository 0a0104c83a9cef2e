"""Logs on a real engine: whole, told apart, resumed without loss or repetition, and refused."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from docker_case import eventually
from docker_images import make_busybox
from docker_jobs import PATIENCE, docker, environ_of, joined, open_spawner, shell
from spawnery.errors import InvalidSpec, JobNotFound, LogsUnavailable
from tools import BUSYBOX, need

pytestmark = pytest.mark.engine("docker")

LONG = (
    "head -c 100000 /dev/zero | tr '\\0' a; echo; echo err >&2;"
    " head -c 32768 /dev/zero | tr '\\0' b; echo; printf 'd\\303\\251j\\303\\240'; echo e2 >&2;"
    " i=0; while [ $i -lt 200 ]; do echo line $i; echo wrong $i >&2; i=$((i+1)); done; printf end"
)
LONG_OUT = (
    b"a" * 100000 + b"\n" + b"b" * 32768 + "\ndéjà".encode()
    + b"".join(b"line %d\n" % n for n in range(200)) + b"end"
)  # fmt: skip
LONG_ERR = b"err\ne2\n" + b"".join(b"wrong %d\n" % n for n in range(200))


@pytest.fixture(scope="session", autouse=True)
def image(docker_socket):
    make_busybox(f"unix://{docker_socket}")


@pytest.fixture
def spawner(docker_socket, tmp_path):
    with open_spawner(tmp_path, docker_socket) as spawner:
        yield spawner
        for status in spawner.list():
            with contextlib.suppress(JobNotFound):  # It removed itself meanwhile.
                spawner.remove(status.job_id, force=True)


def test_a_kept_log_is_whole_and_resumes_at_every_cursor(spawner):
    """Long lines, split characters and both streams: from each cursor exactly the rest follows."""
    job = spawner.spawn(shell(LONG, retention_seconds=600)).job_id
    with spawner.logs(job, follow=True) as stream:
        chunks = list(stream)
    assert joined(chunks) == {"stdout": LONG_OUT, "stderr": LONG_ERR}
    spawner.wait(job, PATIENCE)
    for number in [*range(0, len(chunks), 23), len(chunks) - 1]:
        with spawner.logs(job, cursor=chunks[number].cursor) as rest:
            assert joined(rest) == joined(chunks[number + 1 :]), chunks[number].cursor


def test_the_last_bytes_exactly(spawner):
    """tail_bytes begins inside a long line, between lines, or at the start; cursors go on there."""
    job = spawner.spawn(shell(LONG, retention_seconds=600)).job_id
    spawner.wait(job, PATIENCE)
    with spawner.logs(job) as stream:
        whole = b"".join(chunk.data for chunk in stream)
    for size in (1, 5, 1000, 3000, 20_000, 60_000, 10**6):
        with spawner.logs(job, tail_bytes=size) as stream:
            chunks = list(stream)
        assert b"".join(chunk.data for chunk in chunks) == whole[-size:], size
        with spawner.logs(job, cursor=chunks[0].cursor) as rest:
            assert joined(rest) == joined(chunks[1:]), size


def test_since_leaves_out_what_is_older(spawner):
    """What the engine received before a time is left out."""
    job = spawner.spawn(shell("echo old; sleep 1; echo new", retention_seconds=600)).job_id
    spawner.wait(job, PATIENCE)
    with spawner.logs(job) as stream:
        times = {chunk.data.strip(): chunk.time for chunk in stream}
    assert times[b"new"] - times[b"old"] > timedelta(seconds=0.5)
    with spawner.logs(job, since=times[b"new"] - timedelta(seconds=0.2)) as stream:
        assert b"".join(chunk.data for chunk in stream) == b"new\n"
    with spawner.logs(job, since=datetime.now(UTC) + timedelta(hours=1)) as stream:
        assert list(stream) == []


def test_a_followed_job_that_removes_itself_is_heard_byte_by_byte(spawner, docker_socket):
    """A followed job has AutoRemove all the same; its log is whole, binary included."""
    need("busybox")  # the image may be there without it
    job = spawner.spawn(shell("sleep 1; cat /bin/busybox; echo err >&2; exit 4"), follow=True)
    auto = docker(docker_socket, "inspect", "-f", "{{.HostConfig.AutoRemove}}", job.name)
    assert auto == "true"
    with spawner.logs(job.job_id, follow=True) as stream:
        found = joined(stream)
    wanted = hashlib.sha256(BUSYBOX.read_bytes()).hexdigest()
    assert hashlib.sha256(found["stdout"]).hexdigest() == wanted
    assert found["stderr"] == b"err\n"
    assert spawner.wait(job.job_id, PATIENCE).exit_code == 4


def test_a_followed_job_does_not_wait_for_its_reader(spawner):
    """Ten megabytes that nobody reads yet hold no job up; they are there afterwards."""
    job = spawner.spawn(shell("yes 0123456789 | head -c 10000000"), follow=True).job_id
    assert spawner.wait(job, PATIENCE).exit_code == 0
    with spawner.logs(job, follow=True) as stream:
        sizes = [len(chunk.data) for chunk in stream]
    assert sum(sizes) == 10_000_000
    assert max(sizes) <= 2**20


def test_a_heard_log_resumes_at_every_cursor(spawner):
    """While its buffer is there a heard log goes on at each cursor, and gives its last bytes."""
    job = spawner.spawn(shell(LONG), follow=True).job_id
    with spawner.logs(job, follow=True) as stream:
        chunks = list(stream)
    assert joined(chunks) == {"stdout": LONG_OUT, "stderr": LONG_ERR}
    for number in range(0, len(chunks), 17):
        with spawner.logs(job, cursor=chunks[number].cursor) as rest:
            assert joined(rest) == joined(chunks[number + 1 :])
    with spawner.logs(job, tail_bytes=3) as stream:
        data = b"".join(chunk.data for chunk in stream)
    assert data == b"".join(chunk.data for chunk in chunks)[-3:]


def test_run_prints_all_of_a_quick_job_every_time(docker_socket, tmp_path):
    """``spawnery run`` of a job that ends at once prints its whole log, each time."""
    environ = environ_of(tmp_path, docker_socket)
    command = [sys.executable, "-W", "error", "-m", "spawnery", "run", "--image"]
    for number in range(int(os.environ.get("SPAWNERY_TEST_QUICK_RUNS", "20"))):
        words = [*command, "spawnery-test/busybox:1", "--", "echo", f"x{number}"]
        done = subprocess.run(words, capture_output=True, env=environ, timeout=PATIENCE)
        assert (done.stdout, done.returncode) == (b"x%d\n" % number, 0), done.stderr


def test_another_process_follows_a_running_job(docker_socket, tmp_path):
    """A process that did not spawn it follows a job to its end, removed at once as it is."""
    environ = environ_of(tmp_path, docker_socket)
    from spawnery.spawner import Spawner

    with Spawner.open(environ=environ) as owner, Spawner.open(environ=environ) as other:
        job = owner.spawn(
            shell("i=0; while [ $i -lt 20 ]; do echo $i; sleep 0.1; i=$((i+1)); done")
        )
        with other.logs(job.job_id, follow=True) as stream:
            chunks = list(stream)
        text = b"".join(chunk.data for chunk in chunks)
        assert text.split() == [b"%d" % n for n in range(20)]
        assert not [chunk.lost_reason for chunk in chunks if chunk.gap]
        assert owner.wait(job.job_id, PATIENCE).exit_code == 0


def test_drivers_that_cannot_be_read_say_so(docker_socket, tmp_path):
    """The log driver ``none``: the job runs, its log is unavailable, in words."""
    with open_spawner(tmp_path, docker_socket, SPAWNERY_DOCKER_LOG_DRIVER="none") as spawner:
        job = spawner.spawn(shell("echo lost; exit 3", retention_seconds=600)).job_id
        outcome = spawner.wait(job, PATIENCE)
        assert outcome.exit_code == 3
        assert "driver" in outcome.log_tail_missing
        with pytest.raises(LogsUnavailable, match="log driver") as caught:
            spawner.logs(job)
        assert "SPAWNERY_DOCKER_LOG_DRIVER" in caught.value.hint
        spawner.remove(job)


def test_a_driver_that_cannot_be_read_can_be_followed(docker_socket, tmp_path):
    """A followed job is heard, so its log driver does not matter."""
    with open_spawner(tmp_path, docker_socket, SPAWNERY_DOCKER_LOG_DRIVER="none") as spawner:
        job = spawner.spawn(shell("echo heard"), follow=True).job_id
        with spawner.logs(job, follow=True) as stream:
            assert b"".join(chunk.data for chunk in stream) == b"heard\n"


def test_a_log_that_went_with_its_container(spawner, docker_socket):
    """The log of a job that removed itself is gone, and the hint says how to keep the next one."""
    handle = spawner.spawn(shell("echo gone"))
    job = handle.job_id
    spawner.wait(job, PATIENCE)
    mine = ("--filter", f"name={handle.name}")
    eventually(lambda: not docker(docker_socket, "ps", "-aq", *mine))
    with pytest.raises(LogsUnavailable, match=r"gone|removed") as caught:
        spawner.logs(job)
    assert "retention_seconds=900" in caught.value.hint


def test_a_cursor_of_another_engine(spawner):
    """A cursor that is no place in a Docker log is refused by name."""
    job = spawner.spawn(shell("sleep 60")).job_id
    with pytest.raises(InvalidSpec, match="cursor"):
        spawner.logs(job, cursor="12.34")


@pytest.mark.parametrize("follow", [False, True])
def test_close_wakes_a_blocked_reader(spawner, follow):
    """close() from another thread ends a reader within seconds, however it reads."""
    job = spawner.spawn(shell("echo ready; sleep 300"), follow=follow).job_id
    stream = spawner.logs(job, follow=True)
    assert next(stream).data == b"ready\n"
    over = threading.Event()
    threading.Thread(target=lambda: (list(stream), over.set()), daemon=True).start()
    assert not over.wait(0.5)
    stream.close()
    assert over.wait(5)


def test_a_flood_is_read_at_the_readers_pace(spawner):
    """A slow reader of an endless log gets pieces of bounded size; memory stays bounded."""
    spawner.spawn(shell("yes 0123456789abcdef", job_id="flood", retention_seconds=600))
    with spawner.logs("flood", follow=True) as stream:
        sizes = [len(next(stream).data) for _ in range(50)]
    assert max(sizes) <= 2**20
    spawner.stop("flood", grace_seconds=0)


SEQ = {"SPAWNERY_DOCKER_LOG_MAX_BYTES": "400000"}


@pytest.mark.parametrize("driver", ["json-file", "local"])
@pytest.mark.parametrize("many", [2_000, 30_000])
def test_a_start_that_was_rotated_away_is_told(docker_socket, tmp_path, driver, many):
    """At the end of the log, with the setting; a log that is whole says nothing."""
    with open_spawner(tmp_path, docker_socket, SPAWNERY_DOCKER_LOG_DRIVER=driver, **SEQ) as spawner:
        job = spawner.spawn(shell(f"seq 1 {many}", retention_seconds=600)).job_id
        spawner.wait(job, PATIENCE)
        for how in ({}, {"follow": True}, {"tail_bytes": 10**6}):
            with spawner.logs(job, **how) as stream:
                chunks = list(stream)
            whole = b"".join(chunk.data for chunk in chunks).startswith(b"1\n")
            assert whole is (many == 2_000)
            reasons = [chunk.lost_reason for chunk in chunks if chunk.gap]
            assert len(reasons) == (0 if whole else 1), how
            assert all("SPAWNERY_DOCKER_LOG_MAX_BYTES" in reason for reason in reasons)
        with spawner.logs(job, tail_bytes=100) as stream:
            assert not any(chunk.gap for chunk in stream)
        spawner.remove(job)


def test_a_place_that_was_rotated_away_is_told(docker_socket, tmp_path):
    """Who goes on from a cursor that the log no longer has is told there, others are not."""
    script = "echo first; while [ ! -e /tmp/go ]; do sleep 0.1; done; seq 1 30000; echo last"
    with open_spawner(tmp_path, docker_socket, **SEQ) as spawner:
        job = spawner.spawn(shell(script, retention_seconds=600))
        with spawner.logs(job.job_id, follow=True) as stream:
            first = next(stream)
        docker(docker_socket, "exec", job.name, "touch", "/tmp/go")
        spawner.wait(job.job_id, PATIENCE)
        with spawner.logs(job.job_id, cursor=first.cursor) as stream:
            chunks = list(stream)
        assert [chunk.gap for chunk in chunks].index(True) == 0
        assert sum(chunk.gap for chunk in chunks) == 1
        with spawner.logs(job.job_id, cursor=chunks[0].cursor) as stream:
            rest = list(stream)
        assert not any(chunk.gap for chunk in rest)
        assert joined(rest) == joined(chunks[1:])
        spawner.remove(job.job_id)


def test_a_follower_that_fell_behind_is_told(docker_socket, tmp_path):
    """Of all lines each came, or it is said that some may be missing."""
    with open_spawner(tmp_path, docker_socket, **SEQ) as spawner:
        job = spawner.spawn(shell("sleep 1; seq 1 300000", retention_seconds=600))
        with spawner.logs(job.job_id, follow=True) as stream:
            chunks = list(stream)
        lines = b"".join(chunk.data for chunk in chunks).splitlines()
        assert lines[-1] == b"300000"
        assert len(lines) == 300_000 or any(chunk.gap for chunk in chunks)
        spawner.remove(job.job_id)


def test_the_command_says_what_is_missing(docker_socket, tmp_path):
    """``spawnery logs`` on stderr, with --json as ``lost_bytes``."""
    environ = environ_of(tmp_path, docker_socket) | SEQ
    words = [sys.executable, "-W", "error", "-m", "spawnery"]

    def call(*arguments):
        return subprocess.run(
            [*words, *arguments], capture_output=True, env=environ, timeout=PATIENCE, text=True
        )

    image = ["--image", "spawnery-test/busybox:1"]
    job = ["--job-id", "seq", "--retention-seconds", "600"]
    run = call("run", *image, *job, "--", "seq", "1", "30000")
    assert run.stdout.startswith("1\n") or "may be missing" in run.stderr
    read = call("logs", "seq")
    assert not read.stdout.startswith("1\n")
    assert "a part of the log may be missing" in read.stderr
    *_, last = map(json.loads, call("logs", "--json", "seq").stdout.splitlines())
    assert last["lost_bytes"] is None
    assert last["text"] == ""
    call("rm", "seq")


def test_a_cut_connection_goes_on_in_the_engines_log(led, proxy):
    """All connections are cut in between: each line comes exactly once all the same."""
    script = "i=0; while [ $i -lt 50 ]; do echo $i; echo e$i >&2; sleep 0.1; i=$((i+1)); done"
    with led.open() as spawner:
        job = spawner.spawn(shell(script), follow=True).job_id
        found = []
        with spawner.logs(job, follow=True) as stream:
            for chunk in stream:
                if not found:
                    proxy.cut_all()
                found.append(chunk)
        assert joined(found)["stdout"].split() == [b"%d" % n for n in range(50)]
        assert joined(found)["stderr"].split() == [b"e%d" % n for n in range(50)]
        assert spawner.wait(job, PATIENCE).exit_code == 0


def test_a_cut_connection_goes_on_in_a_log_that_lost_its_start(led, proxy, docker_socket):
    """What was heard cannot be counted in it: it goes on by time, and says that there is a gap."""
    script = (
        "seq 1 30000; until [ -e /tmp/go ]; do sleep 0.1; done; sleep 3;"
        " seq 30001 30100; echo end; sleep 2"
    )
    with led.open(**SEQ) as spawner:
        job = spawner.spawn(shell(script), follow=True)
        found = []
        with spawner.logs(job.job_id, follow=True) as stream:
            for chunk in stream:
                if chunk.data.endswith(b"30000\n"):
                    proxy.cut_all()
                    docker(docker_socket, "exec", job.name, "touch", "/tmp/go")
                found.append(chunk)
        assert spawner.wait(job.job_id, PATIENCE).exit_code == 0
    lines = joined(found)["stdout"].split()
    assert lines[:30_000] == [b"%d" % n for n in range(1, 30_001)]
    assert lines[-101:] == [b"%d" % n for n in range(30_001, 30_101)] + [b"end"]
    assert any(chunk.gap for chunk in found)
