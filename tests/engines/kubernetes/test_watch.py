"""The one watch of a process, on a real cluster."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kube_account import deployed
from kube_case import PATIENCE, KubeCase, eventually, running, sh
from kube_faults import restart
from kubectl import Kubectl
from spawnery.contract import JobStream, WatchRequest
from spawnery.model import JobGone, JobSeen, JobState, JobStatus, Resources, Synced, WatchEvent
from spawnery.spawner import Spawner
from spawnery.testing.faults import Fault, Rule
from spawnery.testing.proxy import TransportProxy

pytestmark = [pytest.mark.engine("kubernetes"), pytest.mark.timeout(600)]

POLITE = "trap 'echo bye; sleep 1; echo last; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
"""Says something after it was told to end, and exits 0."""
SMALL = Resources(cpu_request="10m")
KEPT: dict[str, Any] = {"retention_seconds": 900.0}


@contextlib.contextmanager
def _watch(spawner: Spawner, cursor: str | None = None) -> Iterator[JobStream[WatchEvent]]:
    """Open the spawner's own stream, below the facade."""
    engine: Any = spawner._engine
    with engine.watch(WatchRequest(cursor=cursor)) as stream:
        yield stream


def _until(stream: JobStream[WatchEvent], last: Callable[[WatchEvent], bool]) -> list[WatchEvent]:
    """Read up to an event."""
    events = []
    for event in stream:
        events.append(event)
        if last(event):
            return events
    pytest.fail(f"the stream ended after {events}")


def _synced(event: WatchEvent) -> bool:
    return isinstance(event, Synced)


def _gone(event: WatchEvent) -> bool:
    return isinstance(event, JobGone)


def _ends(events: list[WatchEvent]) -> list[JobStatus]:
    return [
        event.status
        for event in events
        if isinstance(event, JobSeen) and event.status.outcome is not None
    ]


def test_a_job_that_somebody_deletes(case: KubeCase) -> None:
    """How it ended is told before it is gone, with what it said last; exit 0 is no success then."""
    with case.open() as spawner, _watch(spawner) as stream:
        _until(stream, _synced)
        spawner.spawn(sh(POLITE, job_id="deleted", **KEPT))
        running(spawner, "deleted")
        case.kubectl("delete", "job", case.name("deleted"), "-n", case.namespace, "--wait=false")
        events = _until(stream, _gone)
        [end] = _ends(events)
        outcome = spawner.wait("deleted", timeout=PATIENCE)
    assert end.outcome is not None
    assert (end.outcome.state, end.outcome.cause) == (JobState.FAILED, "killed.external")
    assert end.outcome.log_tail == "ready\nbye\nlast\n"
    assert outcome == end.outcome


def test_a_pod_that_somebody_deletes(case: KubeCase) -> None:
    """What a program says while it is being ended is in the outcome: its log is read in time."""
    with case.open() as spawner, spawner.watch():
        spawner.spawn(sh(POLITE.replace("exit 0", "exit 4"), job_id="pod", **KEPT))
        running(spawner, "pod")
        [pod] = case.pods("pod")
        name = pod["metadata"]["name"]
        case.kubectl("delete", "pod", name, "-n", case.namespace, "--wait=false")
        outcome = spawner.wait("pod", timeout=PATIENCE)
    assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 4)
    assert outcome.log_tail == "ready\nbye\nlast\n"


def test_the_tail_after_a_deadline(case: KubeCase) -> None:
    """The cluster deletes the pod at the deadline; whoever watched has its code and its log."""
    with case.open() as spawner:
        spawner.spawn(sh(POLITE, job_id="late", deadline_seconds=6.0))
        outcome = spawner.wait("late", timeout=PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "deadline")
    assert outcome.exit_code == 0
    assert outcome.log_tail == "ready\nbye\nlast\n"


def test_no_tail_where_nobody_watched(case: KubeCase) -> None:
    """After a deadline that no process saw, the outcome says why it has no end of the log."""
    with case.open() as spawner:
        spawner.spawn(sh(POLITE, job_id="alone", deadline_seconds=4.0, **KEPT))

    def failed() -> bool:
        shown = case.job("alone")["status"].get("conditions", ())
        return any(c["type"] == "Failed" and c["status"] == "True" for c in shown)

    eventually(failed)
    with case.open() as spawner:
        outcome = spawner.wait("alone", timeout=PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "deadline")
    assert outcome.log_tail is None
    assert outcome.log_tail_missing


def test_the_tail_after_a_stop_elsewhere(case: KubeCase) -> None:
    """A process that only stops a job, and watches nothing, has its last words all the same."""
    with case.open() as spawner:
        spawner.spawn(sh(POLITE, job_id="elsewhere", **KEPT))
        running(spawner, "elsewhere")
    stopped = case.cli("stop", "elsewhere", "--grace", "20s", "--json")
    assert stopped.returncode == 0, stopped.stderr
    shown = json.loads(case.cli("status", "elsewhere", "--json").stdout)
    assert shown["outcome"]["cause"] == "cancelled"
    assert shown["outcome"]["log_tail"] == "ready\nbye\nlast\n"


def test_many_ends_at_once(case: KubeCase) -> None:
    """Jobs that end at the same time each have their own code and their own last words."""
    jobs = {f"many-{number}": number for number in range(1, 13)}
    with case.open() as spawner:
        for job_id, code in jobs.items():
            script = f"echo I am {job_id}; exit {code}"
            spawner.spawn(sh(script, job_id=job_id, resources=SMALL))
        for job_id, code in jobs.items():
            outcome = spawner.wait(job_id, timeout=PATIENCE * 2)
            assert outcome.exit_code == code
            assert outcome.log_tail == f"I am {job_id}\n"
    eventually(lambda: not case.objects())


def test_two_connections(led: KubeCase, proxy: TransportProxy) -> None:
    """Whatever the number of jobs, one watch of Jobs and one of pods serve the process.

    Events are asked for where nothing moves only: not for jobs that run and end.
    """
    with led.open() as spawner:
        for number in range(4):
            spawner.spawn(sh("exit 0", job_id=f"two-{number}", resources=SMALL))
        for number in range(4):
            assert spawner.wait(f"two-{number}", timeout=PATIENCE).exit_code == 0
    watched = [seen.path for seen in proxy.seen() if "watch=1" in seen.path]
    assert {path.partition("?")[0].rpartition("/")[2] for path in watched} == {"jobs", "pods"}
    assert proxy.count(path="/events") == 0


@pytest.mark.parametrize("fault", [Fault.CUT_MID_STREAM, Fault.DROP_AFTER])
def test_broken_connections(led: KubeCase, proxy: TransportProxy, fault: Fault) -> None:
    """Connections that break again and again lose no end and make none up."""
    jobs = {f"broken-{number}": number for number in range(4)}
    proxy.arm(Rule(fault, path="watch=1", times=8, after_bytes=3000))
    with led.open() as spawner:
        for job_id, code in jobs.items():
            spawner.spawn(sh(f"sleep {code}; exit {code}", job_id=job_id, resources=SMALL))
        codes = {job_id: spawner.wait(job_id, timeout=PATIENCE).exit_code for job_id in jobs}
    assert codes == jobs
    assert proxy.count(path="watch=1") > 2


@pytest.mark.alone
def test_the_api_server_is_restarted(case: KubeCase) -> None:
    """Jobs that run, end or are stopped around a restart of the API server end as they do."""
    with case.open() as spawner:
        spawner.spawn(sh("sleep 4; echo over; exit 5", job_id="during", resources=SMALL))
        spawner.spawn(sh("sleep 20; exit 6", job_id="after", resources=SMALL))
        spawner.spawn(sh(POLITE, job_id="stopped", resources=SMALL))
        for job_id in ("during", "after", "stopped"):
            eventually(lambda j=job_id: spawner.status(j).state is not JobState.PENDING)
        restart(case.kubectl, "kube-apiserver")
        during = spawner.wait("during", timeout=PATIENCE)
        stopped = spawner.stop("stopped", grace_seconds=20)
        after = spawner.wait("after", timeout=PATIENCE)
    assert (during.state, during.exit_code) == (JobState.FAILED, 5)
    assert during.log_tail == "over\n"
    assert (stopped.state, stopped.exit_code) == (JobState.CANCELLED, 0)
    assert (after.state, after.exit_code) == (JobState.FAILED, 6)


def test_a_list_does_not_wait_for_logs(led: KubeCase, proxy: TransportProxy) -> None:
    """Where logs cannot be read in time, a list still tells how jobs ended, and what it lacks."""
    with led.open() as spawner:
        spawner.spawn(sh("echo hi; exit 8", job_id="slow", **KEPT))
        assert spawner.wait("slow", timeout=PATIENCE).log_tail == "hi\n"
    proxy.arm(Rule(Fault.STALL, path="/log"))
    with led.open() as other:
        engine: Any = other._engine
        [status] = engine.list_jobs()
        proxy.clear()
    assert status.outcome is not None
    assert (status.outcome.state, status.outcome.exit_code) == (JobState.FAILED, 8)
    assert status.outcome.log_tail is None
    assert "too many" in (status.outcome.log_tail_missing or "")


def test_what_went_meanwhile_is_told(case: KubeCase) -> None:
    """With a cursor also the end of a job is told that ran and was removed while nobody watched."""
    with case.open() as watcher:
        with _watch(watcher) as stream:
            cursor = _until(stream, _synced)[-1].cursor
        with case.open() as other:
            other.spawn(sh("exit 7", job_id="went", **KEPT))
            assert other.wait("went", timeout=PATIENCE).exit_code == 7
            case.kubectl("delete", "job", case.name("went"), "-n", case.namespace)
            eventually(lambda: not case.objects())
        with _watch(watcher, cursor) as stream:
            events = _until(stream, _gone)
    [end] = _ends(events)
    assert end.outcome is not None
    assert (end.job_id, end.outcome.exit_code) == ("went", 7)


def test_cursors_that_do_not_hold(case: KubeCase) -> None:
    """One that is too old, one from the future (a cluster that was set back), and none of ours."""
    with case.open() as spawner:
        spawner.spawn(sh(POLITE, job_id="there"))
        running(spawner, "there")
        for cursor in ("1.1", "99999999999.99999999999", "not-ours"):
            with _watch(spawner, cursor) as stream:
                events = _until(stream, _synced)
            assert [e.status.job_id for e in events if isinstance(e, JobSeen)] == ["there"]
        spawner.stop("there", grace_seconds=0)


def test_a_job_that_gets_no_pod(kubectl: Kubectl, tmp_path: Path) -> None:
    """Why a Job makes no pod stands in events alone; the watch tells it all the same."""
    with deployed(kubectl, tmp_path) as account:
        quota = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "none", "namespace": account.namespace},
            "spec": {"hard": {"pods": "0"}},
        }
        kubectl.apply(quota)
        case = KubeCase(tmp_path, account)
        with case.open() as spawner, _watch(spawner) as stream:
            _until(stream, _synced)
            spawner.spawn(sh("exit 0", job_id="none"))
            told = _until(stream, lambda event: isinstance(event, JobSeen) and _why(event))[-1]
            assert isinstance(told, JobSeen)
            assert told.status.state is JobState.PENDING
            assert told.status.cause == "quota"
            assert "exceeded quota" in (told.status.message or "")
            spawner.remove("none", force=True)
            _until(stream, _gone)


def _why(event: JobSeen) -> bool:
    return event.status.cause is not None
