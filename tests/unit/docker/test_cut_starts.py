"""A start that ended with the connection of whoever asked for it: nothing ran (Docker 28)."""

from __future__ import annotations

import pytest
from spawnery_docker.start_errors import start_failure
from spawnery_docker.status import end_of, launched

NEVER = "0001-01-01T00:00:00Z"
THEN = "2026-01-02T03:04:05.678901234Z"


def shown(status: str, error: str, *, code: int = 128, started: str = NEVER):
    """What an inspect shows of a container."""
    return {
        "State": {
            "Status": status,
            "Error": error,
            "ExitCode": code,
            "StartedAt": started,
            "FinishedAt": THEN,
        }
    }


@pytest.mark.parametrize(
    "error",
    [
        "Canceled: context canceled",
        "failed to create task for container: context canceled",
        "failed to start shim: start failed: context deadline exceeded: unknown",
    ],
)
@pytest.mark.parametrize("state", ["created", "removing", "dead"])
def test_a_start_that_was_cut_off_never_happened(state, error):
    """The container has not ended and was not launched: another spawn starts it, or it goes."""
    found = shown(state, error)
    assert end_of(found) is None
    assert not launched(found)


@pytest.mark.parametrize(
    "found",
    [
        shown("created", "exec: no such file or directory", code=127),
        shown("exited", "context canceled", started=THEN),
        shown("created", "context canceled", started=THEN),
    ],
    ids=["another-reason", "ran", "ran-before"],
)
def test_other_ends_stay_ends(found):
    """A start that failed for a reason of its own, and a container that ran, have ended."""
    assert end_of(found) is not None
    assert launched(found)


def test_its_words():
    """Where the engine has removed it already, the failure says that nothing ran."""
    failure = start_failure("Canceled: context canceled")
    assert failure.cause == "start.failed"
    assert "never ran" in failure.message
    assert failure.hint == "spawn it again"
