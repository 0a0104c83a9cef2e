"""What a pod tells of its program that had other containers beside it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from kube_account import runtime_of
from kube_config import write
from kube_objects import moment, recorded
from raw_server import RawServer, Script, says, whole
from spawnery.model import JobState
from spawnery_kubernetes.access.resolve import resolve_access
from spawnery_kubernetes.client import KubeClient
from spawnery_kubernetes.diagnosis.outcome import outcome_of
from spawnery_kubernetes.jobs.sidecars import LATER_SECONDS, Sidecars, keep_evidence
from spawnery_kubernetes.objects.facts import (
    ANNOTATION_ENDED,
    ANNOTATION_STOPPED,
    Condition,
    ContainerFacts,
    JobFacts,
    PodFacts,
    Terminated,
    noted,
)
from spawnery_kubernetes.settings import KubernetesSettings

OVERDUE = Condition(type="Failed", status=True, reason="DeadlineExceeded", message="too long")


def a_job(**annotations: str) -> JobFacts:
    """Return a Job, with these of our notes."""
    job = recorded("exit-zero").job
    return evolve(job, conditions=(), annotations={**job.annotations, **annotations})


def a_pod(finished: int, **fields: Any) -> PodFacts:
    """Return a pod that its node took at 10 and ended at its deadline of 20 s, by its own clock."""
    end = Terminated(code=0, started_at=moment(11), finished_at=moment(finished))
    given: dict[str, Any] = {"main": ContainerFacts(name="job", terminated=end)}
    given |= {"name": "p", "namespace": "n", "uid": "p", "labels": {}, "phase": "Failed"}
    given |= {"reason": "DeadlineExceeded", "taken_at": moment(10), "deadline_seconds": 20}
    return PodFacts(**(given | fields))


def told(job: JobFacts, *pods: PodFacts) -> tuple[JobState, str]:
    """Return state and cause of an end."""
    outcome = outcome_of(job, pods)
    assert outcome is not None
    return outcome.state, outcome.cause


@pytest.mark.parametrize("off", [-3600, 0, 3600], ids=["behind", "right", "ahead"])
def test_the_deadline_of_the_node_is_by_its_own_clock(off: int) -> None:
    """What ended before it ended by itself, whatever the cluster's clock says."""
    shift = timedelta(seconds=off)

    def shifted(pod: PodFacts) -> PodFacts:
        assert pod.main is not None
        assert pod.main.terminated is not None
        end = evolve(pod.main.terminated, finished_at=pod.main.terminated.finished_at + shift)
        return evolve(pod, taken_at=pod.taken_at + shift, main=evolve(pod.main, terminated=end))

    assert told(a_job(), shifted(a_pod(29))) == (JobState.SUCCEEDED, "exit.zero")
    assert told(a_job(), shifted(a_pod(30))) == (JobState.TIMED_OUT, "deadline")


def test_a_deadline_of_the_job_after_the_program_had_ended() -> None:
    """Who heard of the end before the pod was deleted knows that the deadline came later."""
    job, pod = evolve(a_job(), conditions=(OVERDUE,)), a_pod(12, deleting=True, reason="")
    assert told(job, pod) == (JobState.TIMED_OUT, "deadline")
    assert told(job, evolve(pod, ended_first=True)) == (JobState.SUCCEEDED, "exit.zero")


@pytest.mark.parametrize(("code", "state"), [(0, JobState.SUCCEEDED), (3, JobState.FAILED)])
def test_what_was_noted_counts_when_the_pod_is_gone(code: int, state: JobState) -> None:
    """The note on the Job tells the program's end, with its times, though the Job has failed."""
    end = Terminated(code=code, reason="x", started_at=moment(1), finished_at=moment(4))
    job = evolve(a_job(**{ANNOTATION_ENDED: noted(end)}), conditions=(OVERDUE,))
    outcome = outcome_of(job, ())
    assert outcome is not None
    assert (outcome.state, outcome.exit_code) == (state, code)
    assert (outcome.started_at, outcome.finished_at) == (moment(1), moment(4))


def test_a_note_without_times_or_that_is_no_note() -> None:
    """What cannot be read is no evidence."""
    assert a_job(**{ANNOTATION_ENDED: noted(Terminated(code=1))}).noted_end is not None
    for text in ("", "x", "1 2", "-1 Error - -", "1 - - - -"):
        assert a_job(**{ANNOTATION_ENDED: text}).noted_end is None


def test_a_stop_that_came_before_still_wins() -> None:
    """Exit 0 after a kill of ours that was recorded is no success."""
    job = a_job(**{ANNOTATION_STOPPED: "stop 2026-01-01T00:00:00.000+00:00"})
    assert told(job, a_pod(29, reason=""))[0] is JobState.CANCELLED


LOST, DONE = says(), says(whole(b"{}"))
GONE, FAILED = says(whole(b"no", "404 Not Found")), says(whole(b"no", "500 Internal Server Error"))


@pytest.mark.parametrize(
    ("scripts", "methods"),
    [
        ((LOST, FAILED, DONE, LOST, DONE), [b"PATCH", b"PATCH", b"PATCH", b"DELETE", b"DELETE"]),
        ((GONE,), [b"PATCH"]),
    ],
    ids=["again", "gone"],
)
def test_what_outlives_a_program_is_ended_for_sure(
    scripts: tuple[Script, ...], methods: list[bytes], tmp_path: Path
) -> None:
    """The note and the deletion are sent again where no answer came; no note, no deletion."""
    job, pod = evolve(a_job(), labels={}), a_pod(12, others_run=True, uid="uid-of-the-pod")
    with RawServer(*scripts) as server:
        path = write(tmp_path / "config", None, {"server": server.address})
        client = KubeClient(resolve_access(KubernetesSettings(), {"KUBECONFIG": path}))
        Sidecars(client, runtime_of(tmp_path, "i")).end(job, pod)
        client.close()
        assert [asked.split()[0] for asked in server.asked] == methods
        assert all(b"uid-of-the-pod" in asked for asked in server.asked[3:])


def manifest(*names: str, deadline: int | None) -> dict[str, Any]:
    """Return a Job with these containers."""
    pod = {"containers": [{"name": name} for name in names]}
    spec: dict[str, Any] = {"template": {"spec": pod}}
    return {"spec": spec | ({} if deadline is None else {"activeDeadlineSeconds": deadline})}


def test_the_node_keeps_the_deadline_only_beside_others() -> None:
    """Of a pod with one container the Job keeps it, as ever."""
    for names, deadline in ((("job",), 20), (("job", "other"), None)):
        job = manifest(*names, deadline=deadline)
        keep_evidence(job)
        assert job == manifest(*names, deadline=deadline)
    job = manifest("other", "job", deadline=20)
    keep_evidence(job)
    assert job["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 20
    assert job["spec"]["activeDeadlineSeconds"] == 20 + LATER_SECONDS
