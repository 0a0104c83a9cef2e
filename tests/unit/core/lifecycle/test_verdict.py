"""How a job ended, from all evidence: success needs a proof, and a recorded kill wins."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st
from spawnery import JobState, Outcome
from spawnery.contract import Kill, Record
from spawnery.lifecycle.decisions.verdict import verdict
from spawnery.model import KillReason

NOW = datetime(2030, 1, 1, tzinfo=UTC)
TERMINAL = [state for state in JobState if state.terminal]
REASONS = {
    "stop": JobState.CANCELLED,
    "deadline": JobState.TIMED_OUT,
    "start_deadline": JobState.TIMED_OUT,
    "hopeless": JobState.FAILED,
}
RECORD = Record(job_id="a", name="p-a", spec_hash="v1.x", intended_at=NOW)
LAUNCHED = evolve(RECORD, created_at=NOW, engine_id="e")

outcomes = st.builds(
    Outcome,
    state=st.sampled_from(TERMINAL),
    cause=st.sampled_from(["exit.zero", "exit.nonzero", "oom", "image.not_found", ""]),
    message=st.text(max_size=5),
    exit_code=st.none() | st.integers(-5, 300),
    oom=st.none() | st.booleans(),
    log_tail=st.none() | st.just("tail"),
)
kills = st.builds(
    Kill,
    reason=st.sampled_from(sorted(REASONS)),
    at=st.just(NOW),
    cause=st.none() | st.just("image.auth"),
    message=st.none() | st.just("no access"),
    hint=st.none() | st.just("docker login"),
)
records = st.builds(
    evolve,
    st.just(RECORD),
    created_at=st.none() | st.just(NOW),
    engine_id=st.none() | st.just("e"),
    kill=st.none() | kills,
)
success = Outcome(state=JobState.SUCCEEDED, cause="exit.zero", exit_code=0)


def killed(reason, **fields):
    return evolve(LAUNCHED, kill=Kill(reason=reason, at=NOW, **fields))


@given(st.none() | records, st.none() | outcomes)
@example(None, None)
@example(LAUNCHED, evolve(success, exit_code=None))
def test_success_needs_exit_code_zero_and_no_kill(record, seen):
    """No evidence but exit code 0 of a job that nobody killed is a success; all else is not."""
    found = verdict(record, seen)
    proven = (
        seen is not None
        and seen.state is JobState.SUCCEEDED
        and seen.exit_code == 0
        and (record is None or record.kill is None)
    )
    assert (found.state is JobState.SUCCEEDED) == proven


@given(records, kills, st.none() | outcomes)
def test_a_recorded_kill_always_wins(record, kill, seen):
    """Whatever the engine then shows, the end is the one that was recorded first."""
    found = verdict(evolve(record, kill=kill), seen)
    assert found.state is REASONS[kill.reason]
    if kill.cause is not None:
        assert found.cause == kill.cause
    assert found.hint == kill.hint


@given(st.none() | records, st.none() | outcomes)
def test_every_verdict_is_an_end_with_cause(record, seen):
    """Every verdict is terminal, and says why unless the engine's evidence does not."""
    found = verdict(record, seen)
    assert found.state.terminal
    assert found.cause or (seen is not None and not seen.cause)


@given(st.none() | records, outcomes)
def test_the_facts_of_the_engine_are_kept(record, seen):
    """Exit code and log tail stay, whoever decides."""
    found = verdict(record, seen)
    assert (found.exit_code, found.log_tail) == (seen.exit_code, seen.log_tail)


@pytest.mark.parametrize(
    ("record", "cause"),
    [(None, "lost.missing"), (LAUNCHED, "lost.missing"), (RECORD, "lost.never_started")],
    ids=["no record", "launched", "never created"],
)
def test_nothing_seen_is_lost(record, cause):
    """An object that is gone without evidence is LOST, and a person is told what to do."""
    found = verdict(record, None)
    assert (found.state, found.cause) == (JobState.LOST, cause)
    assert found.hint


@pytest.mark.parametrize("code", [None, 1, 137, -9])
def test_success_without_proof_is_lost(code):
    """A spawner that says success without exit code 0 is not believed."""
    found = verdict(LAUNCHED, evolve(success, exit_code=code))
    assert (found.state, found.cause) == (JobState.LOST, "lost.no_proof")
    assert found.exit_code == code


def test_success_stays_success():
    """Exit code 0 and no kill: what the engine says is taken as it is."""
    assert verdict(LAUNCHED, success) is success
    assert verdict(None, success) is success


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("stop", "cancelled"),
        ("deadline", "deadline"),
        ("start_deadline", "deadline.start"),
        ("hopeless", "start.failed"),
    ],
)
def test_each_reason_has_its_cause(reason, cause):
    """The cause codes of kills are those of docs/causes.md."""
    assert verdict(killed(reason), success).cause == cause
    gone = verdict(killed(reason), None)
    assert gone.cause == cause
    assert gone.log_tail_missing


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("stop", "stopped on request before it started: no node has enough memory"),
        ("deadline", "stopped at its deadline before it started: no node has enough memory"),
    ],
)
def test_what_a_job_waited_for_is_told_at_its_end(reason, message):
    """A job that is ended before it starts says why it had not; one that started does not."""
    record = killed(reason, message="no node has enough memory", hint="ask for less")
    assert verdict(record, None).message == message
    unstarted = evolve(success, state=JobState.FAILED, exit_code=None)
    assert verdict(record, unstarted).message == message
    started = verdict(record, evolve(success, started_at=NOW))
    assert "no node" not in started.message


def test_a_program_that_traps_the_signal_was_still_cancelled():
    """Exit code 0 after our SIGTERM is CANCELLED, and the code is told."""
    found = verdict(killed("stop"), success)
    assert (found.state, found.exit_code) == (JobState.CANCELLED, 0)
    assert "exit code 0" in found.message


def test_what_a_job_waited_for_is_told():
    """A job that was given up says what it was waiting for."""
    record = killed("hopeless", cause="image.auth", message="denied", hint="docker login")
    found = verdict(record, None)
    assert (found.cause, found.hint) == ("image.auth", "docker login")
    assert "denied" in found.message


@pytest.mark.parametrize("reason", KillReason)
def test_a_reason_is_read_off_an_object(reason):
    """What is written there comes back; a reason of a newer version counts as a stop."""
    assert KillReason.of_text(str(reason)) is reason
    assert KillReason.of_text("mood") is KillReason.STOP
