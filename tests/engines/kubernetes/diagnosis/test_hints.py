"""Every command of a hint works when it is pasted, while a job waits and after it is gone."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from kube_case import PATIENCE, KubeCase, beside, eventually, running, sh
from spawnery.model import JobSpec, JobState, JobStatus, Outcome
from spawnery.spawner import Spawner

pytestmark = pytest.mark.engine("kubernetes")

NOWHERE: dict[str, Any] = {"kubernetes": {"node_selector": {"kit.example/node": "none"}}}
NO_VOLUME: dict[str, Any] = {"kubernetes": {"volumes": {"/v": {"secret": {"secretName": "none"}}}}}


@pytest.fixture
def spawner(case: KubeCase) -> Iterator[Spawner]:
    """A spawner whose jobs may patch their manifest, and that gives up soon."""
    case.environ["SPAWNERY_KUBERNETES_ALLOW_PATCH"] = "1"
    case.environ["SPAWNERY_KUBERNETES_PULL_GRACE_SECONDS"] = "1"
    with case.open() as made:
        yield made


def pasted(case: KubeCase, hint: str | None) -> list[str]:
    """Run the kubectl commands of a hint in a shell, as who sees the cluster; returns them."""
    commands = re.findall(r"kubectl [^;\n]+", hint or "")
    for command in commands:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(case.folder),
                "KUBECONFIG": case.kubectl.kubeconfig,
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
    return commands


def waits(spawner: Spawner, job_id: str) -> JobStatus:
    """Wait until a job tells what it waits for."""

    def told() -> JobStatus | None:
        status = spawner.status(job_id)
        return status if status.cause and status.hint else None

    found = eventually(told)
    assert found is not None
    return found


def over(case: KubeCase, spawner: Spawner, spec: JobSpec) -> Outcome:
    """Run a job to its end, until nothing of it is there any more."""
    job = spawner.spawn(spec).job_id
    outcome = spawner.wait(job, PATIENCE)
    if not spec.retention_seconds:
        eventually(lambda: not case.objects())
    return outcome


WAITING = {
    "unschedulable": {"options": NOWHERE},
    "image": {"image": "127.0.0.1:9/none:1"},
    "volume": {"options": NO_VOLUME},
    "init": {"options": beside("initContainers", "sleep 600")},
}


@pytest.mark.parametrize("fields", WAITING.values(), ids=WAITING.keys())
def test_a_job_that_waits_and_is_given_up(
    case: KubeCase, spawner: Spawner, fields: dict[str, Any]
) -> None:
    """What is told of a wait can be pasted; so can what is told when its pod has been removed."""
    patient = {"SPAWNERY_KUBERNETES_PULL_GRACE_SECONDS": "600"}
    with case.open(**patient) as slow:
        job = slow.spawn(sh("true", **fields)).job_id
        assert pasted(case, waits(slow, job).hint)
        slow.stop(job)
    spec = sh("true", start_deadline_seconds=10, **fields)
    outcome = over(case, spawner, spec)
    assert outcome.state in {JobState.TIMED_OUT, JobState.FAILED}
    pasted(case, outcome.hint)
    assert "logs" not in (outcome.hint or "")


@pytest.mark.parametrize("retention", [0, 600])
def test_an_init_container_that_fails(case: KubeCase, spawner: Spawner, retention: int) -> None:
    """Its log is named only where the pod is kept."""
    options = beside("initContainers", "echo no; exit 5")
    outcome = over(case, spawner, sh("true", options=options, retention_seconds=retention))
    assert outcome.log_tail_missing == "the program never ran"
    [command] = pasted(case, outcome.hint)
    assert ("logs" in command) == bool(retention)


def test_a_pod_that_was_deleted(case: KubeCase, spawner: Spawner) -> None:
    """What is told of it can be pasted after it went."""
    job = spawner.spawn(sh("sleep 600")).job_id
    running(spawner, job)
    [pod] = case.pods(job)
    case.kubectl("delete", "pod", pod["metadata"]["name"], "-n", case.namespace, "--wait=false")
    outcome = spawner.wait(job, PATIENCE)
    assert outcome.cause == "killed.external"
    eventually(lambda: not case.objects())
    assert pasted(case, outcome.hint)


def test_a_program_that_is_not_there(case: KubeCase, spawner: Spawner) -> None:
    """The command that lists programs names the job's own image."""
    spec = sh("true", command=["nosuchprogram"])
    outcome = over(case, spawner, spec)
    assert f"docker run --rm --entrypoint ls {spec.image} /bin" in (outcome.hint or "")


def test_a_log_whose_pod_went_before_it_was_read(case: KubeCase) -> None:
    """A program that ran, and whose pod is gone: that is not told as if it had never run."""
    with case.open() as first:
        spec = sh("exit 3", job_id="one", retention_seconds=600)
        first.spawn(spec)
        eventually(lambda: case.job("one")["status"].get("failed"))
    for pod in case.pods("one"):
        case.kubectl("delete", "pod", pod["metadata"]["name"], "-n", case.namespace)
    case.environ["SPAWNERY_STATE_DIR"] = str(case.folder / "another")
    with case.open() as later:
        outcome = later.wait("one", PATIENCE)
    assert outcome.state is JobState.FAILED
    assert outcome.log_tail_missing == "nobody saw it run, and its pod is gone"
    assert pasted(case, outcome.hint)
