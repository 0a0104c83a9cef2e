"""Telling how a job ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from spawnery.cli import exits
from spawnery.cli.printing import ages, encode, fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spawnery.cli.app import App
    from spawnery.model.outcome import Outcome

_PLAIN: Final = frozenset({"exit.zero", "exit.nonzero"})
"""Causes that state and exit code tell already; their first hint is to read the log."""
_EXIT: Final = "(exit code "
"""In messages that have the exit code themselves."""


def sentence(app: App, job_id: str, outcome: Outcome) -> str:
    """Return one line on how a job ended."""
    parts = [str(outcome.state)]
    ran = not exits.never_ran(outcome)
    if outcome.exit_code is not None and ran and _EXIT not in (outcome.message or ""):
        parts.append(f"exit code {outcome.exit_code}")
    took = ages.between(outcome.started_at, outcome.finished_at)
    if took is not None and ran:
        parts.append(f"after {took}")
    text = f"{job_id}: {', '.join(parts)}"
    if outcome.cause in _PLAIN:
        return text
    why = f": {fields.message(app, outcome.message)}" if outcome.message else ""
    return f"{text}{why} [{outcome.cause}]"


def record(job_id: str, outcome: Outcome) -> dict[str, Any]:
    """Return the last object of a JSON stream."""
    found = {"job_id": job_id, "exit_status": exits.of_outcome(outcome)}
    return found | {"outcome": encode.plain(outcome)}


def tell(app: App, job_id: str, outcome: Outcome, *, advice: Sequence[str] = ()) -> None:
    """Say on stderr how a job ended, and what to do about it.

    Args:
        app: Decides whether anything is said.
        job_id: The job.
        outcome: How it ended.
        advice: More hints.
    """
    app.talk(sentence(app, job_id, outcome))
    lines = fields.hint(app, outcome.hint or "").splitlines()
    for line in [*lines[outcome.cause in _PLAIN :], *advice]:
        app.talk(f"hint: {line}")
