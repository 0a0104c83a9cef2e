"""Exit codes, in docker's manner (docs/cli.md has the table)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from spawnery.errors import SpawnerError
    from spawnery.model.outcome import Outcome

OK: Final = 0
FINDING: Final = 1
"""``check`` and ``plan`` found something that will not work."""
TIMED_OUT: Final = 124
SPAWNER: Final = 125
NOT_EXECUTABLE: Final = 126
COMMAND_NOT_FOUND: Final = 127
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
"""128 + SIGPIPE, as for any program whose reader went away."""

_BY_CAUSE: Final = {
    "start.command_not_found": COMMAND_NOT_FOUND,
    "start.not_executable": NOT_EXECUTABLE,
    "cancelled": INTERRUPTED,
}
"""Of a job that never ran."""
_NEVER_RAN: Final = (
    *("start.", "image.", "network.", "quota", "unschedulable", "queued"),
    *("secret.not_found", "security.forbidden", "spawn.failed"),
)
"""Causes of "why a job does not start" (docs/causes.md), by how they begin."""
_BY_STATE: Final = {
    "SUCCEEDED": OK,
    "TIMED_OUT": TIMED_OUT,
    "CANCELLED": INTERRUPTED,
    "LOST": SPAWNER,
}


def of_outcome(outcome: Outcome) -> int:
    """Return the exit code that stands for the end of a job."""
    fixed = _BY_STATE.get(outcome.state)
    if fixed is not None:
        return fixed
    if outcome.exit_code and not never_ran(outcome):
        # A code beyond a byte would be cut by the system, and 256 become a success.
        return outcome.exit_code & 0xFF or 1
    return _BY_CAUSE.get(outcome.cause, SPAWNER)


def never_ran(outcome: Outcome) -> bool:
    """Tell whether a job failed to start: an exit code is then one that the engine made up.

    The engine's init process starts before the program, so that a failed start may have a time.
    """
    started = outcome.started_at is not None and not outcome.cause.startswith("start.")
    return outcome.state == "FAILED" and outcome.cause.startswith(_NEVER_RAN) and not started


def of_error(error: SpawnerError) -> int:
    """Return the exit code of an error."""
    return _BY_CAUSE.get(error.cause, SPAWNER)
