"""Exit codes."""

from __future__ import annotations

import pytest
from spawnery.cli import exits
from spawnery.errors import EngineUnreachable, InvalidSpec, SpawnerError, SpawnFailed
from spawnery.outcomes import JobState, Outcome


@pytest.mark.parametrize(
    ("state", "exit_code", "cause", "expected"),
    [
        (JobState.SUCCEEDED, 0, "exit.zero", 0),
        (JobState.FAILED, 3, "exit.nonzero", 3),
        (JobState.FAILED, 137, "oom", 137),
        (JobState.FAILED, 256, "exit.nonzero", 1),
        (JobState.FAILED, 0, "start.failed", 125),
        (JobState.FAILED, None, "image.not_found", 125),
        (JobState.FAILED, None, "start.command_not_found", 127),
        (JobState.FAILED, None, "start.not_executable", 126),
        (JobState.TIMED_OUT, 0, "deadline", 124),
        (JobState.TIMED_OUT, 137, "deadline", 124),
        (JobState.CANCELLED, 0, "cancelled", 130),
        (JobState.LOST, None, "lost.missing", 125),
    ],
)
def test_how_a_job_ended(state: JobState, exit_code: int | None, cause: str, expected: int) -> None:
    """The job's own code, and docker's codes where it has none of its own."""
    outcome = Outcome(state=state, exit_code=exit_code, cause=cause)
    assert exits.of_outcome(outcome) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidSpec("x"), 125),
        (EngineUnreachable("x"), 125),
        (SpawnFailed("x", cause="start.command_not_found"), 127),
        (SpawnFailed("x", cause="start.not_executable"), 126),
        (SpawnFailed("x", cause="cancelled"), 130),
    ],
)
def test_errors(error: SpawnerError, expected: int) -> None:
    """An error of ours is 125, but a program that cannot be started says which way."""
    assert exits.of_error(error) == expected
