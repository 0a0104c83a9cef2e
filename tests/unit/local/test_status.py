"""What a job's folder says, as status and outcome."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from spawnery.local.state.facts import Facts
from spawnery.local.status import status_of
from spawnery.local.system.clocks import Moment
from spawnery.model import JobState

JOB = {
    "job_id": "j",
    "name": "agentsmith-j",
    "nonce": "abc",
    "spec_hash": "v1.x",
    "labels": {"team": "a", "spawnery.dev/instance": "i"},
    "argv": ["prog", "x"],
    "workdir": "/w",
    "accepted_at": 1000.0,
    "deadline_seconds": 5.0,
    "start_deadline_seconds": None,
    "retention_seconds": 0.0,
}
NOW = Moment(wall=1010.0, seconds=60.0, boot="b")
END = {"reason": None, "started_at": 1001.0, "finished_at": 1002.0, "log_tail": "t"}
EXITED = {**END, "exit_code": 0, "signal": None}


def status(end=None, *, locked=False, launched=True, started=None):
    return status_of(
        Facts(
            folder=Path("/x"),
            job=JOB,
            locked=locked,
            launched=launched,
            started=started,
            exit=end,
            stop=None,
        ),
        NOW,
    )


def test_states_before_the_end():
    """RUNNING needs a living supervisor and a confirmed start."""
    started = {"started_at": 1001.0}
    assert status(locked=True, started=started).state is JobState.RUNNING
    assert status(locked=True).state is JobState.PENDING
    pending = status(launched=False)
    assert (pending.state, pending.launched) == (JobState.PENDING, False)
    assert pending.labels == {"team": "a"}
    assert (pending.engine_id, pending.spec_hash, pending.deadline_seconds) == ("abc", "v1.x", 5.0)


@pytest.mark.parametrize(
    ("end", "state", "cause", "code"),
    [
        (EXITED, "SUCCEEDED", "exit.zero", 0),
        ({**EXITED, "exit_code": 3}, "FAILED", "exit.nonzero", 3),
        ({**EXITED, "exit_code": 139, "signal": 11}, "FAILED", "exit.signal", 139),
        ({**EXITED, "exit_code": 190, "signal": 62}, "FAILED", "exit.signal", 190),
        ({**EXITED, "exit_code": 137, "signal": 9}, "FAILED", "killed.external", 137),
        ({**EXITED, "reason": "stop"}, "CANCELLED", "cancelled", 0),
        ({**EXITED, "reason": "deadline"}, "TIMED_OUT", "deadline", 0),
        ({**EXITED, "reason": "start_deadline"}, "TIMED_OUT", "deadline.start", 0),
        ({**END, "reason": "stop", "never_started": True}, "CANCELLED", "cancelled", None),
        ({**END, "lost": True}, "LOST", "lost.supervisor", None),
        (
            {**END, "start_stage": "exec", "start_errno": errno.ENOENT},
            "FAILED",
            "start.command_not_found",
            127,
        ),
        (
            {**END, "start_stage": "exec", "start_errno": errno.ENOEXEC},
            "FAILED",
            "start.not_executable",
            126,
        ),
        (
            {**END, "start_stage": "workdir", "start_errno": errno.ENOENT},
            "FAILED",
            "start.workdir",
            126,
        ),
        (
            {**END, "start_stage": "setup", "start_errno": errno.EMFILE},
            "FAILED",
            "start.failed",
            126,
        ),
        ({**END, "start_stage": "exec", "start_errno": errno.E2BIG}, "FAILED", "start.failed", 126),
    ],
)
def test_every_end_has_its_words(end, state, cause, code):
    """State, cause, exit code, and a message."""
    outcome = status(end).outcome
    assert (outcome.state, outcome.cause, outcome.exit_code) == (state, cause, code)
    assert outcome.message
    assert (outcome.finished_at - outcome.started_at).total_seconds() == 1


def test_a_missing_tail_has_its_reason():
    """And what could not be ended is said."""
    ends = [
        {**EXITED, "log_tail": None},
        {**END, "log_tail": None, "lost": True},
        {**END, "log_tail": None, "reason": "stop", "never_started": True},
    ]
    reasons = {status(end).outcome.log_tail_missing for end in ends}
    assert len(reasons) == 3
    assert None not in reasons
    assert "could not be ended" in status({**EXITED, "left": True}).outcome.message
