"""Exit codes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from spawnery.cli import exits
from spawnery.errors import EngineUnreachable, InvalidSpec, SpawnerError, SpawnFailed
from spawnery.model import JobState, Outcome


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
        (JobState.FAILED, 128, "start.failed", 125),
        (JobState.FAILED, 127, "start.workdir", 125),
        (JobState.FAILED, 128, "start.command_not_found", 127),
        (JobState.FAILED, 128, "start.not_executable", 126),
        (JobState.FAILED, 1, "image.platform", 125),
        (JobState.FAILED, 128, "network.not_found", 125),
        (JobState.FAILED, 1, "security.root_image", 1),
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


def test_the_code_of_an_init_process_is_not_the_jobs() -> None:
    """An init process that could not start the program has a start time; the program has none."""
    now = datetime.now(UTC)
    failed = Outcome(state=JobState.FAILED, exit_code=1, cause="start.failed", started_at=now)
    assert exits.of_outcome(failed) == 125
    own = Outcome(state=JobState.FAILED, exit_code=7, cause="image.platform", started_at=now)
    assert exits.of_outcome(own) == 7


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
