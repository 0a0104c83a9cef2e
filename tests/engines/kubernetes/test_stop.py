"""Ending jobs on a real cluster: the reason is on the Job before anything is killed."""

from __future__ import annotations

import pytest
from kube_case import PATIENCE, KubeCase, eventually, running, sh
from spawnery.errors import JobRunning
from spawnery.model import JobState
from spawnery.testing.faults import Fault, Rule, Seen
from spawnery.testing.proxy import TransportProxy

pytestmark = pytest.mark.engine("kubernetes")

TRAPS = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
DEAF = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
NOWHERE = {"kubernetes": {"node_selector": {"example.com/test": "no-such-node"}}}
STOPPED = "spawnery.dev/stopped"


def ready(spawner: object, job_id: str) -> None:
    """Wait until a job has set its trap."""

    def said() -> bool:
        with spawner.logs(job_id) as chunks:  # type: ignore[attr-defined]
            return b"ready" in b"".join(chunk.data for chunk in chunks)

    running(spawner, job_id)  # type: ignore[arg-type]
    eventually(said)


def test_annotated_then_killed(led: KubeCase, proxy: TransportProxy) -> None:
    """First the annotation, then the pod with the grace of this stop; the Job stays."""
    with led.open() as spawner:
        spawner.spawn(sh(TRAPS, job_id="one", retention_seconds=900))
        ready(spawner, "one")
        before = len(proxy.seen())
        outcome = spawner.stop("one", grace_seconds=60)
        writes = [seen for seen in proxy.seen()[before:] if seen.method != "GET"]
    assert [(seen.method, seen.path.split("/")[-2]) for seen in writes] == [
        ("PATCH", "jobs"),
        ("DELETE", "pods"),
    ]
    assert (outcome.state, outcome.exit_code) == (JobState.CANCELLED, 0)
    reason, at = led.job("one")["metadata"]["annotations"][STOPPED].split()
    assert reason == "stop"
    assert at.endswith("+00:00")


def test_exit_0_after_a_stop_is_no_success_for_others(case: KubeCase) -> None:
    """A process without our records reads the annotation: CANCELLED."""
    with case.open() as spawner:
        spawner.spawn(sh(TRAPS, job_id="one", retention_seconds=900))
        ready(spawner, "one")
        spawner.stop("one", grace_seconds=60)
    with case.open(SPAWNERY_STATE_DIR=str(case.folder / "other")) as other:
        assert other.status("one").state is JobState.CANCELLED
        assert other.wait("one", PATIENCE).state is JobState.CANCELLED


def test_the_grace_is_that_of_the_call(case: KubeCase) -> None:
    """Not the one of the pod's template, which is that of a deadline."""
    with case.open(SPAWNERY_STOP_GRACE_SECONDS="600") as spawner:
        spawner.spawn(sh(DEAF, job_id="one", retention_seconds=900))
        ready(spawner, "one")
        (pod,) = case.pods("one")
        assert pod["spec"]["terminationGracePeriodSeconds"] == 600
        outcome = spawner.stop("one", grace_seconds=0)
    assert (outcome.state, outcome.exit_code) == (JobState.CANCELLED, 137)


@pytest.mark.parametrize("options", [NOWHERE, {"kubernetes": {"suspend": True}}])
def test_a_job_that_never_started_is_deleted(
    case: KubeCase, options: dict[str, dict[str, object]]
) -> None:
    """PENDING or QUEUED: the Job goes as a whole, and nothing of it starts afterwards."""
    with case.open() as spawner:
        spawner.spawn(sh("true", job_id="one", options=options, retention_seconds=900))
        outcome = spawner.stop("one")
        assert (outcome.state, outcome.exit_code) == (JobState.CANCELLED, None)
        eventually(lambda: not case.objects())


def test_a_running_job_is_not_removed(case: KubeCase) -> None:
    """It has to be stopped first."""
    with case.open() as spawner:
        spawner.spawn(sh("sleep 600", job_id="one"))
        running(spawner, "one")
        with pytest.raises(JobRunning):
            spawner.remove("one")
        spawner.remove("one", force=True)
    eventually(lambda: not case.objects())


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.DROP_AFTER])
def test_a_stop_whose_reply_is_lost(
    led: KubeCase, proxy: TransportProxy, method: str, fault: Fault
) -> None:
    """Whether the cluster acted or not, a stop that is said again ends the job: CANCELLED."""
    with led.open() as spawner:
        spawner.spawn(sh("sleep 600", job_id="one"))
        running(spawner, "one")
        proxy.arm(Rule(fault, method=method, times=1))
        outcome = spawner.stop("one", grace_seconds=0)
        assert outcome.state is JobState.CANCELLED
    eventually(lambda: not led.objects())


def test_a_deadline_ends_it_without_us(case: KubeCase) -> None:
    """The cluster keeps it when nobody of us lives; the cause is told all the same."""
    with case.open() as spawner:
        spawner.spawn(sh("sleep 600", job_id="one", deadline_seconds=3, retention_seconds=900))
    eventually(lambda: case.job("one").get("status", {}).get("failed"))
    with case.open() as spawner:
        outcome = spawner.wait("one", PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "deadline")


def test_a_start_deadline_deletes_first(led: KubeCase, proxy: TransportProxy) -> None:
    """A job that does not start in time is gone before its end is told, with the reason why."""
    deleted: list[Seen] = []

    def note(seen: Seen) -> None:
        if seen.method == "DELETE":
            deleted.append(seen)

    proxy.on_response = note
    with led.open() as spawner:
        fields = {"start_deadline_seconds": 4, "options": NOWHERE, "retention_seconds": 900}
        spawner.spawn(sh("true", job_id="one", **fields))
        outcome = spawner.wait("one", PATIENCE)
        assert deleted
    assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "unschedulable")
    assert "node" in outcome.message
    eventually(lambda: not led.objects())
