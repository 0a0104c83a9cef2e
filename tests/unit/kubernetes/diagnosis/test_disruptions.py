"""A program that has ended before its pod was put out: told by one clock, or by the order heard."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from kube_objects import moment, recorded
from spawnery.model import JobState
from spawnery_kubernetes.diagnosis.disruptions import ended_by_cluster
from spawnery_kubernetes.diagnosis.outcome import outcome_of
from spawnery_kubernetes.informer.cache import Cache
from spawnery_kubernetes.objects.facts import Condition, PodFacts, facts_of_pod

KEY = 'k:{"type":"DisruptionTarget"}'


def at(second: int) -> str:
    """Return a time as the API writes it."""
    return moment(second).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(
    *,
    node: int,
    controller: int,
    kubelet_told: int | None,
    controller_told: int | None,
    reason: str = "DeletionByTaintManager",
) -> dict[str, Any]:
    """Return a pod as the API shows it.

    Args:
        node: When its container ended, by the node's clock.
        controller: When it was put out, by the controller's clock.
        kubelet_told, controller_told: When the API server took in both, by its own clock.
        reason: Who puts it out.
    """
    managed = []
    if kubelet_told is not None:
        fields = {"f:status": {"f:containerStatuses": {}}}
        managed.append({"manager": "kubelet", "time": at(kubelet_told), "fieldsV1": fields})
    if controller_told is not None:
        fields = {"f:status": {"f:conditions": {KEY: {}}}}
        managed.append({"manager": "kcm", "time": at(controller_told), "fieldsV1": fields})
    end = {"exitCode": 3, "reason": "Error", "startedAt": at(node - 1), "finishedAt": at(node)}
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason}
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": "p", "managedFields": managed},
        "spec": {"nodeName": "one"},
        "status": {
            "phase": "Failed",
            "conditions": [{**condition, "lastTransitionTime": at(controller)}],
            "containerStatuses": [{"name": "job", "state": {"terminated": end}}],
        },
    }


def first(**times: Any) -> bool:
    """Tell whether the program is said to have ended by itself."""
    pod, job = facts_of_pod(shown(**times)), recorded("exit-three").job
    assert pod.main is not None
    return ended_by_cluster(job, pod, pod.main.terminated) is None


@pytest.mark.parametrize("off", [-3600, 0, 3600], ids=["behind", "right", "ahead"])
@pytest.mark.parametrize("clock", ["node", "controller"])
def test_another_clock_changes_nothing(clock: str, off: int) -> None:
    """However far the node's or the controller's clock is off, what the API server heard first
    came first, and within a second nobody knows."""
    times = {"node": 10, "controller": 20, "kubelet_told": 11, "controller_told": 21}
    times[clock] += off
    assert first(**times)
    assert not first(**times | {"kubelet_told": 22})
    assert not first(**times | {"kubelet_told": 21})


@pytest.mark.parametrize("off", [-3600, 0, 3600], ids=["behind", "right", "ahead"])
def test_an_eviction_is_by_the_clock_of_the_api_server(off: int) -> None:
    """The eviction API is no manager of fields: the time of its condition is the API server's."""
    times: dict[str, Any] = {"reason": "EvictionByEvictionAPI", "controller_told": None}
    assert first(node=10 + off, controller=20, kubelet_told=11, **times)
    assert not first(node=10 + off, controller=20, kubelet_told=21, **times)


def test_without_such_times_it_was_put_out() -> None:
    """Of a pod without managers, as an older tool may have left it, nothing is concluded."""
    assert not first(node=10, controller=20, kubelet_told=None, controller_told=None)


def test_who_heard_of_the_end_first_knows() -> None:
    """What was heard before the cluster put the pod out stays so, by no clock at all."""
    whole = recorded("exit-three")
    pod = evolve(whole.pods[0], resource_version="1")
    condition = Condition(
        type="DisruptionTarget",
        status=True,
        reason="DeletionByTaintManager",
        at=(pod.created_at or moment(0)) - timedelta(hours=1),
    )
    put_out = evolve(pod, conditions=(condition,), resource_version="2")

    def judged(*heard: PodFacts) -> tuple[JobState, str]:
        cache = Cache()
        for seen in heard:
            cache.saw_pod(seen)
        entry = cache.get(whole.job.uid)
        assert entry is not None
        outcome = outcome_of(whole.job, entry.pods)
        assert outcome is not None
        return outcome.state, outcome.cause

    assert judged(pod, put_out) == (JobState.FAILED, "exit.nonzero")
    assert judged(put_out) == (JobState.FAILED, "evicted")
