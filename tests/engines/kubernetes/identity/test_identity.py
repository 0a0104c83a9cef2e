"""One id, one Job: callers at once, killed ones, names that are taken (promise P1)."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from docker_images import BUSYBOX
from job_calls import at_once
from kube_case import PATIENCE, KubeCase, eventually, running, sh
from spawnery.contract import LABEL_INSTANCE, LABEL_JOB_ID
from spawnery.errors import NameConflict, SpecConflict
from spawnery.model import JobHandle, JobState
from spawnery.testing.faults import Fault, Rule, Seen
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("kubernetes")

CALLER = f"""
import json, sys
from spawnery.model import JobSpec
from spawnery.spawner import Spawner
with Spawner.open() as spawner:
    spec = JobSpec(job_id="one", image={BUSYBOX!r}, command=["sh", "-c", "sleep 600"])
    print(json.dumps(spawner.spawn(spec).created), flush=True)
"""
JOBS = r"/jobs(\?|$)"


def uid(case: KubeCase) -> str:
    """Return the uid of the Job, which has one pod at most."""
    assert len(case.pods("one")) <= 1
    return str(case.job("one")["metadata"]["uid"])


def test_the_same_spec_again(case: KubeCase) -> None:
    """A job that is there is found, by this spawner and by a new one; nothing is made."""
    with case.open() as spawner:
        first = spawner.spawn(sh("sleep 600", job_id="one"))
        again = spawner.spawn(sh("sleep 600", job_id="one"))
    with case.open() as spawner:
        other = spawner.spawn(sh("sleep 600", job_id="one"))
    assert (first.created, again.created, other.created) == (True, False, False)
    assert first.engine_id == again.engine_id == other.engine_id == uid(case)


def test_found_without_a_record(case: KubeCase) -> None:
    """Where the records were lost the Job itself tells that it is the same job."""
    with case.open() as spawner:
        first = spawner.spawn(sh("sleep 600", job_id="one"))
    with case.open(SPAWNERY_STATE_DIR=str(case.folder / "new")) as spawner:
        again = spawner.spawn(sh("sleep 600", job_id="one"))
        assert (again.created, again.engine_id) == (False, first.engine_id)
    with case.open(SPAWNERY_STATE_DIR=str(case.folder / "newer")) as spawner:
        with pytest.raises(SpecConflict) as caught:
            spawner.spawn(sh("sleep 601", job_id="one"))
        assert "spawnery rm one" in (caught.value.hint or "")
        running(spawner, "one")
    assert uid(case) == first.engine_id


@pytest.mark.parametrize("labels", [{}, {LABEL_INSTANCE: "theirs", LABEL_JOB_ID: "one"}])
def test_a_foreign_job(case: KubeCase, labels: dict[str, str]) -> None:
    """A Job of somebody else, of another instance too, is told of and not touched."""
    before = case.plant("one", labels=labels)
    with case.open(SPAWNERY_ORPHAN_GRACE_SECONDS="0") as spawner:
        with pytest.raises(NameConflict) as caught:
            spawner.spawn(sh("sleep 600", job_id="one"))
        assert before["metadata"]["uid"] in caught.value.message
        assert f"kubectl get job {case.name('one')}" in (caught.value.hint or "")
        spawner.reap()
        assert spawner.list() == []
    assert case.job("one") == before


def test_twelve_threads(case: KubeCase) -> None:
    """Of twelve threads in three spawners one makes the Job, and all get its handle."""
    with case.open() as a, case.open() as b, case.open() as c:
        spec = sh("sleep 600", job_id="one")
        calls = [lambda spawner=spawner: spawner.spawn(spec) for spawner in (a, b, c) * 4]
        results = at_once(calls)
    handles = [result for result in results if isinstance(result, JobHandle)]
    assert len(handles) == 12, results
    assert sorted(handle.created for handle in handles) == [False] * 11 + [True]
    assert {handle.engine_id for handle in handles} == {uid(case)}


def test_twelve_callers_without_common_records(case: KubeCase) -> None:
    """Where callers share no records the cluster's names still make it one Job."""
    spec = sh("sleep 600", job_id="one")

    def call(number: int) -> JobHandle:
        with case.open(SPAWNERY_STATE_DIR=str(case.folder / f"own-{number}")) as spawner:
            return spawner.spawn(spec)

    results = at_once([lambda n=n: call(n) for n in range(12)])
    handles = [result for result in results if isinstance(result, JobHandle)]
    assert len(handles) == 12, results
    assert sorted(handle.created for handle in handles) == [False] * 11 + [True]
    assert {handle.engine_id for handle in handles} == {uid(case)}


def test_four_processes(case: KubeCase) -> None:
    """Of four processes one makes the Job."""
    told = []
    for process in [case.start("-c", CALLER) for _ in range(4)]:
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        told.append(json.loads(out))
    assert sorted(told) == [False] * 3 + [True]
    assert uid(case)


def test_after_its_end_the_record_keeps_the_id(case: KubeCase) -> None:
    """A Job that was removed is not made again: its id has had its run."""
    with case.open() as spawner:
        first = spawner.spawn(sh("exit 4", job_id="one"))
        assert spawner.wait("one", PATIENCE).exit_code == 4
    eventually(lambda: not case.objects())
    with case.open() as spawner:
        again = spawner.spawn(sh("exit 4", job_id="one"))
        assert (again.created, again.engine_id) == (False, first.engine_id)
        assert spawner.wait("one", PATIENCE).exit_code == 4
    assert case.objects() == set()


def held(case: KubeCase) -> Any:
    """Make a Job of ours that is being deleted for as long as its finalizer stands."""
    with case.open() as spawner:
        spawner.spawn(sh("sleep 600", job_id="one"))
        spawner.records.forget("one")
    patch = {"metadata": {"finalizers": ["spawnery.dev/test"]}}
    name = ("job", case.name("one"), "-n", case.namespace)
    case.kubectl("patch", *name, "--type=merge", "-p", json.dumps(patch))
    case.kubectl("delete", *name, "--wait=false")
    found = case.job("one")
    assert "deletionTimestamp" in found["metadata"]
    return found


def let_go(case: KubeCase) -> None:
    """Take the finalizer away."""
    patch = {"metadata": {"finalizers": None}}
    name = ("job", case.name("one"), "-n", case.namespace)
    case.kubectl("patch", *name, "--type=merge", "-p", json.dumps(patch))


@pytest.mark.parametrize("script", ["sleep 600", "sleep 601"])
def test_a_job_that_is_being_deleted(led: KubeCase, proxy: TransportProxy, script: str) -> None:
    """It is waited for until its name is free, whatever its spec was; then a new one is made."""
    before = held(led)
    tried = threading.Event()
    posts: list[Seen] = []

    def count(seen: Seen) -> None:
        if seen.method == "POST":
            posts.append(seen)
            if len(posts) == 2:
                tried.set()

    proxy.on_response = count
    results: list[JobHandle] = []
    with led.open() as spawner:
        spec = sh(script, job_id="one")
        caller = threading.Thread(target=lambda: results.append(spawner.spawn(spec)))
        caller.start()
        assert tried.wait(PATIENCE)
        assert led.job("one")["metadata"]["uid"] == before["metadata"]["uid"]
        let_go(led)
        caller.join(PATIENCE)
    (handle,) = results
    assert handle.created
    assert handle.engine_id != before["metadata"]["uid"]
    assert handle.engine_id == uid(led)


def test_a_name_that_is_taken_and_not_there(led: KubeCase, proxy: TransportProxy) -> None:
    """409 at create and 404 at the look (a Job that has just gone): tried again."""
    body = json.dumps({"kind": "Status", "reason": "AlreadyExists", "message": "taken"}).encode()
    proxy.arm(Rule(Fault.ERROR_500, method="POST", path=JOBS, nth=1, status=409, body=body))
    with led.open() as spawner:
        assert spawner.spawn(sh("exit 6", job_id="one")).created
        assert spawner.wait("one", PATIENCE).exit_code == 6


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.ERROR_500_AFTER])
def test_a_lost_reply(led: KubeCase, proxy: TransportProxy, fault: Fault) -> None:
    """Whether the cluster acted or not: one Job, made by this call."""
    proxy.arm(Rule(fault, method="POST", path=JOBS, times=1))
    with led.open() as spawner:
        handle = spawner.spawn(sh("sleep 600", job_id="one"))
        assert handle.created
        assert handle.engine_id == uid(led)


def test_an_answer_that_comes_too_late(led: KubeCase, proxy: TransportProxy) -> None:
    """The cluster acted, and its answer did not come in time: the next look finds the job."""
    release, late = threading.Event(), []

    def hold(seen: Seen) -> None:
        if seen.method == "POST" and not late:
            late.append(seen)
            release.wait(PATIENCE)

    proxy.on_response = hold
    with led.open(SPAWNERY_IO_TIMEOUT_SECONDS="5") as spawner:
        handle = spawner.spawn(sh("sleep 600", job_id="one"))
        assert handle.created
        release.set()
        assert late
        assert handle.engine_id == uid(led)
        running(spawner, "one")
        assert spawner.stop("one", grace_seconds=0).state is JobState.CANCELLED


def test_only_this_very_job_is_removed(led: KubeCase, proxy: TransportProxy) -> None:
    """A Job that somebody has put in its place, between our look and our delete, stays."""
    planted: list[Any] = []

    def swap(seen: Seen) -> None:
        if seen.method == "DELETE" and not planted:
            name = ("job", led.name("one"), "-n", led.namespace)
            led.kubectl("delete", *name)
            planted.append(led.plant("one"))

    with led.open() as spawner:
        spawner.spawn(sh("exit 0", job_id="one", retention_seconds=900))
        spawner.wait("one", PATIENCE)
        proxy.on_request = swap
        spawner.remove("one")
        proxy.on_request = None
    assert planted
    assert led.job("one") == planted[0]
