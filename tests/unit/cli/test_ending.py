"""The line that tells how a job ended."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from spawnery.cli.app import App
from spawnery.cli.printing import ending
from spawnery.model import JobState, Outcome

START = datetime(2026, 11, 23, tzinfo=UTC)


def test_an_exit_needs_no_more_words() -> None:
    """State, exit code and time are all there is to say."""
    outcome = Outcome(
        state=JobState.FAILED,
        cause="exit.nonzero",
        message="exit code 3",
        exit_code=3,
        started_at=START,
        finished_at=START + timedelta(seconds=65),
    )
    assert ending.sentence(App(), "demo", outcome) == "demo: FAILED, exit code 3, after 1m5s"


def test_an_exit_code_is_told_once() -> None:
    """The message of a kill has the exit code of the program that it ended."""
    outcome = Outcome(
        state=JobState.CANCELLED,
        cause="cancelled",
        message="stopped on request (exit code 143)",
        exit_code=143,
    )
    line = "demo: CANCELLED: stopped on request (exit code 143) [cancelled]"
    assert ending.sentence(App(), "demo", outcome) == line


def test_another_end_has_its_message_and_its_cause() -> None:
    """The cause is the word to look up."""
    outcome = Outcome(state=JobState.LOST, cause="lost.missing", message="it is gone")
    assert ending.sentence(App(), "demo", outcome) == "demo: LOST: it is gone [lost.missing]"
    bare = Outcome(state=JobState.LOST, cause="lost.missing")
    assert ending.sentence(App(), "demo", bare) == "demo: LOST [lost.missing]"


def test_the_hint_is_told_where_it_helps(capfd) -> None:
    """Who followed the log of a failed job needs no hint to look at it."""
    app = App({})
    ending.tell(app, "a", Outcome(state=JobState.FAILED, cause="oom", hint="more memory"))
    ending.tell(app, "b", Outcome(state=JobState.FAILED, cause="exit.nonzero", hint="see the log"))
    assert capfd.readouterr().err == "a: FAILED [oom]\nhint: more memory\nb: FAILED\n"


def test_the_document_has_our_exit_code_and_the_jobs() -> None:
    """A job that traps SIGTERM and exits 0 is 130 to the shell, and 0 in the outcome."""
    outcome = Outcome(state=JobState.CANCELLED, cause="cancelled", exit_code=0)
    found = json.loads(json.dumps(ending.record("demo", outcome)))
    assert (found["job_id"], found["exit_status"]) == ("demo", 130)
    assert (found["outcome"]["exit_code"], found["outcome"]["state"]) == (0, "CANCELLED")


def test_the_engines_code_of_a_failed_start_is_not_told_as_the_jobs() -> None:
    """Docker gives 128 to a container that it could not start; no program returned it."""
    outcome = Outcome(
        state=JobState.FAILED, cause="start.failed", message="no address left", exit_code=128
    )
    assert ending.sentence(App(), "demo", outcome) == "demo: FAILED: no address left [start.failed]"
