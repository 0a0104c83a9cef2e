"""The daemon dies and comes back while jobs run, with and without live-restore."""

from __future__ import annotations

import collections
import threading

import pytest
from docker_case import eventually, running
from docker_jobs import PATIENCE, environ_of, joined, open_spawner, shell
from private_docker import PrivateDocker, let_end
from spawnery.errors import SpawnerError
from spawnery.model import JobState
from spawnery.spawner import Spawner

pytestmark = [pytest.mark.engine("docker"), pytest.mark.timeout(240)]

COUNTING = (
    "i=0; while [ $i -lt 60 ]; do echo $i; [ $((i%5)) = 0 ] && echo e$i >&2;"
    " sleep 0.1; i=$((i+1)); done; exit 7"
)
ON_COMMAND = "until [ -e /tmp/go ]; do sleep 0.1; done; exit"


@pytest.fixture
def restoring():
    with PrivateDocker(live_restore=True) as engine:
        yield engine


@pytest.fixture
def engine():
    with PrivateDocker() as engine:
        yield engine


def test_a_job_goes_on_over_a_crash_with_live_restore(restoring, tmp_path):
    """The job goes on without the daemon; its true exit code is the outcome, for all who wait."""
    with open_spawner(tmp_path, restoring.address) as spawner:
        job = spawner.spawn(shell(COUNTING, retention_seconds=600)).job_id
        seen = []
        stream = spawner.watch()
        watching = threading.Thread(target=lambda: seen.extend(stream), daemon=True)
        watching.start()
        running(spawner, job)
        restoring.restart()
        outcome = spawner.wait(job, PATIENCE)
        eventually(lambda: any(status.outcome for status in seen))
        stream.close()
        watching.join(PATIENCE)
        assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 7)
        assert outcome.cause == "exit.nonzero"
        ends = [status.outcome for status in seen if status.outcome is not None]
        assert [end.exit_code for end in ends] == [7]


def test_a_followed_log_goes_on_over_a_crash(restoring, tmp_path):
    """Each line comes exactly once although the daemon was killed in between, twice."""
    with open_spawner(tmp_path, restoring.address) as spawner:
        job = spawner.spawn(shell(COUNTING, retention_seconds=600), follow=True).job_id
        chunks = collections.deque()

        def crash():
            for lines in (10, 30):
                eventually(lambda lines=lines: count_lines(chunks) >= lines)
                restoring.restart()

        crashing = threading.Thread(target=crash, daemon=True)
        crashing.start()
        with spawner.logs(job, follow=True) as stream:
            chunks.extend(stream)
        crashing.join(PATIENCE)
        assert spawner.wait(job, PATIENCE).exit_code == 7
    found = joined(chunks)
    assert found["stdout"].split() == [b"%d" % n for n in range(60)]
    assert found["stderr"].split() == [b"e%d" % n for n in range(0, 60, 5)]


def count_lines(chunks):
    return sum(chunk.data.count(b"\n") for chunk in list(chunks))


def test_a_cursor_is_good_after_a_restart(restoring, tmp_path):
    """A reader that stopped before a crash goes on at its cursor afterwards, in a new process."""
    environ = environ_of(tmp_path, restoring.address)
    with Spawner.open(environ=environ) as spawner:
        job = spawner.spawn(shell(COUNTING, retention_seconds=600)).job_id
        with spawner.logs(job, follow=True) as stream:
            read = [next(stream) for _ in range(7)]
        restoring.restart()
        assert spawner.wait(job, PATIENCE).exit_code == 7
    with Spawner.open(environ=environ) as other:
        with other.logs(job, cursor=read[-1].cursor) as rest:
            found = joined([*read, *rest])
        other.remove(job)
    assert found["stdout"].split() == [b"%d" % n for n in range(60)]
    assert found["stderr"].split() == [b"e%d" % n for n in range(0, 60, 5)]


@pytest.mark.parametrize("retention", [0, 600])
def test_a_crash_without_live_restore_is_no_success(engine, tmp_path, retention):
    """The daemon ends the job when it comes back: FAILED or LOST, with words, never success."""
    with open_spawner(tmp_path, engine.address) as spawner:
        spec = shell("echo on; sleep 600", retention_seconds=retention)
        job = spawner.spawn(spec).job_id
        running(spawner, job)
        engine.restart()
        outcome = spawner.wait(job, PATIENCE)
        assert outcome.state in {JobState.FAILED, JobState.LOST}
        assert outcome.message
        assert spawner.spawn(spec).created is False
        if retention:
            spawner.remove(job)
        eventually(lambda: not engine.containers())


@pytest.mark.parametrize(
    ("retention", "code", "expected"),
    [
        (600, 0, {JobState.SUCCEEDED}),
        (600, 9, {JobState.FAILED}),
        (0, 0, {JobState.LOST, JobState.FAILED}),
    ],
)
def test_a_job_that_ends_while_the_daemon_is_dead(engine, tmp_path, retention, code, expected):
    """A kept container tells its code afterwards; of one that removed itself nobody claims any."""
    with open_spawner(tmp_path, engine.address) as spawner:
        job = spawner.spawn(shell(f"{ON_COMMAND} {code}", retention_seconds=retention))
        running(spawner, job.job_id)
        pid = engine.pid(job.name)
        engine.kill()
        let_end(pid)  # only its shim knows
        engine.start()
        outcome = spawner.wait(job.job_id, PATIENCE)
        assert outcome.state in expected
        if retention:
            assert outcome.exit_code == code


def test_a_followed_job_that_removes_itself_dies_with_the_daemon(engine, tmp_path):
    """A follower gets all there was or is told that the rest is lost; it never hangs."""
    with open_spawner(tmp_path, engine.address, SPAWNERY_IO_TIMEOUT_SECONDS="5") as spawner:
        job = spawner.spawn(shell("echo on; sleep 600"), follow=True).job_id
        got = []

        def read():
            try:
                with spawner.logs(job, follow=True) as stream:
                    got.extend(chunk.data for chunk in stream)
            except SpawnerError as error:
                got.append(error)

        reading = threading.Thread(target=read, daemon=True)
        reading.start()
        eventually(lambda: got)
        engine.restart()
        reading.join(PATIENCE)
        assert not reading.is_alive()
        assert got[0] == b"on\n"
        assert spawner.wait(job, PATIENCE).state in {JobState.FAILED, JobState.LOST}


def test_a_hung_daemon_is_no_end(engine, tmp_path):
    """While the daemon hangs calls fail in time and in words; afterwards all is as it was."""
    with open_spawner(tmp_path, engine.address, SPAWNERY_IO_TIMEOUT_SECONDS="5") as spawner:
        job = spawner.spawn(shell(f"{ON_COMMAND} 5"))
        running(spawner, job.job_id)
        pid = engine.pid(job.name)
        with engine.hung():
            with pytest.raises(SpawnerError) as caught:
                spawner.logs(job.job_id)
            assert caught.value.retryable
        assert spawner.status(job.job_id).outcome is None
        let_end(pid)
        assert spawner.wait(job.job_id, PATIENCE).exit_code == 5


def test_live_restore_and_containers_that_remove_themselves(restoring, tmp_path):
    """Engines before 24 kill such a container at the restart (moby#46308): told, no success."""
    with open_spawner(tmp_path, restoring.address) as spawner:
        job = spawner.spawn(shell("sleep 4; exit 7")).job_id
        running(spawner, job)
        restoring.restart()
        outcome = spawner.wait(job, PATIENCE)
        assert outcome.state in {JobState.FAILED, JobState.LOST}
        assert outcome.exit_code == 7 or outcome.cause in {"killed.external", "lost.missing"}


@pytest.mark.parametrize("retention", [0, 600])
def test_an_orderly_stop_of_the_daemon(engine, tmp_path, retention):
    """The daemon sends SIGTERM to its containers; the code that a job ends with is its outcome."""
    with open_spawner(tmp_path, engine.address) as spawner:
        script = "trap 'exit 42' TERM; echo on; while :; do sleep 0.1; done"
        handle = spawner.spawn(shell(script, retention_seconds=retention))
        eventually(lambda: engine.docker("logs", handle.name) == "on")
        engine.stop()
        engine.start()
        outcome = spawner.wait(handle.job_id, PATIENCE)
        assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 42)


def test_what_changed_while_nobody_could_watch(restoring, tmp_path):
    """After a restart, which forgets all events, a watch finds out by the list what has ended."""
    with open_spawner(tmp_path, restoring.address) as spawner:
        jobs = [
            spawner.spawn(shell(f"{ON_COMMAND} {code}", retention_seconds=600))
            for code in (1, 2, 3)
        ]
        for job in jobs:
            running(spawner, job.job_id)
        pids = [restoring.pid(job.name) for job in jobs]
        seen = {}
        stream = spawner.watch()

        def read():
            for status in stream:
                if status.outcome is not None:
                    seen[status.job_id] = status.outcome.exit_code

        threading.Thread(target=read, daemon=True).start()
        restoring.kill()
        for pid in pids:
            let_end(pid)
        restoring.start()
        eventually(lambda: len(seen) == 3)
        stream.close()
        assert seen == {job.job_id: code for job, code in zip(jobs, (1, 2, 3), strict=True)}
