"""Why jobs do not start on a real cluster, and how they are given up (promises P2, P4 and P6)."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from kube_case import PATIENCE, KubeCase, eventually, running, sh
from kube_foreign import foreign_pod
from registry import Answer, BadRegistry, bad_registry, make_image, refusal
from spawnery.model import (
    JobSpec,
    JobState,
    JobStatus,
    Outcome,
    Resources,
    SecretRef,
    generate_job_id,
)
from spawnery.spawner import Spawner

pytestmark = pytest.mark.engine("kubernetes")

AT_ONCE = {
    "SPAWNERY_KUBERNETES_PULL_GRACE_SECONDS": "0",
    "SPAWNERY_KUBERNETES_START_GRACE_SECONDS": "0",
}
"""What may pass by itself is not waited for."""
here = pytest.mark.skipif(
    not os.environ.get("SPAWNERY_TEST_CLUSTER"),
    reason="the registry of the test listens on this machine, and the nodes are elsewhere",
)


def waiting(spawner: Spawner, job_id: str, cause: str) -> JobStatus:
    """Wait until it is told why a job waits."""

    def told() -> JobStatus | None:
        status = spawner.status(job_id)
        assert status.outcome is None, status
        return status if status.cause == cause else None

    return eventually(told)


def given_up(case: KubeCase, spec: JobSpec, **variables: str) -> Outcome:
    """Spawn a job that cannot start; nothing of it stays when that is known."""
    with case.open(**variables) as spawner:
        job = spawner.spawn(evolve(spec, job_id=generate_job_id())).job_id
        outcome = spawner.wait(job, PATIENCE)
        eventually(lambda: not case.objects())
    assert outcome.state is JobState.FAILED
    assert outcome.exit_code is None
    assert outcome.hint
    return outcome


# -- images ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def registry() -> Iterator[BadRegistry]:
    """A registry that answers by the name of the repository."""

    def answer(_method: str, path: str) -> Answer | None:
        if "/team/auth/" in path:
            return Answer(401, b"", {"WWW-Authenticate": 'Basic realm="test"'})
        if "/team/denied/" in path:
            return refusal(403, "DENIED", "requested access to the resource is denied")
        if "/team/many/" in path:
            return refusal(429, "TOOMANYREQUESTS", "rate limit")
        if "/team/broken/" in path:
            return Answer(500, b"oops")
        return None

    with bad_registry() as made:
        made.answer = answer
        yield made


@here
@pytest.mark.parametrize(
    ("repository", "cause", "hint"),
    [
        ("absent", "image.not_found", "docker build -t"),
        ("auth", "image.auth", "docker-registry"),
        ("denied", "image.auth", "docker-registry"),
    ],
)
def test_an_answer_of_the_registry(
    case: KubeCase, registry: BadRegistry, repository: str, cause: str, hint: str
) -> None:
    """What the registry says for certain gives a job up at once, with the node's words."""
    image = f"{registry.host}/team/{repository}:1"
    outcome = given_up(case, JobSpec(image=image, command=["true"]))
    assert outcome.cause == cause
    assert f"the image {image} could not be pulled" in outcome.message
    assert "the node says" in outcome.message
    assert hint in (outcome.hint or "")


@here
@pytest.mark.parametrize(
    ("repository", "cause"), [("many", "image.rate_limit"), ("broken", "image.pull_failed")]
)
def test_a_registry_that_may_get_well(
    case: KubeCase, registry: BadRegistry, repository: str, cause: str
) -> None:
    """A pull that may succeed later is left to the node, and given up after its grace."""
    spec = JobSpec(image=f"{registry.host}/team/{repository}:1", command=["true"])
    with case.open() as spawner:
        job = spawner.spawn(spec).job_id
        status = waiting(spawner, job, cause)
        assert (status.state, status.fatal) == (JobState.PENDING, False)
        assert spawner.stop(job).state is JobState.CANCELLED
    assert case.objects() == set()
    assert given_up(case, spec, **AT_ONCE).cause == cause


@here
def test_a_registry_that_gets_well(case: KubeCase, registry: BadRegistry) -> None:
    """A job whose image comes while it waits runs."""
    repository = f"team/{secrets.token_hex(4)}"
    answer, sick = registry.answer, True

    def answers(method: str, path: str) -> Answer | None:
        return Answer(503) if sick and repository in path else answer(method, path)

    registry.answer = answers
    registry.images[repository] = make_image()
    with case.open() as spawner:
        spec = JobSpec(image=f"{registry.host}/{repository}:1", command=["/bin/sh", "-c", "exit 5"])
        job = spawner.spawn(spec).job_id
        waiting(spawner, job, "image.pull_failed")
        sick = False
        assert spawner.wait(job, PATIENCE).exit_code == 5
    registry.answer = answer


@pytest.mark.parametrize(
    ("fields", "cause", "words"),
    [
        ({"pull_policy": "never"}, "image.not_found", "pull policy of Never"),
        ({}, "image.pull_failed", "no such host"),
    ],
    ids=["never", "no registry"],
)
def test_an_image_that_cannot_be_had(
    case: KubeCase, fields: Mapping[str, Any], cause: str, words: str
) -> None:
    """It is not on the node and not to be pulled, or its registry has no address."""
    spec = JobSpec(image="registry.invalid/team/absent:1", command=["true"], **fields)
    outcome = given_up(case, spec, **AT_ONCE)
    assert outcome.cause == cause
    assert words in outcome.message


def test_an_image_whose_name_is_broken(case: KubeCase) -> None:
    """What no engine can read is image.invalid, whatever the grace."""
    outcome = given_up(case, JobSpec(image="UP::x", command=["true"]))
    assert outcome.cause == "image.invalid"
    assert "UP::x" in outcome.message


@here
@pytest.mark.parametrize("user", ["0", "agent"])
def test_an_image_with_a_user_that_the_profile_forbids(
    case: KubeCase, registry: BadRegistry, user: str
) -> None:
    """An operator who lets the image's own user be is told of root as Docker tells it."""
    repository = f"team/user-{user}"
    registry.images[repository] = make_image(config={"User": user})
    container = {"name": "job", "securityContext": {"runAsUser": None, "runAsGroup": None}}
    security = {"runAsUser": None, "runAsGroup": None}
    patch = {
        "spec": {"template": {"spec": {"containers": [container], "securityContext": security}}}
    }
    spec = JobSpec(
        image=f"{registry.host}/{repository}:1",
        command=["true"],
        options={"kubernetes": {"patch": patch}},
    )
    outcome = given_up(case, spec, SPAWNERY_KUBERNETES_ALLOW_PATCH="1")
    assert outcome.cause == "security.root_image"
    assert "user=1000" in (outcome.hint or "")
    assert "security=baseline" in (outcome.hint or "")


# -- what the pod needs ----------------------------------------------------------------------


def secret(case: KubeCase, name: str, **data: str) -> None:
    """Make a Secret of somebody else."""
    metadata = {"name": name, "namespace": case.namespace}
    case.kubectl.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}
    )


def test_a_secret_that_is_missing(case: KubeCase) -> None:
    """It may come late, so it is waited for; after the grace the job is given up."""
    name = f"theirs-{case.prefix}"
    spec = sh('test "$TOKEN" = here', secrets={"TOKEN": SecretRef.engine(name, "key")})
    with case.open() as spawner:
        job = spawner.spawn(spec).job_id
        status = waiting(spawner, job, "secret.not_found")
        assert not status.fatal
        assert f'secret "{name}" not found' in (status.message or "")
        secret(case, name, key="here")
        assert spawner.wait(job, PATIENCE).state is JobState.SUCCEEDED
    case.kubectl("delete", "secret", name, "-n", case.namespace)
    outcome = given_up(case, spec, **AT_ONCE)
    assert outcome.cause == "secret.not_found"
    assert f"kubectl -n {case.namespace} get secrets" in (outcome.hint or "")


def test_a_key_that_is_missing(case: KubeCase) -> None:
    """A Secret without the key is told as such; an optional one is not missed."""
    name = f"theirs-{case.prefix}"
    secret(case, name, other="x")
    needed = sh("exit 0", secrets={"TOKEN": SecretRef.engine(name, "key")})
    assert "couldn't find key key" in given_up(case, needed, **AT_ONCE).message
    wanted = SecretRef.engine(name, "key", optional=True)
    with case.open() as spawner:
        job = spawner.spawn(sh('test -z "$TOKEN"', secrets={"TOKEN": wanted})).job_id
        assert spawner.wait(job, PATIENCE).state is JobState.SUCCEEDED
    case.kubectl("delete", "secret", name, "-n", case.namespace)


def test_a_volume_that_is_missing(case: KubeCase) -> None:
    """What only the events tell is told: a volume of a Secret that is not there."""
    volumes = {"/mnt/theirs": {"secret": {"secretName": "not-there"}}}
    spec = sh("exit 0", options={"kubernetes": {"volumes": volumes}})
    with case.open() as spawner:
        job = spawner.spawn(spec).job_id
        status = waiting(spawner, job, "secret.not_found")
        assert "FailedMount" in (status.message or "")
        assert "not-there" in (status.message or "")
        assert spawner.stop(job, grace_seconds=0).state is JobState.CANCELLED
    assert case.objects() == set()


# -- where there is no room ------------------------------------------------------------------


def test_no_node_fits(case: KubeCase) -> None:
    """The scheduler's words are told, and a start deadline gives up with them, deleting first."""
    with case.open() as spawner:
        spec = sh(
            "exit 0",
            options={"kubernetes": {"node_selector": {"no": "where"}}},
            start_deadline_seconds=10,
        )
        job = spawner.spawn(spec).job_id
        status = waiting(spawner, job, "unschedulable")
        assert (status.state, status.fatal) == (JobState.PENDING, False)
        assert "didn't match Pod's node affinity" in (status.message or "")
        outcome = spawner.wait(job, PATIENCE)
        eventually(lambda: not case.objects())
    assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "unschedulable")
    assert "did not start in time" in outcome.message
    assert "didn't match Pod's node affinity" in outcome.message


@contextmanager
def limited(case: KubeCase, kind: str, spec: Mapping[str, Any]) -> Iterator[None]:
    """Have a quota or a limit in the namespace, and wait until it counts."""
    metadata = {"name": case.prefix, "namespace": case.namespace}
    case.kubectl.apply({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": dict(spec)})
    words = (kind.lower(), case.prefix, "-n", case.namespace)
    if kind == "ResourceQuota":
        eventually(lambda: case.kubectl.get(*words).get("status", {}).get("hard"))
    try:
        yield
    finally:
        case.kubectl("delete", *words)


def test_a_quota_that_is_used_up(case: KubeCase) -> None:
    """The job waits with the quota's numbers, and runs as soon as there is room."""
    with limited(case, "ResourceQuota", {"hard": {"pods": "1"}}), case.open() as spawner:
        first = spawner.spawn(sh("sleep 600")).job_id
        running(spawner, first)
        second = spawner.spawn(sh("exit 6")).job_id
        status = waiting(spawner, second, "quota")
        assert (status.state, status.fatal) == (JobState.PENDING, False)
        assert "exceeded quota" in (status.message or "")
        assert f"kubectl -n {case.namespace} describe quota" in (status.hint or "")
        spawner.stop(first, grace_seconds=1)
        assert spawner.wait(second, PATIENCE).exit_code == 6


def test_a_start_deadline_in_a_full_quota(case: KubeCase) -> None:
    """A job without a pod is given up with the words of its events."""
    with limited(case, "ResourceQuota", {"hard": {"pods": "1"}}), case.open() as spawner:
        first = spawner.spawn(sh("sleep 600")).job_id
        running(spawner, first)
        second = spawner.spawn(sh("exit 6", start_deadline_seconds=12)).job_id
        outcome = spawner.wait(second, PATIENCE)
        assert spawner.stop(first, grace_seconds=1).state is JobState.CANCELLED
    assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "quota")
    assert "exceeded quota" in outcome.message


def test_a_quota_into_which_it_never_fits(case: KubeCase) -> None:
    """What asks for more than there is in all is given up at once."""
    with limited(case, "ResourceQuota", {"hard": {"limits.memory": "100Mi"}}):
        spec = sh("exit 0", resources=Resources(memory_limit="200Mi", memory_request="200Mi"))
        outcome = given_up(case, spec)
    assert outcome.cause == "quota"
    assert "limits.memory=200Mi" in outcome.message


def test_a_limit_range(case: KubeCase) -> None:
    """What a LimitRange does not allow is given up at once."""
    limits = [{"type": "Container", "max": {"memory": "100Mi"}}]
    with limited(case, "LimitRange", {"limits": limits}):
        spec = sh("exit 0", resources=Resources(memory_limit="200Mi", memory_request="100Mi"))
        outcome = given_up(case, spec)
    assert outcome.cause == "quota"
    assert "maximum memory usage per Container is 100Mi" in outcome.message
    assert "describe limitrange" in (outcome.hint or "")


# -- what the cluster forbids ----------------------------------------------------------------


def test_a_profile_that_the_namespace_forbids(case: KubeCase) -> None:
    """The namespace enforces the standard "restricted", so a baseline pod is not let in."""
    outcome = given_up(case, sh("exit 0", security="baseline"))
    assert outcome.cause == "security.forbidden"
    assert 'violates PodSecurity "restricted' in outcome.message
    assert "security=restricted" in (outcome.hint or "")


@contextmanager
def webhook(case: KubeCase) -> Iterator[None]:
    """Have a webhook that decides on the pods of this namespace, and does not answer."""
    name = f"{case.prefix}.spawnery.test"
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
    }
    hook = {
        "name": name,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 2,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": case.namespace}},
        "rules": [rule],
        "clientConfig": {"url": "https://127.0.0.1:1/"},
    }
    case.kubectl.apply(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": case.prefix},
            "webhooks": [hook],
        }
    )
    words = ("create", "--dry-run=server", "-n", case.namespace, "-f", "-")
    pod = json.dumps(foreign_pod("probe"))
    try:
        eventually(lambda: "failed calling webhook" in case.kubectl.run(*words, stdin=pod).stderr)
        yield
    finally:
        case.kubectl("delete", "validatingwebhookconfiguration", case.prefix)


def test_a_webhook_that_does_not_answer(case: KubeCase) -> None:
    """It may come back, so the job waits for it; it runs then."""
    with case.open() as spawner:
        with webhook(case):
            job = spawner.spawn(sh("exit 9")).job_id
            status = waiting(spawner, job, "engine.error")
            assert "failed calling webhook" in (status.message or "")
            assert not status.fatal
        assert spawner.wait(job, PATIENCE).exit_code == 9


def test_a_webhook_that_stays_away(case: KubeCase) -> None:
    """After the grace the job is given up with the cluster's words."""
    with webhook(case):
        outcome = given_up(case, sh("exit 9"), **AT_ONCE)
    assert outcome.cause == "engine.error"
    assert "failed calling webhook" in outcome.message
    assert "webhookconfigurations" in (outcome.hint or "")


# -- what is held back -----------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"suspend": True}, {"queue": "team-a"}])
def test_a_job_that_is_held_back(case: KubeCase, options: Mapping[str, Any]) -> None:
    """It is QUEUED, past its deadlines too, until somebody lets it go; then it runs."""
    with case.open(SPAWNERY_ORPHAN_GRACE_SECONDS="0") as spawner:
        spec = sh(
            "exit 5",
            options={"kubernetes": dict(options)},
            start_deadline_seconds=2,
            deadline_seconds=600,
        )
        job = spawner.spawn(spec).job_id
        status = waiting(spawner, job, "queued")
        assert status.state is JobState.QUEUED
        made = datetime.fromisoformat(case.job(job)["metadata"]["creationTimestamp"])
        eventually(lambda: datetime.now(UTC) - made > timedelta(seconds=3))
        assert {d.action for d in spawner.reap()} == {"keep"}
        assert spawner.status(job).state is JobState.QUEUED
        name = ("job", case.name(job), "-n", case.namespace)
        case.kubectl("patch", *name, "--type=merge", "-p", '{"spec": {"suspend": false}}')
        assert spawner.wait(job, PATIENCE).exit_code == 5


def test_a_job_that_is_held_back_can_be_stopped(case: KubeCase) -> None:
    """Nothing of it stays."""
    with case.open() as spawner:
        job = spawner.spawn(sh("exit 5", options={"kubernetes": {"suspend": True}})).job_id
        waiting(spawner, job, "queued")
        assert spawner.stop(job).state is JobState.CANCELLED
        assert case.objects() == set()
