"""Which evidence counts, and when it is complete: facts of real Jobs, changed by hand."""

from __future__ import annotations

import pytest
from attrs import evolve
from kube_objects import Recorded, recorded
from spawnery.model import JobState, Outcome
from spawnery_kubernetes.diagnosis.outcome import outcome_of
from spawnery_kubernetes.objects.facts import (
    ANNOTATION_REPLACED_USER,
    ANNOTATION_STOPPED,
    Condition,
)

AT = "2026-01-01T00:00:00.000+00:00"


def ended(found: Recorded) -> Outcome:
    outcome = outcome_of(found.job, found.pods)
    assert outcome is not None
    return outcome


def noted(found: Recorded, **notes: str) -> Recorded:
    """Put annotations on the Job."""
    names = {"stopped": ANNOTATION_STOPPED, "replaced": ANNOTATION_REPLACED_USER}
    annotations = found.job.annotations | {names[k]: v for k, v in notes.items()}
    return evolve(found, job=evolve(found.job, annotations=annotations))


def silent(found: Recorded) -> Recorded:
    """Take from the Job what its controller has said."""
    return evolve(found, job=evolve(found.job, conditions=()))


def pod_is(found: Recorded, **changes: object) -> Recorded:
    return evolve(found, pods=tuple(evolve(pod, **changes) for pod in found.pods))


@pytest.mark.parametrize(
    ("reason", "state", "cause"),
    [
        ("stop", JobState.CANCELLED, "cancelled"),
        ("deadline", JobState.TIMED_OUT, "deadline"),
        ("start_deadline", JobState.TIMED_OUT, "deadline.start"),
        ("hopeless", JobState.FAILED, "start.failed"),
        ("something-newer", JobState.CANCELLED, "cancelled"),
    ],
)
@pytest.mark.parametrize(
    "name", ["exit-zero", "exit-three", "complete-without-pod", "deadline", "preempted"]
)
def test_a_stop_of_ours_wins_over_all_evidence(name, reason, state, cause) -> None:
    """Whoever reads the Job says the same as who has stopped it, even of exit code 0."""
    outcome = ended(noted(recorded(name), stopped=f"{reason} {AT}"))
    assert (outcome.state, outcome.cause) == (state, cause)


def test_a_stop_that_has_not_ended_it_yet_is_no_end() -> None:
    """An annotated Job goes on until its container has ended."""
    found = noted(recorded("secret-missing"), stopped=f"stop {AT}")
    assert outcome_of(found.job, found.pods) is None


def test_a_job_that_is_given_up_says_what_it_waited_for() -> None:
    """The message of a start deadline names the cause of the wait."""
    found = noted(recorded("unschedulable"), stopped=f"start_deadline {AT}")
    outcome = ended(pod_is(found, phase="Failed"))
    assert (outcome.state, outcome.cause) == (JobState.TIMED_OUT, "unschedulable")
    assert outcome.message.startswith("did not start in time: no node fits")


def test_the_container_counts_before_the_job_says_anything() -> None:
    """Exit codes are there at once, long before the Job controller is."""
    assert ended(silent(recorded("exit-zero"))).state is JobState.SUCCEEDED
    assert ended(silent(recorded("exit-three"))).exit_code == 3
    assert ended(silent(recorded("oom"))).cause == "oom"


@pytest.mark.parametrize("name", ["exit-zero", "signal-term"])
def test_a_deleted_pod_is_judged_when_the_job_has_spoken(name) -> None:
    """Who deleted it (a deadline, a stop of ours, somebody) may be heard of later than its end."""
    found = recorded(name)
    early = pod_is(silent(found), deleting=True)
    assert outcome_of(early.job, early.pods) is None
    stopped = noted(early, stopped=f"stop {AT}")
    assert ended(stopped).state is JobState.CANCELLED
    late = evolve(early, job=evolve(early.job, conditions=recorded("deadline").job.conditions))
    assert ended(late).state is JobState.TIMED_OUT
    assert ended(late).exit_code == found.seen().outcome.exit_code


def test_a_finished_job_waits_for_news_of_a_pod_that_looks_alive() -> None:
    """What is told of the Job may come before what is told of its pod."""
    alive = recorded("secret-missing")
    found = evolve(recorded("exit-three"), pods=alive.pods)
    assert outcome_of(found.job, found.pods) is None
    assert ended(pod_is(found, gone=True)).cause == "killed.external"


def test_a_pod_without_its_container_is_no_evidence() -> None:
    """A pod that says Succeeded, without the container of the job, proves nothing."""
    found = pod_is(silent(recorded("exit-zero")), main=None)
    assert outcome_of(found.job, found.pods) is None
    assert ended(pod_is(found, phase="Failed")).state is JobState.FAILED


def test_a_failed_pod_without_a_terminated_container_is_never_a_success() -> None:
    """It failed, whatever the reason."""
    found = recorded("exit-zero")
    main = evolve(found.pods[0].main, terminated=None)
    outcome = ended(pod_is(silent(found), main=main, phase="Failed", reason="Whatever"))
    assert (outcome.state, outcome.exit_code) == (JobState.FAILED, None)


def test_an_exit_code_that_the_node_made_up_is_none() -> None:
    """ContainerStatusUnknown comes with 137, and nobody has seen that."""
    found = recorded("signal-kill")
    main = found.pods[0].main
    ended_as = evolve(main.terminated, reason="ContainerStatusUnknown", started_at=None)
    outcome = ended(pod_is(found, main=evolve(main, terminated=ended_as)))
    assert outcome.exit_code is None
    assert outcome.state is JobState.FAILED


def test_exit_zero_of_what_never_started_is_lost() -> None:
    """Without a start there is no success (and with the Job's own word there is)."""
    found = recorded("exit-zero")
    main = found.pods[0].main
    never = pod_is(found, main=evolve(main, terminated=evolve(main.terminated, started_at=None)))
    assert ended(silent(never)).cause == "lost.no_proof"
    assert ended(silent(never)).state is JobState.LOST
    assert ended(never).state is JobState.SUCCEEDED


def test_a_pod_that_has_ended_before_it_was_put_out_ended_by_itself() -> None:
    """An eviction after the end changes nothing; one before it is the cause, even of exit 0."""
    found = silent(recorded("exit-zero"))
    condition = Condition(type="DisruptionTarget", status=True, reason="EvictionByEvictionAPI")
    late = pod_is(found, conditions=(condition,), ended_first=True)
    assert ended(late).state is JobState.SUCCEEDED
    assert ended(pod_is(late, ended_first=False)).cause == "evicted"


@pytest.mark.parametrize(
    ("reason", "cause", "state"),
    [
        ("Evicted", "evicted", JobState.FAILED),
        ("Preempting", "evicted", JobState.FAILED),
        ("Terminated", "evicted", JobState.FAILED),
        ("NodeLost", "lost.node", JobState.LOST),
        ("OutOfcpu", "unschedulable", JobState.FAILED),
        ("UnexpectedAdmissionError", "start.failed", JobState.FAILED),
    ],
)
def test_what_the_node_says_of_a_pod_that_it_does_not_keep(reason, cause, state) -> None:
    """The kubelet's reasons of pods that it ends, or does not take."""
    found = recorded("unschedulable")
    told = pod_is(found, phase="Failed", reason=reason, message="The node was low on resource")
    outcome = ended(told)
    assert (outcome.state, outcome.cause) == (state, cause)
    assert "low on resource" in outcome.message


def test_an_end_that_is_told_before_the_job_has_failed_has_a_time() -> None:
    """A lost pod has no time of its end: the last word on it is when."""
    found = recorded("node-lost-seen")
    target = found.job.condition("FailureTarget")
    outcome = ended(evolve(found, job=evolve(found.job, conditions=(target,))))
    assert outcome.cause == "lost.node"
    assert outcome.finished_at == target.at


def test_a_job_that_is_gone_is_told_from_its_pod() -> None:
    """Exit code 0 after somebody deleted the Job is no success; nothing seen is no end."""
    found = recorded("job-deleted-seen")
    assert outcome_of(found.job, found.pods) is None
    gone = evolve(found, job=evolve(found.job, gone=True))
    outcome = ended(gone)
    assert (outcome.state, outcome.cause) == (JobState.FAILED, "killed.external")
    assert (outcome.exit_code, "its Job was deleted" in outcome.message) == (0, True)
    assert outcome_of(gone.job, ()) is None


def test_a_suspended_job_has_not_ended_whatever_its_pods_did() -> None:
    """To suspend it ends its pods; it goes on with new ones."""
    found = silent(recorded("signal-term"))
    held = evolve(found, job=evolve(found.job, suspended=True))
    assert held.seen().state is JobState.QUEUED


def test_of_two_pods_the_one_that_is_there_tells() -> None:
    """One that is gone gives way to one that is there, an older one to a newer one."""
    found = recorded("exit-three")
    first = evolve(found.pods[0], uid="1", name="a", gone=True)
    second = recorded("exit-zero").pods[0]
    both = evolve(silent(found), pods=(second, first))
    assert ended(both).exit_code == 0


def test_a_denial_as_a_replaced_user_is_told_as_an_image_that_needs_root() -> None:
    """As Docker tells it: by the end of the log, and only where the user was replaced."""
    found = recorded("exit-three")
    tail = "touch: /x: Permission denied\n"
    assert found.seen(tail=tail).outcome.cause == "exit.nonzero"
    told = noted(found, replaced="65532:65532")
    assert told.seen(tail="nothing of that kind\n").outcome.cause == "exit.nonzero"
    outcome = told.seen(tail=tail).outcome
    assert outcome.cause == "security.root_image"
    assert "user=1000" in outcome.hint
    assert "security=baseline" in outcome.hint
