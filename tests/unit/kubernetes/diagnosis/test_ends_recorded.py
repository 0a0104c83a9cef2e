"""How jobs ended on a real cluster, judged by what it showed of them."""

from __future__ import annotations

import pytest
from kube_objects import recorded
from spawnery.model import JobState

FAILED, LOST = JobState.FAILED, JobState.LOST
TIMED_OUT, CANCELLED, SUCCEEDED = JobState.TIMED_OUT, JobState.CANCELLED, JobState.SUCCEEDED

ENDS = [
    # what was recorded, state, cause, exit code, words of the message
    ("exit-zero", SUCCEEDED, "exit.zero", 0, "exit code 0"),
    ("exit-three", FAILED, "exit.nonzero", 3, "exit code 3"),
    ("signal-segv", FAILED, "exit.signal", 139, "SIGSEGV"),
    ("signal-term", FAILED, "exit.signal", 143, "SIGTERM"),
    ("signal-kill", FAILED, "killed.external", 137, "not ours"),
    ("oom", FAILED, "oom", 137, "OOMKilled"),
    ("oom-of-a-child", FAILED, "exit.nonzero", 4, "memory ran out for one of its"),
    ("sidecar-stays", SUCCEEDED, "exit.zero", 0, "exit code 0"),
    ("sidecar-fails", SUCCEEDED, "exit.zero", 0, "exit code 0"),
    ("init-container-fails", FAILED, "start.failed", None, "prepare ended with exit code 5"),
    ("command-not-found", FAILED, "start.command_not_found", 127, "stat /bin/nope: no such file"),
    ("not-executable", FAILED, "start.not_executable", 126, "/etc/passwd"),
    ("workdir-is-a-file", FAILED, "start.workdir", 126, "not a directory"),
    ("deadline", TIMED_OUT, "deadline", None, "DeadlineExceeded"),
    ("deadline-trap-exit-zero", TIMED_OUT, "deadline", None, "DeadlineExceeded"),
    ("stopped-trap-exit-zero", CANCELLED, "cancelled", None, "stopped on request"),
    ("stopped-trap-exit-zero-seen", CANCELLED, "cancelled", 0, "(exit code 0)"),
    ("pod-deleted", FAILED, "killed.external", None, "BackoffLimitExceeded"),
    ("pod-deleted-seen", FAILED, "killed.external", 143, "its pod was deleted, and not by us"),
    ("pod-deleted-by-force", FAILED, "killed.external", None, "BackoffLimitExceeded"),
    ("pod-deleted-by-force-seen", FAILED, "killed.external", 143, "its pod was deleted"),
    ("pod-deleted-trap-exit-zero-seen", SUCCEEDED, "exit.zero", 0, "exit code 0"),
    ("complete-without-pod", SUCCEEDED, "exit.zero", 0, "the Job is complete"),
    ("failed-without-pod", FAILED, "killed.external", None, "its pod is gone"),
    ("evicted-by-api-seen", FAILED, "evicted", 143, "EvictionByEvictionAPI"),
    ("node-lost-seen", LOST, "lost.node", None, "node no longer exists"),
    ("node-lost", FAILED, "killed.external", None, "BackoffLimitExceeded"),
    ("preempted", FAILED, "evicted", 143, "higher priority"),
]


@pytest.mark.parametrize(
    ("name", "state", "cause", "code", "words"), ENDS, ids=[e[0] for e in ENDS]
)
def test_what_is_said_of_an_end(name, state, cause, code, words) -> None:
    """State, cause and exit code of an end, with the evidence in the message."""
    status = recorded(name).seen()
    outcome = status.outcome
    assert outcome is not None
    assert (outcome.state, outcome.cause, outcome.exit_code) == (state, cause, code)
    assert words in outcome.message
    assert (status.state, status.launched, status.fatal) == (state, True, False)
    # Without it nobody would know when its retention is over.
    assert outcome.finished_at is not None


@pytest.mark.parametrize(
    "name", [e[0] for e in ENDS if e[2] in {"killed.external", "evicted", "oom", "start.failed"}]
)
def test_an_end_that_is_not_the_programs_own_says_what_to_do(name) -> None:
    """Whoever reads it is told what to look at next."""
    outcome = recorded(name).seen().outcome
    assert outcome is not None
    assert outcome.hint


def test_an_end_tells_when_and_of_which_image() -> None:
    """Times are those of the container, and the image is the one that ran."""
    outcome = recorded("exit-three").seen(tail="no\n").outcome
    assert outcome is not None
    assert outcome.started_at is not None
    assert outcome.finished_at is not None
    assert outcome.started_at <= outcome.finished_at
    assert (outcome.image_digest or "").startswith("sha256:")
    assert (outcome.log_tail, outcome.log_tail_missing) == ("no\n", None)


def test_an_end_without_a_pod_has_the_time_of_the_job() -> None:
    """The Job knows when it was complete."""
    found = recorded("complete-without-pod")
    outcome = found.seen().outcome
    complete = found.job.condition("Complete")
    assert outcome is not None
    assert complete is not None
    assert outcome.finished_at == complete.at


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("command-not-found", "never ran"),
        ("init-container-fails", "never ran"),
        ("deadline", "nobody saw it run"),
        ("pod-deleted-seen", "nobody had read it"),
    ],
)
def test_a_log_that_is_not_there_has_its_reason(name, words) -> None:
    """An outcome without a tail says why there is none."""
    outcome = recorded(name).seen().outcome
    assert outcome is not None
    assert outcome.log_tail is None
    assert words in (outcome.log_tail_missing or "")


def test_the_reader_of_logs_knows_better_why_there_is_none() -> None:
    """Its reason is told where the program ran."""
    outcome = recorded("pod-deleted-seen").seen(tail_missing="it is masked").outcome
    assert outcome is not None
    assert outcome.log_tail_missing == "it is masked"


def test_memory_that_ran_out_is_told_as_such_only_where_it_did() -> None:
    """None where the program never ran, else what the node says."""
    found = {
        name: recorded(name).seen().outcome for name in ("oom", "exit-three", "not-executable")
    }
    assert [None if o is None else o.oom for o in found.values()] == [True, False, None]
