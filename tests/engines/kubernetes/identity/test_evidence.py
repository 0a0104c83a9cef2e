"""Evidence names its object: what is told of one Job is never taken for its namesake's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from docker_images import BUSYBOX
from kube_bare import Bare
from kube_case import PATIENCE, KubeCase, eventually, sh
from spawnery.contract import WatchRequest
from spawnery.errors import JobNotFound
from spawnery.model import JobGone, JobSeen, JobState, JobStatus, Synced
from spawnery.testing.faults import Seen
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("kubernetes")

UUID = "/proc/sys/kernel/random/uuid"
"""Another text at each read."""


@pytest.fixture
def bare(case: KubeCase) -> Iterator[Bare]:
    """A spawner without core."""
    made = Bare(case)
    yield made
    made.spawner.close()


def test_a_job_carries_its_record(bare: Bare) -> None:
    """The record's id is on the Job and comes back in handle, status, list, events and the end."""
    with bare.spawner.watch(WatchRequest()) as stream:
        while not isinstance(next(stream), Synced):
            pass
        handle = bare.spawner.spawn(bare.asked("exit 0", record_id="mine"))
        assert handle.record_id == "mine"
        status = bare.reaches(JobState.SUCCEEDED)
        assert (status.engine_id, status.record_id) == (handle.engine_id, "mine")
        assert [found.record_id for found in bare.spawner.list_jobs()] == ["mine"]
        bare.remove()
        told = []
        for event in stream:
            told.append(event)
            if isinstance(event, JobGone):
                break
    gone = told[-1]
    assert isinstance(gone, JobGone)
    assert (gone.engine_id, gone.record_id) == (handle.engine_id, "mine")
    seen = [event.status for event in told if isinstance(event, JobSeen)]
    assert {(s.engine_id, s.record_id) for s in seen} == {(handle.engine_id, "mine")}


def test_what_is_adopted_keeps_its_own_record(bare: Bare) -> None:
    """A Job that was there already gives the record id that it carries, not the caller's."""
    bare.spawner.spawn(bare.asked("sleep 600", record_id="first"))
    handle = bare.spawner.spawn(bare.asked("sleep 600", record_id="second"))
    assert (handle.created, handle.record_id) == (False, "first")
    assert bare.status().record_id == "first"


def test_a_job_of_the_previous_version(bare: Bare) -> None:
    """A Job without a record id is adopted, looked at, stopped and removed; its id is unknown."""
    bare.spawner.spawn(bare.asked("sleep 600"))
    name = ("job", bare.case.name("one"), "-n", bare.case.namespace)
    bare.case.kubectl("label", *name, "spawnery.dev/record-id-")
    handle = bare.spawner.spawn(bare.asked("sleep 600"))
    assert (handle.created, handle.record_id) == (False, None)
    bare.reaches(JobState.RUNNING)
    bare.stop()
    assert bare.status().state is JobState.CANCELLED
    bare.remove()
    assert bare.spawner.status("one") is None


def test_only_the_object_that_is_meant(bare: Bare) -> None:
    """A stop and a remove of an earlier Job leave the one alone that has its name now."""
    first = bare.spawner.spawn(bare.asked("exit 0"))
    bare.reaches(JobState.SUCCEEDED)
    bare.remove(engine_id=first.engine_id)
    second = bare.spawner.spawn(bare.asked("sleep 600"))
    bare.reaches(JobState.RUNNING)
    bare.stop(engine_id=first.engine_id)
    bare.remove(engine_id=first.engine_id)
    status = bare.status()
    assert (status.state, status.engine_id) == (JobState.RUNNING, second.engine_id)
    bare.stop(engine_id=second.engine_id)
    assert bare.status().state is JobState.CANCELLED
    bare.remove(engine_id=second.engine_id)
    assert bare.spawner.status("one") is None


def test_a_stop_waits_for_its_own_object_only(led: KubeCase, proxy: TransportProxy) -> None:
    """A Job that takes the name while its predecessor is being stopped is not waited for."""
    bare = Bare(led)
    bare.spawner.spawn(bare.asked("trap '' TERM; sleep 600"))
    bare.reaches(JobState.RUNNING)
    swapped = threading.Event()

    def swap(seen: Seen) -> None:
        if seen.method == "DELETE" and "/pods/" in seen.path and not swapped.is_set():
            swapped.set()
            name = ("job", led.name("one"), "-n", led.namespace)
            led.kubectl("delete", *name, "--wait=false")
            eventually(lambda: led.name("one") not in led.kubectl("get", "job", "-n", name[3]))
            other.spawner.spawn(other.asked("sleep 601", record_id="r2"))

    other = Bare(led)
    proxy.on_response = swap
    bare.stop()
    proxy.on_response = None
    assert swapped.is_set()
    assert other.reaches(JobState.RUNNING).record_id == "r2"
    bare.spawner.close()
    other.spawner.close()


def test_a_name_that_is_free_for_a_moment(led: KubeCase, proxy: TransportProxy) -> None:
    """A look that found nothing says nothing of the Job that was made before its answer came."""
    bare = Bare(led)
    held, release = threading.Event(), threading.Event()

    def hold(seen: Seen) -> None:
        if seen.method == "GET" and f"/jobs/{led.name('one')}" in seen.path and not held.is_set():
            held.set()
            release.wait(PATIENCE)

    proxy.on_response = hold
    found: list[JobStatus | None] = []
    looker = threading.Thread(target=lambda: found.append(bare.spawner.status("one")))
    looker.start()
    assert held.wait(PATIENCE)
    bare.spawner.spawn(bare.asked("sleep 600"))
    assert bare.spawner.list_jobs()
    release.set()
    looker.join(PATIENCE)
    assert found == [None]
    assert bare.reaches(JobState.RUNNING).outcome is None
    bare.spawner.close()


def test_the_log_of_this_very_job(bare: Bare) -> None:
    """The pod of an earlier Job with the same id, still there, does not lend its log."""
    case = bare.case
    bare.spawner.spawn(bare.asked("echo first"))
    bare.reaches(JobState.SUCCEEDED)
    [pod] = case.pods("one")
    name = ("pod", pod["metadata"]["name"], "-n", case.namespace)
    keep = {"metadata": {"finalizers": ["spawnery.dev/test"]}}
    case.kubectl("patch", *name, "--type=merge", "-p", json.dumps(keep))
    try:
        bare.remove()
        bare.spawner.spawn(bare.asked("sleep 2; echo second"))
        assert bare.log(follow=True) == b"second\n"
        assert bare.reaches(JobState.SUCCEEDED).outcome is not None
    finally:
        let_go = {"metadata": {"finalizers": None}}
        case.kubectl("patch", *name, "--type=merge", "-p", json.dumps(let_go))


def test_a_run_after_a_removal_really_runs(case: KubeCase) -> None:
    """``run`` and ``rm`` with one job id, again and again: each run is a run of its own."""
    shown = set()
    for _ in range(5):
        done = case.cli("run", "--job-id", "loop", "--image", BUSYBOX, "--", "cat", UUID)
        assert done.returncode == 0, done.stderr
        shown.add(done.stdout)
        removed = case.cli("rm", "loop")
        assert removed.returncode == 0, removed.stderr
    assert len(shown) == 5


def test_a_watch_after_a_removal(case: KubeCase) -> None:
    """A process that begins to watch right after a removal does not bring the record back."""
    for _ in range(3):
        with case.open() as spawner:
            spawner.spawn(sh("exit 3", job_id="loop"))
            assert spawner.wait("loop", PATIENCE).exit_code == 3
            spawner.remove("loop")
        with case.open() as spawner:
            assert spawner.wait(spawner.spawn(sh("true")).job_id, PATIENCE).exit_code == 0
            with pytest.raises(JobNotFound):
                spawner.status("loop")
