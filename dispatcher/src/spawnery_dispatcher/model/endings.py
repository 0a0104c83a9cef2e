"""How a job ended, from what the agent says and what the engine shows: pure.

The rules, first that holds:

| engine | agent | ending |
|---|---|---|
| CANCELLED, TIMED_OUT | anything | the engine's: it was ended on purpose, whatever was said |
| LOST | Done | SUCCEEDED, ``agent.done``: its word came before we lost sight of it |
| LOST | Error | FAILED, ``agent.error`` |
| LOST | nothing | LOST |
| SUCCEEDED (exit 0) | Done | SUCCEEDED |
| SUCCEEDED (exit 0) | Error | FAILED, ``agent.error``: exit 0 says only that the program ended |
| SUCCEEDED (exit 0) | nothing | FAILED, ``agent.silent``: an agent that worked says so |
| FAILED | Error | FAILED with the engine's cause, in the agent's words |
| FAILED | Done | FAILED with the engine's cause: it went wrong afterwards; the link is kept |
| FAILED | nothing | FAILED |

Done is the agent's last entry, written when its work is pushed: with a LOST engine it is positive
evidence. A non-zero exit is evidence too and stronger than words, so Done never hides one.
"""

from __future__ import annotations

from datetime import datetime

from spawnery.model import JobState, Outcome

from spawnery_dispatcher.model.models import AgentEnd, Ending


def judge(outcome: Outcome, agent: AgentEnd | None, *, now: datetime) -> Ending:
    """Join the two witnesses.

    Args:
        outcome: The engine's.
        agent: The agent's; None when its stream was read to the end without one.
        now: When.
    """
    if outcome.state in {JobState.CANCELLED, JobState.TIMED_OUT}:
        return _as_engine(outcome, agent, now)
    if outcome.state is JobState.LOST:
        return _lost(outcome, agent, now)
    if outcome.state is JobState.SUCCEEDED:
        return _exited_zero(outcome, agent, now)
    return _failed(outcome, agent, now)


def _ending(
    outcome: Outcome,
    agent: AgentEnd | None,
    now: datetime,
    *,
    state: JobState,
    cause: str,
    message: str,
    hint: str | None = None,
) -> Ending:
    failed = state is not JobState.SUCCEEDED
    return Ending(
        state=state,
        cause=cause,
        message=message,
        hint=hint,
        url=agent.url if agent else "",
        log_tail=outcome.log_tail if failed else None,
        exit_code=outcome.exit_code,
        ended_at=now,
    )


def _as_engine(outcome: Outcome, agent: AgentEnd | None, now: datetime) -> Ending:
    return _ending(
        outcome,
        agent,
        now,
        state=outcome.state,
        cause=outcome.cause,
        message=outcome.message,
        hint=_hint(outcome),
    )


def _lost(outcome: Outcome, agent: AgentEnd | None, now: datetime) -> Ending:
    if agent is None:
        return _as_engine(outcome, agent, now)
    if agent.done:
        said = agent.text or "the agent said that it is done"
        return _ending(
            outcome, agent, now, state=JobState.SUCCEEDED, cause="agent.done", message=said
        )
    return _agent_failed(outcome, agent, now)


def _exited_zero(outcome: Outcome, agent: AgentEnd | None, now: datetime) -> Ending:
    if agent is None:
        return _ending(
            outcome,
            agent,
            now,
            state=JobState.FAILED,
            cause="agent.silent",
            message="the program exited with 0 and never said that it was done",
            hint="read its log; an agent ends with a Done entry on its stream",
        )
    if not agent.done:
        return _agent_failed(outcome, agent, now)
    said = agent.text or outcome.message
    return _ending(outcome, agent, now, state=JobState.SUCCEEDED, cause=outcome.cause, message=said)


def _agent_failed(outcome: Outcome, agent: AgentEnd, now: datetime) -> Ending:
    return _ending(
        outcome,
        agent,
        now,
        state=JobState.FAILED,
        cause="agent.error",
        message=_in_its_words(agent) or "the agent said that it failed",
        hint=_hint(outcome),
    )


def _failed(outcome: Outcome, agent: AgentEnd | None, now: datetime) -> Ending:
    message = outcome.message
    if agent is not None and agent.done:
        message = f"{outcome.message}, after the agent had said that it was done"
    elif agent is not None and _in_its_words(agent):
        message = f"{_in_its_words(agent)} ({outcome.message})"
    return _ending(
        outcome,
        agent,
        now,
        state=JobState.FAILED,
        cause=outcome.cause,
        message=message,
        hint=_hint(outcome),
    )


def _hint(outcome: Outcome) -> str | None:
    """Return the engine's hint; that of an exit code speaks of flags that nobody in a chat has."""
    return None if outcome.cause.startswith("exit.") else outcome.hint


def _in_its_words(agent: AgentEnd) -> str:
    return f"{agent.step_name}: {agent.text}" if agent.step_name and agent.text else agent.text
