"""Containers beside the job's: what it waits for before it starts, and who outlives it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from kube_case import PATIENCE, KubeCase, beside, eventually, sh
from spawnery.models import JobSpec
from spawnery.outcomes import JobState, JobStatus
from spawnery.spawner import Spawner

pytestmark = pytest.mark.engine("kubernetes")


@pytest.fixture
def spawner(case: KubeCase) -> Iterator[Spawner]:
    """A spawner whose jobs may patch their manifest."""
    case.environ["SPAWNERY_KUBERNETES_ALLOW_PATCH"] = "1"
    with case.open() as made:
        yield made


def waits(spawner: Spawner, spec: JobSpec, words: str) -> JobStatus:
    """Spawn a job that waits, until it is told why."""
    spawner.spawn(spec)

    def told() -> JobStatus | None:
        status = spawner.status(spec.job_id)
        assert status.outcome is None, status
        return status if words in (status.message or "") else None

    return eventually(told)


def test_a_sidecar_that_ends_again_and_again(spawner: Spawner) -> None:
    """A native sidecar in CrashLoopBackOff is what the job waits for, with its exit code."""
    options = beside("initContainers", "exit 7", restartPolicy="Always")
    status = waits(spawner, sh("true", options=options), "ends again and again")
    assert (status.state, status.cause, status.fatal) == (JobState.PENDING, "start.init", False)
    assert "sidecar other" in (status.message or "")
    assert "exit code 7" in (status.message or "")
    assert "-c other" in (status.hint or "")


def test_an_init_container_that_hangs(spawner: Spawner) -> None:
    """An init container that does not end is what the job waits for."""
    options = beside("initContainers", "sleep 600")
    status = waits(spawner, sh("true", options=options), "still runs")
    assert (status.state, status.cause, status.fatal) == (JobState.PENDING, "start.init", False)
    assert "init container other" in (status.message or "")


def test_a_sidecar_that_does_not_get_ready(spawner: Spawner) -> None:
    """A native sidecar that fails its startup probe is what the job waits for."""
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 600}
    options = beside("initContainers", "sleep 600", restartPolicy="Always", startupProbe=probe)
    status = waits(spawner, sh("true", options=options), "startup probe")
    assert (status.state, status.cause) == (JobState.PENDING, "start.init")


def test_a_native_sidecar_does_not_keep_the_job(spawner: Spawner) -> None:
    """A job with a native sidecar starts when that runs, and ends with its own program."""
    options = beside("initContainers", "sleep 600", restartPolicy="Always")
    job = spawner.spawn(sh("exit 3", options=options)).job_id
    outcome = spawner.wait(job, PATIENCE)
    assert (outcome.state, outcome.exit_code) == (JobState.FAILED, 3)


@pytest.mark.parametrize("deadline", [None, 60])
def test_a_plain_sidecar_and_nobody_watching(case: KubeCase, deadline: int | None) -> None:
    """The program has ended and the pod stays for its sidecar: ``reap`` by any process of the
    instance records the program's own end, and removes the pod."""
    case.environ["SPAWNERY_KUBERNETES_ALLOW_PATCH"] = "1"
    options = beside("containers", "trap '' TERM; sleep 600")
    with case.open() as spawner:
        spec = sh("exit 0", job_id="one", options=options, deadline_seconds=deadline)
        spawner.spawn(spec)

    def ended() -> bool:
        states = [
            container["state"]
            for pod in case.pods("one")
            for container in pod["status"].get("containerStatuses", ())
            if container["name"] == "job"
        ]
        return any("terminated" in state for state in states)

    eventually(ended)
    done = case.cli("reap")
    assert done.returncode == 0, done.stdout + done.stderr
    eventually(lambda: not case.objects())
    with case.open() as spawner:
        assert spawner.wait("one", PATIENCE).state is JobState.SUCCEEDED


def test_plan_tells_of_a_plain_sidecar(case: KubeCase) -> None:
    """``plan`` says that a container beside the job's keeps the Job running, and what to do."""
    options = beside("containers", "sleep 600")
    with case.open(SPAWNERY_KUBERNETES_ALLOW_PATCH="1") as spawner:
        plan = spawner.plan(sh("true", options=options)).plan
    [note] = [note for note in plan.notes if "other" in note]
    assert "initContainers" in note
    assert "restartPolicy" in note
    assert json.dumps(plan.engine_object).count('"other"') == 1
