"""Promise 2 for facts of any kind: no success without positive evidence."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from kube_objects import moment
from spawnery.model import JobState
from spawnery_kubernetes.diagnosis.outcome import the_pod
from spawnery_kubernetes.objects.facts import (
    ANNOTATION_STOPPED,
    Condition,
    ContainerFacts,
    EventFacts,
    JobFacts,
    PodFacts,
    Terminated,
)
from spawnery_kubernetes.status import status_of

words = st.sampled_from(
    ["", "", "", "Evicted", "NodeLost", "StartError", "OOMKilled", "Completed", "x"]
)
times = st.none() | st.integers(0, 5).map(moment)
rarely = st.sampled_from([False, False, False, True])
messages = st.sampled_from(["", 'secret "own" not found', "not found", "exceeded quota", "denied"])
conditions = st.just(()) | st.lists(
    st.builds(
        Condition,
        type=st.sampled_from(
            ["Complete", "Failed", "FailureTarget", "DisruptionTarget", "PodScheduled", "Ready"]
        ),
        status=st.booleans(),
        reason=st.sampled_from(
            ["DeadlineExceeded", "BackoffLimitExceeded", "DeletionByPodGC", "SchedulingGated", ""]
        ),
        message=messages,
        at=times,
    ),
    max_size=3,
).map(tuple)
ends = st.builds(
    Terminated,
    code=st.sampled_from([0, 0, 0, 1, 128, 137, 143]),
    reason=words | st.just("ContainerStatusUnknown"),
    message=messages,
    started_at=times,
    finished_at=times,
)
containers = st.builds(
    ContainerFacts,
    name=st.just("job"),
    waiting=st.none() | st.sampled_from(["ErrImagePull", "CreateContainerConfigError", "", "x"]),
    message=messages,
    running_since=times,
    terminated=st.none() | ends,
)


def pods_with(mains: st.SearchStrategy[ContainerFacts | None]) -> st.SearchStrategy[PodFacts]:
    return st.builds(
        PodFacts,
        name=st.sampled_from(["a", "b"]),
        namespace=st.just("n"),
        uid=st.sampled_from(["1", "2"]),
        labels=st.just({}),
        phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
        reason=words,
        message=messages,
        created_at=times,
        deleting=rarely,
        gone=rarely,
        conditions=conditions,
        main=mains,
        init=st.none() | containers,
    )


ended = st.builds(ContainerFacts, name=st.just("job"), terminated=ends)
pods = pods_with(st.none() | containers)
some_pods = st.lists(pods, max_size=3) | st.lists(pods_with(ended), min_size=1, max_size=1)
notes = st.sampled_from(
    [{}, {}, {}, {}, {}, {ANNOTATION_STOPPED: "stop x"}, {ANNOTATION_STOPPED: "?"}, {"o": "own"}]
)
jobs = st.builds(
    JobFacts,
    name=st.just("j"),
    namespace=st.just("n"),
    uid=st.just("j"),
    labels=st.just({"spawnery.dev/job-id": "j", "spawnery.dev/instance": "i"}),
    annotations=notes,
    created_at=times,
    resumed_at=times,
    suspended=rarely,
    deleting=rarely,
    gone=rarely,
    conditions=conditions,
)
events = st.builds(
    EventFacts,
    about=st.sampled_from(["j", "1", "2"]),
    kind=st.just("Pod"),
    reason=st.sampled_from(["FailedCreate", "Pulling", "FailedMount"]),
    message=messages,
    warning=st.booleans(),
    first_at=times,
)


def said(job: JobFacts, kind: str, reason: str | None = None) -> bool:
    found = job.condition(kind)
    return found is not None and found.status and reason in {None, found.reason}


def no_false_success(job: JobFacts, pods: list[PodFacts]) -> None:
    """Check the rule for the status that these facts make."""
    status = status_of(
        job,
        pods,
        (),
        now=moment(9) + timedelta(days=1),
        pull_grace=1.0,
        start_grace=1.0,
    )
    if status.outcome is None or status.state is not JobState.SUCCEEDED:
        return
    assert status.outcome.exit_code == 0
    assert ANNOTATION_STOPPED not in job.annotations
    complete = said(job, "Complete")
    pod = the_pod(pods)
    end = None if pod is None or pod.main is None else pod.main.terminated
    if end is not None and end.reason == "ContainerStatusUnknown":
        end = None
    # What ended before anything was done to its pod had ended.
    first = end is not None and pod is not None and pod.ended_first
    for kind in ("FailureTarget", "Failed"):
        assert first or not said(job, kind, "DeadlineExceeded")
    if pod is None or end is None:
        assert complete
        return
    assert end.code == 0
    assert complete or end.started_at is not None
    assert first or (pod.disruption is None and pod.reason not in {"Evicted", "NodeLost"})
    assert first or complete or not job.suspended or said(job, "Failed")
    if (pod.deleting or pod.gone) and not first:
        # Who deleted it must have been heard.
        assert complete or said(job, "FailureTarget") or said(job, "Failed")


def near_conditions(chance: Random, *kinds: str) -> tuple[Condition, ...]:
    """Return some of these conditions, each once at most."""
    return tuple(
        Condition(
            type=kind,
            status=chance.random() < 0.8,
            reason=chance.choice(["DeadlineExceeded", "BackoffLimitExceeded"]),
            message="",
            at=chance.choice([None, moment(1), moment(3)]),
        )
        for kind in kinds
        if chance.random() < 0.25
    )


def near_success(chance: Random) -> tuple[JobFacts, list[PodFacts]]:
    """Return facts of a job that ended with 0, some of which are others: the rule is about these.

    They are drawn by hand: hypothesis needs a hundred times as long for one.
    """
    end = Terminated(
        code=chance.choice([0, 0, 0, 0, 137]),
        reason=chance.choice(["Completed", "Completed", "Completed", "ContainerStatusUnknown"]),
        message="",
        started_at=chance.choice([moment(0), moment(0), None]),
        finished_at=chance.choice([None, moment(2), moment(4)]),
    )
    pod = PodFacts(
        name="a",
        namespace="n",
        uid="1",
        labels={},
        phase=chance.choice(["Succeeded", "Running", "Failed"]),
        reason=chance.choice(["", "", "", "Evicted", "NodeLost"]),
        message="",
        created_at=moment(0),
        deleting=chance.random() < 0.2,
        gone=chance.random() < 0.2,
        ended_first=chance.random() < 0.5,
        conditions=near_conditions(chance, "DisruptionTarget"),
        main=ContainerFacts(name="job", terminated=chance.choice([end, end, end, None])),
    )
    job = JobFacts(
        name="j",
        namespace="n",
        uid="j",
        labels={"spawnery.dev/job-id": "j", "spawnery.dev/instance": "i"},
        annotations=chance.choice([{}, {}, {}, {ANNOTATION_STOPPED: "stop x"}]),
        created_at=moment(0),
        resumed_at=moment(0),
        suspended=chance.random() < 0.2,
        gone=chance.random() < 0.2,
        conditions=near_conditions(chance, "Complete", "Failed", "FailureTarget"),
    )
    return job, [pod]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_no_facts_without_positive_evidence_are_a_success(seed) -> None:
    """SUCCEEDED needs exit 0 after a start, or Complete, and no word of a kill before it."""
    chance = Random(seed)
    for _ in range(200):
        no_false_success(*near_success(chance))


@settings(deadline=None)
@given(job=jobs, pods=some_pods, events=st.lists(events, max_size=3))
def test_any_facts_are_a_status(job, pods, events) -> None:
    """Whatever the cluster shows is judged without an error and without a false success, and a
    given up job is PENDING."""
    no_false_success(job, pods)
    status = status_of(job, pods, events, now=moment(9), pull_grace=1.0, start_grace=1.0)
    assert status.job_id == "j"
    assert not status.fatal or status.state is JobState.PENDING
    if status.outcome is not None and status.outcome.state is JobState.FAILED:
        assert status.outcome.message
