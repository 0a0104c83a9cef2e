"""Nodes that go silent, are lost, or do not keep a pod: what is said, and never too early."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from commands import checked
from kube_case import KubeCase, eventually, running, sh
from spawnery.model import JobState
from spawnery.spawner import Spawner

pytestmark = [pytest.mark.engine("kubernetes"), pytest.mark.timeout(600)]

SILENT = 240.0
"""Seconds: a node is waited for (50 by default), then its pods are told of, each in its turn."""
UNREACHABLE = "node.kubernetes.io/unreachable"
BRIEFLY = {"effect": "NoExecute", "tolerationSeconds": 1}


def told(spawner: Spawner, job_id: str, cause: str) -> None:
    """Wait until a cause is told of a job that has not ended."""

    def seen() -> bool:
        status = spawner.status(job_id)
        assert status.state is JobState.RUNNING, status
        return status.cause == cause

    eventually(seen, SILENT)


def tolerate(key: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "operator": "Exists", **more}


# -- a taint ---------------------------------------------------------------------------------


@pytest.mark.alone
def test_a_taint_puts_out_who_does_not_put_up_with_it(case: KubeCase) -> None:
    """One job is evicted and told so; the one that tolerates the taint goes on."""
    taint = f"{case.prefix}.spawnery.test/out"
    stays = {"kubernetes": {"tolerations": [tolerate(taint)]}}
    with case.open() as spawner:
        out = spawner.spawn(sh("sleep 600")).job_id
        stay = spawner.spawn(sh("sleep 600", options=stays)).job_id
        running(spawner, out)
        running(spawner, stay)
        (pod,) = case.pods(out)
        node = pod["spec"]["nodeName"]
        case.kubectl("taint", "node", node, f"{taint}=:NoExecute")
        try:
            outcome = spawner.wait(out, SILENT)
        finally:
            case.kubectl("taint", "node", node, f"{taint}-")
        assert spawner.status(stay).state is JobState.RUNNING
        assert spawner.stop(stay, grace_seconds=1).state is JobState.CANCELLED
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "evicted")
    assert "DeletionByTaintManager" in outcome.message
    assert "tolerations" in (outcome.hint or "")


# -- a node without a kubelet ----------------------------------------------------------------


@contextmanager
def stopped_kubelet(case: KubeCase) -> Iterator[None]:
    """Stop the node's agent; containers go on."""
    command = os.environ.get("SPAWNERY_TEST_CLUSTER")
    if command is None:
        pytest.skip("SPAWNERY_TEST_CLUSTER names no command that could stop a kubelet")
    checked(command, "stop", "kubelet", seconds=SILENT)
    try:
        yield
    finally:
        checked(command, "start", "kubelet", seconds=SILENT)
        eventually(lambda: all(ready(node) for node in case.kubectl.get("nodes")["items"]))


def ready(node: dict[str, Any]) -> bool:
    conditions = {c["type"]: c["status"] for c in node["status"]["conditions"]}
    return conditions.get("Ready") == "True"


@pytest.mark.alone
def test_a_node_that_is_silent_for_a_while(case: KubeCase) -> None:
    """Nothing is said to have ended while it is, also of a pod that is being deleted meanwhile."""
    with case.open() as spawner:
        ends = spawner.spawn(sh("sleep 20; exit 5")).job_id
        out = spawner.spawn(sh("sleep 600")).job_id
        running(spawner, ends)
        running(spawner, out)
        (pod,) = case.pods(out)
        with stopped_kubelet(case):
            told(spawner, ends, "node.silent")
            told(spawner, out, "node.silent")
            words = ("pod", pod["metadata"]["name"], "-n", case.namespace, "--wait=false")
            case.kubectl("delete", *words)
            eventually(lambda: "deletionTimestamp" in case.pods(out)[0]["metadata"])
            told(spawner, out, "node.silent")
        ended, deleted = spawner.wait(ends, SILENT), spawner.wait(out, SILENT)
    assert (ended.state, ended.exit_code) == (JobState.FAILED, 5)
    assert (deleted.state, deleted.cause) == (JobState.FAILED, "killed.external")


# -- a node that does not come back ----------------------------------------------------------


@pytest.fixture
def ghost(case: KubeCase) -> Iterator[str]:
    """A node without a machine: it says once that it is ready, and nothing more."""
    name = f"{case.prefix}-ghost"
    taints = [{"key": name, "effect": "NoSchedule"}]
    metadata = {"name": name, "labels": {"spawnery.test/ghost": name}}
    case.kubectl.apply(
        {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": taints}}
    )
    room = {"cpu": "4", "memory": "4Gi", "pods": "10", "ephemeral-storage": "10Gi"}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    up = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now}
    status = {"conditions": [up | {"lastTransitionTime": now}], "capacity": room}
    patch = json.dumps({"status": status | {"allocatable": room}})
    case.kubectl("patch", "node", name, "--subresource=status", "-p", patch)
    yield name
    case.kubectl("delete", "node", name, "--ignore-not-found")


def say_running(case: KubeCase, job_id: str) -> None:
    """Say of a pod what the kubelet of a ghost would say."""
    (pod,) = case.pods(job_id)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    container = {
        "name": "job",
        "image": "x",
        "imageID": "x",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": now}},
    }
    is_ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
    status = {"phase": "Running", "startTime": now, "conditions": [is_ready]}
    patch = json.dumps({"status": status | {"containerStatuses": [container]}})
    name = pod["metadata"]["name"]
    words = ("patch", "pod", name, "-n", case.namespace, "--subresource=status", "-p", patch)
    case.kubectl(*words)


@pytest.mark.alone
def test_a_node_that_is_lost(case: KubeCase, ghost: str) -> None:
    """Its job runs for all that is known, until somebody says that the node is no more: LOST."""
    tolerations = [tolerate(ghost), tolerate(UNREACHABLE, **BRIEFLY)]
    options = {"node_selector": {"spawnery.test/ghost": ghost}, "tolerations": tolerations}
    with case.open() as spawner:
        job = spawner.spawn(sh("exit 0", options={"kubernetes": options})).job_id
        eventually(lambda: [p for p in case.pods(job) if p["spec"].get("nodeName") == ghost])
        say_running(case, job)
        running(spawner, job)
        told(spawner, job, "node.silent")
        eventually(lambda: "deletionTimestamp" in case.pods(job)[0]["metadata"], SILENT)
        assert spawner.status(job).state is JobState.RUNNING
        case.kubectl("delete", "node", ghost)
        outcome = spawner.wait(job, SILENT)
        eventually(lambda: not case.objects())
    assert (outcome.state, outcome.cause, outcome.exit_code) == (JobState.LOST, "lost.node", None)
    assert "DeletionByPodGC" in outcome.message
