"""Commands whose clock is an hour wrong do what others do: the clock of the engine counts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping

import pytest
from clocks import shifted
from docker_case import DockerCase, eventually, left_created
from docker_images import BUSYBOX
from shown_times import ages_in, seconds_in
from spawnery.testing.proxy import TransportProxy

pytestmark = [pytest.mark.engine("docker"), pytest.mark.tool("faketime")]
MINUTE = 60.0
LONG, SHORT = "10m", "2s"


@pytest.fixture(params=["+1h", "-1h", "+0h"], ids=["ahead", "behind", "in-time"])
def wrong(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """The variables of commands whose clock is wrong, or right: the same is to be seen."""
    return shifted(request.param)


def spawn(job_id: str, script: str, *flags: str) -> list[str]:
    """Return the words that spawn a job."""
    words = ["spawn", "--job-id", job_id, "--image", BUSYBOX, *flags]
    return [*words, "--", "sh", "-c", script]


def done(case: DockerCase, wrong: Mapping[str, str], *words: str) -> str:
    """Run the command; returns its results."""
    ended = case.cli(*words, **wrong)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def state(case: DockerCase, job_id: str) -> str:
    """Return the state and the cause of a job, by a command whose clock is right."""
    shown = json.loads(case.cli("status", job_id, "--json").stdout)
    outcome = shown["outcome"]
    return str(shown["state"]) + (f" {outcome['cause']}" if outcome else "")


def until_old(case: DockerCase, job_id: str, seconds: float) -> None:
    """Wait until a container is that old, by a clock that is right."""
    made = time.time()
    eventually(lambda: time.time() - made > seconds + 1.5)  # whole seconds, and the interval
    assert case.inspect(job_id)


def test_a_deadline(case: DockerCase, wrong: Mapping[str, str]) -> None:
    """Reap ends the job whose deadline is over, and leaves the other one alone."""
    for job_id, limit in (("far", LONG), ("near", SHORT)):
        done(case, wrong, *spawn(job_id, "sleep 600", "--deadline-seconds", limit))
    until_old(case, "near", 2)
    done(case, wrong, "reap")
    assert state(case, "near") == "TIMED_OUT deadline"
    assert state(case, "far") == "RUNNING"


def test_a_deadline_that_is_waited_for(case: DockerCase, wrong: Mapping[str, str]) -> None:
    """A command that follows its job ends it at the deadline, after as many seconds as it says."""
    words = ["run", "--image", BUSYBOX, "--deadline-seconds", "3s", "--", "sleep", "600"]
    begun = time.monotonic()
    ended = case.cli(*words, **wrong)
    assert ended.returncode == 124, ended.stderr
    assert 3 <= time.monotonic() - begun < MINUTE
    assert "[deadline]" in ended.stderr
    assert seconds_in(ended.stderr), ended.stderr
    assert all(0 < found < MINUTE for found in seconds_in(ended.stderr)), ended.stderr


def test_a_start_deadline(led: DockerCase, proxy: TransportProxy, wrong: Mapping[str, str]) -> None:
    """What was made and not started is ended when its time to start is over, and not before."""
    for job_id, limit in (("late", LONG), ("soon", SHORT)):
        words = spawn(job_id, "sleep 600", "--start-deadline-seconds", limit)
        left_created(led, proxy, "-m", "spawnery", *words, job_id=job_id)
    until_old(led, "soon", 2)
    done(led, wrong, "reap")
    assert state(led, "soon") == "TIMED_OUT deadline.start"
    assert state(led, "late") == "PENDING"


def test_a_start_deadline_of_a_pull(
    case: DockerCase, hanging: tuple[str, threading.Event], wrong: Mapping[str, str]
) -> None:
    """A pull that hangs is given up when the time to start is over, and not before."""
    words = ["run", "--image", f"{hanging[0]}/x:1"]
    begun = time.monotonic()
    ended = case.cli(*words, "--start-deadline-seconds", "3s", "--", "true", **wrong)
    assert ended.returncode == 125, ended.stderr
    assert 3 <= time.monotonic() - begun < MINUTE
    assert "start deadline (3 s) was over" in ended.stderr


def test_a_retention(case: DockerCase, wrong: Mapping[str, str]) -> None:
    """An ended job is removed when its retention is over, and not before."""
    for job_id, kept in (("long", LONG), ("short", "4s")):
        done(case, wrong, *spawn(job_id, "true", "--retention-seconds", kept))
        done(case, wrong, "wait", job_id)
    short, long = (f"{case.prefix}-{job_id}" for job_id in ("short", "long"))
    done(case, wrong, "reap")
    assert long in case.containers()

    def removed() -> bool:
        done(case, wrong, "reap")
        return short not in case.containers()

    eventually(removed)
    assert long in case.containers()


def test_objects_without_a_record(case: DockerCase, wrong: Mapping[str, str]) -> None:
    """Where the records were lost, deadlines and retentions are those of the objects."""
    for job_id, limit in (("far", LONG), ("near", SHORT)):
        done(case, wrong, *spawn(job_id, "sleep 600", "--deadline-seconds", limit))
    for job_id, kept in (("long", LONG), ("short", SHORT)):
        done(case, wrong, *spawn(job_id, "true", "--retention-seconds", kept))
        eventually(lambda job=job_id: case.inspect(job)["State"]["Status"] == "exited")
    until_old(case, "long", 2)
    lost = {"SPAWNERY_STATE_DIR": str(case.folder / "lost")}
    done(case, {**wrong, **lost}, "reap")
    left = case.containers()
    assert left == {f"{case.prefix}-{job_id}" for job_id in ("far", "near", "long")}
    assert case.inspect("far")["State"]["Running"]
    assert not case.inspect("near")["State"]["Running"]


def test_an_orphan(led: DockerCase, proxy: TransportProxy, wrong: Mapping[str, str]) -> None:
    """A container that was never started, in no record, goes when its grace is over."""
    left_created(led, proxy, "-m", "spawnery", *spawn("one", "sleep 600"))
    lost = {**wrong, "SPAWNERY_STATE_DIR": str(led.folder / "lost")}
    until_old(led, "one", 2)
    done(led, {**lost, "SPAWNERY_ORPHAN_GRACE_SECONDS": "600"}, "reap")
    assert led.inspect("one")["State"]["Status"] == "created"
    done(led, {**lost, "SPAWNERY_ORPHAN_GRACE_SECONDS": "2"}, "reap")
    assert led.containers() == set()


def test_shown_durations(case: DockerCase, wrong: Mapping[str, str]) -> None:
    """Ages of jobs that run, have ended or are only remembered, and how long one took."""
    done(case, wrong, *spawn("runs", "sleep 600"))
    for job_id, kept in (("kept", LONG), ("gone", "0")):
        words = ("run", "--job-id", job_id, "--image", BUSYBOX, "--retention-seconds", kept)
        last = case.cli(*words, "--", "sleep", "2", **wrong).stderr
        assert [2 <= took < MINUTE for took in seconds_in(last)] == [True], last
    shown = case.on_terminal("ps", "--all", **wrong)
    rows = {words[0]: words[2] for words in map(str.split, shown.splitlines()) if words}
    assert {*rows} >= {"runs", "kept", "gone"}, shown
    for job_id in ("runs", "kept", "gone"):
        assert [0 <= age < MINUTE for age in seconds_in(rows[job_id])] == [True], shown
        status = done(case, wrong, "status", job_id)
        assert ages_in(status), status
        assert all(0 <= age < MINUTE for age in ages_in(status)), status


def test_check_tells(case: DockerCase, wrong: Mapping[str, str]) -> None:
    """The offset is a warning of check, with its size and direction; there is none in time."""
    shown = done(case, wrong, "check")
    said = {"+1h": "behind ours", "-1h": "ahead of ours"}.get(wrong["FAKETIME"])
    [clock] = [line for line in shown.splitlines() if "\tclock\t" in line]
    assert clock.startswith("warning" if said else "ok"), clock
    assert (said or "") in clock
