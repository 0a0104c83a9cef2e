"""The engine's word and the agent's are joined by written rules, never to a false success."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spawnery import JobState, Outcome
from spawnery_dispatcher.model.endings import judge
from spawnery_dispatcher.model.models import AgentEnd

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DONE = AgentEnd(done=True, text="fixed", url="https://example.com/pull/1")
ERROR = AgentEnd(done=False, text="tests failed", step_name="test")
S, F, C, T, L = (
    JobState.SUCCEEDED,
    JobState.FAILED,
    JobState.CANCELLED,
    JobState.TIMED_OUT,
    JobState.LOST,
)
CAUSES = {S: "exit.zero", F: "oom", C: "cancelled", T: "deadline", L: "lost.missing"}


def outcome(state):
    return Outcome(state=state, cause=CAUSES[state], message=f"engine: {state}", log_tail="tail")


@pytest.mark.parametrize(
    ("engine", "agent", "state", "cause"),
    [
        (S, DONE, S, "exit.zero"),
        (S, ERROR, F, "agent.error"),
        (S, None, F, "agent.silent"),
        (F, DONE, F, "oom"),
        (F, ERROR, F, "oom"),
        (F, None, F, "oom"),
        (C, DONE, C, "cancelled"),
        (C, None, C, "cancelled"),
        (T, DONE, T, "deadline"),
        (T, ERROR, T, "deadline"),
        (L, DONE, S, "agent.done"),
        (L, ERROR, F, "agent.error"),
        (L, None, L, "lost.missing"),
    ],
)
def test_the_table(engine, agent, state, cause):
    """Every row of the rules."""
    ending = judge(outcome(engine), agent, now=NOW)
    assert (ending.state, ending.cause) == (state, cause)


@given(st.sampled_from([S, F, C, T, L]), st.sampled_from([DONE, ERROR, None]))
def test_success_needs_both_or_the_word_of_an_agent_that_was_lost(engine, agent):
    """SUCCEEDED only with Done, and never against an exit code or a kill."""
    ending = judge(outcome(engine), agent, now=NOW)
    if ending.state is S:
        assert agent is DONE
        assert engine in {S, L}


def test_both_witnesses_are_told():
    """A failure says what the agent said and what the engine saw; its link is kept."""
    ending = judge(outcome(F), ERROR, now=NOW)
    assert ending.message == "test: tests failed (engine: FAILED)"
    assert ending.log_tail == "tail"
    after = judge(outcome(F), DONE, now=NOW)
    assert "after the agent had said that it was done" in after.message
    assert after.url == DONE.url
    assert judge(outcome(S), DONE, now=NOW).log_tail is None


def test_hints_are_for_people_in_a_chat():
    """What the engine advises is handed on; what is about flags of a command is not."""
    oom = Outcome(state=F, cause="oom", hint="more memory")
    code = Outcome(state=F, cause="exit.nonzero", hint="retention_seconds=900")
    assert judge(oom, None, now=NOW).hint == "more memory"
    assert judge(code, None, now=NOW).hint is None
