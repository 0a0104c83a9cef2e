"""From what the host prints to the status of a job."""

from __future__ import annotations

import pytest
from spawnery import JobState

from spawnery_shellhost.status import read, status_of

CARD = (
    '{"job_id": "j1", "labels": {"team": "a", "spawnery.dev/retention-seconds": "9.000",'
    ' "spawnery.dev/record-id": "r1"}}'
)
HEAD = ["job kit-j1 u1 v1.abc 100.5", f"card {CARD}"]


def one(*lines: str):
    """Read the answer about one job."""
    (facts,), _ = read([*HEAD, *lines, "now 200.0"])
    return status_of(facts)


def test_a_card_alone_is_pending_and_not_launched():
    """A job without a start is PENDING and may still be started."""
    status = one()
    assert (status.state, status.launched, status.job_id) == (JobState.PENDING, False, "j1")
    assert status.labels == {"team": "a"}
    assert status.retention_seconds == 9


def test_a_start_is_running():
    """A job that was started and has not ended is RUNNING."""
    status = one("start 101")
    assert (status.state, status.launched) == (JobState.RUNNING, True)


@pytest.mark.parametrize(
    ("line", "state", "cause", "code"),
    [
        ("exit 0 - 102", "SUCCEEDED", "exit.zero", 0),
        ("exit 3 - 102", "FAILED", "exit.nonzero", 3),
        ("exit 139 - 102", "FAILED", "exit.signal", 139),
        ("exit 137 - 102", "FAILED", "killed.external", 137),
        ("exit 126 start.command_not_found 102", "FAILED", "start.command_not_found", 127),
        ("exit 126 start.workdir 102", "FAILED", "start.workdir", 126),
        ("exit - cancelled 102", "CANCELLED", "cancelled", None),
        ("lost lost.supervisor", "LOST", "lost.supervisor", None),
        ("lost lost.missing", "LOST", "lost.missing", None),
    ],
)
def test_an_end_is_told(line, state, cause, code):
    """Each way to end has its state, its cause and its exit code."""
    outcome = one("start 101", line).outcome
    assert (outcome.state, outcome.cause, outcome.exit_code) == (state, cause, code)


def test_the_tail_of_a_failed_job_is_kept_line_by_line():
    """Lines of the log that look like ours do not confuse the reader."""
    outcome = one("start 101", "exit 1 - 102", "| exit 0 - 1", "| ", "| now 5", "").outcome
    assert outcome.log_tail == "exit 0 - 1\n\nnow 5"
    assert outcome.exit_code == 1


def test_times_are_of_the_hosts_clock():
    """Core knows how far it is from ours."""
    assert one().accepted_at.timestamp() == 100.5


def test_the_record_id_is_told():
    """It tells this object from others of the same name."""
    assert one().record_id == "r1"


def test_an_answer_without_an_end_is_refused():
    """A list that broke off is no list."""
    with pytest.raises(ValueError, match="no end"):
        read(HEAD)
