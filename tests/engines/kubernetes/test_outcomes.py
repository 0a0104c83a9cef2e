"""How jobs end on a real cluster, and what is said of it (promises P2 to P4)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from kube_case import PATIENCE, KubeCase, eventually, output, running, sh
from spawnery.model import JobSpec, JobState, Outcome, Resources
from spawnery.spawner import Spawner

pytestmark = pytest.mark.engine("kubernetes")

SMALL = Resources(cpu_request="10m", memory_request="16Mi", memory_limit="24Mi")
HOG = "exec tail /dev/zero"
"""Reads one endless line into memory."""
DEAF = "trap 'echo told; exit 0' TERM; echo up; while :; do sleep 0.1; done"
"""Says that it did well when it is told to end."""
KEEP = 600


@pytest.fixture
def spawner(case: KubeCase) -> Iterator[Spawner]:
    """A spawner of the case."""
    with case.open() as made:
        yield made


def ended(spawner: Spawner, spec: JobSpec) -> Outcome:
    """Run a job to its end."""
    return spawner.wait(spawner.spawn(spec).job_id, PATIENCE)


def up(spawner: Spawner, script: str, **fields: object) -> str:
    """Spawn a job and wait until it runs."""
    job = spawner.spawn(sh(script, **fields)).job_id
    running(spawner, job)
    return job


def left(case: KubeCase, script: str, **fields: object) -> str:
    """Spawn a kept job, wait until it runs, and go away from it."""
    with case.open() as spawner:
        return up(spawner, script, retention_seconds=KEEP, **fields)


def finished(case: KubeCase, job_id: str) -> None:
    """Wait until the cluster itself says that a Job has come to its end."""
    eventually(
        lambda: any(
            condition["type"] in {"Complete", "Failed"} and condition["status"] == "True"
            for condition in case.job(job_id)["status"].get("conditions", [])
        )
    )


def delete_pod(case: KubeCase, job_id: str, *words: str) -> None:
    """Delete the pod of a job as somebody at the cluster does."""
    for pod in case.pods(job_id):
        case.kubectl("delete", "pod", pod["metadata"]["name"], "-n", case.namespace, *words)


# -- codes, signals, memory ------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 3, 126, 127, 128, 255])
def test_exit_codes(spawner: Spawner, code: int) -> None:
    """The code is the program's own, also where shells and engines have a meaning for it."""
    outcome = ended(spawner, sh(f"exit {code}"))
    assert outcome.exit_code == code
    assert outcome.started_at is not None
    assert outcome.finished_at is not None
    assert outcome.started_at <= outcome.finished_at
    assert "sha256:" in (outcome.image_digest or "")
    if code == 0:
        assert (outcome.state, outcome.cause) == (JobState.SUCCEEDED, "exit.zero")
    else:
        assert (outcome.state, outcome.cause) == (JobState.FAILED, "exit.nonzero")
        assert str(code) in outcome.message


@pytest.mark.parametrize(("name", "number"), [("SEGV", 11), ("TERM", 15)])
def test_a_signal(spawner: Spawner, name: str, number: int) -> None:
    """A program that a signal ended has 128 and the signal's number, and its name is told."""
    outcome = ended(spawner, sh(f"kill -{name} $$; sleep 600"))
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "exit.signal")
    assert outcome.exit_code == 128 + number
    assert f"SIG{name}" in outcome.message


def test_a_kill_that_is_not_ours(spawner: Spawner) -> None:
    """SIGKILL from nobody knows where is a kill from outside."""
    outcome = ended(spawner, sh("kill -KILL $$; sleep 600"))
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "killed.external")
    assert outcome.exit_code == 137


@pytest.mark.parametrize("retention", [0, KEEP])
def test_out_of_memory(spawner: Spawner, retention: int) -> None:
    """A program over its limit is oom: the node saw it and the code is that of SIGKILL."""
    outcome = ended(spawner, sh(HOG, resources=SMALL, retention_seconds=retention))
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "oom")
    assert (outcome.exit_code, outcome.oom) == (137, True)
    assert "resources.memory_limit=2Gi" in (outcome.hint or "")


def test_sidecars_do_not_matter(case: KubeCase) -> None:
    """Our container counts, whatever another one in the pod does before or after its end."""
    sidecars = [
        {"name": "early", "image": sh("").image, "command": ["sh", "-c", "exit 9"]},
        {"name": "late", "image": sh("").image, "command": ["sh", "-c", "sleep 600"]},
    ]
    patch = {"spec": {"template": {"spec": {"containers": sidecars}}}}
    with case.open(SPAWNERY_KUBERNETES_ALLOW_PATCH="1") as spawner:
        for code, state in ((0, JobState.SUCCEEDED), (7, JobState.FAILED)):
            job = spawner.spawn(
                sh(f"sleep 2; exit {code}", options={"kubernetes": {"patch": patch}})
            ).job_id
            outcome = spawner.wait(job, PATIENCE)
            assert (outcome.state, outcome.exit_code) == (state, code)
        eventually(lambda: not case.objects())


# -- starts that fail ------------------------------------------------------------------------

FAILURES = {
    "command not found": ({"command": ["/no/such/program"]}, "start.command_not_found", 127),
    "not on the path": ({"command": ["nosuchprogram"]}, "start.command_not_found", 127),
    "not executable": ({"command": ["/etc/passwd"]}, "start.not_executable", 126),
    "a folder": ({"command": ["/tmp"]}, "start.not_executable", 126),
    "workdir is a file": ({"command": ["true"], "workdir": "/etc/passwd"}, "start.workdir", 126),
}


@pytest.mark.parametrize(("fields", "cause", "code"), FAILURES.values(), ids=FAILURES.keys())
def test_a_start_that_fails(
    case: KubeCase, spawner: Spawner, fields: dict[str, object], cause: str, code: int
) -> None:
    """A job that cannot start is FAILED with the reason and a next step, and nothing stays."""
    outcome = ended(spawner, JobSpec(image=sh("").image, **fields))  # type: ignore[arg-type]
    assert (outcome.state, outcome.cause, outcome.exit_code) == (JobState.FAILED, cause, code)
    assert "the node says" in outcome.message
    assert outcome.hint
    assert outcome.log_tail_missing == "the program never ran"
    eventually(lambda: not case.objects())


# -- deadlines -------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["echo up; sleep 600", DEAF], ids=["deaf", "exit 0"])
def test_a_deadline(case: KubeCase, spawner: Spawner, script: str) -> None:
    """The cluster keeps it; the tail is there where we were watching, also of an exit 0."""
    outcome = ended(spawner, sh(script, deadline_seconds=6))
    assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "deadline")
    assert "up\n" in (outcome.log_tail or ""), outcome
    eventually(lambda: not case.objects())


def test_a_deadline_that_nobody_watched(case: KubeCase) -> None:
    """Its pod is gone with its log: the Job still tells, and the outcome says why no log is."""
    job = left(case, DEAF, deadline_seconds=8)
    finished(case, job)
    eventually(lambda: not case.pods(job))
    with case.open(SPAWNERY_STATE_DIR=str(case.folder / "new")) as spawner:
        outcome = spawner.wait(job, PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "deadline")
    assert "DeadlineExceeded" in outcome.message
    assert outcome.log_tail is None
    assert outcome.log_tail_missing


# -- ends that we made -----------------------------------------------------------------------


def test_exit_zero_after_a_stop_is_cancelled_for_every_process(case: KubeCase) -> None:
    """Who has another state directory learns of the stop from the Job itself."""
    job = left(case, DEAF)
    others = {"SPAWNERY_STATE_DIR": str(case.folder / "new")}
    with case.open() as spawner, case.open(**others) as other:
        running(other, job)
        stopped = spawner.stop(job, grace_seconds=20)
        seen = other.wait(job, PATIENCE)
    assert (stopped.state, stopped.cause) == (JobState.CANCELLED, "cancelled")
    assert (seen.state, seen.cause) == (JobState.CANCELLED, "cancelled")
    # The pod may be gone before the second looked; the code is told by whoever saw it.
    assert {stopped.exit_code, seen.exit_code} <= {0, None}
    note = case.job(job)["metadata"]["annotations"]["spawnery.dev/stopped"]
    assert note.startswith("stop 2")


def test_exit_zero_after_a_stop_is_cancelled_when_the_pod_is_gone(case: KubeCase) -> None:
    """The Job says Complete, and its annotation that we stopped it."""
    job = left(case, DEAF)
    with case.open() as spawner:
        spawner.stop(job, grace_seconds=20)
    finished(case, job)
    delete_pod(case, job)
    kinds = {c["type"] for c in case.job(job)["status"]["conditions"] if c["status"] == "True"}
    assert "Complete" in kinds
    with case.open(SPAWNERY_STATE_DIR=str(case.folder / "new")) as other:
        outcome = other.wait(job, PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.CANCELLED, "cancelled")


# -- ends that others made -------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--wait=false"], ["--grace-period=0", "--force"]])
def test_a_pod_that_somebody_deleted(spawner: Spawner, case: KubeCase, words: list[str]) -> None:
    """kubectl delete pod of a running job is killed.external, with the log until then."""
    job = up(spawner, "echo up; sleep 600")
    delete_pod(case, job, *words)
    outcome = spawner.wait(job, PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "killed.external")
    assert "not by us" in outcome.message
    assert f"-n {case.namespace} events --for pod/" in (outcome.hint or "")


def test_a_pod_that_went_unseen(case: KubeCase) -> None:
    """Where nobody saw the pod go the Job tells that it failed, without a code."""
    job = left(case, "sleep 600")
    delete_pod(case, job)
    finished(case, job)
    with case.open() as spawner:
        outcome = spawner.wait(job, PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "killed.external")
    assert outcome.exit_code is None
    assert "BackoffLimitExceeded" in outcome.message


UNSEEN = {(JobState.FAILED, "killed.external"), (JobState.LOST, "lost.missing")}


@pytest.mark.parametrize("script", ["sleep 600", DEAF], ids=["sleep", "exit 0"])
def test_a_job_that_somebody_deleted(spawner: Spawner, case: KubeCase, script: str) -> None:
    """kubectl delete job is a kill from outside, or LOST; never a success, and nothing stays."""
    job = up(spawner, script)
    case.kubectl("delete", "job", case.name(job), "-n", case.namespace)
    outcome = spawner.wait(job, PATIENCE)
    assert (outcome.state, outcome.cause) in UNSEEN
    eventually(lambda: not case.objects())


def test_a_job_that_went_unseen(case: KubeCase) -> None:
    """A Job that was deleted while no process lived is LOST for whoever asks, once for all."""
    job = left(case, "sleep 600")
    case.kubectl("delete", "job", case.name(job), "-n", case.namespace)
    eventually(lambda: not case.objects())
    with case.open() as spawner:
        outcome = spawner.wait(job, PATIENCE)
        assert (outcome.state, outcome.cause) == (JobState.LOST, "lost.missing")
        assert spawner.status(job).outcome == outcome


def test_a_job_whose_time_to_live_was_over_before_anybody_read_it(case: KubeCase) -> None:
    """The cluster has removed it: nobody knows how it ended, so it is LOST, exit 0 or not."""
    with case.open(SPAWNERY_KUBERNETES_TTL_SECONDS="1") as spawner:
        job = spawner.spawn(sh("sleep 3", retention_seconds=1)).job_id
    eventually(lambda: not case.objects())
    with case.open() as spawner:
        outcome = spawner.wait(job, PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.LOST, "lost.missing")


def test_a_complete_job_without_its_pod(case: KubeCase) -> None:
    """Complete is the cluster's word for exit code 0, also when the pod is gone."""
    job = left(case, "sleep 2")
    finished(case, job)
    delete_pod(case, job)
    with case.open(SPAWNERY_STATE_DIR=str(case.folder / "new")) as spawner:
        outcome = spawner.wait(job, PATIENCE)
    assert (outcome.state, outcome.cause, outcome.exit_code) == (
        JobState.SUCCEEDED,
        "exit.zero",
        0,
    )


@pytest.mark.parametrize("script", ["echo up; sleep 600", DEAF], ids=["sleep", "exit 0"])
def test_an_eviction(spawner: Spawner, case: KubeCase, script: str) -> None:
    """A pod that the Eviction API takes away (a drained node) is evicted, also with exit 0."""
    job = up(spawner, script)
    (pod,) = case.pods(job)
    name = pod["metadata"]["name"]
    metadata = {"name": name, "namespace": case.namespace}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{case.namespace}/pods/{name}/eviction"
    case.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))
    outcome = spawner.wait(job, PATIENCE)
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "evicted")
    assert "EvictionByEvictionAPI" in outcome.message
    assert "again" in (outcome.hint or "")


@pytest.fixture
def scarce(case: KubeCase) -> Iterator[str]:
    """Something of which the cluster has one piece, and a class of jobs that come first."""
    kubectl, mark = case.kubectl, case.prefix
    (node, *_) = kubectl.get("nodes")["items"]
    resource = f"example.com/{mark}"
    words = ("patch", "node", node["metadata"]["name"], "--subresource=status")
    added = {"capacity": {resource: "1"}, "allocatable": {resource: "1"}}
    kubectl(*words, "--type=merge", "-p", json.dumps({"status": added}))
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
    kubectl.apply({**kind, "metadata": {"name": mark}, "value": 1000})
    yield resource
    taken = {"capacity": {resource: None}, "allocatable": {resource: None}}
    kubectl(*words, "--type=merge", "-p", json.dumps({"status": taken}))
    kubectl("delete", "priorityclass", mark)


def test_a_job_that_gives_way_to_a_more_important_one(case: KubeCase, scarce: str) -> None:
    """A pod that the scheduler takes away for another one is evicted, and told why."""
    container = {"name": "job", "resources": {"limits": {scarce: "1"}, "requests": {scarce: "1"}}}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    first = {"kubernetes": {"patch": patch}}
    second = {"kubernetes": {"patch": patch, "priority_class": case.prefix}}
    with case.open(SPAWNERY_KUBERNETES_ALLOW_PATCH="1") as spawner:
        low = up(spawner, "sleep 600", options=first)
        high = spawner.spawn(sh("exit 0", options=second)).job_id
        outcome = spawner.wait(low, PATIENCE)
        assert spawner.wait(high, PATIENCE).state is JobState.SUCCEEDED
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "evicted")
    assert "PreemptionByScheduler" in outcome.message


# -- profiles --------------------------------------------------------------------------------

ROOT_ONLY = "touch /etc/new || exit 3"


def test_an_image_that_needs_root(spawner: Spawner) -> None:
    """A program that is denied what its image's user root may is told both ways out."""
    outcome = ended(spawner, sh(ROOT_ONLY))
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "security.root_image")
    assert outcome.exit_code == 3
    assert "user=1000" in (outcome.hint or "")
    assert "security=baseline" in (outcome.hint or "")


def test_a_denial_of_a_chosen_user_is_its_own(spawner: Spawner) -> None:
    """Who names a user is not told of the image's own."""
    assert ended(spawner, sh(ROOT_ONLY, user="1000")).cause == "exit.nonzero"


def test_a_program_that_succeeds_says_what_it_wrote(spawner: Spawner) -> None:
    """The plain case: output, exit 0, nothing else."""
    assert output(spawner, sh("echo hello")) == "hello\n"
