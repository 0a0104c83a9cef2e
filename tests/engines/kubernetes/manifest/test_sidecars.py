"""Containers beside the job's: what it waits for before it starts, and who outlives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from kube_case import PATIENCE, KubeCase, beside, eventually, sh
from spawnery.model import JobSpec, JobState, JobStatus
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
    # Without a probe a slow kubelet may see it run, and start the job.
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 600}
    options = beside("initContainers", "exit 7", restartPolicy="Always", startupProbe=probe)
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


# -- plain sidecars: Kubernetes waits for them -------------------------------------------------


def spawned(case: KubeCase, script: str, **fields: Any) -> None:
    """Spawn a job with a plain container beside its own, and let nobody watch."""
    case.environ["SPAWNERY_KUBERNETES_ALLOW_PATCH"] = "1"
    options = beside("containers", "trap '' TERM; sleep 600")
    with case.open() as spawner:
        spawner.spawn(sh(script, job_id="one", options=options, **fields))


def program(case: KubeCase) -> dict[str, Any]:
    """Return how the program has ended, by the pod; empty while it has not."""
    found = [
        container["state"].get("terminated")
        for pod in case.pods("one")
        for container in pod["status"].get("containerStatuses", ())
        if container["name"] == "job"
    ]
    return next((state for state in found if state), {})


def nothing_runs(case: KubeCase) -> bool:
    """Tell whether no pod of the job is there that has not ended."""
    there = {item for item in case.objects() if item.startswith("Job/")}
    pods = case.pods("one") if there else []
    return all(pod["status"]["phase"] in {"Failed", "Succeeded"} for pod in pods)


def true_end(case: KubeCase, end: dict[str, Any]) -> None:
    """Hold what is said of the job, with its records and without, against the program's end."""
    for folder in ("another", "state"):
        with case.open(SPAWNERY_STATE_DIR=str(case.folder / folder)) as spawner:
            outcome = spawner.status("one").outcome
        assert outcome is not None
        assert (outcome.state, outcome.exit_code) == (JobState.SUCCEEDED, 0), folder
        assert outcome.started_at == datetime.fromisoformat(end["startedAt"])
        assert outcome.finished_at == datetime.fromisoformat(end["finishedAt"])


@pytest.mark.parametrize(
    "words",
    [("status", "one"), ("ps",), ("stop", "one"), ("reap", "--dry-run")],
    ids=lambda w: w[0],
)
def test_whoever_looks_ends_a_plain_sidecar(case: KubeCase, words: tuple[str, ...]) -> None:
    """The program has ended and the pod stays for its sidecar: any look of the instance tells the
    program's own end, also to who has no record, and ends the pod."""
    spawned(case, "exit 0")
    end = eventually(lambda: program(case))
    done = case.cli(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    eventually(lambda: nothing_runs(case))
    if words[0] == "status":
        assert "SUCCEEDED" in done.stdout
    with case.open(SPAWNERY_STATE_DIR=str(case.folder / "another")) as spawner:
        outcome = spawner.status("one").outcome
    assert outcome is not None
    assert (outcome.state, outcome.exit_code) == (JobState.SUCCEEDED, 0)
    assert outcome.finished_at == datetime.fromisoformat(end["finishedAt"])
    case.cli("reap")
    with case.open() as spawner:
        assert spawner.wait("one", PATIENCE).state is JobState.SUCCEEDED
    eventually(lambda: not case.objects())


def test_a_wait_ends_a_plain_sidecar(case: KubeCase) -> None:
    """A process that waits removes the job as soon as its program has ended."""
    spawned(case, "exit 0")
    done = case.cli("wait", "one")
    assert done.returncode == 0, done.stdout + done.stderr
    eventually(lambda: not case.objects())


def test_a_pod_that_is_kept_for_its_log(case: KubeCase) -> None:
    """With a retention the pod stays, with its log, until that is over."""
    spawned(case, "echo said", retention_seconds=600)
    eventually(lambda: program(case))
    with case.open() as spawner:
        assert spawner.status("one").state is JobState.SUCCEEDED
        with spawner.logs("one") as chunks:
            assert b"".join(chunk.data for chunk in chunks) == b"said\n"


def test_a_plain_sidecar_until_the_deadline(case: KubeCase) -> None:
    """Nobody looks until the deadline has ended the sidecar: the program had ended before."""
    spawned(case, "sleep 2", deadline_seconds=12)
    end = eventually(lambda: program(case))
    eventually(lambda: nothing_runs(case))
    true_end(case, end)


def test_a_program_beside_a_sidecar_keeps_its_deadline(case: KubeCase) -> None:
    """A program that goes on is ended, also where it exits 0 at that."""
    spawned(case, "trap 'exit 0' TERM; while :; do sleep 0.2; done", deadline_seconds=10)
    eventually(lambda: program(case))
    eventually(lambda: nothing_runs(case))
    for folder in ("another", "state"):
        with case.open(SPAWNERY_STATE_DIR=str(case.folder / folder)) as spawner:
            outcome = spawner.status("one").outcome
        assert outcome is not None
        assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "deadline"), folder


@pytest.mark.parametrize("deadline", [None, 60])
def test_reap_removes_a_plain_sidecar(case: KubeCase, deadline: int | None) -> None:
    """``reap`` by any process of the instance records the program's own end, and removes all."""
    spawned(case, "exit 0", deadline_seconds=deadline)
    eventually(lambda: program(case))
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
