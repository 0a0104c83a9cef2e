"""Why jobs do not start on a real cluster, judged by what it showed of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve
from kube_objects import PULL_GRACE, START_GRACE, recorded
from spawnery.model import JobState
from spawnery_kubernetes.objects.facts import EventFacts

HOPELESS, NEVER = 0.0, None

WAITS = [
    # what was recorded, cause, after how long it is given up, words of message and of hint
    ("image-manifest-unknown", "image.not_found", HOPELESS, "not found", "docker build -t"),
    (
        "image-never-pull",
        "image.not_found",
        HOPELESS,
        "pull policy of Never",
        "pull_policy=if-not-present",
    ),
    ("image-no-such-host", "image.pull_failed", PULL_GRACE, "no such host", "crictl pull"),
    ("image-unauthorized", "image.auth", HOPELESS, "401", "docker-registry"),
    ("image-denied", "image.auth", HOPELESS, "403", "docker-registry"),
    ("image-too-many-requests", "image.rate_limit", PULL_GRACE, "429", "wait"),
    ("image-server-error", "image.pull_failed", PULL_GRACE, "500", "crictl pull"),
    ("image-connection-refused", "image.pull_failed", PULL_GRACE, "refused", "crictl pull"),
    (
        "image-wrong-platform",
        "image.platform",
        HOPELESS,
        "no match for platform",
        "kubectl get nodes",
    ),
    ("image-garbage", "image.invalid", HOPELESS, "unexpected media type", "docker pull"),
    ("image-corrupt", "image.invalid", HOPELESS, "unexpected commit digest", "docker pull"),
    ("image-invalid-name", "image.invalid", HOPELESS, "must be lowercase", "docker pull"),
    (
        "init-image-never-pull",
        "image.not_found",
        HOPELESS,
        "pull policy of Never",
        "pull_policy=if-not-present",
    ),
    ("root-image", "security.root_image", HOPELESS, "will run as root", "security=baseline"),
    ("image-user-by-name", "security.root_image", HOPELESS, "non-numeric user", "user=1000"),
    ("secret-missing", "secret.not_found", START_GRACE, '"absent" not found', "create secret"),
    (
        "volume-secret-missing",
        "secret.not_found",
        START_GRACE,
        '"absent" not found',
        "events --for pod/",
    ),
    ("configmap-missing", "start.failed", START_GRACE, '"absent" not found', "configmaps"),
    ("configmap-key-missing", "start.failed", START_GRACE, "find key absent", "configmaps"),
    ("own-secret-missing", "secret.not_found", START_GRACE, "has not made the Secret", "again"),
    (
        "unschedulable",
        "unschedulable",
        NEVER,
        "didn't match Pod's node affinity",
        "events --for pod/",
    ),
    ("quota-used-up", "quota", NEVER, "used: limits.cpu=500m", "describe quota"),
    ("quota-never-fits", "quota", HOPELESS, "requested: limits.cpu=2", "ask for less"),
    ("quota-must-specify", "quota", HOPELESS, "must specify limits.cpu", "describe quota"),
    ("limit-range", "quota", HOPELESS, "maximum memory usage per", "describe limitrange"),
    ("pod-security", "security.forbidden", HOPELESS, "violates PodSecurity", "--show-labels"),
    ("policy-denies", "security.forbidden", HOPELESS, "no pods today", "events --for job/"),
    ("webhook-down", "engine.error", START_GRACE, "connection refused", "webhookconfigurations"),
    ("service-account-missing", "start.failed", START_GRACE, "absent", "get serviceaccounts"),
    ("priority-class-missing", "start.failed", START_GRACE, "absent", "get priorityclasses"),
    ("runtime-class-missing", "start.failed", START_GRACE, "absent", "get runtimeclasses"),
]
IDS = [wait[0] for wait in WAITS]


@pytest.mark.parametrize(("name", "cause", "patience", "words", "hint"), WAITS, ids=IDS)
def test_what_is_said_of_a_job_that_does_not_start(name, cause, patience, words, hint) -> None:
    """It is PENDING, with the cause, the cluster's own words and the next step."""
    status = recorded(name).seen()
    assert (status.state, status.cause, status.outcome) == (JobState.PENDING, cause, None)
    assert words in (status.message or "")
    assert hint in (status.hint or "")
    assert status.fatal is (patience == HOPELESS)


@pytest.mark.parametrize(("name", "cause", "patience", "words", "hint"), WAITS, ids=IDS)
def test_what_may_pass_by_itself_is_left_to_pass(name, cause, patience, words, hint) -> None:
    """What may pass is given up after its grace, and what only waits for room never."""
    found = recorded(name)
    if patience:
        assert not found.seen(patience - 25).fatal
    assert found.seen(100_000).fatal is (patience is not NEVER)


def test_a_grace_begins_with_the_failure() -> None:
    """A pull that took long, after a long wait for a node, has its whole grace all the same."""
    found = recorded("image-server-error")
    (pod,), late = found.pods, found.events[-1].first_at + timedelta(hours=1)
    failed = [evolve(e, first_at=late) for e in found.events if e.reason == "Failed"]
    assert failed
    early = EventFacts(
        about=pod.uid, kind="Pod", reason="FailedScheduling", message="", warning=True
    )
    early = evolve(early, first_at=pod.created_at)
    slow = evolve(found, events=(early, *failed))
    assert not slow.seen(PULL_GRACE - 25).fatal
    assert slow.seen(PULL_GRACE + 25).fatal
    assert not evolve(slow, events=(early,)).seen(100_000).fatal
    assert evolve(slow, events=()).seen(100_000).fatal


@pytest.mark.parametrize("name", ["suspended", "scheduling-gate"])
def test_what_is_held_back_is_queued(name) -> None:
    """Nothing is said of a place in the queue, and no time makes it hopeless."""
    status = recorded(name).seen(10_000_000)
    assert (status.state, status.cause, status.fatal) == (JobState.QUEUED, "queued", False)
    assert not any(character.isdigit() for character in status.message or "")


def test_a_job_without_its_own_secret_was_not_launched() -> None:
    """Whoever spawns it again may finish it; one that lacks another Secret was launched."""
    assert not recorded("own-secret-missing").seen().launched
    assert recorded("secret-missing").seen().launched


@pytest.mark.parametrize("name", ["node-silent", "node-silent-tainted"])
def test_a_job_whose_node_is_silent_still_runs(name) -> None:
    """Nothing says that it has ended: it may run on, and no time makes it hopeless."""
    status = recorded(name).seen(10_000_000)
    assert (status.state, status.cause, status.fatal) == (JobState.RUNNING, "node.silent", False)
    assert "may still run" in (status.message or "")


def test_an_image_that_is_being_pulled() -> None:
    """The image, and since when: by the API server's clock."""
    found = recorded("image-server-error")
    (pod,), first = found.pods, found.events[-1]
    assert pod.main is not None
    making = evolve(pod.main, waiting="ContainerCreating", message="")
    pulling = evolve(first, reason="Pulling", message="Pulling image", warning=False)
    status = evolve(
        found, pods=(evolve(pod, main=making),), events=(evolve(pulling, about=pod.uid),)
    ).seen()
    assert (status.state, status.cause) == (JobState.PENDING, "image.pulling")
    assert status.message == f"the image {found.job.image} is being pulled"
    assert status.since == first.first_at
    assert status.since is not None
    assert not status.fatal


def test_a_wait_says_since_when() -> None:
    """A reason has the time since which it has failed; a job that runs has neither."""
    found = recorded("image-no-such-host")
    assert found.seen().since is not None
    assert recorded("exit-zero").seen().since is None
