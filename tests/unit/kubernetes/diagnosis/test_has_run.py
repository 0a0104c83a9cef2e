"""Whether the program of a job that has ended ever ran, and what is said where nobody knows."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from kube_objects import Recorded, moment, recorded
from spawnery_kubernetes.diagnosis.outcome import (
    NEVER_RAN,
    NOT_HEARD,
    NOT_SEEN,
    has_run,
    outcome_of,
)
from spawnery_kubernetes.informer.cache import Cache
from spawnery_kubernetes.objects.facts import Condition, ContainerFacts, PodFacts, Terminated

UNKNOWN = Terminated(code=137, reason="ContainerStatusUnknown")
WAITS = ContainerFacts(name="job", waiting="ContainerCreating")
RUNS = ContainerFacts(name="job", running_since=moment(1))
PUT_OUT = Condition(type="DisruptionTarget", status=True, reason="EvictionByEvictionAPI")


def a_pod(**fields: Any) -> PodFacts:
    """Return a pod on a node that has failed."""
    given = {"name": "p", "namespace": "n", "uid": "p", "labels": {}, "job_uid": "j"}
    return PodFacts(**(given | {"node": "one", "phase": "Failed"} | fields))


@pytest.mark.parametrize(
    ("pod", "ran"),
    [
        (a_pod(main=WAITS), False),
        (a_pod(main=None), False),
        (a_pod(main=None, conditions=(PUT_OUT,)), None),
        (a_pod(main=None, reason="Evicted"), None),
        (a_pod(main=None, reason="Evicted", message="Pod was rejected: no room"), False),
        (a_pod(main=None, node=None, reason="NodeLost"), False),
        (a_pod(main=ContainerFacts(name="job", terminated=UNKNOWN)), None),
        (a_pod(main=ContainerFacts(name="job", terminated=UNKNOWN), ran=True), True),
        (a_pod(main=RUNS), True),
        (a_pod(main=WAITS, phase="Pending", gone=True), None),
        (a_pod(main=WAITS, phase="Pending", gone=True, unheard=True), None),
        (a_pod(node=None, phase="Pending", gone=True), False),
        (a_pod(node=None, phase="Pending", gone=True, unheard=True), None),
    ],
)
def test_what_a_pod_proves(pod: PodFacts, ran: bool | None) -> None:
    """What cannot have changed since, and what the node itself says, proves that it did not."""
    assert has_run(recorded("failed-without-pod").job, pod) is ran


@pytest.mark.parametrize(("made", "ran"), [(0, False), (1, None), (None, None)])
def test_without_a_pod_the_count_of_the_job_tells(made: int | None, ran: bool | None) -> None:
    """A Job that is over and made no pod ran nothing; of one that made one nobody knows."""
    job = evolve(recorded("failed-without-pod").job, pods_made=made)
    assert has_run(job, None) is ran


def reason(found: Recorded, pod: PodFacts | None = None) -> str | None:
    """Return why there is no end of the log."""
    outcome = outcome_of(found.job, found.pods if pod is None else [pod])
    assert outcome is not None
    return outcome.log_tail_missing


def test_a_success_whose_pod_was_not_seen_to_run() -> None:
    """A Job that is complete has run, though the last look at its pod was before that."""
    found = recorded("complete-without-pod")
    before = a_pod(phase="Pending", main=WAITS, gone=True, unheard=True)
    assert reason(found, before) == NOT_SEEN
    assert reason(found) == NOT_SEEN


def test_each_case_has_its_words() -> None:
    """What ran, what did not, and what nobody knows are told apart."""
    assert reason(recorded("pod-deleted-seen")) == NOT_HEARD
    assert reason(recorded("init-container-fails")) == NEVER_RAN
    assert reason(recorded("failed-without-pod")) == NOT_SEEN


def test_what_was_seen_to_run_has_run() -> None:
    """A node that lost the container later does not take back that it ran."""
    cache = Cache()
    first = a_pod(main=RUNS, phase="Running", resource_version="1")
    for pod in (first, a_pod(main=ContainerFacts(name="job", terminated=UNKNOWN))):
        cache.saw_pod(evolve(pod, resource_version=pod.resource_version or "2"))
    entry = cache.get("j")
    assert entry is not None
    assert entry.pods[0].started
    found = recorded("failed-without-pod")
    outcome = outcome_of(found.job, entry.pods)
    assert outcome is not None
    assert (outcome.cause, outcome.log_tail_missing) == ("killed.external", NOT_HEARD)


def test_a_pod_that_went_unheard_may_have_run() -> None:
    """A pod that is missing from a list may have run since the last look; one whose removal was
    heard was last as it was heard."""
    cache = Cache()
    cache.saw_pod(a_pod(node=None, phase="Pending", resource_version="1"))
    cache.absent_pods(set(), "5")
    entry = cache.get("j")
    assert entry is not None
    assert (entry.pods[0].gone, entry.pods[0].unheard) == (True, True)
